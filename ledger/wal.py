"""The write-ahead log of a SQLite file: moved into the file beside the writers, and not by whoever commits.

By itself SQLite has the commit that fills a thousand pages copy them all into the file and wait for the disk twice
more, while everybody behind it waits. Here a thread does that with a connection of its own, outside the interpreter's
lock, whenever some more commits were made. Only where it does not keep up, so that the log has grown to
`MOST_PAGES`, does a commit do it; then the log begins anew as soon as all of it is in the file.

What is durable, and when, does not change: a commit is, once it is in the log.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing

MOST_PAGES = 16_384
"""How long the log grows before a commit moves it: 64 MiB."""

COMMITS = 32
"""After how many commits it is moved beside them."""

log = logging.getLogger(__name__)


class Mover:
    """Moves the log of one file as long as this process writes to it; its thread starts when it is first needed.

    Args:
        path: of the database's file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self._due = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Count a commit. One at a time, as commits are."""
        self._count += 1
        if self._count < COMMITS or self._ended:
            return
        self._count = 0
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._ended:
                return
            try:
                with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                    connection.execute("PRAGMA synchronous=FULL")
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error:
                log.exception("the write-ahead log could not be moved; the commits will do it")
