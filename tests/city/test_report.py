"""The city's figures: what is counted, where purchases came from, and what is withheld."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.city import report
from ledger.city.report import UNTRACED, Event, Report, trace
from ledger.commerce import promotions, redemptions, shops
from ledger.commerce.promotions import NewPromotion
from ledger.commerce.shops import NewShop
from ledger.people.roles import Principal
from ledger.programme import places
from ledger.programme.places import NewDistrict, NewPlace
from tests.factories import CITY, Installation
from tests.programme.town import Town

AT = datetime(2026, 3, 2, tzinfo=UTC)
SYSTEM = Principal.system(CITY)
TILL = Principal(CITY, frozenset({"shop"}), "cafe", "till")


@pytest.fixture
def town(installation: Installation) -> Town:
    """A town with a café, an activity in a district, and one in none."""
    town = Town(installation)

    def build(unit: Unit) -> None:
        places.create_district(unit, SYSTEM, NewDistrict("mueang", "เมือง", "Mueang"))
        places.create(unit, SYSTEM, NewPlace("ตึกแก่น", "Kaen building", id="kaen", district="mueang"))
        for shop in ("cafe", "stall"):
            shops.apply(unit, SYSTEM, NewShop(id=shop, name_th=shop, district="mueang"))
            shops.approve(unit, SYSTEM, shop)
        promotions.create(unit, SYSTEM, NewPromotion(id="tea", shop="cafe", title_th="ชา", price_minor=300))

    town.run(build)
    town.activity("walk", 500, place="kaen")
    town.activity("circle", 200)
    return town


def figures(town: Town, weeks: int = 4) -> Report:
    """The figures as they are now."""
    with town.installation.read() as session:
        return report.of(session, town.installation.city(), town.clock.now, weeks)


def buy(town: Town, who: Principal) -> str:
    """Reserve a tea and have it confirmed; the redemption."""
    made = town.run(lambda unit: redemptions.reserve(unit, who, "tea"))
    town.run(lambda unit: redemptions.confirm(unit, TILL, made.id))
    return made.id


def come(town: Town, count: int, *to: str) -> list[Principal]:
    """So many people check in to each of these."""
    people = [town.learner() for _ in range(count)]
    for who in people:
        for name in to:
            town.check_in(who, town.code(name).text)
    return people


def test_who_came_and_what_was_earned_and_spent(town: Town) -> None:
    """Six come, five of them buy: counted by week, by district, by activity and shop; people are counted once."""
    people = come(town, 6, "walk", "circle")
    for who in people[:5]:
        buy(town, who)
    found = figures(town)
    assert found.total.learning == (6, 12, 6 * 700)
    assert found.total.spending == (5, 5, 1500)
    assert found.weeks[max(found.weeks)].learning == (6, 12, 4200)
    assert found.weeks[min(found.weeks)].learning == (0, 0, 0)
    assert found.districts["mueang"].learning == (6, 6, 3000)
    assert found.districts[""].learning == (6, 6, 1200)
    assert found.districts["mueang"].spending == (5, 5, 1500)
    assert found.activities["circle"].learning == (6, 6, 1200)
    assert found.shops["cafe"].spending == (5, 5, 1500)
    assert found.flows["walk", "cafe"] == (5, 5, 1500)
    assert (found.last_day - found.first_day).days == 27


def test_what_was_taken_back_does_not_count(town: Town) -> None:
    """A refunded purchase and a reversed reward are as if they had not been."""
    people = come(town, 7, "walk")
    sold = [buy(town, who) for who in people[:6]]
    town.run(lambda unit: redemptions.refund(unit, TILL, sold[0]))
    reward = town.check_in(people[6], town.code("circle").text).entry
    town.run(lambda unit: transfers.reverse(unit, reward, actor="treasurer"))
    found = figures(town)
    assert found.total.spending == (5, 5, 1500)
    assert "circle" not in found.activities


def test_an_older_reward_feeds_a_shop_of_today(town: Town) -> None:
    """The purchase is of the period, the check-in before it; neither is lost, neither counted twice."""
    people = come(town, 5, "walk")
    town.clock.advance(days=70)
    for who in people:
        buy(town, who)
    found = figures(town)
    assert found.total.learning == (0, 0, 0)
    assert found.flows["walk", "cafe"] == (5, 5, 1500)
    assert figures(town, 13).total.learning == (5, 5, 2500)
    with pytest.raises(ValueError, match="no period"):
        figures(town, 5)


def test_few_people_are_not_shown(town: Town) -> None:
    """Four at one place and seven at the other: the four are withheld, and the seven too, or one could subtract."""
    come(town, 4, "walk")
    come(town, 7, "circle")
    found = figures(town)
    assert found.total.learning == (11, 11, 4 * 500 + 7 * 200)
    assert found.activities["walk"].learning is None
    assert found.activities["circle"].learning is None
    assert found.districts["mueang"].learning is None


def test_a_district_does_not_give_its_only_activity_away(town: Town) -> None:
    """Six at the only activity of a district, three and fifty in none: the three cannot be had as what is left over."""
    town.activity("hall", 300)
    come(town, 6, "walk")
    come(town, 3, "circle")
    come(town, 50, "hall")
    found = figures(town)
    assert found.activities["circle"].learning is None
    shown = [pair.learning.minor for pair in found.activities.values() if pair.learning]
    assert found.total.learning is not None
    left_over = [found.total.learning.minor - sum(shown)]
    for name, pair in found.districts.items():
        if pair.learning is not None:
            within = {"mueang": ["walk"], "": ["circle", "hall"]}[name]
            known = [one.minor for a in within if (one := found.activities[a].learning)]
            left_over += [pair.learning.minor - sum(known), found.total.learning.minor - pair.learning.minor]
    assert 3 * 200 not in left_over
    assert 6 * 500 not in [pair.learning.minor for pair in found.districts.values() if pair.learning]


def test_a_longer_period_does_not_give_a_few_earlier_people_away(town: Town) -> None:
    """One person in February, nine since: what three months have beyond four weeks is not to be had."""
    come(town, 1, "walk")
    town.clock.advance(days=45)
    come(town, 9, "walk")
    short, long = figures(town, 4), figures(town, 13)
    for one, other in (
        (short.total.learning, long.total.learning),
        (short.activities["walk"].learning, long.activities["walk"].learning),
        (short.districts["mueang"].learning, long.districts["mueang"].learning),
    ):
        assert one is None or other is None
    assert long.total.learning == (10, 10, 5000)


def test_nobody_at_all_and_too_few_in_all(town: Town) -> None:
    """An empty city has zeros; one with two people says nothing at all."""
    assert figures(town).total.learning == (0, 0, 0)
    buy(town, come(town, 2, "walk")[0])
    found = figures(town)
    assert (found.total.learning, found.total.spending) == (None, None)
    assert {pair.learning for pair in found.districts.values()} == {None}
    assert set(found.flows.values()) == {None}


EVENTS = st.lists(st.tuples(st.integers(1, 500), st.sampled_from(["a", "b", "c", None])), max_size=12)


@given(EVENTS)
def test_every_token_spent_came_from_somewhere(story: list[tuple[int, str | None]]) -> None:
    """The parts of a purchase add up to it, none is more than was earned, and what is untraced is what was lacking."""
    events = [
        Event("me", AT + timedelta(hours=hour), minor, activity, None if activity else "cafe")
        for hour, (minor, activity) in enumerate(story)
    ]
    parts = list(trace(events))
    for event in events:
        if event.shop:
            assert sum(part.minor for part in parts if part.purchase is event) == event.minor
    for name in "abc":
        earned = sum(event.minor for event in events if event.activity == name)
        assert sum(part.minor for part in parts if part.activity == name) <= earned
    held = lacking = 0
    for event in events:
        held += -event.minor if event.shop else event.minor
        if held < 0:
            lacking, held = lacking - held, 0
    assert sum(part.minor for part in parts if part.activity == UNTRACED) == lacking


def test_what_was_earned_first_is_spent_first() -> None:
    """A purchase takes the older reward whole before it touches the newer one."""
    story = [
        Event("me", AT, 200, "old", None),
        Event("me", AT, 500, "new", None),
        Event("me", AT, 300, None, "cafe"),
    ]
    assert [(part.activity, part.minor) for part in trace(story)] == [("old", 200), ("new", 100)]
