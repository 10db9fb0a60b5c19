"""Amounts, dates and languages as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from api import i18n


@pytest.mark.parametrize(
    ("minor", "scale", "text"),
    [
        (500, 2, "5.00 KGO"),
        (5, 2, "0.05 KGO"),
        (0, 2, "0.00 KGO"),
        (-1_234_567, 2, "−12,345.67 KGO"),
        (100_000_000, 2, "1,000,000.00 KGO"),
        (1_500, 0, "1,500 KGO"),
        (2**53 - 1, 2, "90,071,992,547,409.91 KGO"),
    ],
)
def test_amounts_are_exact(minor: int, scale: int, text: str) -> None:
    """Whole-number arithmetic: no digit is lost, thousands are grouped, the sign is a minus."""
    assert i18n.amount(minor, "KGO", scale) == text


def test_thai_dates_count_in_the_buddhist_era() -> None:
    """The same instant on the city's clock: พ.ศ. in Thai, CE in English; a day may already be the next one there."""
    at = datetime(2026, 12, 31, 17, 5, tzinfo=UTC)
    assert i18n.date_time("th", at, "Asia/Bangkok") == "1 ม.ค. 2570 00:05 น."
    assert i18n.date_time("en", at, "Asia/Bangkok") == "1 Jan 2027, 00:05"
    assert i18n.date_time("en", at, "UTC") == "31 Dec 2026, 17:05"
    assert i18n.long_date("th", date(2026, 11, 22)) == "22 พฤศจิกายน 2569"
    assert i18n.weekday("th", date(2026, 11, 22)) == "วันอาทิตย์"
    assert i18n.weekday("en", date(2026, 11, 22)) == "Sunday"


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "chosen"),
    [
        ("en", "th", "th", "en"),
        ("de", "en", "th", "en"),
        (None, None, "de;q=0.9, en-GB;q=0.8, th;q=0.1", "en"),
        (None, None, "th;q=0, de", "default"),
        (None, None, "en;q=nonsense", "default"),
        (None, None, None, "default"),
    ],
)
def test_the_language_is_chosen(query: str | None, cookie: str | None, accepted: str | None, chosen: str) -> None:
    """`?lang` before the cookie before the browser's list before the default; what we do not speak is passed over."""
    assert i18n.choose_language(query, cookie, accepted, default="default") == chosen


def test_pages_leave_the_browsers_list_aside() -> None:
    """A page is Thai unless its reader chose otherwise, even in a browser that prefers English."""
    assert i18n.choose_language(None, None, "en-US", default="th", header=False) == "th"
    assert i18n.choose_language(None, "en", "th", default="th", header=False) == "en"


def test_a_missing_parameter_does_not_break_a_message() -> None:
    """It shows as a dash; a message that nobody translated falls back to its id."""
    words = i18n.Catalogue({"th": {"a": "{x} และ {y}"}, "en": {}})
    assert words.text("th", "a", x=1) == "1 และ –"
    assert words.text("en", "Plain sentence.") == "Plain sentence."
    assert words.fits("th", "a", {"x": 1, "y": 2})
    assert not words.fits("th", "a", {"x": 1})


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("2026-11-22T09:30", datetime(2026, 11, 22, 9, 30)),  # noqa: DTZ001 - what a field gives has no zone
        ("2569-11-22 09:30", datetime(2026, 11, 22, 9, 30)),  # noqa: DTZ001
        ("2572-02-29T09:30", None),
        ("22/11/2569", None),
        ("", None),
    ],
)
def test_a_year_typed_in_either_era(typed: str, read: datetime | None) -> None:
    """Browsers count from Christ, people in Thailand from the Buddha's passing: both are understood."""
    assert i18n.typed_moment(typed) == read
