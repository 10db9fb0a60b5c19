"""How far the entries of a log have been verified, kept so that an interrupted walk, or the next one, goes on there.

An SQLite file holds the blocks of the cases (`cases`) and one row with the rest of the state as JSON, under a hash
that binds it to the log's origin and key; `save` commits both at once, so a crash leaves the state of the last
`save`. A file that is of another log, of another format or damaged is refused, and the walk begins anew. Without a
path the blocks lie in a temporary file, and nothing is kept. SQLite holds some 2 MiB of it in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, data BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS walk (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL, hash TEXT NOT NULL);
"""


class WalkLost(Exception):
    """A kept walk that cannot be gone on with: begin anew."""


class Walk(MutableMapping[int, bytes]):
    """The kept walk over one log; as a mapping, the blocks of its cases. A context manager."""

    def __init__(self, path: Path | None, origin: str, vkey: str) -> None:
        """Open or make the file at `path`.

        Raises:
            WalkLost: the file cannot be used; somebody else may be using it.
        """
        self._bound = f"{FORMAT}\n{origin}\n{vkey}\n".encode()
        self.kept = path is not None
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = sqlite3.connect(path or "", isolation_level=None, timeout=0)
            self._file.executescript(_TABLES)
            self._file.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            raise WalkLost(str(error)) from error

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # what was not saved is rolled back

    def load(self) -> dict[str, Any] | None:
        """Return the kept state, or None if there is none that fits."""
        try:
            row = self._file.execute("SELECT state, hash FROM walk").fetchone()
            if row is None or row[1] != self._hash(str(row[0]).encode()).hex():
                return None
            state = json.loads(row[0])
        except (sqlite3.Error, ValueError):
            return None
        return state if isinstance(state, dict) else None

    def save(self, state: dict[str, Any]) -> None:
        """Keep `state` and the blocks as they are now.

        Raises:
            WalkLost: the file cannot be written.
        """
        if not self.kept:
            return
        text = json.dumps(state, separators=(",", ":"))
        try:
            row = (text, self._hash(text.encode()).hex())
            self._file.execute("INSERT OR REPLACE INTO walk (one, state, hash) VALUES (1, ?, ?)", row)
            self._file.execute("COMMIT")
            self._file.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise WalkLost(str(error)) from error

    def _hash(self, data: bytes) -> bytes:
        return sha256(self._bound + data).digest()

    def __getitem__(self, number: int) -> bytes:
        try:
            row = self._file.execute("SELECT data, hash FROM blocks WHERE number = ?", (number,)).fetchone()
        except sqlite3.Error as error:
            raise WalkLost(str(error)) from error
        if row is None:
            raise WalkLost(f"block {number} of the cases is missing")
        if self._hash(b"%d\n" % number + row[0]) != row[1]:
            raise WalkLost(f"block {number} of the cases is damaged")
        return bytes(row[0])

    def __setitem__(self, number: int, data: bytes) -> None:
        try:
            row = (number, data, self._hash(b"%d\n" % number + data))
            self._file.execute("INSERT OR REPLACE INTO blocks (number, data, hash) VALUES (?, ?, ?)", row)
        except sqlite3.Error as error:
            raise WalkLost(str(error)) from error

    def clear(self) -> None:
        """Forget all of it, with the next `save`."""
        try:
            self._file.execute("DELETE FROM blocks")
            self._file.execute("DELETE FROM walk")
        except sqlite3.Error as error:
            raise WalkLost(str(error)) from error

    def __delitem__(self, number: int) -> None:
        self._file.execute("DELETE FROM blocks WHERE number = ?", (number,))

    def __iter__(self) -> Iterator[int]:
        return (number for (number,) in self._file.execute("SELECT number FROM blocks ORDER BY number"))

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM blocks").fetchone()[0])
