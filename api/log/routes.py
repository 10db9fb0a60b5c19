"""`/log/<city>/checkpoint`: the newest signed checkpoint of a city, C2SP tlog-checkpoint, for anybody."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from api.services import services
from ledger.book import seal

blueprint = Blueprint("log", __name__, url_prefix="/log")


@blueprint.get("/<city>/checkpoint")
def checkpoint(city: str) -> Response:
    """The signed note. It may be kept for a second: the next batch has another."""
    known = services()
    known.city(city)
    with known.installation.database.read() as session:
        note = seal.latest(session, city).note
    response = Response(note, mimetype="text/plain")
    response.headers["Cache-Control"] = "public, max-age=1"
    return response


@blueprint.get("/<city>/vkey")
def vkey(city: str) -> Response:
    """The verifier key; pin it, for a server that lies about its log would lie about this too."""
    response = Response(services().city(city).vkey + "\n", mimetype="text/plain")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def register(app: Flask) -> None:
    """Give an application the routes."""
    app.register_blueprint(blueprint)
