"""Badges for those who took part: what the programme knows and what the chain offers, put together."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book.unit import Unit
from ledger.chain import badges
from ledger.chain.badges import BadgeView
from ledger.chain.lists import Outbox
from ledger.errors import NotFound
from ledger.people.roles import Principal, require
from ledger.programme.attendance import Attendance


def earned(session: Session, city: str, learner: str) -> list[str]:
    """The activities whose badge a learner may have and has not, by id."""
    offered = badges.offered(session, city)
    owned = {one.activity for one in badges.of_learner(session, city, learner)}
    query = select(Attendance.activity).where(
        Attendance.city == city, Attendance.learner == learner, Attendance.activity.in_(offered - owned)
    )
    return sorted(set(session.scalars(query)))


def award(unit: Unit, principal: Principal, activity: str, contract: str, outbox: Outbox) -> BadgeView:
    """Award the badge of an activity to a learner who was there and asks for it.

    Raises:
        Forbidden: the principal is no learner.
        NotFound: the activity awards none, or the learner was not there.
        Refused: as `badges.award`.
    """
    require(principal, "badge.award")
    learner = principal.subject or ""
    there = select(Attendance.entry).where(
        Attendance.city == unit.city.id, Attendance.learner == learner, Attendance.activity == activity
    )
    if unit.session.scalar(there.limit(1)) is None:
        raise NotFound("badge", activity)
    return badges.award(unit, learner, activity, contract, outbox)
