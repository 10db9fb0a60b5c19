"""A shop's sales by hour, day and promotion, on the city's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.commerce import sales
from ledger.commerce.sales import Sales, Sum
from ledger.people.roles import Principal
from tests.commerce.street import Street
from tests.factories import CITY


def _sales(street: Street, first: date, last: date) -> Sales:
    with street.installation.read() as session:
        return sales.of(session, CITY, "noodles", first, last)


def _sell(street: Street, shop: Principal, at: datetime, price_minor: int, promotion: str) -> str:
    street.clock.now = at
    offer = street.promotion(price_minor=price_minor, id=promotion)
    made = street.reserve(street.learner(), offer)
    return street.confirm(shop, made.id).id


def test_days_and_hours_are_the_city_s(street: Street) -> None:
    """16:59 UTC is 23:59 in Khon Kaen and 17:00 is the next day; days without a sale stand there with nothing."""
    shop = street.shop()
    _sell(street, shop, datetime(2026, 3, 2, 16, 59, 59, tzinfo=UTC), 500, "late")
    _sell(street, shop, datetime(2026, 3, 2, 17, 0, tzinfo=UTC), 700, "early")
    found = _sales(street, date(2026, 3, 1), date(2026, 3, 4))
    nothing, late, early = Sum(), Sum(1, 500, 0), Sum(1, 700, 0)
    assert [one for _, one in found.days] == [nothing, late, early, nothing]
    assert (found.hours[23], found.hours[0], found.total) == (late, early, Sum(2, 1_200, 0))
    assert _sales(street, date(2026, 3, 2), date(2026, 3, 2)).total == late


def test_a_refund_is_taken_off_the_sale_s_own_day(street: Street) -> None:
    """Given back two days later, it still lowers the day of the sale, as on the till."""
    shop = street.shop()
    sold = _sell(street, shop, datetime(2026, 3, 2, 5, 0, tzinfo=UTC), 500, "lunch")
    street.clock.now += timedelta(days=2)
    street.refund(shop, sold, 200)
    found = _sales(street, date(2026, 3, 2), date(2026, 3, 4))
    assert [one.total_minor for _, one in found.days] == [300, 0, 0]
    assert found.hours[12] == Sum(1, 500, 200)


def test_what_sold_best_stands_first(street: Street) -> None:
    """By what stays with the shop; what another shop sold or a learner let go is not in it."""
    shop, other = street.shop(), street.shop("tea")
    at = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
    for price_minor, promotion in ((300, "small"), (900, "large")):
        _sell(street, shop, at, price_minor, promotion)
    tea = street.promotion("tea", 5_000)
    street.confirm(other, street.reserve(street.learner(), tea).id)
    street.cancel(shop, street.reserve(street.learner(), street.promotion(id="gone")).id)
    found = _sales(street, at.date(), at.date())
    assert [(one.promotion, one.sold.total_minor) for one in found.promotions] == [("large", 900), ("small", 300)]
    assert found.total.count == 2


def test_a_span_has_an_order_and_an_end(street: Street) -> None:
    """Days in the wrong order, or more than a year, are a programmer's mistake."""
    street.shop()
    day = date(2026, 3, 2)
    for last in (day - timedelta(days=1), day + timedelta(days=sales.MAX_DAYS)):
        with pytest.raises(ValueError, match="days in order"):
            _sales(street, day, last)
