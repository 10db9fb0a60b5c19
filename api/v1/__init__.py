"""The JSON API, version 1: one module a noun, each with the `Operations` that it declares."""

from __future__ import annotations

from flask import Blueprint, Flask

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


def writes() -> list[Operation]:
    """The operations that write."""
    return [operation for operations in NOUNS for operation in operations.all if operation.writes]


def rules(app: Flask) -> dict[str, str]:
    """The rule of each operation, by the operation's name, in an application that has the routes."""
    by_endpoint = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
    return {
        operation.name: by_endpoint[f"{NAME}.{operation.endpoint}"]
        for operations in NOUNS
        for operation in operations.all
    }
