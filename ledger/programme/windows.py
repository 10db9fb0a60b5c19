"""When an activity is open: windows of time, out of daily hours or out of sessions. Pure.

Daily hours are wall-clock times of the city's zone, "HH:MM" to "HH:MM", the end as late as "24:00"; each day is
one window, named by its ISO date. They are turned into instants day by day, so that a zone with summer time keeps
its opening hours. Windows are half-open: the end belongs to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ledger.errors import Refused, ValidationFailed

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True)
class Window:
    """A stretch of time in which an activity takes check-ins; `session` names it. Instants are UTC."""

    session: str
    starts_at: datetime
    ends_at: datetime
    seats: int | None = None

    def covers(self, at: datetime) -> bool:
        """Whether the instant lies inside."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True)
class DailyHours:
    """Opening hours of every day in a zone."""

    opens: str
    closes: str
    zone: str

    def window(self, day: date) -> Window:
        """The window of one day of the zone."""
        return Window(day.isoformat(), _instant(day, self.opens, self.zone), _instant(day, self.closes, self.zone))

    def around(self, at: datetime) -> list[Window]:
        """The windows of yesterday, of the day that `at` falls on, and of tomorrow."""
        today = day_of(at, self.zone)
        return [self.window(today + timedelta(days=offset)) for offset in (-1, 0, 1)]


def day_of(at: datetime, zone: str) -> date:
    """The date of an instant in a zone."""
    return at.astimezone(ZoneInfo(zone)).date()


def check_hours(opens: str, closes: str) -> None:
    """Refuse daily hours that are not two times of one day in order; both empty means none.

    Raises:
        ValidationFailed: names the field and the remedy.
    """
    if not opens and not closes:
        return
    fields = {
        name: "Give a time of day as HH:MM, 00:00 to 24:00."
        for name, value in (("daily_from", opens), ("daily_until", closes))
        if not _TIME.fullmatch(value)
    }
    if not fields and opens >= closes:
        fields["daily_until"] = "Give a time later than daily_from; a day ends at 24:00."
    if fields:
        raise ValidationFailed(fields)


def current(windows: Iterable[Window], at: datetime) -> Window | None:
    """The window that an instant lies in."""
    return next((window for window in windows if window.covers(at)), None)


def upcoming(windows: Iterable[Window], at: datetime) -> Window | None:
    """The next window to begin after an instant."""
    return min((window for window in windows if window.starts_at > at), key=_start, default=None)


def closed(windows: Iterable[Window], at: datetime) -> Refused:
    """Why an activity with these windows, none of them current, takes no check-in now.

    `not_open_yet` before the first (with `opens_at`), `over` after the last (with `closed_at`),
    `outside_window` between two (with both).
    """
    known = list(windows)
    after = upcoming(known, at)
    before = max((window for window in known if window.ends_at <= at), key=_end, default=None)
    if after and before:
        return Refused("activity_closed", "outside_window", opens_at=after.starts_at, closed_at=before.ends_at)
    if after:
        return Refused("activity_closed", "not_open_yet", opens_at=after.starts_at)
    if before:
        return Refused("activity_closed", "over", closed_at=before.ends_at)
    return Refused("activity_closed", "not_open_yet")


def _start(window: Window) -> datetime:
    return window.starts_at


def _end(window: Window) -> datetime:
    return window.ends_at


@lru_cache(maxsize=4_096)
def _instant(day: date, clock: str, zone: str) -> datetime:
    if clock == "24:00":
        day, clock = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(clock), ZoneInfo(zone)).astimezone(UTC)
