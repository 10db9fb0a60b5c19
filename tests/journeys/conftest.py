"""What the journeys share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

Asking = Callable[[], httpx.Response]


@pytest.fixture
def race() -> Callable[[list[Asking]], list[httpx.Response]]:
    """Runs all askings at the same moment; their answers."""

    def run(askings: list[Asking]) -> list[httpx.Response]:
        start = threading.Barrier(len(askings))

        def ask(asking: Asking) -> httpx.Response:
            start.wait()
            return asking()

        with ThreadPoolExecutor(len(askings)) as pool:
            return list(pool.map(ask, askings))

    return run
