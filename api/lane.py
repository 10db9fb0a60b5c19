"""The short way of a write through HTTP: past Flask and its threads, for requests that are plainly what they should be.

A write by a program names its city and route in the path, bears a token, and brings JSON. Such a request needs neither
cookies nor a query nor content negotiation, and the framework around it costs more than all that this process does
for it otherwise. The lane is what the server calls, in its event loop; it takes these requests straight to the writer,
which finds out within its transaction whom the token signs in. While they wait for it, they take no thread, and no
lock of the interpreter passes from one to the next. Whatever else comes, goes through Flask unread, in a thread, and so
does a body that is not right. When a request that the lane took is refused, Flask gets it after all with the refusal in
its scope, and answers it as it answers every other.

Nothing in the lane may wait for a database or a disk: everybody would wait with it. So the first write of a city in a
process goes through Flask, which makes the city known.

A server has one process that writes what the lanes of all its web processes take; see `api/scribe.py`.

Nothing may be attached to Flask's requests that a write depends on: the lane would pass it by.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from api import operations, writing
from api.awaiting import Answers, Awaited
from api.bodies import JSON
from api.edge import Edge
from api.operations import CITY, NO_STORE
from api.orders import Order, Orders, Reply
from api.relay import Relay
from api.services import CityFacts, Services
from api.writing import Written
from ledger.book.commands import Outcome

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application, version 3."""


class _Taken(NamedTuple):
    """A request that the lane takes: where it goes, and its headers."""

    city: str
    path: str
    length: int
    headers: dict[bytes, bytes]


class Lane:
    """An ASGI application around Flask's.

    Args:
        flask: answers what the lane does not take.
        edge: what every answer has.
        known: the application's services.
        prefix: what stands before every path of the operations.
        orders: what can be ordered.
        rules: Flask's rule of each operation, by the operation's name.
        max_body_bytes: the longest body that the lane takes.
        directory: where the processes of this server meet; None for a process that has no others.
    """

    def __init__(
        self,
        flask: Application,
        edge: Edge,
        known: Services,
        prefix: str,
        orders: Orders,
        rules: dict[str, str],
        max_body_bytes: int,
        directory: Path | None,
    ) -> None:
        self._flask = flask
        self._edge = edge
        self._known = known
        self._max_body_bytes = max_body_bytes
        self._start = f"{prefix}{CITY.partition('<')[0]}"
        self._orders = orders
        self._rules = rules
        self._answers: Answers | None = None
        self._relay = Relay(directory, self._enter)
        known.installation.health.count(self._relay.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or accompany the server from its start to its end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        taken = self._takes(scope)
        if taken is None:
            await self._flask(scope, _after([], receive), send)
            return
        began = time.perf_counter()
        body = await _whole(receive)
        if len(body) == taken.length:
            try:
                written = await self._carry_out(taken, body)
            except Exception as failure:  # whatever it is, Flask has the words for it
                scope[operations.REFUSED] = failure
            else:
                if written is not None:
                    await self._answer(taken, written, scope["scheme"], send, began)
                    return
        again = {"type": "http.request", "body": body, "more_body": False}
        await self._flask(scope, _after([again], receive), send)

    def _takes(self, scope: Scope) -> _Taken | None:
        """What the lane needs to know of a request, if it is one for the lane."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return None
        path: str = scope["path"]
        if not path.startswith(self._start) or not path.isascii():
            return None
        city, slash, rest = path[len(self._start) :].partition("/")
        if slash + rest not in self._orders or self._facts(city) is None:
            return None
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if (
            len(headers) != len(scope["headers"])  # one came twice: Flask knows what that means
            or headers.get(b"content-type") != _JSON
            or b"authorization" not in headers
            or b"transfer-encoding" in headers
            or not length.isdigit()
            or int(length) > self._max_body_bytes
        ):
            return None
        return _Taken(city, slash + rest, int(length), headers)

    def _facts(self, city: str) -> CityFacts | None:
        """The facts of a city that this process can write to without asking a database; None of any other."""
        return self._known.met(city) if self._known.installation.writer.knows(city) else None

    async def _carry_out(self, taken: _Taken, body: bytes) -> Written | None:
        """Have it carried out wherever that is done; None if it is for Flask after all."""
        authorization = taken.headers[b"authorization"].decode("latin-1")
        key = _text(taken.headers.get(b"idempotency-key"))
        order = self._orders.order(taken.city, taken.path, body, authorization, key)
        return None if order is None else await self._relay.carry_out(order)

    def _enter(self, order: Order, take: Callable[[Reply], None]) -> None:
        """Have this process write what was ordered; None is taken if it is not right, or its city not known yet."""
        facts = self._facts(order.city)
        write = None if facts is None else self._orders.write(facts, order)
        if write is None:
            take(None)
            return

        def answer(outcome: Outcome[Any] | Exception) -> None:
            try:
                reply: Reply = write.answer(outcome)
            except Exception as failure:
                reply = failure
            take(reply)

        loop = asyncio.get_running_loop()
        if self._answers is None or self._answers.loop is not loop:
            self._answers = Answers(loop)
        self._known.installation.writer.enter(order.city, Awaited(write.deferred(), answer, self._answers))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Say that all is ready, wait for the end, and leave nobody without an answer."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._relay.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, taken: _Taken, written: Written, scheme: str, send: Send, began: float) -> None:
        operation = self._orders.operation(taken.path)
        given = self._edge.id_of(_text(taken.headers.get(b"x-request-id")))
        headers = [
            (b"content-type", _JSON),
            (b"content-length", b"%d" % len(written.body)),
            (b"cache-control", NO_STORE.encode()),
        ]
        if written.replayed:
            headers.append((writing.REPLAY_HEADER.lower().encode(), b"true"))
        headers += _on_the_wire(self._edge.added(scheme))
        headers.append((b"x-request-id", given.encode()))
        await send({"type": "http.response.start", "status": operation.status, "headers": headers})
        await send({"type": "http.response.body", "body": written.body})
        seconds = time.perf_counter() - began
        self._edge.answered(given, "POST", self._rules[operation.name], taken.city, operation.status, seconds)


_JSON = JSON.encode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


@cache
def _on_the_wire(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


async def _whole(receive: Receive) -> bytes:
    """A request's body, or what there is of it when the client goes."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def _after(first: list[Message], receive: Receive) -> Receive:
    """What brings some messages and then those of `receive`; a coroutine, which the server's own is not."""

    async def following() -> Message:
        return first.pop() if first else await receive()

    return following
