"""The line in front of a city's writer: who waits, and how many of them make one batch."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

LOOK_SECONDS = 0.0002
"""How often somebody who waits for company looks whether it has come."""

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


class Line(Generic[Wish, Found]):
    """First come, first served, by one server. `None` ends it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Waiting[Wish, Found] | None] = SimpleQueue()
        self._last = 0

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, waiting: Waiting[Wish, Found] | None) -> None:
        """Join the line, or end it."""
        self._queue.put(waiting)

    def take(self, most: int, patience_seconds: float) -> tuple[list[Waiting[Wish, Found]], bool]:
        """Wait for somebody; then those who wait, at most so many, and whether the line ends behind them.

        Whoever was answered together tends to come again together. So while fewer are here than the last time, it is
        worth waiting a little for the others: patience counts from the first one taken. Whoever comes alone is not
        kept waiting for company, nor are those who are all here.
        """
        first = self._queue.get()
        if first is None:
            return [], True
        taken = [first]
        expected, deadline = min(self._last, most), time.monotonic() + patience_seconds
        while not (ended := self._drain(taken, most)) and len(taken) < expected:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, LOOK_SECONDS))
        self._last = len(taken)
        return taken, ended

    def rest(self, most: int) -> list[Waiting[Wish, Found]]:
        """Whoever waits at this moment, at most so many, to be served with those who were taken; an end is left."""
        taken: list[Waiting[Wish, Found]] = []
        if self._drain(taken, most):
            self._queue.put(None)
        self._last += len(taken)
        return taken

    def _drain(self, taken: list[Waiting[Wish, Found]], most: int) -> bool:
        """Take who waits until there are so many; whether the line ends behind them."""
        while len(taken) < most:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                return True
            taken.append(following)
        return False
