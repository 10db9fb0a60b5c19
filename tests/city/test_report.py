"""The city's figures: what is counted, where purchases came from, and what is withheld."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.city import report
from ledger.city.report import PERIODS, Report
from ledger.city.tracing import Event
from ledger.city.withholding import FEWEST, Figure
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
STALL = Principal(CITY, frozenset({"shop"}), "stall", "till")


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


def buy(town: Town, who: Principal, promotion: str = "tea", till: Principal = TILL) -> str:
    """Reserve something and have it confirmed; the redemption."""
    made = town.run(lambda unit: redemptions.reserve(unit, who, promotion))
    town.run(lambda unit: redemptions.confirm(unit, till, made.id))
    return made.id


def come(town: Town, count: int, *to: str) -> list[Principal]:
    """So many people check in to each of these."""
    people = [town.learner() for _ in range(count)]
    for who in people:
        for name in to:
            town.check_in(who, town.code(name).text)
    return people


def test_who_came_and_what_was_earned_and_spent(town: Town) -> None:
    """Six come, five of them buy: counted by week, by district, by activity and shop; people once, in fives."""
    people = come(town, 6, "walk", "circle")
    for who in people[:5]:
        buy(town, who)
    found = figures(town)
    assert found.total.learning == (5, 12, 6 * 700)
    assert found.total.spending == (5, 5, 1500)
    assert found.weeks[max(found.weeks)].learning == (5, 12, 4200)
    assert found.weeks[min(found.weeks)].learning == (0, 0, 0)
    assert found.districts["mueang"].learning == (5, 6, 3000)
    assert found.districts[""].learning == (5, 6, 1200)
    assert found.districts["mueang"].spending == (5, 5, 1500)
    assert found.activities["circle"].learning == (5, 6, 1200)
    assert found.shops["cafe"].spending == (5, 5, 1500)
    assert found.flows["walk", "cafe"] == (5, 5, 1500)
    assert found.district_flows == {("mueang", "mueang"): (5, 5, 1500)}
    assert found.district_flow_weeks == {("mueang", "mueang", max(found.weeks).isoformat()): (5, 5, 1500)}
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
    assert found.total.learning == (10, 11, 4 * 500 + 7 * 200)
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
    assert found.activities["hall"].learning is None


def test_a_longer_period_does_not_give_a_few_earlier_people_away(town: Town) -> None:
    """One person in February, nine a week since: what three months have beyond four weeks is not to be had."""
    come(town, 1, "walk")
    town.clock.advance(days=45)
    come(town, 9, "walk")
    town.clock.advance(days=7)
    come(town, 9, "walk")
    short, long = figures(town, 4), figures(town, 13)
    for one, other in (
        (short.total.learning, long.total.learning),
        (short.activities["walk"].learning, long.activities["walk"].learning),
        (short.districts["mueang"].learning, long.districts["mueang"].learning),
    ):
        assert one is None or other is None
    assert short.total.learning == (15, 18, 9_000)


def test_a_small_activity_is_not_found_by_its_district(town: Town) -> None:
    """Three at one of two activities of a district: the district is told, so the other one of it is withheld too."""
    town.activity("loom", 100, place="kaen")
    come(town, 3, "loom")
    come(town, 8, "walk")
    come(town, 6, "circle")
    found = figures(town)
    assert found.districts["mueang"].learning == (10, 11, 4300)
    assert (found.activities["loom"].learning, found.activities["walk"].learning) == (None, None)
    assert found.activities["circle"].learning == (5, 6, 1200)


def test_two_looks_do_not_differ_by_one_purchase(town: Town) -> None:
    """After each of twelve purchases, and in each period: what is told of a way grows by five people or not at all."""
    people = come(town, 12, "walk")
    looks = []
    for who in people:
        town.clock.advance(days=3)
        buy(town, who)
        looks.append([figures(town, weeks) for weeks in report.PERIODS])
    assert [look[1].flows.get(("walk", "cafe")) for look in looks] == [
        None if count < 5 else (5, 5, 1500) if count < 10 else (10, 10, 3000) for count in range(1, 13)
    ]
    for look in looks:
        for found in look:
            assert found.activities["walk"].spending == found.flows.get(("walk", "cafe"))
            assert found.weeks[max(found.weeks)].spending in (None, (0, 0, 0))
    town.clock.advance(days=14)
    assert figures(town, 4).flows["walk", "cafe"] == (5, 5, 1500)


def test_ways_of_few_count_together_after_a_while(town: Town) -> None:
    """Three buy at the café, two at the stall: first nothing is told, then the activity's sum, and never a shop's.

    What is told stands in one table alone, and in that of the districts, which sums them up.
    """
    town.run(
        lambda unit: promotions.create(
            unit, SYSTEM, NewPromotion(id="nuts", shop="stall", title_th="ถั่ว", price_minor=100)
        )
    )
    people = come(town, 5, "walk")
    for who in people[:3]:
        buy(town, who)
    for who in people[3:]:
        buy(town, who, "nuts", STALL)
    found = figures(town)
    assert (found.activities["walk"].spending, found.flows, found.district_flows) == (None, {}, {})
    town.clock.advance(days=28)
    for _ in range(2):
        found = figures(town, 13)
        assert (found.activities["walk"].spending, found.flows) == ((5, 5, 1100), {})
        assert found.flows_to_district == {("walk", "mueang"): (5, 5, 1100)}
        assert found.flows_between == {}
        assert found.district_flows == {("mueang", "mueang"): (5, 5, 1100)}
        town.clock.advance(days=20)


def test_what_two_activities_fed_counts_together_at_last(town: Town) -> None:
    """Three learnt here and two there: after two waits the district's sum is told, and no activity's."""
    town.activity("loom", 500, place="kaen")
    for who in (*come(town, 3, "walk"), *come(town, 2, "loom")):
        buy(town, who)
    town.clock.advance(days=28)
    assert figures(town, 13).district_flows == {}
    town.clock.advance(days=28)
    found = figures(town, 13)
    assert (found.flows, found.flows_to_district) == ({}, {})
    assert found.flows_between == found.district_flows == {("mueang", "mueang"): (5, 5, 1500)}
    assert found.activities["walk"].spending is None


def test_nobody_at_all_and_too_few_in_all(town: Town) -> None:
    """An empty city has zeros; one with two people says nothing at all."""
    assert figures(town).total.learning == (0, 0, 0)
    buy(town, come(town, 2, "walk")[0])
    found = figures(town)
    assert (found.total.learning, found.total.spending) == (None, None)
    assert {pair.learning for pair in found.districts.values()} == {None}
    assert (found.flows, found.district_flows, found.district_flow_weeks) == ({}, {}, {})
    assert found.activities["walk"].spending is None


DISTRICTS = {"walk": "mueang", "loom": "mueang", "circle": "phon", "hall": ""}
STORIES = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from([0, 1, 3, 4, 12, 13, 40]), st.sampled_from(list(DISTRICTS))),
    max_size=60,
)
Came = tuple[int, int, str]
Kept = TypeVar("Kept")
Table = dict[str, dict[tuple[str, ...], Kept]]


def _kinds(weeks: int) -> dict[str, Callable[[Came], tuple[str, ...] | None]]:
    """Under which key of each table somebody who came counts in a period."""

    def within(name: Callable[[Came], tuple[str, ...]]) -> Callable[[Came], tuple[str, ...] | None]:
        return lambda came: name(came) if came[1] < weeks else None

    return {
        "total": within(lambda _came: ()),
        "weeks": within(lambda came: (str(came[1]),)),
        "districts": within(lambda came: (DISTRICTS[came[2]],)),
        "cells": within(lambda came: (DISTRICTS[came[2]], str(came[1]))),
        "activities": within(lambda came: (DISTRICTS[came[2]], came[2])),
    }


def _shown(found: Report) -> Table[Figure]:
    """The figures of what was learnt by the same keys."""

    def ago(monday: date) -> str:
        return str((found.last_day - monday).days // 7)

    return {
        "total": {(): found.total.learning},
        "weeks": {(ago(monday),): pair.learning for monday, pair in found.weeks.items()},
        "districts": {(one,): pair.learning for one, pair in found.districts.items()},
        "cells": {
            (one, ago(date.fromisoformat(monday))): pair.learning
            for (one, monday), pair in found.district_weeks.items()
        },
        "activities": {(DISTRICTS[one], one): pair.learning for one, pair in found.activities.items()},
    }


LINES: list[tuple[str, str, Callable[[tuple[str, ...]], tuple[str, ...]]]] = [
    ("total", "weeks", lambda _part: ()),
    ("total", "districts", lambda _part: ()),
    ("total", "activities", lambda _part: ()),
    ("districts", "cells", lambda part: part[:1]),
    ("districts", "activities", lambda part: part[:1]),
    ("weeks", "cells", lambda part: part[1:]),
]
"""Which figures are the sums of which others, and where each part belongs."""


@given(STORIES)
def test_no_difference_of_figures_tells_of_few_people(story: list[Came]) -> None:
    """Sums and their parts, weeks, districts, activities, a period and the next longer one: any two that are shown."""
    count = report._Count("Asia/Bangkok", AT.date(), DISTRICTS, {})
    for person in range(12):
        mine = sorted((AT - timedelta(weeks=ago), name) for who, ago, name in story if who == person)
        count.person(person, [Event(str(person), at, 100, name, None) for at, name in mine])
    shown = {weeks: _shown(count.report(weeks, AT)) for weeks in PERIODS}
    for weeks in PERIODS:
        _no_sum_tells(shown[weeks], _people(story, weeks, shown[weeks]))
    for shorter, longer in pairwise(PERIODS):
        for kind in ("total", "districts", "activities"):
            for key, figure in shown[longer][kind].items():
                name = _kinds(longer)[kind]
                if figure is not None and shown[shorter][kind].get(key, figure) is not None:
                    assert _many({came[0] for came in story if name(came) == key and came[1] >= shorter})


def _people(story: list[Came], weeks: int, shown: Table[Figure]) -> Table[set[int]]:
    """Who is behind each figure."""
    people: Table[set[int]] = {kind: {key: set() for key in found} for kind, found in shown.items()}
    for kind, name in _kinds(weeks).items():
        for came in story:
            if (key := name(came)) is not None:
                people[kind][key].add(came[0])
    return people


def _no_sum_tells(shown: Table[Figure], people: Table[set[int]]) -> None:
    for kind, found in shown.items():
        for key, figure in found.items():
            who = people[kind][key]
            assert figure is None or (figure.people == len(who) - len(who) % FEWEST and _many(who))
    for whole, kind, of in LINES:
        for key, figure in shown[whole].items():
            hidden = [part for part, one in shown[kind].items() if of(part) == key and one is None]
            if figure is not None:
                assert _many(set().union(*(people[kind][part] for part in hidden)))
                assert len(hidden) != 1
            else:
                assert hidden


def _many(people: set[int]) -> bool:
    return len(people) == 0 or len(people) >= FEWEST
