"""Another process of a server, which orders at a desk, and what the desk needs of a write."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from api.desk import READ_BYTES, Desk, Pace
from api.frames import Heard, Said, framed
from api.operations import SignedWrite
from api.orders import Order
from api.writing import Written
from ledger.book.commands import Deferred, Outcome, Wanted
from ledger.book.line import Waiting
from ledger.errors import Unauthenticated
from tests.factories import CITY

ALL = Pace(least=0.0, most=1.0)
HALF = Pace(least=0.25, most=0.5)

Taken = Sequence[Waiting[Wanted[Any], Outcome[Any]]]


class Write(NamedTuple):
    """What an order asks for, as far as the desk can tell: its command's place is the order's text."""

    text: str

    def deferred(self) -> Deferred[Any]:
        """Something that is never carried out here."""
        return Deferred((cast("Any", None), self.text), cast("Any", None))

    def answer(self, outcome: Outcome[Any] | Exception) -> Written:
        """The body is what was given."""
        if isinstance(outcome, Exception):
            raise outcome
        return Written(outcome.value or b"", outcome.replayed is not None)


def write(order: Order) -> SignedWrite | None:
    """An order's text is its body; some are not right, and some come from nobody."""
    if order.body == b"not right":
        return None
    if order.body == b"of nobody":
        raise Unauthenticated("unknown_token")
    if order.body == b"a fault":
        raise ZeroDivisionError("secret")
    return cast("SignedWrite", Write(order.body.decode()))


class Process:
    """Another process of the server: orders by number, and what came back.

    Args:
        desk: where it orders.
        buffer_bytes: how much may be on its way to it, about; None leaves that to the system.
    """

    def __init__(self, desk: Desk, buffer_bytes: int | None = None) -> None:
        self.connection, its = socket.socketpair()
        self.connection.setblocking(False)
        if buffer_bytes is not None:
            its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.heard = Heard()
        self.told: list[Said] = []
        self.ended = False
        desk.join(its)

    def order(self, *orders: tuple[int, str]) -> None:
        """Have several things done; at once, and in one frame."""
        self.connection.sendall(framed([(number, _order(text)) for number, text in orders]))

    def read(self) -> list[Said]:
        """All that it was told until now."""
        while not self.ended:
            try:
                data = self.connection.recv(READ_BYTES)
            except BlockingIOError:
                break
            self.ended = not data
            self.told += self.heard.take(data)
        return self.told


def _order(text: str) -> tuple[Any, ...]:
    return tuple(Order(CITY, "/entries", text.encode(), "Bearer x", None))


@contextmanager
def open_desk(pace: Pace = ALL, most_waiting: int = 4_096, asks: Callable[[Order], Any] = write) -> Iterator[Desk]:
    """A desk that is closed at the end."""
    desk = Desk(asks, _never, most_waiting, pace)
    try:
        yield desk
    finally:
        desk.close()


def _never() -> None:
    raise AssertionError("nobody is turned away")


def asked(taken: Taken) -> list[str]:
    """What was ordered."""
    return [cast("Deferred[Any]", one.asked).place[1] for one in taken]  # type: ignore[misc]


def answer(taken: Taken, size: int = 0) -> None:
    """Carry everything out, with bodies of at least this size."""
    for one, text in zip(taken, asked(taken), strict=True):
        one.give(Outcome(f"done: {text}".ljust(size).encode()))


def done(number: int, text: str, size: int = 0) -> Said:
    """What is told of an order that was carried out."""
    return number, (f"done: {text}".ljust(size).encode(), False)


def numbered(count: int, first: int = 0) -> list[tuple[int, str]]:
    """So many orders, whose text is their number."""
    return [(number, str(number)) for number in range(first, first + count)]
