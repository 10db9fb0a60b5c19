"""Check-ins: somebody was there, and is rewarded in the transaction that records it.

`record` reads first and writes last, through the unit alone, so that a batch of check-ins needs no savepoints. The
judgement goes from the code to the person to the money:

    code readable, of this city, of an activity here, signed      code_invalid
    activity published                                            activity_closed
    not yet checked in for this session                           already_checked_in (names the first entry)
    poster, fresh, or opened in time (a turn)                     code_expired
    a session is open                                             activity_closed
    code and turn not used up, a seat left                        code_used, cap_reached (seats)
    caps of the activity, the day, the city, the unsecured        cap_reached
    the budget                                                    budget_exhausted, out of the book

"Already checked in" comes before expiry, so that scanning a kiosk again minutes later is answered kindly. With a
turn the session is that of the moment of opening: whoever scanned in time keeps the session too.

Invariants, in the database as well: one check-in per learner, activity and session; a turn serves once; a code
serves once where the policy says so. The count of what a learner earned is bounded by indexes, and is judged in the
writer's transaction, so that nothing slips between check and act.

What proved the participation stays here, salted; the log carries only the commitment
SHA-256(salt || canonical JSON of the evidence) and the level of assurance.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    func,
    select,
)
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from ledger.book import accounts, transfers
from ledger.book.accounts import Balance
from ledger.book.unit import Unit
from ledger.db import Base, Instant, Json
from ledger.errors import NotFound, Refused
from ledger.people.learners import Learner, account_of
from ledger.people.roles import Principal, require
from ledger.programme import activities, codes, posters, sessions, windows
from ledger.programme import policy as policies
from ledger.programme.activities import Activity
from ledger.programme.codes import Parts, Turn
from ledger.programme.policy import CityRules, Earned, Policy
from ledger.programme.sessions import ActivitySession
from ledger.programme.views import DRAFT, PUBLISHED, budget_of, hours_of
from ledger.programme.windows import Window
from ledger.proof.encoding import canonical, timestamp


class Attendance(Base):
    """One check-in that stands.

    Attributes:
        entry: the seq of the reward.
        day: the date in the city's zone, ISO, which caps per day count by.
        code_seconds: the time in the code; 0 for a poster.
        single_code: the same where the policy lets each code serve once, else NULL; unique.
        turn: the nonce of the turn that was used, unique, else NULL.
        salt, evidence: what opens the commitment in the leaf.
    """

    __tablename__ = "check_ins"
    __table_args__ = (
        ForeignKeyConstraint(["city", "activity"], ["activities.city", "activities.id"], name="check_ins_activity"),
        UniqueConstraint("city", "entry", name="check_ins_entry"),
        UniqueConstraint("city", "activity", "single_code", name="check_ins_single_code"),
        UniqueConstraint("city", "turn", name="check_ins_turn"),
        CheckConstraint("amount_minor > 0", name="check_ins_amount"),
        Index("check_ins_day", "city", "learner", "day"),
        Index("check_ins_session", "city", "activity", "session"),
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
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    evidence: Mapped[dict[str, Any]] = mapped_column(Json)
    assurance: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class CheckIn:
    """The command: a code as scanned or typed, and the turn that the opened page carries, if any."""

    code: str
    turn: str | None = None


@dataclass(frozen=True)
class Recorded:
    """A check-in that stands once the batch commits. `balance` is the learner's after the reward."""

    entry: int
    at: datetime
    amount_minor: int
    balance: Balance
    activity: str
    name_th: str
    name_en: str
    session: str


@dataclass(frozen=True)
class _Claim:
    """A readable, signed code of a published activity, and the moment that it speaks for.

    `window` is the session open at that moment, if any; `day` the date in the city's zone.
    """

    parts: Parts
    turn: Turn | None
    moment: datetime
    day: str
    activity: Activity
    window: Window | None
    policy: Policy

    @property
    def assurance(self) -> str:
        """How well the code proves that somebody was there."""
        return activities.KIOSK if self.parts.rotating else activities.POSTER

    @property
    def single_code(self) -> int | None:
        """The time in the code, where the policy lets each code serve once."""
        return self.parts.seconds if self.policy.code_once and self.parts.rotating else None


@dataclass(frozen=True)
class _Standing:
    """Where a learner stands: the earlier check-in of this session, what was earned, whether secured."""

    first: dict[str, Any] | None
    earned: Earned
    secured: bool


def record(unit: Unit, principal: Principal, command: CheckIn) -> Recorded:
    """Check the learner in and post the reward.

    Raises:
        Forbidden: the principal is no learner.
        Refused: see the order of judgement above.
    """
    require(principal, "checkin.record")
    learner = principal.subject or ""
    claim = _claim(unit, command)
    unit.catch_up(*_marks(learner, claim))
    standing = _standing(unit.session, unit.city.id, learner, claim)
    if standing.first:
        raise Refused("already_checked_in", activity=claim.activity.id, **standing.first)
    codes.check_time(claim.parts, claim.activity.mode, unit.now, claim.turn)
    if claim.window is None:
        raise _closed(unit, claim)
    _check_unused(unit.session, unit.city.id, claim)
    _check_seats(unit.session, unit.city.id, claim.activity.id, claim.window)
    rules = CityRules.of(unit.city.settings)
    points = policies.points_for(claim.policy, rules.assurance_caps, claim.assurance)
    policies.judge_caps(claim.policy, rules, standing.earned, points, secured=standing.secured)
    return _reward(unit, principal, learner, claim, claim.window, points)


def _claim(unit: Unit, command: CheckIn) -> _Claim:
    """What the code says, as far as it is true whoever asks and however late."""
    city, keys = unit.city, unit.keys
    parts = codes.read(command.code)
    posters.check_city(unit.session, city, parts)
    turn = codes.read_turn(keys.derive("turn"), city.id, command.turn, parts, unit.now)
    moment = turn.opened_at if turn else unit.now
    activity, window = _at_moment(unit, parts, moment)
    codes.check_mac(parts, posters.issuer_of(city, keys, activity))
    if activity.state != PUBLISHED:
        raise Refused("activity_closed", "draft" if activity.state == DRAFT else "over")
    day = windows.day_of(moment, city.zone).isoformat()
    return _Claim(parts, turn, moment, day, activity, window, Policy.from_json(activity.policy))


def _marks(learner: str, claim: _Claim) -> list[tuple[str, ...]]:
    """What another check-in of the same batch may have changed for this one."""
    marks: list[tuple[str, ...]] = [("learner", learner)]
    if claim.single_code is not None:
        marks.append(("code", claim.activity.id, str(claim.single_code)))
    if claim.turn is not None:
        marks.append(("turn", claim.turn.nonce))
    if claim.window is not None and claim.window.seats is not None:
        marks.append(("seats", claim.activity.id, claim.window.session))
    return marks


def _reward(unit: Unit, principal: Principal, learner: str, claim: _Claim, window: Window, points: int) -> Recorded:
    """Post the reward and keep what it was for."""
    activity, account = claim.activity, account_of(learner)
    salt = secrets.token_bytes(16)
    evidence = {
        "learner": learner,
        "activity": activity.id,
        "session": window.session,
        "code": claim.parts.text,
        "moment": timestamp(claim.moment),
    }
    posted = transfers.post(
        unit,
        "reward",
        budget_of(activity.id),
        account,
        points,
        actor=principal.actor(),
        ref={"activity": activity.id, "session": window.session, "place": activity.place},
        evidence={"assurance": claim.assurance, "commitment": commitment(salt, evidence)},
        rule=policies.rule_hash(claim.policy),
    )
    unit.insert(
        Attendance,
        learner=learner,
        activity=activity.id,
        session=window.session,
        entry=posted.seq,
        amount_minor=points,
        at=posted.at,
        day=claim.day,
        code_seconds=claim.parts.seconds,
        single_code=claim.single_code,
        turn=claim.turn.nonce if claim.turn else None,
        salt=salt,
        evidence=evidence,
        assurance=claim.assurance,
    )
    names = activity.name_th, activity.name_en
    balance = accounts.current(unit, account)
    return Recorded(posted.seq, posted.at, points, balance, activity.id, *names, window.session)


def commitment(salt: bytes, evidence: dict[str, Any]) -> str:
    """What the log says of the evidence: SHA-256(salt || canonical JSON), in hexadecimal."""
    return hashlib.sha256(salt + canonical(evidence)).hexdigest()


def counts(session: Session, city: str) -> dict[str, int]:
    """How many check-ins each activity has had; those without any are left out."""
    query = (
        select(Attendance.activity, func.count().label("attended"))
        .where(Attendance.city == city)
        .group_by(Attendance.activity)
    )
    return {row.activity: row.attended for row in session.execute(query)}


def _at_moment(unit: Unit, parts: Parts, moment: datetime) -> tuple[Activity, Window | None]:
    """The activity that a code names, and its session at a moment, in one query."""
    asked = {"city": unit.city.id, "tag": parts.tag, "moment": moment}
    found = unit.session.connection().execute(_ACTIVITY, asked).one_or_none()
    if found is None:
        raise Refused("code_invalid", "unknown")
    activity = cast(
        "Activity", found
    )  # a row that has the columns of one; building the entity costs more than the query
    hours = hours_of(activity, unit.city.zone)
    if hours:
        return activity, windows.current(hours.around(moment), moment)
    if found.meeting is None:
        return activity, None
    return activity, Window(found.meeting, found.meeting_starts_at, found.meeting_ends_at, found.seats)


def _closed(unit: Unit, claim: _Claim) -> Refused:
    """Why no session is open."""
    hours = hours_of(claim.activity, unit.city.zone)
    known = hours.around(claim.moment) if hours else sessions.of(unit.session, unit.city.id, claim.activity.id)
    return windows.closed(known, claim.moment)


def _standing(session: Session, city: str, learner: str, claim: _Claim) -> _Standing:
    """Everything that one learner's record says about one more check-in, in one query."""
    asked = {
        "city": city,
        "learner": learner,
        "activity": claim.activity.id,
        "session": claim.window.session if claim.window else "",
        "day": claim.day,
    }
    row = session.connection().execute(_STANDING, asked).one_or_none()  # plain columns need no ORM
    if row is None:
        raise NotFound("learner", learner)
    first = None
    if row.entry is not None:
        first = {"entry": row.entry, "amount_minor": row.amount_minor, "at": row.at}
    earned = Earned(row.of_activity, row.of_activity_today, row.of_city_today, int(row.total_minor or 0))
    return _Standing(first, earned, row.secured_at is not None)


def _check_unused(session: Session, city: str, claim: _Claim) -> None:
    """Refuse a code that serves once and has, and a turn that has been used."""
    used = select(Attendance.entry).where(Attendance.city == city)
    uses = []
    if claim.single_code is not None:
        uses.append(used.where(Attendance.activity == claim.activity.id, Attendance.single_code == claim.single_code))
    if claim.turn is not None:
        uses.append(used.where(Attendance.turn == claim.turn.nonce))
    if any(session.scalar(use) is not None for use in uses):
        raise Refused("code_used")


def _check_seats(session: Session, city: str, activity: str, window: Window) -> None:
    if window.seats is None:
        return
    taken = session.scalar(
        select(func.count()).where(
            Attendance.city == city, Attendance.activity == activity, Attendance.session == window.session
        )
    )
    if (taken or 0) >= window.seats:
        raise Refused("cap_reached", "seats", limit=window.seats)


_ACTIVITY = (
    select(
        *Activity.__table__.c,
        ActivitySession.__table__.c.id.label("meeting"),
        ActivitySession.__table__.c.starts_at.label("meeting_starts_at"),
        ActivitySession.__table__.c.ends_at.label("meeting_ends_at"),
        ActivitySession.__table__.c.seats,
    )
    .select_from(Activity.__table__)
    .outerjoin(
        ActivitySession,
        and_(
            ActivitySession.city == Activity.city,
            ActivitySession.activity == Activity.id,
            ActivitySession.starts_at <= bindparam("moment", type_=Instant),
            ActivitySession.ends_at > bindparam("moment", type_=Instant),
        ),
    )
    .where(Activity.city == bindparam("city"), Activity.code_tag == bindparam("tag"))
)

_MINE = aliased(Attendance)
_ALL_MINE = and_(_MINE.city == bindparam("city"), _MINE.learner == bindparam("learner"))
_OF_ACTIVITY = _MINE.activity == bindparam("activity")
_TODAY = _MINE.day == bindparam("day")
_STANDING = (
    select(
        Learner.secured_at,
        Attendance.entry,
        Attendance.amount_minor,
        Attendance.at,
        select(func.count()).select_from(_MINE).where(_ALL_MINE, _OF_ACTIVITY).scalar_subquery().label("of_activity"),
        select(func.count())
        .select_from(_MINE)
        .where(_ALL_MINE, _OF_ACTIVITY, _TODAY)
        .scalar_subquery()
        .label("of_activity_today"),
        select(func.count()).select_from(_MINE).where(_ALL_MINE, _TODAY).scalar_subquery().label("of_city_today"),
        case(
            (Learner.secured_at.is_(None), select(func.sum(_MINE.amount_minor)).where(_ALL_MINE).scalar_subquery())
        ).label("total_minor"),
    )
    .outerjoin(
        Attendance,
        and_(
            Attendance.city == Learner.city,
            Attendance.learner == Learner.id,
            Attendance.activity == bindparam("activity"),
            Attendance.session == bindparam("session"),
        ),
    )
    .where(Learner.city == bindparam("city"), Learner.id == bindparam("learner"))
)
