"""The log and the supply over time are what the balances were, whatever the step, at a cost that does not grow."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from ledger.log import growth
from ledger.log.growth import Sample
from tests.factories import CITY, START, Installation, live_through
from tests.statements import asked

ZONE = ZoneInfo("Asia/Bangkok")


def _samples(installation: Installation) -> list[Sample]:
    with installation.read() as session:
        return growth.samples(session, CITY, installation.clock.now, ZONE)


def test_an_empty_log_has_no_history(installation: Installation) -> None:
    """Before the first entry there is nothing to draw."""
    assert _samples(installation) == []


def test_each_moment_shows_the_balances_of_that_time(installation: Installation) -> None:
    """Compared with the as-of balances of the book, account by account; the last moment is now."""
    live_through(installation)
    installation.clock.advance(hours=30)
    installation.give("shop:a", 700)
    installation.clock.advance(hours=3)
    found = _samples(installation)
    assert 5 <= len(found) <= growth.MOMENTS
    for one in found:
        past = {path: installation.balance(path, one.at).posted_minor for path in ("issuance", "shop:a", "shop:b")}
        assert one.issued == -past["issuance"]
        assert one.redeemed == past["shop:a"] + past["shop:b"]
    assert found[0].size == 0
    assert found[-1].at == installation.clock.now
    assert found[-1].size == len(installation.leaves())
    assert {one.issued for one in found} == {0, 100_000_000}
    assert found[-1].redeemed - found[-2].redeemed == 0
    assert found[-1].redeemed - found[-6].redeemed == 700
    assert found[-1].circulating == 100_000_000 - found[-1].redeemed


@pytest.mark.parametrize(("days", "hour"), [(0.1, None), (1.5, None), (20, 0), (300, 0), (4_000, 0)])
def test_moments_are_hours_or_midnights_of_the_city(installation: Installation, days: float, hour: int | None) -> None:
    """Neither too many nor out of step, from the very beginning to the present, for an hour as for eleven years."""
    installation.grant()
    installation.clock.advance(days=days)
    found = _samples(installation)
    assert len(found) <= growth.MOMENTS
    assert found[0].at < START <= found[1].at
    assert found[0].at.tzinfo is UTC
    assert [one.at for one in found] == sorted({one.at for one in found})
    for one in found[:-1]:
        local = one.at.astimezone(ZONE)
        assert (local.minute, local.second, local.microsecond) == (0, 0, 0)
        assert hour is None or local.hour == hour
    assert found[-1].issued == 100_000_000


def test_the_cost_does_not_grow_with_the_log(installation: Installation) -> None:
    """The same few statements, and balances are found by the key of the legs."""
    with asked(installation.database) as before:
        live_through(installation)
        before.clear()
        _samples(installation)
        first = list(before)
        for _ in range(50):
            installation.give("budget:a", 1)
        before.clear()
        _samples(installation)
    assert before == first
    assert len(first) <= 5


def test_a_city_of_many_shops_is_shown_at_fewer_moments(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked up stays within its bound; the beginning and the present stand there all the same."""
    live_through(installation)
    installation.clock.advance(days=40)
    usual = _samples(installation)
    monkeypatch.setattr(growth, "LOOK_UPS", 1)
    few = _samples(installation)
    assert len(few) <= growth.FEWEST < len(usual)
    assert (few[0].size, few[-1]) == (0, usual[-1])
