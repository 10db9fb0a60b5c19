"""The journal's table: one row an entry, with the bytes of its leaf. Written once, never changed.

The database refuses UPDATE, DELETE and TRUNCATE (triggers, see `migrations/`); what slipped past them is made
evident by the Merkle tree over the leaf bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, Text, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.db import Base, Instant, present
from ledger.errors import NotFound

PAGE = 2_000
"""How many leaves `leaves` reads at a time."""

BETWEEN_INSTITUTIONS = "kind IN ('bridge_in', 'fund', 'grant', 'reverse', 'settle', 'transfer')"
"""The kinds of entries that may move between two institutional accounts, as an index and its readers spell them.

They are few however many check-ins and purchases a log holds.
"""


class Entry(Base):
    """One atomic fact. `leaf` is its RFC 8785 form, served byte for byte; the other columns are for look-ups."""

    __tablename__ = "entries"
    __table_args__ = (
        Index("entries_by_case", "city", "origin", "seq", **present("origin")),
        Index(
            "entries_between_institutions",
            "city",
            "kind",
            "seq",
            sqlite_where=text(BETWEEN_INSTITUTIONS),
            postgresql_where=text(BETWEEN_INSTITUTIONS),
        ),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)
    origin: Mapped[int | None] = mapped_column(BigInteger)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary)


def size(session: Session, city: str) -> int:
    """How many entries the city's log has."""
    last = session.scalar(select(func.max(Entry.seq)).where(Entry.city == city))
    return 0 if last is None else last + 1


def leaf(session: Session, city: str, seq: int) -> bytes:
    """The stored bytes of entry `seq`.

    Raises:
        NotFound: the log has no such entry.
    """
    found = session.scalar(select(Entry.leaf).where(Entry.city == city, Entry.seq == seq))
    if found is None:
        raise NotFound("entry", seq)
    return found


def parsed(session: Session, city: str, seq: int) -> dict[str, Any]:
    """Entry `seq` as a JSON object."""
    value: dict[str, Any] = json.loads(leaf(session, city, seq))
    return value


def refs(session: Session, city: str, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The `ref` of some entries by seq, by one statement; as many as a page of a statement has lines."""
    query = select(Entry.seq, Entry.leaf).where(Entry.city == city, Entry.seq.in_(sorted(set(seqs))))
    return {row.seq: json.loads(row.leaf)["ref"] for row in session.execute(query)}


def leaves(session: Session, city: str, start: int, stop: int) -> Iterator[bytes]:
    """The leaves of the entries `start <= seq < stop`, in order, in constant memory."""
    for low in range(start, stop, PAGE):
        yield from session.scalars(
            select(Entry.leaf)
            .where(Entry.city == city, Entry.seq >= low, Entry.seq < min(low + PAGE, stop))
            .order_by(Entry.seq)
        )


def newest(session: Session, city: str, limit: int, before: int | None = None) -> list[Entry]:
    """The newest entries, newest first, below `before` where it is given."""
    query = select(Entry).where(Entry.city == city)
    if before is not None:
        query = query.where(Entry.seq < before)
    return list(session.scalars(query.order_by(Entry.seq.desc()).limit(limit)))


def of_case(session: Session, city: str, origin: int) -> list[Entry]:
    """The entries that name `origin` as the first of their case, in order."""
    return list(session.scalars(select(Entry).where(Entry.city == city, Entry.origin == origin).order_by(Entry.seq)))
