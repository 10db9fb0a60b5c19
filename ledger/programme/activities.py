"""Learning activities: what takes place where, when it is open, and by which policy it rewards.

An activity is a draft, published or closed. It is open in daily hours or in sessions, never in both; with neither
it waits for its steward to set a time. Sessions of one activity do not overlap, so that a moment has one session.

Each activity has the account `budget:<id>`, which its rewards are paid from, and a tag of four characters in its QR
codes. Its policy stands in the log: creating an activity and changing its policy append a `policy` entry.

`list_` and `get` answer readers; a list costs five queries, however many activities there are.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, ForeignKeyConstraint, Integer, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, cities, journal
from ledger.book.cities import City
from ledger.book.unit import Unit
from ledger.db import Base, Instant, Json
from ledger.errors import NotFound, ValidationFailed
from ledger.people.roles import STEWARD, Principal, require
from ledger.programme import codes, places, sessions, views, windows
from ledger.programme import policy as policies
from ledger.programme.places import Place
from ledger.programme.policy import CityRules, Policy
from ledger.programme.views import CLOSED, DRAFT, PUBLISHED, ActivityView, budget_of
from ledger.programme.windows import Window
from ledger.values import check_slug, short_id

POSTER, KIOSK, CODE = "poster", "kiosk", "code"
MODES = (POSTER, KIOSK, CODE)
STATES = (DRAFT, PUBLISHED, CLOSED)
TEXT_LIMIT = 2000


class Activity(Base):
    """A learning activity. `daily_from` and `daily_until` are wall-clock times of the city, or both NULL."""

    __tablename__ = "activities"
    __table_args__ = (
        UniqueConstraint("city", "code_tag", name="activities_code_tag"),
        ForeignKeyConstraint(["city", "place"], ["places.city", "places.id"], name="activities_place"),
        CheckConstraint("mode IN ('poster', 'kiosk', 'code')", name="activities_mode"),
        CheckConstraint("state IN ('draft', 'published', 'closed')", name="activities_state"),
        CheckConstraint("(daily_from IS NULL) = (daily_until IS NULL)", name="activities_daily"),
        CheckConstraint("daily_from < daily_until", name="activities_daily_order"),
        CheckConstraint("length(code_tag) = 4 AND code_version > 0", name="activities_code"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    place: Mapped[str] = mapped_column(Text)
    name_th: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    about_th: Mapped[str] = mapped_column(Text)
    about_en: Mapped[str] = mapped_column(Text)
    organiser_th: Mapped[str] = mapped_column(Text)
    organiser_en: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    policy: Mapped[dict[str, Any]] = mapped_column(Json)
    daily_from: Mapped[str | None] = mapped_column(Text)
    daily_until: Mapped[str | None] = mapped_column(Text)
    code_tag: Mapped[str] = mapped_column(Text)
    code_version: Mapped[int] = mapped_column(Integer)
    sample: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True)
class NewActivity:
    """An activity to create; without an id it gets a random one. Daily hours are "HH:MM", or both None."""

    place: str
    name_th: str
    name_en: str
    policy: Policy
    mode: str = POSTER
    id: str | None = None
    about_th: str = ""
    about_en: str = ""
    organiser_th: str = ""
    organiser_en: str = ""
    daily_from: str | None = None
    daily_until: str | None = None
    state: str = PUBLISHED
    sample: bool = False


@dataclass(frozen=True)
class ActivityChange:
    """What to change; None leaves a field as it is. An empty string in both daily fields takes the hours away."""

    place: str | None = None
    name_th: str | None = None
    name_en: str | None = None
    about_th: str | None = None
    about_en: str | None = None
    organiser_th: str | None = None
    organiser_en: str | None = None
    mode: str | None = None
    state: str | None = None
    policy: Policy | None = None
    daily_from: str | None = None
    daily_until: str | None = None


def create(unit: Unit, principal: Principal, new: NewActivity) -> ActivityView:
    """Add an activity with its budget account, and publish its policy in the log.

    Raises:
        ValidationFailed: names each field and the remedy.
    """
    require(principal, "activity.write")
    identifier = check_slug("id", new.id) if new.id else short_id()
    if unit.session.get(Activity, (unit.city.id, identifier)):
        raise ValidationFailed({"id": "Choose another id: this one is taken."})
    activity = _built(unit.city, identifier, new)
    activity.code_tag, activity.created_at = _free_tag(unit), unit.now
    _check(unit.session, unit.city, activity)
    unit.session.add(activity)
    unit.session.flush()
    accounts.open_account(unit, budget_of(identifier))
    _publish_policy(unit, principal, activity)
    return views.of(unit.session, unit.city, [activity], unit.now, {budget_of(identifier): 0})[0]


def check(session: Session, city: City, new: NewActivity) -> None:
    """Refuse what `create` would refuse, before anybody is asked whether it is meant.

    Raises:
        ValidationFailed: names each field and the remedy.
    """
    _check(session, city, _built(city, "", new))


def _built(city: City, identifier: str, new: NewActivity) -> Activity:
    """The row of a new activity, as far as it is said by whoever makes it."""
    return Activity(
        city=city.id,
        id=identifier,
        place=new.place,
        name_th=new.name_th.strip(),
        name_en=new.name_en.strip(),
        about_th=new.about_th.strip(),
        about_en=new.about_en.strip(),
        organiser_th=new.organiser_th.strip(),
        organiser_en=new.organiser_en.strip(),
        mode=new.mode,
        state=new.state,
        policy=new.policy.to_json(),
        daily_from=new.daily_from or None,
        daily_until=new.daily_until or None,
        code_version=1,
        sample=new.sample,
    )


def change(unit: Unit, principal: Principal, identifier: str, wanted: ActivityChange) -> ActivityView:
    """Change an activity; a changed policy is published in the log and holds from then on.

    Raises:
        NotFound: the city has no such activity.
        ValidationFailed: names each field and the remedy.
    """
    require(principal, "activity.write")
    activity = row(unit.session, unit.city.id, identifier)
    before = activity.policy
    with unit.session.no_autoflush:
        for name, value in vars(wanted).items():
            if isinstance(value, Policy):
                activity.policy = value.to_json()
            elif value is not None:
                setattr(activity, name, value.strip())
        activity.daily_from, activity.daily_until = activity.daily_from or None, activity.daily_until or None
        _check(unit.session, unit.city, activity)
        if activity.daily_from and sessions.not_over(unit.session, unit.city.id, [identifier], unit.now):
            raise ValidationFailed(
                {"daily_from": "Take the coming sessions away first; an activity has one or the other."}
            )
    unit.session.flush()
    if activity.policy != before:
        _publish_policy(unit, principal, activity)
    return get(unit.session, unit.city.id, identifier, unit.now)


def close(unit: Unit, principal: Principal, identifier: str) -> ActivityView:
    """Take no more check-ins. What is left in the budget stays there until the treasurer moves it.

    Raises:
        NotFound: the city has no such activity.
    """
    return change(unit, principal, identifier, ActivityChange(state=CLOSED))


def renew_code(unit: Unit, principal: Principal, identifier: str) -> None:
    """Withdraw every code of an activity that was shown or printed so far.

    Raises:
        NotFound: the city has no such activity.
    """
    require(principal, "activity.write")
    row(unit.session, unit.city.id, identifier).code_version += 1


def add_session(
    unit: Unit,
    principal: Principal,
    identifier: str,
    starts_at: datetime,
    ends_at: datetime,
    seats: int | None = None,
    session_id: str | None = None,
) -> Window:
    """Add a meeting to an activity.

    Raises:
        NotFound: the city has no such activity.
        ValidationFailed: times out of order or overlapping another session, no seats, daily hours, an id taken.
    """
    require(principal, "activity.write")
    if row(unit.session, unit.city.id, identifier).daily_from:
        raise ValidationFailed({"starts_at": "Take the daily hours away first; an activity has one or the other."})
    return sessions.add(unit, identifier, starts_at, ends_at, seats, session_id)


def end_session(unit: Unit, principal: Principal, identifier: str, session_id: str) -> None:
    """Take a coming session away, or end a running one now.

    Raises:
        NotFound: there is no such session.
        ValidationFailed: it is over already.
    """
    require(principal, "activity.write")
    sessions.end(unit, identifier, session_id)


def row(session: Session, city: str, identifier: str) -> Activity:
    """The row of an activity.

    Raises:
        NotFound: the city has no such activity.
    """
    activity = session.get(Activity, (city, identifier))
    if activity is None:
        raise NotFound("activity", identifier)
    return activity


def list_(session: Session, city: str, now: datetime, *, everything: bool = False) -> list[ActivityView]:
    """The published activities: open ones first, with those that still reward somebody before the others; or all."""
    query = select(Activity).where(Activity.city == city)
    if not everything:
        query = query.where(Activity.state == PUBLISHED)
    found = session.scalars(query).all()
    budgets = {one.account: one.available_minor for one in accounts.with_prefix(session, city, "budget:")}
    seen = views.of(session, cities.get(session, city), found, now, budgets)
    return sorted(
        seen,
        key=lambda view: (
            not view.is_open,
            not view.is_funded or view.is_full,
            view.next_opens_at is None,
            view.next_opens_at or now,
            view.state == CLOSED,
            view.name_th,
        ),
    )


def get(session: Session, city: str, identifier: str, now: datetime) -> ActivityView:
    """One activity, in whatever state it is.

    Raises:
        NotFound: the city has no such activity.
    """
    activity = row(session, city, identifier)
    balance = accounts.balance(session, city, budget_of(identifier))
    budgets = {balance.account: balance.available_minor}
    return views.of(session, cities.get(session, city), [activity], now, budgets)[0]


def shown(session: Session, city: str, identifier: str, now: datetime, principal: Principal) -> ActivityView:
    """One activity as the principal may see it: a draft is there for stewards alone.

    Raises:
        NotFound: the city has no such activity, or none that the principal may see.
    """
    view = get(session, city, identifier, now)
    if view.state == DRAFT and not principal.holds(STEWARD):
        raise NotFound("activity", identifier)
    return view


def _check(session: Session, city: City, activity: Activity) -> None:
    """Refuse an activity whose fields do not hold together, the policy by the city's caps."""
    places.check_names(activity.name_th, activity.name_en)
    fields: dict[str, str] = {}
    if session.get(Place, (city.id, activity.place)) is None:
        fields["place"] = "Name a place of this city."
    if activity.mode not in MODES:
        fields["mode"] = f"Use one of {', '.join(MODES)}."
    if activity.state not in STATES:
        fields["state"] = f"Use one of {', '.join(STATES)}."
    for name in ("about_th", "about_en", "organiser_th", "organiser_en"):
        if len(getattr(activity, name)) > TEXT_LIMIT:
            fields[name] = f"Give at most {TEXT_LIMIT} characters."
    if fields:
        raise ValidationFailed(fields)
    windows.check_hours(activity.daily_from or "", activity.daily_until or "")
    caps = CityRules.of(city.settings).assurance_caps
    policies.check(Policy.from_json(activity.policy), caps, activity.mode)


def _publish_policy(unit: Unit, principal: Principal, activity: Activity) -> None:
    """Append the policy to the log, where whoever checks a reward finds it by its hash."""
    journal.append(
        unit,
        "policy",
        actor=principal.actor("activity.write"),
        ref={"activity": activity.id, "policy": activity.policy},
        rule=policies.rule_hash(Policy.from_json(activity.policy)),
    )


def _free_tag(unit: Unit) -> str:
    """A random tag that no activity of the city has."""
    while True:
        tag = "".join(secrets.choice(codes.ALPHABET) for _ in range(codes.TAG_LENGTH))
        taken = select(Activity.id).where(Activity.city == unit.city.id, Activity.code_tag == tag)
        if unit.session.scalar(taken) is None:
            return tag
