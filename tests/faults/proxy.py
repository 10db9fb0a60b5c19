"""A network between web processes and PostgreSQL that can be cut, in every way in which networks break.

A proxy listens on a loopback port and passes what it hears on to PostgreSQL's Unix socket. While it is not told
otherwise every byte passes. It may

* `refuse`: reset every connection and accept none, as while a route is down;
* `drop`: reset every connection once, as a firewall does that forgot them; new ones are welcome;
* `lose_answers`: pass questions on, and reset where an answer should come: whatever was committed, nobody hears of it;
* `stall`: hold every byte back in both directions, as a congested line does; nothing is lost;
* `half_open`: reset the web process's side alone; PostgreSQL keeps its side, and whatever it had locked.

`heal` ends all of them. One thread runs the loop of all proxies of a `Network`; the other methods may be called from
any thread and return when they took effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 16
CALL_SECONDS = 30
"""How long the loop may take to carry out one order on a busy machine."""

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s

CUTS = ("refuse", "drop", "lose_answers", "stall", "half_open")
"""The methods of a `Proxy` that break it."""


class Network:
    """The loop that all proxies share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def proxy(self, target: Path) -> Proxy:
        """A new way to the Unix socket `target`."""
        made = Proxy(self, target)
        self._proxies.append(made)
        return made

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have the loop do something; returns when it is done."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    def close(self) -> None:
        """Reset everything and end the loop."""
        for proxy in self._proxies:
            proxy.heal()  # nothing is held back any more
            proxy.refuse()
        self.run(_wait_for_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        self._loop.close()


class Proxy:
    """One way through the network, to be broken and healed. Made by `Network.proxy`.

    Attributes:
        port: the loopback port that it listens on, for as long as it lives.
    """

    def __init__(self, network: Network, target: Path) -> None:
        self._network, self._target = network, target
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._losing = False
        self.port = 0
        network.run(self._listen())

    def refuse(self) -> None:
        """Reset every connection and accept none until `heal`."""

        async def cut() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
            self._reset_all()

        self._network.run(cut())

    def drop(self) -> None:
        """Reset every connection that there is; those that are made afterwards work."""
        self._now(self._reset_all)

    def lose_answers(self) -> None:
        """Until `heal`, let what PostgreSQL is asked pass, and reset the connection in place of its first answer."""

        def cut() -> None:
            self._losing = True

        self._now(cut)

    def stall(self) -> None:
        """Until `heal`, hold every byte back."""
        self._now(self._flowing.clear)

    def half_open(self) -> None:
        """Reset the web process's side of every connection; PostgreSQL's stays open, silent, until `heal`."""

        def cut() -> None:
            for line in self._lines:
                line.reset_near()

        self._now(cut)

    def heal(self) -> None:
        """Let everything pass again. What `half_open` left behind is closed; it cannot be joined again."""

        async def mend() -> None:
            self._losing = False
            self._flowing.set()
            for line in [line for line in self._lines if line.is_half_open]:
                line.reset()
            if self._server is None:
                await self._listen()

        self._network.run(mend())

    @property
    def connections(self) -> int:
        """How many connections PostgreSQL sees."""
        return len(self._lines)

    def _now(self, act: Callable[[], object]) -> None:
        async def do() -> None:
            act()

        self._network.run(do())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _reset_all(self) -> None:
        for line in list(self._lines):
            line.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(str(self._target))
        except OSError:  # PostgreSQL is down
            _reset(writer)
            return
        line = _Line(writer, far_writer)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pass(line, reader, far_writer), self._pass(line, far_reader, writer, answers=True)
            )
        finally:
            line.reset()
            self._lines.discard(line)

    async def _pass(
        self, line: _Line, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK_BYTES):
                await self._flowing.wait()
                if line.is_half_open:
                    continue
                if answers and self._losing:
                    break
                sink.write(chunk)
                await sink.drain()
        if line.is_half_open and not answers:
            await line.ended.wait()  # PostgreSQL is not to notice that the other side is gone
        line.reset()


class _Line:
    """One connection through a proxy: the web process's side, which is near, and PostgreSQL's, which is far."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._near, self._far = near, far
        self.is_half_open = False
        self.ended = asyncio.Event()

    def reset_near(self) -> None:
        self.is_half_open = True
        _reset(self._near)

    def reset(self) -> None:
        self.ended.set()
        _reset(self._near)
        _reset(self._far)


async def _wait_for_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=CALL_SECONDS / 2)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset where the connection is TCP: what waits to be sent is lost."""
    end = writer.get_extra_info("socket")
    if end is not None and end.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.transport.abort()
