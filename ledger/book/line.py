"""The line in front of a city's writer: who waits, and how many of them make one batch."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
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


class Line(Generic[Wish, Found]):
    """First come, first served, by one server. `None` ends it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Waiting[Wish, Found] | None] = SimpleQueue()
        self._crowded = False

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, waiting: Waiting[Wish, Found] | None) -> None:
        """Join the line, or end it."""
        self._queue.put(waiting)

    def rest(self, most: int) -> list[Waiting[Wish, Found]]:
        """Whoever waits at this moment, at most so many; an end is left for `take`."""
        taken: list[Waiting[Wish, Found]] = []
        while len(taken) < most:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            taken.append(following)
        return taken

    def take(self, most: int, patience_seconds: float) -> tuple[list[Waiting[Wish, Found]], bool]:
        """Wait for somebody; then those who wait, at most so many, and whether the line ends behind them.

        While several come at a time, it is worth waiting a little for those who are about to: patience counts from
        the first one taken. Whoever comes alone is not kept waiting for company.
        """
        taken: list[Waiting[Wish, Found]] = []
        following = self._queue.get()
        deadline = time.monotonic() + patience_seconds if self._crowded else 0.0
        while following is not None:
            taken.append(following)
            if len(taken) == most:
                break
            try:
                following = self._queue.get_nowait()
            except Empty:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                time.sleep(left)
                deadline = 0.0
                try:
                    following = self._queue.get_nowait()
                except Empty:
                    break
        self._crowded = len(taken) > 1
        return taken, following is None
