"""A write by a program, taken out of its request: what one process of a server can have another one carry out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from api import auth, bodies
from api.bodies import JSON, SHORT_BYTES
from api.operations import CITY, NO_STORE, Operation, Sent, SignedWrite
from api.services import CityFacts, Services
from api.writing import Written
from ledger.errors import ValidationFailed
from ledger.people import tokens


class Order(NamedTuple):
    """A write as it goes from one process to the other.

    Attributes:
        city: of which city.
        route: the path of its operation within the city.
        body: what the request brought.
        authorization: that header.
        key: its idempotency key, if any.
        command: what a long body stands for; whoever writes reads the short ones, which he remembers.
    """

    city: str
    route: str
    body: bytes
    authorization: str
    key: str | None
    command: Any = None


Reply = Written | Exception | None
"""What became of an order; None if it has to go another way and nothing was done."""


class Orders:
    """What orders are for: the operations whose requests can be taken for one.

    These are POSTs of JSON whose path has no variable but the city.

    Args:
        known: the services of this process.
        operations: all that write.
    """

    def __init__(self, known: Services, operations: Iterable[Operation]) -> None:
        self._known = known
        self._by_route = {
            operation.path.removeprefix(CITY): operation for operation in operations if _can_be_ordered(operation)
        }

    def __contains__(self, route: str) -> bool:
        return route in self._by_route

    def operation(self, route: str) -> Operation:
        """The operation of a route."""
        return self._by_route[route]

    def order(self, city: str, route: str, body: bytes, authorization: str, key: str | None) -> Order | None:
        """The order in a request; None if its body is found not to be right."""
        if len(body) <= SHORT_BYTES:
            return Order(city, route, body, authorization, key)
        command = self._read(route, body)
        return None if command is None else Order(city, route, body, authorization, key, command)

    def write(self, facts: CityFacts, order: Order) -> SignedWrite | None:
        """The write that was ordered; None if its body is not right.

        A body that is not right will be refused, unless its idempotency key has been used before.

        Raises:
            Unauthenticated: what should sign it in is no token.
        """
        command = self._read(order.route, order.body) if order.command is None else order.command
        if command is None:
            return None
        operation, sent = self._by_route[order.route], Sent(order.body, JSON, order.key)
        sign_in = auth.known(tokens.place(auth.bearer(order.authorization)))
        return SignedWrite(operation, self._known, facts, sign_in, sent, command)

    def _read(self, route: str, body: bytes) -> Any:
        request = self._by_route[route].request
        try:
            return None if request is None else bodies.read(request, body, JSON)
        except ValidationFailed:
            return None


def _can_be_ordered(operation: Operation) -> bool:
    plain = operation.keyed and operation.media == JSON and operation.cache == NO_STORE
    return plain and operation.path.startswith(CITY) and "<" not in operation.path.removeprefix(CITY)
