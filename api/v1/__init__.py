"""The JSON API, version 1: one module a noun, each with the `Operations` that it declares."""

from __future__ import annotations

from flask import Blueprint, Flask

from api.operations import Operations, install
from api.v1 import accounts, activities, checkins, cities, entries, export, learners, redemptions, shops

PREFIX = "/v1"
NOUNS: tuple[Operations, ...] = (
    cities.routes,
    learners.routes,
    activities.routes,
    checkins.routes,
    shops.routes,
    redemptions.routes,
    accounts.routes,
    entries.routes,
    export.routes,
)


def register(app: Flask) -> None:
    """Give an application the routes."""
    blueprint = Blueprint("v1", __name__, url_prefix=PREFIX)
    for operations in NOUNS:
        install(blueprint, operations)
    app.register_blueprint(blueprint)
