"""`/log/<city>/…`: a city's log for anybody, as C2SP tlog-tiles serves one, with its verifier key.

    checkpoint                     the signed note to use, with cosignatures, for a second
    newest-checkpoint              the newest signed note, which may not have its cosignatures yet
    tile/<L>/<N>[.p/<W>]           hashes, for ever
    tile/entries/<N>[.p/<W>]       entries, for ever; compressed where the client takes gzip
    receipt/<seq>                  one entry with the proof that it is in the log
    claims/<hash>                  a list of claims on a chain, whose hash stands in the log; for ever
    vkey                           the verifier key

What is not there yet, or is asked for by another than its canonical path, is 404 and may not be kept. All of it is
public, so that pages of any origin may read it.
"""

from __future__ import annotations

import gzip
from hashlib import sha256

from flask import Blueprint, Flask, Response, request

from api.services import services
from ledger.chain import lists
from ledger.errors import NotFound
from ledger.log import checkpoints, receipts, tiles

blueprint = Blueprint("log", __name__, url_prefix="/log")

GZIP_LEVEL = 6


@blueprint.get("/<city>/checkpoint")
def checkpoint(city: str) -> Response:
    """The newest signed note that satisfies the installation's policy, else the newest. Kept for a second."""
    known = services()
    facts = known.city(city)
    with known.installation.database.read() as session:
        return _note(known.public_log.checkpoint(session, city, facts.vkey))


@blueprint.get("/<city>/newest-checkpoint")
def newest_checkpoint(city: str) -> Response:
    """The newest signed note, whoever has cosigned it; each batch has another."""
    known = services()
    known.city(city)
    with known.installation.database.read() as session:
        return _note(checkpoints.newest(session, city))


@blueprint.get("/<city>/receipt/<int:seq>")
def receipt(city: str, seq: int) -> Response:
    """The receipt of an entry; cosignatures may yet come to it, so it is kept briefly."""
    known = services()
    facts = known.city(city)
    with known.installation.database.read() as session:
        response = _note(known.public_log.receipt(session, city, facts.vkey, seq))
    response.headers["Content-Disposition"] = f'inline; filename="{city}-{seq}{receipts.SUFFIX}"'
    return response


@blueprint.get("/<city>/tile/<path:path>")
def tile(city: str, path: str) -> Response:
    """A hash tile or an entry bundle. It never changes."""
    known = services()
    known.city(city)
    resource = tiles.parse_path(f"tile/{path}")
    if resource is None:
        raise NotFound("tile", path)
    with known.installation.database.read() as session:
        content = tiles.read(session, city, resource)
    if content is None:
        raise NotFound("tile", path)
    response = Response(content, mimetype="application/octet-stream")
    if resource.is_bundle:
        response.headers["Vary"] = "Accept-Encoding"
        if request.accept_encodings.quality("gzip") > 0:
            response.set_data(gzip.compress(content, GZIP_LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = tiles.FOR_EVER
    return response


@blueprint.get("/<city>/claims/<hashed>")
def claims(city: str, hashed: str) -> Response:
    """A list of claims, by the hash that its `attest` entry bears. It never changes."""
    known = services()
    known.city(city)
    with known.installation.database.read() as session:
        response = Response(lists.document(session, city, hashed), mimetype="application/json")
    response.headers["Cache-Control"] = tiles.FOR_EVER
    return response


@blueprint.get("/<city>/vkey")
def vkey(city: str) -> Response:
    """The verifier key; pin it, for a server that lies about its log would lie about this too."""
    response = Response(services().city(city).vkey + "\n", mimetype="text/plain")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@blueprint.after_request
def for_any_origin(response: Response) -> Response:
    """Let scripts of any origin read the answer, refusals as well."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _note(text: str) -> Response:
    """A signed text as a response that is asked for again and again: unchanged, it is 304."""
    response = Response(text, mimetype="text/plain")
    response.headers["Cache-Control"] = tiles.BRIEFLY
    response.set_etag(sha256(text.encode()).hexdigest()[:32])
    response.make_conditional(request)
    return response


def register(app: Flask) -> None:
    """Give an application the routes."""
    app.register_blueprint(blueprint)
