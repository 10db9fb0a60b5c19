"""Waiting for what another thread or process does."""

from __future__ import annotations

import threading
from collections.abc import Callable

SOON_SECONDS = 60
"""In which what is awaited comes on any machine."""


def until(seen: Callable[[], bool]) -> None:
    """Return once it is so; an AssertionError if it never is."""
    pause = threading.Event()
    for _ in range(SOON_SECONDS * 100):
        if seen():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")
