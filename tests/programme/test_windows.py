"""Windows: daily hours in a zone, sessions, and why an activity is closed. All of it pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ValidationFailed
from ledger.programme import windows
from ledger.programme.windows import DailyHours, Window

BANGKOK = "Asia/Bangkok"
NOON = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
"""Noon in Bangkok."""

INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
ZONES = st.sampled_from([BANGKOK, "Europe/Berlin", "America/New_York", "Pacific/Auckland", "UTC"])


@given(INSTANTS, ZONES)
def test_all_day_is_always(at: datetime, zone: str) -> None:
    """00:00 to 24:00 is open at every instant of every zone, and the session is the zone's date."""
    window = windows.current(DailyHours("00:00", "24:00", zone).around(at), at)
    assert window is not None
    assert window.session == windows.day_of(at, zone).isoformat()


@given(INSTANTS)
def test_office_hours_by_the_city_s_clock(at: datetime) -> None:
    """09:00 to 17:30 in Bangkok is open exactly when the clock there says so."""
    local = at + timedelta(hours=7)
    expected = (9, 0) <= (local.hour, local.minute) < (17, 30)
    assert (windows.current(DailyHours("09:00", "17:30", BANGKOK).around(at), at) is not None) == expected


def test_summer_time_keeps_the_hours() -> None:
    """Where clocks change, opening stays at 09:00 by the wall and moves by the sun; the long day has 25 hours."""
    hours = DailyHours("09:00", "17:00", "Europe/Berlin")
    assert hours.window(date(2026, 3, 28)).starts_at == datetime(2026, 3, 28, 8, tzinfo=UTC)
    assert hours.window(date(2026, 3, 29)).starts_at == datetime(2026, 3, 29, 7, tzinfo=UTC)
    autumn = DailyHours("00:00", "24:00", "Europe/Berlin").window(date(2026, 10, 25))
    assert autumn.ends_at - autumn.starts_at == timedelta(hours=25)


@pytest.mark.parametrize(
    ("opens", "closes", "fields"),
    [
        ("9:00", "17:00", {"daily_from"}),
        ("09:00", "25:00", {"daily_until"}),
        ("09:60", "24:01", {"daily_from", "daily_until"}),
        ("09:00", "09:00", {"daily_until"}),
        ("22:00", "02:00", {"daily_until"}),
        ("09:00", "", {"daily_until"}),
        ("", "17:00", {"daily_from"}),
        ("24:00", "24:00", {"daily_until"}),
    ],
)
def test_hours_that_are_none(opens: str, closes: str, fields: set[str]) -> None:
    """Each field that is wrong is named."""
    with pytest.raises(ValidationFailed) as refusal:
        windows.check_hours(opens, closes)
    assert set(refusal.value.fields) == fields


def test_hours_that_are_fine() -> None:
    """The whole day, a part of it, and none at all."""
    for opens, closes in (("00:00", "24:00"), ("09:00", "17:30"), ("", "")):
        windows.check_hours(opens, closes)


def _window(name: str, start_hours: float, end_hours: float) -> Window:
    return Window(name, NOON + timedelta(hours=start_hours), NOON + timedelta(hours=end_hours))


def test_a_window_has_its_beginning_and_not_its_end() -> None:
    """Two sessions that touch never share an instant."""
    morning, midday = _window("morning", -2, 0), _window("midday", 0, 2)
    assert windows.current([morning, midday], NOON) == midday
    assert windows.current([morning, midday], NOON - timedelta(milliseconds=1)) == morning
    assert windows.current([morning], NOON) is None


def test_the_next_window_is_the_earliest_to_come() -> None:
    """A running window is not to come; of those that are, the first counts."""
    running, later, soon = _window("running", -1, 1), _window("later", 5, 6), _window("soon", 2, 3)
    assert windows.upcoming([later, running, soon], NOON) == soon
    assert windows.upcoming([running], NOON) is None


@pytest.mark.parametrize(
    ("known", "reason", "facts"),
    [
        ([_window("a", 1, 2)], "not_open_yet", {"opens_at"}),
        ([_window("a", -2, -1)], "over", {"closed_at"}),
        ([_window("a", -2, -1), _window("b", 1, 2)], "outside_window", {"opens_at", "closed_at"}),
        ([], "not_open_yet", set()),
    ],
)
def test_why_it_is_closed(known: list[Window], reason: str, facts: set[str]) -> None:
    """Before, after and between are told apart, with the times that matter."""
    refusal = windows.closed(known, NOON)
    assert (refusal.code, refusal.reason, set(refusal.params)) == ("activity_closed", reason, facts)
