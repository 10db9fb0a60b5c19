"""The line in front of a city's writer where those who wait stand in other processes, and send their orders here.

One thread does everything: it reads orders out of the sockets, has the writer carry out a batch of them, and sends the
replies. Nobody takes the interpreter from it.

A batch takes part of the crowd: those who have just been answered, and those who are here. What the other processes do
for the rest is done at the same time. How large a part is best, depends on what a batch costs beside its commands.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from api.frames import Heard, Said, framed
from api.operations import SignedWrite
from api.orders import Order, Reply
from api.writing import Written
from ledger.book.commands import Deferred, Outcome, Wanted
from ledger.book.line import Waiting
from ledger.errors import LedgerError, Overloaded

READ_BYTES = 256 * 1024
"""How much is read of a process at a time."""

FEW = 16
"""So many always go together."""

REPLIES = 16
"""After how many replies to a process they are sent; it goes on with them while others are made."""

LAST_SECONDS = 1.0
"""How long a process may take to receive its last replies."""

log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """Which part of the crowd a batch waits for, and takes at most."""

    least: float
    most: float


class Desk:
    """A line for `Writer.serve`.

    Args:
        write: what an order asks for; None if it is not right.
        overloaded: told of each order that is turned away.
        most_waiting: how many orders may wait.
        pace: how batches are made.
    """

    def __init__(
        self,
        write: Callable[[Order], SignedWrite | None],
        overloaded: Callable[[], None],
        most_waiting: int,
        pace: Pace,
    ) -> None:
        self._write = write
        self._overloaded = overloaded
        self._most_waiting = most_waiting
        self._pace = pace
        self._here: deque[_Asked] = deque()
        self._last = 0
        self._room = 0
        self._owed = 0
        self._answered: dict[_Colleague, None] = {}
        self._new: deque[socket.socket] = deque()
        self._ended = False
        self._watched = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._watched.register(self._bell, selectors.EVENT_READ)

    def __len__(self) -> int:
        return len(self._here)

    def join(self, connection: socket.socket) -> None:
        """Take the orders of one more process; from any thread."""
        self._new.append(connection)
        self._rope.send(b"!")

    def end(self) -> None:
        """End the line behind those who are here; from any thread."""
        self._ended = True
        self._rope.send(b"!")

    def close(self) -> None:
        """Send the last replies and close the connections; in the thread that has served."""
        for key in list(self._watched.get_map().values()):
            if isinstance(key.data, _Colleague):
                with suppress(OSError):
                    key.data.connection.settimeout(LAST_SECONDS)
                    key.data.connection.sendall(key.data.unsent)
                key.data.connection.close()
        self._watched.close()
        self._bell.close()
        self._rope.close()

    def take(self, most: int, patience_seconds: float) -> tuple[list[Waiting[Wanted[Any], Outcome[Any]]], bool]:
        """Wait for somebody, and so long for company; who goes first, and whether the line ends behind them."""
        ended = self._ended  # before looking: whoever came before the end is seen
        self._look(0.0)
        self._wait_for(1)
        crowd = self._last + len(self._here)
        self._last = 0
        self._room = min(most, max(FEW, int(crowd * self._pace.most)))
        self._wait_for(min(int(crowd * self._pace.least), self._room), patience_seconds)
        taken = self._first(self._room)
        return taken, ended and not self._here

    def rest(self, most: int) -> list[Waiting[Wanted[Any], Outcome[Any]]]:
        """Whoever has come meanwhile, as far as the batch has room."""
        self._look(0.0)
        return self._first(min(most, self._room))

    def _first(self, count: int) -> list[Waiting[Wanted[Any], Outcome[Any]]]:
        taken: list[Waiting[Wanted[Any], Outcome[Any]]] = [
            self._here.popleft() for _ in range(min(count, len(self._here)))
        ]
        self._last += len(taken)
        self._room -= len(taken)
        self._owed += len(taken)
        return taken

    def _wait_for(self, count: int, seconds: float | None = None) -> None:
        """Wait until so many are here, at most so long, or until the line ends."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while len(self._here) < count and not self._ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self._look(left)

    def _look(self, seconds: float | None) -> None:
        """Read what has come, once something has, or at most so long."""
        for key, events in self._watched.select(seconds):
            if not isinstance(key.data, _Colleague):
                self._let_in()
                continue
            if events & selectors.EVENT_WRITE:
                self._send(key.data)
            if events & selectors.EVENT_READ and not key.data.gone:
                self._read(key.data)

    def _let_in(self) -> None:
        self._bell.recv(READ_BYTES)
        while self._new:
            connection = self._new.popleft()
            connection.setblocking(False)
            colleague = _Colleague(connection)
            self._watched.register(connection, selectors.EVENT_READ, colleague)
            self._read(colleague)

    def _read(self, colleague: _Colleague) -> None:
        try:
            data = colleague.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._part_with(colleague)
            return
        for number, order in colleague.heard.take(data):
            try:
                write = self._asked_for(Order(*order))
            except Exception as failure:
                colleague.replies.append((number, _said(failure)))
                continue
            if write is None:
                colleague.replies.append((number, None))
            else:
                self._here.append(_Asked(write, self, colleague, number))
        if colleague.replies:
            self._send(colleague)

    def _asked_for(self, order: Order) -> SignedWrite | None:
        if len(self._here) >= self._most_waiting:
            self._overloaded()
            raise Overloaded()
        return self._write(order)

    def reply(self, colleague: _Colleague, number: int, reply: Reply) -> None:
        """Answer one of those who were taken; what is not sent by then is sent with the last of them."""
        colleague.replies.append((number, _said(reply)))
        self._answered[colleague] = None
        if len(colleague.replies) >= REPLIES:
            self._send(colleague)
        self._owed -= 1
        if not self._owed:
            for one in self._answered:
                self._send(one)
            self._answered.clear()

    def _send(self, colleague: _Colleague) -> None:
        if colleague.gone:
            colleague.replies.clear()
            return
        if colleague.replies:
            colleague.unsent += framed(colleague.replies)
            colleague.replies.clear()
        try:
            sent = colleague.connection.send(colleague.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._part_with(colleague)
            return
        del colleague.unsent[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if colleague.unsent else 0)
        if self._watched.get_key(colleague.connection).events != wanted:
            self._watched.modify(colleague.connection, wanted, colleague)

    def _part_with(self, colleague: _Colleague) -> None:
        """Its process is gone. What it has ordered is carried out: nobody knows what it was told of that."""
        colleague.gone = True
        self._watched.unregister(colleague.connection)
        colleague.connection.close()


@dataclass(eq=False)
class _Colleague:
    """Another process, and what is on the way to it."""

    connection: socket.socket
    heard: Heard = field(default_factory=Heard)
    replies: list[Said] = field(default_factory=list)
    unsent: bytearray = field(default_factory=bytearray)
    gone: bool = False


class _Asked:
    """An order that waits."""

    __slots__ = ("_colleague", "_desk", "_number", "_write", "asked")

    def __init__(self, write: SignedWrite, desk: Desk, colleague: _Colleague, number: int) -> None:
        self.asked: Deferred[Any] = write.deferred()
        self._write = write
        self._desk = desk
        self._colleague = colleague
        self._number = number

    def give(self, answer: Outcome[Any] | Exception) -> None:
        """Answer; once."""
        try:
            reply: Reply = self._write.answer(answer)
        except LedgerError as refusal:
            reply = refusal.with_traceback(None)  # which leads back here: the two would wait for the search for garbage
        except Exception as failure:
            reply = failure
        self._desk.reply(self._colleague, self._number, reply)


def _said(reply: Reply) -> Any:
    """A reply as it goes to another process: a fault that is no refusal says nothing of what lies behind it."""
    if isinstance(reply, Written):
        return tuple(reply)
    if isinstance(reply, Exception) and not isinstance(reply, LedgerError):
        log.error("an order of another process failed", exc_info=reply)
        return RuntimeError(type(reply).__name__)
    return reply
