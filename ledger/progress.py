"""A progress bar on standard error, for commands that take longer than a breath; silent where nobody looks."""

from __future__ import annotations

import sys
import time

WIDTH = 30
EVERY_SECONDS = 0.2


class Bar:
    """Call it with (done, total); it draws at most five times a second, and ends its line when all is done."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._started = time.monotonic()
        self._drawn = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Draw how far it has come."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._drawn < EVERY_SECONDS and done < total):
            return
        self._drawn = now
        share = min(done / total, 1.0) if total else 1.0
        filled = round(WIDTH * share)
        rate = done / max(now - self._started, 1e-9)
        end = "\n" if done >= total else ""
        bar = "█" * filled + "·" * (WIDTH - filled)
        sys.stderr.write(f"\r{bar} {share:4.0%}  {done:,} of {total:,} {self._unit}, {rate:,.0f}/s {end}")
        sys.stderr.flush()
