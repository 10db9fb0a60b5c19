"""The JSON API, version 1: one module a noun, each with the `Operations` that it declares."""

from __future__ import annotations

from flask import Blueprint, Flask
from werkzeug.routing import Rule

from api.operations import Operation, Operations, install
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

NAME, PREFIX = "v1", "/v1"
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
    """Give an application the routes."""
    blueprint = Blueprint(NAME, __name__, url_prefix=PREFIX)
    for operations in NOUNS:
        install(blueprint, operations)
    app.register_blueprint(blueprint)


def writes(app: Flask) -> list[tuple[Operation, Rule]]:
    """The operations that write, each with its rule in an application that has the routes."""
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    return [
        (operation, rules[f"{NAME}.{operation.endpoint}"])
        for operations in NOUNS
        for operation in operations.all
        if operation.writes
    ]
