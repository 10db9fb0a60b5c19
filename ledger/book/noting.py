"""Checkpoints noted beside the database, as the last that anybody may have seen.

To put a file into another one's place takes the disk some milliseconds, so that a writer leaves it to a thread of its
own, which notes the newest checkpoint of each city, at most every `EVERY_SECONDS`.
"""

from __future__ import annotations

import logging
import threading

from ledger.book.seal import Published

EVERY_SECONDS = 0.1
"""How much later than its commit a checkpoint may be noted."""

log = logging.getLogger(__name__)


class Noter:
    """Notes the checkpoints of a process's writers; its thread starts when it is first needed.

    Args:
        published: where they are noted.
    """

    def __init__(self, published: Published) -> None:
        self._published = published
        self._due: dict[str, tuple[str, int]] = {}
        self._guard = threading.Lock()
        self._bell = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def soon(self, city: str, note: str, size: int) -> None:
        """Have a checkpoint noted, unless a newer one comes before that."""
        with self._guard:
            self._due[city] = note, size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="noter", daemon=True)
                self._thread.start()
        self._bell.set()

    def now(self, city: str, note: str, size: int) -> None:
        """Note a checkpoint. The batch that it covers stands, whether or not that works."""
        try:
            self._published.record(city, note, size)
        except (OSError, ValueError):
            log.exception("the checkpoint of %s at %s could not be noted in %s", city, size, self._published.directory)

    def close(self) -> None:
        """Note what is due, and end the thread."""
        self._ended.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._bell.wait()
            self._bell.clear()
            with self._guard:
                due, self._due = self._due, {}
            for city, (note, size) in due.items():
                self.now(city, note, size)
            self._ended.wait(EVERY_SECONDS)
        for city, (note, size) in self._due.items():
            self.now(city, note, size)
