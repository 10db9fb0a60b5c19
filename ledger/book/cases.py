"""Cases: the entries of one act, and how far the act has gone.

    hold → capture | release | hold_expire → refund …        redeem → refund …        any other → reverse

Each later entry names the first by `ref.origin`. A hold ends at most once; refunded + reversed never exceed what
moved; an entry is reversed at most once, as a whole, and not after a refund. A row exists for every hold and redeem,
and for any other entry from its reversal on; it is a projection of the journal, checked by the audit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.journal import Origin
from ledger.book.unit import Unit
from ledger.db import Base, Instant, insert_rows
from ledger.errors import NotFound

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


@dataclass(frozen=True)
class CaseState:
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


_FIELDS = tuple(CaseState.__dataclass_fields__)


class _Cases:
    """The projection of cases, keyed by the seq of the first entry."""

    def load(self, session: Session, city: str, key: int) -> CaseState | None:
        row = session.connection().execute(_LOAD, {"city": city, "seq": key}).one_or_none()
        return CaseState(*row) if row else None

    def save(self, session: Session, city: str, changed: list[tuple[Any, CaseState, bool]]) -> None:
        new = [{"city": city, "seq": seq, **asdict(state)} for seq, state, is_new in changed if is_new]
        old = [{"b_city": city, "b_seq": seq, **_bound(state)} for seq, state, is_new in changed if not is_new]
        if new:
            insert_rows(session, Case, new)
        if old:
            session.connection().execute(_UPDATE, old)


def _bound(state: CaseState) -> dict[str, Any]:
    return {f"b_{name}": value for name, value in asdict(state).items()}


CASES = _Cases()

_DUE = select(Case.__table__.c.seq).where(
    Case.__table__.c.city == bindparam("city"),
    Case.__table__.c.state == HELD,
    Case.__table__.c.expires_at <= bindparam("now"),
)

_LOAD = select(*(Case.__table__.c[name] for name in _FIELDS)).where(
    Case.__table__.c.city == bindparam("city"), Case.__table__.c.seq == bindparam("seq")
)

_UPDATE = (
    update(Case.__table__)  # type: ignore[arg-type]
    .where(Case.city == bindparam("b_city"), Case.seq == bindparam("b_seq"))
    .values({name: bindparam(f"b_{name}") for name in _FIELDS})
)


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


def due(unit: Unit) -> list[int]:
    """The holds that have run out by the unit's time, in the order of the log."""
    return sorted(unit.session.connection().scalars(_DUE, {"city": unit.city.id, "now": unit.now}))
