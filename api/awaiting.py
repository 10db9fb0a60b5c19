"""Answers of the writers' threads on their way to an event loop, where requests wait for them without a thread each.

A writer answers a whole batch at once. Waking the loop costs a call of the system, so it is woken once for all the
answers that have come until it looks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Wish = TypeVar("Wish")
Found = TypeVar("Found")

log = logging.getLogger(__name__)


class Awaited(Generic[Wish, Found]):
    """One whose answer is taken in a loop.

    Args:
        asked: what is wanted.
        take: takes the answer, or what went wrong, in the loop.
        answers: the way into it.
    """

    __slots__ = ("_answers", "_take", "asked")

    def __init__(self, asked: Wish, take: Callable[[Found | Exception], None], answers: Answers) -> None:
        self.asked = asked
        self._take = take
        self._answers = answers

    def give(self, answer: Found | Exception) -> None:
        """Answer; once, from any thread."""
        self._answers.bring(self._take, answer)


class Answers:
    """The way into one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._brought: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._called = False

    def bring(self, take: Callable[[Found | Exception], None], answer: Found | Exception) -> None:
        """Have an answer taken in the loop."""
        self._brought.append((take, answer))
        if not self._called:
            self._called = True
            try:
                self.loop.call_soon_threadsafe(self._hand_out)
            except RuntimeError:  # the loop was closed: nobody waits any more
                self._brought.clear()

    def _hand_out(self) -> None:
        self._called = False  # before looking: whatever is brought from now on calls again
        while self._brought:
            take, answer = self._brought.popleft()
            try:
                take(answer)
            except Exception:
                log.exception("an answer could not be taken")


def settle(future: asyncio.Future[Found], answer: Found | Exception) -> None:
    """Give a future its result or its exception, unless whoever waited has gone."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
