"""The line in front of a city's writer: who waits, and how many of them make one batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

Asked = TypeVar("Asked", covariant=True)
Answer = TypeVar("Answer", contravariant=True)
Wish = TypeVar("Wish")
Found = TypeVar("Found")


class Waiting(Protocol[Asked, Answer]):
    """Somebody who waits for an answer, or for what went wrong."""

    @property
    def asked(self) -> Asked:
        """What is wanted."""
        ...

    def give(self, answer: Answer | Exception) -> None:
        """Answer; once, from any thread."""
        ...


class Blocked(Generic[Wish, Found]):
    """One whose thread waits.

    A bare lock, held until there is an answer, wakes its one waiter with less ado than a future does.
    """

    __slots__ = ("_answer", "_answered", "asked")

    def __init__(self, asked: Wish) -> None:
        self.asked = asked
        self._answer: Found | Exception
        self._answered = threading.Lock()
        self._answered.acquire()

    def give(self, answer: Found | Exception) -> None:
        """Answer; once."""
        self._answer = answer
        self._answered.release()

    def wait(self) -> Found:
        """The answer, when it is there.

        Raises:
            Exception: what was given in place of one.
        """
        self._answered.acquire()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Served(Protocol[Wish, Found]):
    """A line, as whoever serves it sees it."""

    def __len__(self) -> int:
        """How many wait."""
        ...

    def take(self, most: int, patience_seconds: float) -> tuple[list[Waiting[Wish, Found]], bool]:
        """Wait for somebody, and so long for company; then those who wait, and whether the line ends behind them."""
        ...

    def rest(self, most: int) -> list[Waiting[Wish, Found]]:
        """Whoever waits at this moment, at most so many, to be served with those who were taken; an end is left."""
        ...


class Line(Generic[Wish, Found]):
    """First come, first served, by one server. `None` ends it.

    Whoever serves is woken when as many are here as it waits for, and not by each that comes: every waking would take
    the interpreter from those who are on their way here.
    """

    def __init__(self) -> None:
        self._waiting: deque[Waiting[Wish, Found]] = deque()
        self._ended = False
        self._last = 0
        self._wanted = 1
        self._bell = threading.Lock()
        self._bell.acquire()

    def __len__(self) -> int:
        return len(self._waiting) + self._ended

    def put(self, waiting: Waiting[Wish, Found] | None) -> None:
        """Join the line, or end it."""
        if waiting is None:
            self._ended = True
        else:
            self._waiting.append(waiting)
        if (self._ended or len(self._waiting) >= self._wanted) and self._bell.locked():
            with suppress(RuntimeError):  # another one has rung it at the same time
                self._bell.release()

    def take(self, most: int, patience_seconds: float) -> tuple[list[Waiting[Wish, Found]], bool]:
        """Wait for somebody; then those who wait, at most so many, and whether the line ends behind them.

        Whoever was answered together tends to come again together. So while fewer are here than the last time, it is
        worth waiting a little for the others: patience counts from the first one taken. Whoever comes alone is not
        kept waiting for company, nor are those who are all here.
        """
        self._wait_for(1)
        if self._waiting:
            self._wait_for(min(self._last, most), patience_seconds)
            self._last = 0
        taken = self.rest(most)
        return taken, self._ended and len(taken) < most

    def rest(self, most: int) -> list[Waiting[Wish, Found]]:
        """Whoever waits at this moment, at most so many, to be served with those who were taken; an end is left."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._last += len(taken)
        return taken

    def _wait_for(self, count: int, seconds: float | None = None) -> None:
        """Wait until so many are here, at most so long, or until the line ends."""
        self._wanted = count  # before looking: whoever comes from now on rings
        deadline = None if seconds is None else time.monotonic() + seconds
        while len(self._waiting) < count and not self._ended:
            left = -1 if deadline is None else deadline - time.monotonic()
            if deadline is not None and left <= 0:
                return
            self._bell.acquire(timeout=left)
