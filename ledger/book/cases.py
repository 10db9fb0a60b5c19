"""Cases: the entries of one act, and how far the act has gone.

    hold → capture | release | hold_expire → refund …        redeem → refund …        any other → reverse

Each later entry names the first by `ref.origin`. A hold ends at most once; refunded + reversed never exceed what
moved; an entry is reversed at most once, as a whole, and not after a refund. A row exists for every hold and redeem,
and for any other entry from its reversal on; it is a projection of the journal, checked by the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.journal import Origin
from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import NotFound
from ledger.rows import Driver, Look, Rows, Where
from ledger.values import from_milliseconds, to_milliseconds

HELD, CAPTURED, RELEASED, EXPIRED, MOVED = "held", "captured", "released", "expired", "moved"
"""The states: a hold that is open, or how it ended; MOVED is a case that began by moving (a redeem, a reversal)."""


class Case(Base):
    """How far a case has gone. Amounts in minor units; `source` and `target` are the first entry's accounts."""

    __tablename__ = "cases"
    __table_args__ = (
        CheckConstraint("refunded_minor >= 0 AND refunded_minor <= moved_minor", name="cases_refunded"),
        CheckConstraint("moved_minor <= amount_minor", name="cases_moved"),
        CheckConstraint("reversed_by IS NULL OR refunded_minor = 0", name="cases_reversed"),
        Index("cases_due", "city", "state", "expires_at"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    moved_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger)
    reversed_by: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_by: Mapped[int | None] = mapped_column(BigInteger)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class CaseState(NamedTuple):
    """A case as the running command sees it; the fields of the table, without the key."""

    entry_id: str
    state: str
    source: str
    target: str
    amount_minor: int
    moved_minor: int
    refunded_minor: int
    reversed_by: int | None
    expires_at: datetime | None
    ended_by: int | None
    ended_at: datetime | None


class _Cases:
    """The projection of cases, keyed by the seq of the first entry."""

    def ask(self, where: Where, city: str, keys: Sequence[int]) -> Callable[[], dict[int, CaseState]]:
        found = _LOOK.ask(where, [(key,) for key in keys], city)
        return lambda: {row[0]: _read(CaseState(*row[1:])) for row in found()}

    def save(self, where: Where, city: str, changed: list[tuple[int, CaseState]]) -> None:
        _ROWS.write(where, [(city, seq, *_stored(state)) for seq, state in changed])


CASES = _Cases()

_ROWS = Rows(Case, replace=True)
_LOOK = Look(
    f"seq, {', '.join(CaseState._fields)}",
    "cases WHERE city = ? AND seq = CAST(keys.key AS BIGINT)",
    "key",
    unique=True,
)
_DUE = f"SELECT seq, expires_at FROM cases WHERE city = ? AND state = '{HELD}' AND expires_at <= ? ORDER BY seq"


def _read(row: CaseState) -> CaseState:
    """A case whose instants were milliseconds."""
    return _with_instants(row, from_milliseconds)


def _stored(state: CaseState) -> CaseState:
    """A case with its instants in milliseconds."""
    return _with_instants(state, to_milliseconds)


def _with_instants(state: CaseState, change: Callable[[Any], Any]) -> CaseState:
    expires_at, ended_at = (None if at is None else change(at) for at in (state.expires_at, state.ended_at))
    return state._replace(expires_at=expires_at, ended_at=ended_at)


def case(unit: Unit, seq: int) -> CaseState:
    """The case that entry `seq` began, as the running command sees it.

    Raises:
        NotFound: there is no such case.
    """
    found = unit.get(CASES, seq)
    if found is None:
        raise NotFound("case", seq)
    return found


def origin(seq: int, state: CaseState) -> Origin:
    """What a later entry of the case names."""
    return Origin(seq, state.entry_id)


def ask_due(driver: Driver, city: str, until: datetime) -> Callable[[], list[tuple[int, datetime]]]:
    """The holds that run out by some time, in the order of the log, each with its own; to be fetched later."""
    asked = driver.execute(_DUE, (city, to_milliseconds(until)))
    return lambda: [(seq, from_milliseconds(expires_at)) for seq, expires_at in asked.fetchall()]


def reversed_among(session: Session, city: str, seqs: Sequence[int]) -> set[int]:
    """Which of some entries have been reversed."""
    query = select(Case.seq).where(Case.city == city, Case.seq.in_(seqs), Case.reversed_by.is_not(None))
    return set(session.scalars(query))
