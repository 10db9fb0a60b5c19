"""How far each case of a journal has gone, as the audit follows it: in a temporary file, since a long log has many.

It is what the row of a case must say. Memory is constant: SQLite holds some 2 MiB of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from ledger.book.cases import CAPTURED, EXPIRED, HELD, MOVED, RELEASED

MOST = 2**63 - 1
"""A column holds no more; a tampered entry may move more by many postings, and then differs from every row anyway."""

_ENDS = {"capture": CAPTURED, "release": RELEASED, "hold_expire": EXPIRED}
_TABLE = """
CREATE TABLE ends (
    seq INTEGER PRIMARY KEY, state TEXT, moved INTEGER, refunded INTEGER, reversed_by INTEGER, ended_by INTEGER,
    ended_at TEXT
)
"""


class End(NamedTuple):
    """State, amounts moved and refunded in minor units, which entries reversed and ended it, and when it ended."""

    state: str
    moved: int = 0
    refunded: int = 0
    reversed_by: int | None = None
    ended_by: int | None = None
    ended_at: str | None = None


class Ends:
    """The ends of the cases, by the seq of their first entries. A context manager."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute(_TABLE)
        self._file.execute("BEGIN")

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def follow(self, entry: dict[str, Any]) -> None:
        """Keep what an entry does to the case that it begins or names, if such a case has a row."""
        kind, seq, origin = entry["kind"], entry["seq"], entry["ref"].get("origin")
        amount = min(sum(posting["amount"] for posting in entry["postings"]), MOST)
        if kind == "hold":
            self._set(seq, End(HELD))
        elif kind == "redeem":
            self._set(seq, End(MOVED, amount))
        elif kind == "reverse":
            self._set(origin, End(MOVED, amount, 0, seq, seq, entry["at"]))
        elif kind == "refund":
            more = "UPDATE ends SET refunded = min(refunded, ? - ?) + ? WHERE seq = ?"
            self._file.execute(more, (MOST, amount, amount, origin))
        elif kind in _ENDS:
            self._set(origin, End(_ENDS[kind], amount if kind == "capture" else 0, 0, None, seq, entry["at"]))

    def _set(self, seq: int, end: End) -> None:
        self._file.execute("INSERT OR REPLACE INTO ends VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, *end))

    def within(self, start: int, stop: int) -> Iterator[tuple[int, End]]:
        """The cases whose first entries are `start <= seq < stop`, in order."""
        rows = self._file.execute("SELECT * FROM ends WHERE seq >= ? AND seq < ? ORDER BY seq", (start, stop))
        return ((seq, End(*end)) for seq, *end in rows)
