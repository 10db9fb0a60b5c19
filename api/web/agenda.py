"""The steward's calendar: a month as a list of days with their sessions, and as a grid that leads to the days."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import request

from api import i18n
from api.web.shell import Visit, page, render, web
from api.web.words import date_of, speech
from ledger.programme import activities, sessions
from ledger.programme.views import PUBLISHED, ActivityView
from ledger.programme.windows import Window

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Meeting:
    """A session on a day, with the activity that it belongs to."""

    activity: ActivityView
    window: Window
    over: bool


@web.get("/c/<city>/steward/calendar")
@page("activity.manage", door="desk")
def agenda(visit: Visit) -> str:
    """A month, `?month=2026-11`; this month if none is named. Daily activities stand once, above the days."""
    today = date_of(visit.now)
    asked = _MONTH.fullmatch(request.args.get("month", ""))
    first = date(int(asked[1]), int(asked[2]), 1) if asked else today.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    views = {one.id: one for one in activities.list_(visit.session, visit.city.id, visit.now, everything=True)}
    days: dict[date, list[Meeting]] = {}
    start, end = (_midnight(visit, day) for day in (first, following))
    for activity, window in sessions.between(visit.session, visit.city.id, start, end):
        begins = max(date_of(window.starts_at), first)
        days.setdefault(begins, []).append(Meeting(views[activity], window, window.ends_at <= visit.now))
    weeks = calendar.Calendar().monthdatescalendar(first.year, first.month)
    return render(
        "steward/calendar.html",
        first=first,
        title=_title(first),
        previous=(first - timedelta(days=1)).strftime("%Y-%m"),
        following=following.strftime("%Y-%m"),
        today=today,
        days=sorted(days.items()),
        counts={day: len(found) for day, found in days.items()},
        weeks=weeks,
        weekdays=[(i18n.weekday(speech(), day), i18n.short_weekday(speech(), day)) for day in weeks[0]],
        daily=[one for one in views.values() if one.daily_from and one.state == PUBLISHED],
        day_names={day: i18n.weekday(speech(), day) for day in days},
    )


def _midnight(visit: Visit, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=i18n.zone(visit.city.zone))


def _title(first: date) -> str:
    """`พฤศจิกายน 2569` or `November 2026`."""
    return i18n.long_date(speech(), first).removeprefix("1 ")
