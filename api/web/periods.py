"""Stretches of the city's calendar that a shop looks at: a day, a week, a month, a year.

A period is named by its kind and by any day in it, `?by=week&at=2026-03-02`; what cannot be read means today. Weeks
begin on Monday. Nothing here reads the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from flask import request

from api import i18n
from api.web.shell import Visit
from api.web.words import N_, date_of, speech

DAY, WEEK, MONTH, YEAR = "day", "week", "month", "year"
KINDS = {DAY: N_("Day"), WEEK: N_("Week"), MONTH: N_("Month"), YEAR: N_("Year")}
FIRST_YEAR, LAST_YEAR = 2020, 2200
"""Days outside of these are taken for slips of the hand; every zone's calendar is whole between them."""


@dataclass(frozen=True)
class Period:
    """From the day `first` to the day `last`, both included."""

    kind: str
    first: date
    last: date

    @property
    def earlier(self) -> Period:
        """The period of the same kind before it."""
        return around(self.kind, self.first - timedelta(days=1))

    @property
    def later(self) -> Period:
        """The period of the same kind after it."""
        return around(self.kind, self.last + timedelta(days=1))

    @property
    def label(self) -> str:
        """What it is called in the language of the page."""
        if self.kind == DAY:
            return f"{i18n.weekday(speech(), self.first)} {i18n.long_date(speech(), self.first)}"
        if self.kind == MONTH:
            return i18n.month_year(speech(), self.first)
        if self.kind == YEAR:
            return str(i18n.year(speech(), self.first))
        return f"{i18n.day_month(speech(), self.first)} – {i18n.short_date(speech(), self.last)}"

    def span(self, zone: str) -> tuple[datetime, datetime]:
        """Its beginning and its end, which is not in it, as instants."""
        here = i18n.zone(zone)
        begin = datetime.combine(self.first, time(), here)
        end = datetime.combine(self.last + timedelta(days=1), time(), here)
        return begin.astimezone(UTC), end.astimezone(UTC)


def around(kind: str, day: date) -> Period:
    """The period of a kind in which a day lies."""
    if kind == WEEK:
        first = day - timedelta(days=day.weekday())
        return Period(kind, first, first + timedelta(days=6))
    if kind == MONTH:
        first = day.replace(day=1)
        return Period(kind, first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
    if kind == YEAR:
        return Period(kind, day.replace(month=1, day=1), day.replace(month=12, day=31))
    return Period(DAY, day, day)


def asked(visit: Visit, usual: str, kinds: tuple[str, ...]) -> Period:
    """The period that the address names."""
    kind = request.args.get("by", usual)
    try:
        day = date.fromisoformat(request.args.get("at", ""))
    except ValueError:
        day = date_of(visit.now)
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        day = date_of(visit.now)
    return around(kind if kind in kinds else usual, day)
