"""Check-ins that stand, and what they say: a learner's own receipt, how many have come, what one more may earn.

Invariants, in the database as well: one check-in per learner, activity and session; a turn serves once; a code serves
once where the policy says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    select,
    tuple_,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.db import Base, Instant, present
from ledger.programme.policy import Earned
from ledger.rows import Look, Where
from ledger.values import from_milliseconds


class Attendance(Base):
    """One check-in that stands.

    Attributes:
        entry: the seq of the reward.
        day: the date in the city's zone, ISO, which caps per day count by.
        code_seconds: the moment in the code; 0 for a poster.
        single_code: the same where each code serves once, by its kind or by the policy, else NULL; unique.
        turn: the nonce of the turn that was used, unique, else NULL.
    """

    __tablename__ = "check_ins"
    __table_args__ = (
        UniqueConstraint("city", "entry", name="check_ins_entry"),
        CheckConstraint("amount_minor > 0", name="check_ins_amount"),
        Index("check_ins_single_code", "city", "activity", "single_code", unique=True, **present("single_code")),
        Index("check_ins_turn", "city", "turn", unique=True, **present("turn")),
        Index("check_ins_session", "city", "activity", "session", "entry"),
        {"sqlite_with_rowid": False},  # a learner's record lies side by side, for the caps that each check-in asks for
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    learner: Mapped[str] = mapped_column(Text, primary_key=True)
    activity: Mapped[str] = mapped_column(Text, primary_key=True)
    session: Mapped[str] = mapped_column(Text, primary_key=True)
    entry: Mapped[int] = mapped_column(BigInteger)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Instant)
    day: Mapped[str] = mapped_column(Text)
    code_seconds: Mapped[int] = mapped_column(BigInteger)
    single_code: Mapped[int | None] = mapped_column(BigInteger)
    turn: Mapped[str | None] = mapped_column(Text)
    assurance: Mapped[str] = mapped_column(Text)


class Evidence(Base):
    """What opens the commitment in the leaf of a check-in's entry: the evidence as canonical JSON, and its salt."""

    __tablename__ = "check_in_evidence"
    __table_args__ = ({"sqlite_with_rowid": False},)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    entry: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    evidence: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class AttendanceView:
    """A check-in as its learner sees it. `entry` is the seq of the reward."""

    entry: int
    activity: str
    session: str
    amount_minor: int
    at: datetime


def of_entry(session: Session, city: str, learner: str, entry: int) -> AttendanceView | None:
    """The learner's check-in that was rewarded by this entry; None where it is not theirs or no reward."""
    row = session.scalar(
        select(Attendance).where(Attendance.city == city, Attendance.entry == entry, Attendance.learner == learner)
    )
    return AttendanceView(row.entry, row.activity, row.session, row.amount_minor, row.at) if row else None


def counts(session: Session, city: str) -> dict[str, int]:
    """How many check-ins each activity has had; those without any are left out."""
    query = (
        select(Attendance.activity, func.count().label("attended"))
        .where(Attendance.city == city)
        .group_by(Attendance.activity)
    )
    return {row.activity: row.attended for row in session.execute(query)}


def in_sessions(session: Session, city: str, of: Mapping[str, str]) -> dict[str, int]:
    """How many have checked in, by activity, to one session of each; those without any are left out."""
    query = (
        select(Attendance.activity, func.count().label("attended"))
        .where(Attendance.city == city, tuple_(Attendance.activity, Attendance.session).in_(of.items()))
        .group_by(Attendance.activity)
    )
    return {row.activity: row.attended for row in session.execute(query)}


def latest_in_session(session: Session, city: str, activity: str, window: str, limit: int) -> list[datetime]:
    """When the last `limit` check-ins of one session of an activity were made, newest first; nobody is named."""
    query = (
        select(Attendance.at)
        .where(Attendance.city == city, Attendance.activity == activity, Attendance.session == window)
        .order_by(Attendance.entry.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


class Standing(NamedTuple):
    """Where a learner stands at an occasion: the earlier check-in of it, what was earned, whether secured."""

    first: dict[str, Any] | None
    earned: Earned
    secured: bool


Occasion = tuple[str, str, str, str]
"""Learner, activity, session (may be empty) and the date in the city's zone."""


class _Standings:
    """Everything that a learner's record says about one more check-in; a learner who is not known has none."""

    def ask(self, where: Where, city: str, keys: Sequence[Occasion]) -> Callable[[], dict[Occasion, Standing]]:
        found = _STANDING.ask(where, keys, city)
        return lambda: dict(_standing(*row) for row in found())


def _standing(
    learner: str, activity: str, meeting: str, day: str,
    secured_at: int | None, entry: int | None, amount: int, at: int,
    of_activity: int, today: int, of_city: int, total: int | None,
) -> tuple[Occasion, Standing]:  # fmt: skip
    first = None if entry is None else {"entry": entry, "amount_minor": amount, "at": from_milliseconds(at)}
    earned = Earned(of_activity, today, of_city, int(total or 0))
    return (learner, activity, meeting, day), Standing(first, earned, secured_at is not None)


STANDINGS = _Standings()

_THERE, _NOW = "mine.activity = keys.activity", "mine.day = keys.day"
_FIRST = f"{_THERE} AND mine.session = keys.meeting"
"""Met by one check-in at most, so that `max` says what it is."""

_STANDING = Look(
    "keys.learner, keys.activity, keys.meeting, keys.day, max(learners.secured_at), "
    f"max(CASE WHEN {_FIRST} THEN mine.entry END), max(CASE WHEN {_FIRST} THEN mine.amount_minor END), "
    f"max(CASE WHEN {_FIRST} THEN mine.at END), "
    f"count(CASE WHEN {_THERE} THEN 1 END), count(CASE WHEN {_THERE} AND {_NOW} THEN 1 END), "
    f"count(CASE WHEN {_NOW} THEN 1 END), sum(mine.amount_minor)",
    # One walk over the learner's record, which is short; an activity's may be everybody's.
    "learners LEFT JOIN check_ins AS mine ON mine.city = learners.city AND mine.learner = learners.id "
    "WHERE learners.city = ? AND learners.id = keys.learner "
    "GROUP BY keys.learner, keys.activity, keys.meeting, keys.day",
    "learner",
    "activity",
    "meeting",
    "day",
)


class Use(NamedTuple):
    """Something that serves a number of times: `turn` and `code` once, a session's `seats` as many as there are.

    `name` is the nonce of the turn, the time in the code, or the session.
    """

    what: str
    activity: str
    name: str
    limit: int


TURN, CODE, SEATS = "turn", "code", "seats"


class _Uses:
    """How often something has been used. It is counted from the check-ins, so there is nothing to save."""

    def ask(self, where: Where, city: str, keys: Sequence[Use]) -> Callable[[], dict[Use, int]]:
        asked = []
        for what, look in _USES.items():
            sought = {(use.activity, use.name): use for use in keys if use.what == what}
            asked.append((sought, look.ask(where, list(sought), city)))
        return lambda: {sought[activity, name]: n for sought, found in asked for activity, name, n in found()}

    def save(self, where: Where, city: str, changed: list[tuple[Use, int]]) -> None:
        """Nothing: the check-ins are."""


USES = _Uses()

_USES = {
    what: Look(
        "keys.activity, keys.name, count(*)",
        f"check_ins AS use WHERE use.city = ? AND {condition} GROUP BY keys.activity, keys.name",
        "activity",
        "name",
    )
    for what, condition in (
        (TURN, "use.turn = keys.name"),
        (CODE, "use.activity = keys.activity AND use.single_code = CAST(keys.name AS BIGINT)"),
        (SEATS, "use.activity = keys.activity AND use.session = keys.name"),
    )
}
