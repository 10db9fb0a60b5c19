"""Answers of the writers' threads on their way to an event loop, where requests wait for them without a thread each.

A writer answers a whole batch at once. Waking the loop costs a call of the system, so it is woken once for all the
answers that have come until it looks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Wish = TypeVar("Wish")
Found = TypeVar("Found")


class Awaited(Generic[Wish, Found]):
    """One whose answer is awaited in a loop."""

    __slots__ = ("_answers", "asked", "future")

    def __init__(self, asked: Wish, answers: Answers) -> None:
        self.asked = asked
        self.future: asyncio.Future[Found] = answers.loop.create_future()
        self._answers = answers

    def give(self, answer: Found | Exception) -> None:
        """Answer; once, from any thread."""
        self._answers.bring(self.future, answer)


class Answers:
    """The way into one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._brought: deque[tuple[asyncio.Future[object], object]] = deque()
        self._called = False

    def bring(self, future: asyncio.Future[Found], answer: Found | Exception) -> None:
        """Give a future its result or its exception, in the loop."""
        self._brought.append((future, answer))  # type: ignore[arg-type]
        if not self._called:
            self._called = True
            try:
                self.loop.call_soon_threadsafe(self._hand_out)
            except RuntimeError:  # the loop was closed: nobody waits any more
                self._brought.clear()

    def _hand_out(self) -> None:
        self._called = False  # before looking: whatever is brought from now on calls again
        while self._brought:
            future, answer = self._brought.popleft()
            if future.done():  # cancelled, since whoever asked has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
