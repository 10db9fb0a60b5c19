"""`/witness/…`: the installation's witness, C2SP tlog-witness, for the logs that it knows.

    POST add-checkpoint    a checkpoint with a consistency proof; answered by a cosignature
    GET  vkey              the witness's verifier key

Whoever sends the checkpoint needs no sign-in: only what a known log signed is looked at. Statuses, bodies and content
types are those of the specification; see `ledger.log.witness`.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request

from api.services import services
from ledger.errors import NotFound
from ledger.log.witness import MAX_REQUEST_BYTES

blueprint = Blueprint("witness", __name__, url_prefix="/witness")


@blueprint.post("/add-checkpoint")
def add_checkpoint() -> Response:
    """Cosign a checkpoint, or say why not."""
    request.max_content_length = MAX_REQUEST_BYTES
    reply = services().public_log.witness.add_checkpoint(request.get_data(cache=False))
    response = Response(reply.body, status=reply.status, content_type=reply.content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/vkey")
def vkey() -> Response:
    """The verifier key, for policies."""
    key = services().public_log.witness.key
    if key is None:
        raise NotFound("witness", "vkey")
    response = Response(key.vkey + "\n", mimetype="text/plain")
    response.headers["Cache-Control"] = "public, max-age=3600"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def register(app: Flask) -> None:
    """Give an application the routes."""
    app.register_blueprint(blueprint)
