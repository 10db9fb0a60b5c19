"""A limit for what has none: an alarm that ends a wait in Playwright, wherever it is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 5.0
"""The alarm rings again until somebody hears it: what runs inside Playwright's own loop would keep it to itself."""


class StandsStill(AssertionError):
    """Something took longer than it may."""


@contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    """Raise StandsStill in the body when it takes longer; for the main thread.

    Playwright hands what a signal raises on to the call that waits, and goes on working afterwards.
    """

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise StandsStill(f"{what} took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    around = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *around)
