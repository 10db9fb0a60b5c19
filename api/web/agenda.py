"""The steward's calendar: a day, a week or a month as a list of days with their sessions, and a month as a grid.

In the list of a month that has begun, the days to come stand first. What is open every day, or for several days on
end, stands once, below the days.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import request

from api import i18n
from api.web.shell import Visit, page, render, web
from api.web.words import N_, date_of, day, say, speech
from ledger.programme import activities, sessions
from ledger.programme.views import PUBLISHED, ActivityView
from ledger.programme.windows import Window

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_DAY = re.compile(r"20\d\d-\d\d-\d\d")
A_DAY, A_WEEK = timedelta(days=1), timedelta(weeks=1)


@dataclass(frozen=True)
class Meeting:
    """A session on a day, with the activity that it belongs to."""

    activity: ActivityView
    window: Window
    over: bool


@dataclass(frozen=True)
class Stretch:
    """The days that are looked at, from `first` up to but not including `following`, as a `day`, `week` or `month`."""

    scale: str
    first: date
    following: date

    @property
    def title(self) -> str:
        """`วันเสาร์ 21 พฤศจิกายน 2569`, `16 พ.ย. 2569 – 22 พ.ย. 2569` or `พฤศจิกายน 2569`."""
        if self.scale == "day":
            return f"{i18n.weekday(speech(), self.first)} {i18n.long_date(speech(), self.first)}"
        if self.scale == "week":
            return f"{day(self.first)} – {day(self.following - A_DAY)}"
        return i18n.month_year(speech(), self.first)

    def query(self, first: date) -> dict[str, str]:
        """What an address says for a stretch of this scale that holds a day."""
        return {self.scale: first.strftime("%Y-%m") if self.scale == "month" else first.isoformat()}


@web.get("/c/<city>/steward/calendar")
@page("activity.manage", door="desk")
def agenda(visit: Visit) -> str:
    """This month, or what is asked for: `?day=2026-11-21`, `?week=` with a day of it, `?month=2026-11`."""
    today = date_of(visit.now)
    stretch = _asked(today)
    month = stretch.first.replace(day=1)
    after = _next_month(month)
    views = {one.id: one for one in activities.list_(visit.session, visit.city.id, visit.now, everything=True)}
    start, end = (_midnight(visit, one) for one in (month, max(after, stretch.following)))
    days: dict[date, list[Meeting]] = {}
    lasting: list[Meeting] = []
    for activity, window in sessions.between(visit.session, visit.city.id, start, end):
        meeting = Meeting(views[activity], window, window.ends_at <= visit.now)
        begins = date_of(window.starts_at)
        if window.ends_at - window.starts_at <= A_DAY:
            days.setdefault(begins, []).append(meeting)
        elif begins < stretch.following and window.ends_at > _midnight(visit, stretch.first):
            lasting.append(meeting)
    shown = sorted((one, found) for one, found in days.items() if stretch.first <= one < stretch.following)
    gone = [one for one in shown if one[0] < today] if stretch.first <= today < stretch.following else []
    weeks = calendar.Calendar().monthdatescalendar(month.year, month.month)
    return render(
        "steward/calendar.html",
        month=month,
        month_title=i18n.month_year(speech(), month),
        stretch=stretch,
        scales=_scales(stretch, today),
        previous=stretch.query(stretch.first - A_DAY),
        following=stretch.query(stretch.following),
        today=today,
        days=[one for one in shown if one not in gone],
        gone=gone,
        lasting=lasting,
        counts={one: len(found) for one, found in days.items()},
        weeks=weeks,
        weekdays=[(i18n.weekday(speech(), one), i18n.short_weekday(speech(), one)) for one in weeks[0]],
        daily=[one for one in views.values() if one.daily_from and one.state == PUBLISHED],
        day_names={one: i18n.weekday(speech(), one) for one in days},
    )


def _asked(today: date) -> Stretch:
    """What the address asks for; this month where it is nothing that there is."""
    if (found := _DAY.fullmatch(request.args.get("day", ""))) and (one := _date(found[0])):
        return Stretch("day", one, one + A_DAY)
    if (found := _DAY.fullmatch(request.args.get("week", ""))) and (one := _date(found[0])):
        monday = one - timedelta(days=one.weekday())
        return Stretch("week", monday, monday + A_WEEK)
    asked = _MONTH.fullmatch(request.args.get("month", ""))
    first = date(int(asked[1]), int(asked[2]), 1) if asked else today.replace(day=1)
    return Stretch("month", first, _next_month(first))


def _scales(stretch: Stretch, today: date) -> list[tuple[str, dict[str, str], bool]]:
    """The views that there are: name, what the address says, and whether it is the one that is shown."""
    month = stretch.first.strftime("%Y-%m")
    return [
        (say(N_("Today")), {"day": today.isoformat()}, stretch.scale == "day" and stretch.first == today),
        (say(N_("Week")), {"week": max(today, stretch.first).isoformat()}, stretch.scale == "week"),
        (say(N_("Month")), {"month": month}, stretch.scale == "month"),
    ]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _next_month(first: date) -> date:
    return (first + timedelta(days=32)).replace(day=1)


def _midnight(visit: Visit, one: date) -> datetime:
    return datetime(one.year, one.month, one.day, tzinfo=i18n.zone(visit.city.zone))
