"""Reading check-ins back: a learner's own receipt, and how many have come to a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.programme.checkins import Attendance


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


def in_session(session: Session, city: str, activity: str, window: str) -> int:
    """How many have checked in to one session of an activity."""
    query = select(func.count()).where(
        Attendance.city == city, Attendance.activity == activity, Attendance.session == window
    )
    return session.scalar(query) or 0


def earned(session: Session, city: str) -> dict[str, int]:
    """What check-ins have earned at each activity, minor units; activities without any are left out."""
    query = (
        select(Attendance.activity, func.sum(Attendance.amount_minor).label("total"))
        .where(Attendance.city == city)
        .group_by(Attendance.activity)
    )
    return {row.activity: int(row.total) for row in session.execute(query)}
