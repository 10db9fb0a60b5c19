"""The way of an order from a web process to the scribe (`api/scribe.py`), and of its answer back.

What was under way when the scribe falls is carried out again if it has an idempotency key, which tells whether it was
done, and has an unknown outcome otherwise. While there is no scribe, or where there is none, this process writes by
itself, and the city's head orders the two: who writes is a matter of speed and never of truth.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

from api.awaiting import settle
from api.frames import Heard, Said, framed
from api.orders import Order, Reply
from api.writing import Written
from ledger.errors import OutcomeUnknown

DOOR = "scribe.socket"
"""Where in the server's directory the scribe is to be found."""

WELCOME = b"\n"
"""What the scribe says to whoever has named a city that it writes for; frames follow."""

WELCOME_SECONDS = 1.0
"""How long to wait for that."""

AGAIN_SECONDS = 0.25
"""How long a process writes by itself after it has sought the scribe in vain."""

log = logging.getLogger(__name__)

Enter = Callable[[Order, Callable[[Reply], None]], None]
"""Puts an order into this process's line, and has the reply taken in the loop; what it raises, is the reply."""


class Relay:
    """This process's ways to the scribe, one for each city.

    Args:
        directory: the server's; None for a process that has no scribe.
        enter: how this process has an order carried out by itself.
    """

    def __init__(self, directory: Path | None, enter: Enter) -> None:
        self._door = None if directory is None else str(directory / DOOR)
        self._enter = enter
        self._ways: dict[str, _Way] = {}
        self._seeking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._not_before: dict[str, float] = {}

    async def carry_out(self, order: Order) -> Written | None:
        """Carry an order out; None if it has to go another way and nothing was done.

        Raises:
            LedgerError: it is refused, or its outcome is unknown.
        """
        way = self._ways.get(order.city)
        if self._door is not None and (way is None or way.gone):
            way = await self._seek(self._door, order.city)
        if way is None or way.gone:
            return await self._by_itself(order)
        try:
            return await way.ask(order)
        except ConnectionError as failure:
            if order.key is None:
                raise OutcomeUnknown(city=order.city) from failure
            return await self.carry_out(order)

    def waiting(self) -> dict[str, int]:
        """How many orders of this process the scribe has yet to answer, by city."""
        return {city: way.waiting for city, way in self._ways.copy().items()}

    def close(self) -> None:
        """Take leave of the scribe, once it has answered."""
        self._door = None
        for way in self._ways.values():
            way.leave()

    async def _by_itself(self, order: Order) -> Written | None:
        future: asyncio.Future[Written | None] = asyncio.get_running_loop().create_future()
        self._enter(order, partial(settle, future))
        return await future

    async def _seek(self, door: str, city: str) -> _Way | None:
        """The way to the scribe, unless there is none, or was none a moment ago."""
        async with self._seeking[city]:
            way, loop = self._ways.get(city), asyncio.get_running_loop()
            if way is not None and not way.gone:
                return way
            if loop.time() < self._not_before.get(city, 0.0):
                return None
            try:
                _, way = await loop.create_unix_connection(partial(_Way, city), door)
                await asyncio.wait_for(way.welcome, WELCOME_SECONDS)
            except OSError as failure:  # it is being started, has no database, or its path is too long for a socket
                log.debug("no way to the scribe: %s", failure)
                self._not_before[city] = loop.time() + AGAIN_SECONDS
                if way is not None:
                    way.leave()
                return None
            self._ways[city] = way
            return way


class _Way(asyncio.Protocol):
    """The connection for the orders of one city; all that are given in one turn of the loop go together.

    Attributes:
        welcome: settled once the scribe takes orders here.
        gone: whether it takes no more.
    """

    def __init__(self, city: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.welcome: asyncio.Future[None] = self._loop.create_future()
        self.gone = False
        self._city = city
        self._transport: asyncio.Transport | None = None
        self._heard = Heard()
        self._to_say: list[Said] = []
        self._asked: dict[int, asyncio.Future[Written | None]] = {}
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """How many orders are not answered yet."""
        return len(self._asked)

    async def ask(self, order: Order) -> Written | None:
        """Have an order carried out.

        Raises:
            ConnectionError: the scribe went before it answered.
            LedgerError: the order is refused.
        """
        number = next(self._numbers)
        future: asyncio.Future[Written | None] = self._loop.create_future()
        self._asked[number] = future
        if not self._to_say:
            self._loop.call_soon(self._say)
        self._to_say.append((number, tuple(order)))
        try:
            return await future
        finally:
            self._asked.pop(number, None)
            if self.gone:
                self.leave()

    def leave(self) -> None:
        """End the connection behind the last answer."""
        self.gone = True
        if self._transport is not None and not self._asked:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._city.encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        if not self.welcome.done():
            self.welcome.set_result(None)
            data = data[len(WELCOME) :]
        for number, reply in self._heard.take(data):
            if (future := self._asked.get(number)) is not None:
                settle(future, Written(*reply) if isinstance(reply, tuple) else reply)

    def connection_lost(self, failure: Exception | None) -> None:
        self.gone = True
        settle(self.welcome, ConnectionResetError())
        for future in self._asked.values():
            settle(future, ConnectionResetError())

    def _say(self) -> None:
        said, self._to_say = self._to_say, []
        if self._transport is not None:
            self._transport.write(framed(said))
