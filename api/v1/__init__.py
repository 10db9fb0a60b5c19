"""The JSON API, version 1: one module a noun, each with the `Operations` that it declares."""

from __future__ import annotations

from flask import Blueprint, Flask

from api.lane import Lane
from api.operations import Operations, install
from api.services import EXTENSION, Services
from api.v1 import (
    accounts,
    activities,
    airdrops,
    chain,
    checkins,
    cities,
    entries,
    export,
    learners,
    redemptions,
    shops,
)

PREFIX = "/v1"
NOUNS: tuple[Operations, ...] = (
    cities.routes,
    learners.routes,
    activities.routes,
    checkins.routes,
    airdrops.routes,
    shops.routes,
    redemptions.routes,
    chain.routes,
    accounts.routes,
    entries.routes,
    export.routes,
)


def register(app: Flask) -> None:
    """Give an application the routes, and the plain writes among them the lane."""
    blueprint = Blueprint("v1", __name__, url_prefix=PREFIX)
    for operations in NOUNS:
        install(blueprint, operations)
    app.register_blueprint(blueprint)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    written = [
        (operation, rules[f"{blueprint.name}.{operation.endpoint}"])
        for operations in NOUNS
        for operation in operations.all
        if operation.writes
    ]
    known: Services = app.extensions[EXTENSION]
    app.wsgi_app = Lane(app.wsgi_app, known, PREFIX, written, app.config["MAX_CONTENT_LENGTH"])  # type: ignore[method-assign]
