"""Sessions: the meetings of an activity that has no daily hours.

Sessions of one activity do not overlap, so that a moment has at most one. A session that has begun is never
deleted, only ended, since check-ins may name it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Integer, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import NotFound, ValidationFailed
from ledger.programme.windows import Window
from ledger.values import check_slug, short_id


class ActivitySession(Base):
    """One meeting of an activity, from `starts_at` up to but not including `ends_at`."""

    __tablename__ = "activity_sessions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city", "activity"], ["activities.city", "activities.id"], name="activity_sessions_activity"
        ),
        CheckConstraint("starts_at < ends_at", name="activity_sessions_order"),
        CheckConstraint("seats > 0", name="activity_sessions_seats"),
        Index("activity_sessions_ends_at", "city", "activity", "ends_at"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    activity: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    seats: Mapped[int | None] = mapped_column(Integer)


def add(
    unit: Unit, activity: str, starts_at: datetime, ends_at: datetime, seats: int | None, session_id: str | None
) -> Window:
    """Add a meeting; without an id it gets a random one.

    Raises:
        ValidationFailed: times out of order or overlapping another session, no seats, an id taken.
    """
    chosen = check_slug("id", session_id) if session_id else short_id()
    overlapping = select(ActivitySession.id).where(
        ActivitySession.city == unit.city.id,
        ActivitySession.activity == activity,
        ActivitySession.starts_at < ends_at,
        ActivitySession.ends_at > starts_at,
    )
    if starts_at >= ends_at:
        raise ValidationFailed({"ends_at": "Give a time after the session's beginning."})
    if seats is not None and seats < 1:
        raise ValidationFailed({"seats": "Give a whole number from 1, or leave it empty for no limit."})
    if unit.session.get(ActivitySession, (unit.city.id, activity, chosen)):
        raise ValidationFailed({"id": "Choose another id: this one is taken."})
    if unit.session.scalar(overlapping.limit(1)):
        raise ValidationFailed({"starts_at": "Choose another time: another session of this activity overlaps."})
    new = ActivitySession(
        city=unit.city.id, activity=activity, id=chosen, starts_at=starts_at, ends_at=ends_at, seats=seats
    )
    unit.session.add(new)
    unit.session.flush()
    return window_of(new)


def end(unit: Unit, activity: str, session_id: str) -> None:
    """Take a coming session away, or end a running one now.

    Raises:
        NotFound: there is no such session.
        ValidationFailed: it is over already.
    """
    found = unit.session.get(ActivitySession, (unit.city.id, activity, session_id))
    if found is None:
        raise NotFound("session", session_id)
    if found.ends_at <= unit.now:
        raise ValidationFailed({"id": "Choose another session: this one is over."})
    if found.starts_at >= unit.now:
        unit.session.delete(found)
    else:
        found.ends_at = unit.now
    unit.session.flush()


def of(session: Session, city: str, activity: str) -> list[Window]:
    """All sessions of an activity, by time."""
    query = select(ActivitySession).where(ActivitySession.city == city, ActivitySession.activity == activity)
    return [window_of(found) for found in session.scalars(query.order_by(ActivitySession.starts_at))]


def not_over(session: Session, city: str, activities: Collection[str], now: datetime) -> dict[str, list[Window]]:
    """The running and coming sessions of some activities, by time."""
    query = select(ActivitySession).where(
        ActivitySession.city == city, ActivitySession.activity.in_(activities), ActivitySession.ends_at > now
    )
    found: dict[str, list[Window]] = {}
    for one in session.scalars(query.order_by(ActivitySession.starts_at)):
        found.setdefault(one.activity, []).append(window_of(one))
    return found


def between(session: Session, city: str, start: datetime, end: datetime) -> list[tuple[str, Window]]:
    """The sessions of any activity that touch a stretch of time, as (activity, window), by time."""
    query = select(ActivitySession).where(
        ActivitySession.city == city, ActivitySession.starts_at < end, ActivitySession.ends_at > start
    )
    rows = session.scalars(query.order_by(ActivitySession.starts_at, ActivitySession.activity))
    return [(one.activity, window_of(one)) for one in rows]


def window_of(one: ActivitySession) -> Window:
    """The window that a session is."""
    return Window(one.id, one.starts_at, one.ends_at, one.seats)
