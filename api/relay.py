"""One writer for all processes of a server: each sends the writes that its lane takes to the one that writes.

Writers of several processes meet at the city's head. Each then has a part of those who wait in its batch, and a batch
costs nearly as much as one of them all; on the same machine, four processes carried half as much as one. So one of
them, whoever locks a file of the server's directory first, writes for the others as well. They read the requests, send
the *orders* in them through a socket beside that file, and write the answers.

The lock goes with its process, however that ends; then the next one takes it. What was under way at that moment is
carried out again if it has an idempotency key, which tells whether it was done, and has an unknown outcome otherwise.
Whenever the one that writes cannot be reached, or does not know the city yet, a process writes by itself, and the head
orders the two: who writes is a matter of speed and never of truth.

What passes through the socket is pickled. Nobody but the server's own user may enter its directory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import struct
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from api.awaiting import settle
from api.writing import Written
from ledger import process
from ledger.errors import LedgerError, OutcomeUnknown

log = logging.getLogger(__name__)

_LENGTH = struct.Struct("<I")


class Order(NamedTuple):
    """A write as it goes from one process to the other.

    Attributes:
        city: of which city.
        route: the path of its operation within the city.
        body: what the request brought.
        authorization: that header.
        key: its idempotency key, if any.
    """

    city: str
    route: str
    body: bytes
    authorization: str
    key: str | None


Reply = Written | Exception | None
"""What became of an order; None if it has to go another way and nothing was done."""

Enter = Callable[[Order, Callable[[Reply], None]], None]
"""Puts an order into this process's line, and has the reply taken in the loop; what it raises, is the reply."""


class Relay:
    """This process among those of its server.

    Args:
        directory: the server's, the same for all; None for a process that has no others.
        enter: how this process has an order carried out by itself.
    """

    def __init__(self, directory: Path | None, enter: Enter) -> None:
        self._directory = directory
        self._enter = enter
        self._held: int | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[_Colleague] = set()
        self._writer: _Writer | None = None
        self._joining = asyncio.Lock()
        self._ended = False

    async def carry_out(self, order: Order) -> Written | None:
        """Carry an order out where the server writes.

        Raises:
            LedgerError: it is refused, or its outcome is unknown.
        """
        writer = self._writer
        if self._directory is not None and self._held is None and (writer is None or writer.gone):
            writer = await self._join(self._directory)
        if self._held is not None or writer is None:
            return await self._by_itself(order)
        try:
            found = await writer.ask(order)
        except ConnectionError as failure:
            if order.key is None:
                raise OutcomeUnknown(city=order.city) from failure
            return await self.carry_out(order)
        return await self._by_itself(order) if found is None else found

    async def _by_itself(self, order: Order) -> Written | None:
        future: asyncio.Future[Written | None] = asyncio.get_running_loop().create_future()
        self._enter(order, partial(settle, future))
        return await future

    async def close(self) -> None:
        """Answer what is under way for the others, who from now on write without this process."""
        self._ended = True
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None
        for colleague in self._serving.copy():
            await colleague.finish()
        if self._writer is not None:
            self._writer.end()

    async def _join(self, directory: Path) -> _Writer | None:
        """Find out who writes: None if it is this process, or nobody who can be reached."""
        async with self._joining:
            if self._held is not None or self._ended:
                return None
            if self._writer is not None and not self._writer.gone:
                return self._writer
            loop, door = asyncio.get_running_loop(), directory / "writer.socket"
            try:
                self._held = process.lock_for_life(directory / "writer.lock")
                if self._held is None:
                    _, self._writer = await loop.create_unix_connection(_Writer, str(door))
                    return self._writer
                door.unlink(missing_ok=True)
                colleague = partial(_Colleague, self._enter, self._serving)
                self._server = await loop.create_unix_server(colleague, str(door))
            except OSError as failure:  # whoever writes has yet to open its door, or the path is too long for one
                log.debug("no way to the process that writes: %s", failure)
            return None


class _Frames(asyncio.Protocol):
    """Lists of things over a stream, one pickle of all that was said in one turn of the loop.

    Orders and answers go as plain tuples, which a pickle takes a third of the time for.
    """

    def __init__(self) -> None:
        self.gone = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._came = bytearray()
        self._to_say: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, failure: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        came = self._came
        came += data
        start = 0
        while len(came) - start >= _LENGTH.size:
            body = start + _LENGTH.size
            (length,) = _LENGTH.unpack_from(came, start)
            if len(came) - body < length:
                break
            start = body + length
            for said in pickle.loads(came[body:start]):  # noqa: S301 - of a process of the same server
                self.heard(*said)
        del came[:start]

    def heard(self, number: int, what: Any) -> None:
        """Take one thing that the other side said."""
        raise NotImplementedError

    def say(self, number: int, what: Any) -> None:
        """Say one thing, together with all others of this turn."""
        if not self._to_say:
            self._loop.call_soon(self._say_all)
        self._to_say.append((number, what))

    def end(self) -> None:
        """End the connection after what was said."""
        if self._transport is not None:
            self._transport.close()

    def _say_all(self) -> None:
        said, self._to_say = self._to_say, []
        if self._transport is None or self.gone:
            return
        frame = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
        self._transport.write(_LENGTH.pack(len(frame)) + frame)


class _Writer(_Frames):
    """The process that writes, as another one sees it."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[int, asyncio.Future[Written | None]] = {}
        self._numbers = count()

    async def ask(self, order: Order) -> Written | None:
        """Have an order carried out there.

        Raises:
            ConnectionError: it went before it answered.
            LedgerError: the order is refused.
        """
        if self.gone:
            raise ConnectionResetError
        number = next(self._numbers)
        future: asyncio.Future[Written | None] = self._loop.create_future()
        self._asked[number] = future
        self.say(number, tuple(order))
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    def heard(self, number: int, what: Any) -> None:
        if (future := self._asked.get(number)) is not None:
            settle(future, Written(*what) if isinstance(what, tuple) else what)

    def connection_lost(self, failure: Exception | None) -> None:
        super().connection_lost(failure)
        for future in self._asked.values():
            settle(future, ConnectionResetError())


class _Colleague(_Frames):
    """Another process, as the one that writes sees it."""

    def __init__(self, enter: Enter, serving: set[_Colleague]) -> None:
        super().__init__()
        self._enter = enter
        self._serving = serving
        self._under_way = 0
        self._finished: asyncio.Event | None = None
        serving.add(self)

    def heard(self, number: int, what: Any) -> None:
        self._under_way += 1
        reply = partial(self._reply, number)
        if self._finished is not None:
            reply(None)
            return
        try:
            self._enter(Order(*what), reply)
        except Exception as failure:
            reply(failure)

    def connection_lost(self, failure: Exception | None) -> None:
        super().connection_lost(failure)
        self._serving.discard(self)

    async def finish(self) -> None:
        """Answer what is under way, take nothing more, and end."""
        self._finished = asyncio.Event()
        if self._under_way:
            await self._finished.wait()
        await asyncio.sleep(0)  # the last answers leave in the next turn
        self.end()

    def _reply(self, number: int, reply: Reply) -> None:
        if isinstance(reply, Exception) and not isinstance(reply, LedgerError):
            log.error("an order of another process failed", exc_info=reply)
            reply = RuntimeError(type(reply).__name__)
        self.say(number, tuple(reply) if isinstance(reply, Written) else reply)
        self._under_way -= 1
        if self._finished is not None and not self._under_way:
            self._finished.set()
