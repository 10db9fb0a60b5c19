"""What people see of an activity at one moment: open or not, until when, what it pays, what is left.

Building views costs three queries (places, coming sessions, seats taken), however many activities there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from ledger.book.cities import City
from ledger.programme import attendance, places, sessions, windows
from ledger.programme import policy as policies
from ledger.programme.places import PlaceView
from ledger.programme.policy import CityRules, Policy
from ledger.programme.windows import DailyHours, Window

if TYPE_CHECKING:
    from ledger.programme.activities import Activity

DRAFT, PUBLISHED, CLOSED = "draft", "published", "closed"

_SHARED = (
    "id",
    "name_th",
    "name_en",
    "about_th",
    "about_en",
    "organiser_th",
    "organiser_en",
    "mode",
    "state",
    "daily_from",
    "daily_until",
    "sample",
)


@dataclass(frozen=True)
class ActivityView:
    """An activity as people see it at one moment.

    Attributes:
        window: the session it is open in now; None for a draft, a closed one, or outside its times.
        next_opens_at: when the next session begins, if one is known.
        sessions: the explicit sessions that are not over, by time.
        amount_minor: what a check-in earns now, after the city's cap.
        budget_minor: what is left in its budget.
        seats_left: in the session it is open in now; None where that has no limit, or outside its times.
    """

    id: str
    place: PlaceView
    name_th: str
    name_en: str
    about_th: str
    about_en: str
    organiser_th: str
    organiser_en: str
    mode: str
    state: str
    policy: Policy
    daily_from: str | None
    daily_until: str | None
    sample: bool
    window: Window | None
    next_opens_at: datetime | None
    sessions: tuple[Window, ...]
    amount_minor: int
    budget_minor: int
    seats_left: int | None

    @property
    def is_open(self) -> bool:
        """Whether it takes check-ins now, as far as its times say."""
        return self.window is not None

    @property
    def is_funded(self) -> bool:
        """Whether its budget pays for one more check-in."""
        return self.budget_minor >= self.amount_minor

    @property
    def is_full(self) -> bool:
        """Whether every seat of the session that it is open in now is taken."""
        return self.seats_left is not None and self.seats_left <= 0


def of(
    session: Session, city: City, activities: Sequence[Activity], now: datetime, budgets: Mapping[str, int]
) -> list[ActivityView]:
    """Views of some activities; `budgets` maps budget accounts to what is available in them."""
    known = {place.id: place for place in places.list_(session, city.id)}
    coming = sessions.not_over(session, city.id, [activity.id for activity in activities], now)
    caps = CityRules.of(city.settings).assurance_caps
    times = {one.id: _times(one, city.zone, coming.get(one.id, []), now) for one in activities}
    running = {one: window for one, found in times.items() if (window := windows.current(found, now))}
    limited = {one: window.session for one, window in running.items() if window.seats is not None}
    taken = attendance.in_sessions(session, city.id, limited) if limited else {}
    views = []
    for activity in activities:
        window, following = running.get(activity.id), windows.upcoming(times[activity.id], now)
        seats = window.seats if window else None
        policy = Policy.from_json(activity.policy)
        shared = {name: getattr(activity, name) for name in _SHARED}
        views.append(
            ActivityView(
                **shared,
                place=known[activity.place],
                policy=policy,
                window=window,
                next_opens_at=following.starts_at if following else None,
                sessions=tuple(coming.get(activity.id, [])),
                amount_minor=policies.points_for(policy, caps, activity.mode),
                budget_minor=budgets.get(budget_of(activity.id), 0),
                seats_left=None if seats is None else seats - taken.get(activity.id, 0),
            )
        )
    return views


def _times(activity: Activity, zone: str, explicit: list[Window], now: datetime) -> Sequence[Window]:
    """When a published activity is open, as far as that matters now."""
    if activity.state != PUBLISHED:
        return []
    hours = hours_of(activity, zone)
    return hours.around(now) if hours else explicit


def hours_of(activity: Activity, zone: str) -> DailyHours | None:
    """The daily hours of an activity, if it has any."""
    if activity.daily_from is None or activity.daily_until is None:
        return None
    return DailyHours(activity.daily_from, activity.daily_until, zone)


def budget_of(identifier: str) -> str:
    """The path of the account that an activity's rewards are paid from."""
    return f"budget:{identifier}"
