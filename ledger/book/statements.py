"""Statements: an account's legs with the entries they belong to, newest first, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select, tuple_
from sqlalchemy.orm import Session

from ledger.book import seal
from ledger.book.accounts import Account, legs_table
from ledger.book.entries import Entry
from ledger.book.legs import SIDES, Leg, Opening
from ledger.errors import NotFound
from ledger.values import WHOLE_LIMIT

MAX_LINES = 2**16
"""More postings than an entry can have: a leaf is shorter than that."""

LAST_LINE = 2**15 - 1
"""The largest that its column holds; no leaf has that many postings."""

PAGE = 500
"""How many lines `between` holds at once."""


@dataclass(frozen=True)
class StatementLine:
    """One change of an account. `amount_minor` is what it moved, signed; `held_change_minor` what it reserved or freed.

    `counterparty` is the account, or the handle of a person, on the posting's other side.
    """

    entry: int
    id: str
    kind: str
    at: datetime
    amount_minor: int
    held_change_minor: int
    posted_minor: int
    held_minor: int
    counterparty: str
    ref: dict[str, Any]


@dataclass(frozen=True)
class Page:
    """Some lines and the cursor of the next page, None on the last."""

    items: list[StatementLine]
    next: int | None


def statement(session: Session, city: str, path: str, *, cursor: int | None = None, limit: int = 50) -> Page:
    """The newest `limit` lines of an account below `cursor`, by index: as fast on page 1 as on page 10,000.

    Raises:
        NotFound: the account has not been opened.
    """
    if session.get(Account, (city, path)) is None:
        raise NotFound("account", path)
    legs = legs_table(path)
    query = (
        select(legs, Entry.id, Entry.kind, Entry.at, Entry.leaf)
        .join(Entry, and_(Entry.city == legs.city, Entry.seq == legs.seq))
        .where(legs.city == city, legs.account == path)
    )
    place = legs.seq, legs.line, legs.side
    if cursor is not None:
        query = query.where(tuple_(*place) < _place(cursor))
    rows: Sequence[Any] = session.execute(query.order_by(*(column.desc() for column in place)).limit(limit + 1)).all()
    lines = [_line(*row) for row in rows[:limit]]
    return Page(lines, _cursor(rows[limit - 1][0]) if len(rows) > limit else None)


def between(session: Session, city: str, path: str, begin: datetime, end: datetime) -> Iterator[StatementLine]:
    """The lines of an account from the instant `begin` up to, and without, `end`, oldest first, in constant memory.

    Raises:
        NotFound: the account has not been opened.
    """
    if session.get(Account, (city, path)) is None:
        raise NotFound("account", path)
    legs = legs_table(path)
    moment = timedelta(milliseconds=1)
    first, last = (seal.last_seq_at(session, city, at - moment) for at in (begin, end))
    query = (
        select(legs, Entry.id, Entry.kind, Entry.at, Entry.leaf)
        .join(Entry, and_(Entry.city == legs.city, Entry.seq == legs.seq))
        .where(legs.city == city, legs.account == path, legs.seq <= last)
        .order_by(legs.seq, legs.line, legs.side)
        .limit(PAGE)
    )
    place = first + 1, -1, -1
    while rows := session.execute(query.where(tuple_(legs.seq, legs.line, legs.side) > place)).all():
        yield from (_line(*row) for row in rows)
        leg: Any = rows[-1][0]
        place = leg.seq, leg.line, leg.side


def _cursor(leg: Leg | Opening) -> int:
    """A leg's place in the log as one number, which counts up with it."""
    return (leg.seq * MAX_LINES + leg.line) * len(SIDES) + leg.side


def _place(cursor: int) -> tuple[int, int, int]:
    """The seq, line and side that a cursor stands for, within what the columns hold: anybody may make a cursor up."""
    place, side = divmod(cursor, len(SIDES))
    seq, line = divmod(place, MAX_LINES)
    return max(-1, min(seq, WHOLE_LIMIT - 1)), min(line, LAST_LINE), side


def _line(leg: Any, entry_id: str, kind: str, at: datetime, leaf: bytes) -> StatementLine:
    entry = json.loads(leaf)
    return StatementLine(
        entry=leg.seq,
        id=entry_id,
        kind=kind,
        at=at,
        amount_minor=leg.posted_change,
        held_change_minor=leg.held_change,
        posted_minor=leg.posted_after,
        held_minor=leg.held_after,
        counterparty=entry["postings"][leg.line][SIDES[1 - leg.side]],
        ref=entry["ref"],
    )
