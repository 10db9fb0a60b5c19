"""The city's figures: what is counted, where purchases came from, and what is withheld."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.city import report
from ledger.city.report import Report
from ledger.city.tracing import FEWEST, UNTRACED, Event, Spent, groups, trace
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
    assert [look[1].flows["walk", "cafe"] for look in looks] == [
        None if count < 5 else (5, 5, 1500) if count < 10 else (10, 10, 3000) for count in range(1, 13)
    ]
    for look in looks:
        for found in look:
            assert found.activities["walk"].spending == found.flows["walk", "cafe"]
            assert found.weeks[max(found.weeks)].spending in (None, (0, 0, 0))
    town.clock.advance(days=14)
    assert figures(town, 4).flows["walk", "cafe"] == (5, 5, 1500)


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


PARTS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 9), st.integers(1, 500)), max_size=60)


@given(PARTS, st.integers(0, 400), st.integers(0, 400))
def test_whatever_is_told_of_a_way_differs_by_whole_groups(
    story: list[tuple[int, int, int]], before: int, since: int
) -> None:
    """What one knew earlier is part of what one knows now, and the rest concerns enough people, in any period."""
    parts = [Spent(AT + timedelta(hours=hour), person, minor) for hour, person, minor in story]
    now = list(groups(parts))
    then = list(groups(part for part in parts if part.at < AT + timedelta(hours=before)))
    assert now[: len(then)] == then
    shown = [group for group in now if group.complete_at >= AT + timedelta(hours=since)]
    for group in (*now[len(then) :], *now[: len(now) - len(shown)]):
        assert len({part.person for part in group.parts}) == FEWEST
    left = parts and set(parts) - {part for group in now for part in group.parts}
    assert len({part.person for part in left}) < FEWEST


TABLES = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), st.sets(st.integers(1, 12), max_size=9)
)


@given(TABLES)
def test_no_line_of_a_table_gives_few_people_away(table: dict[tuple[str, str], set[int]]) -> None:
    """What is withheld along a row or column is nothing, or concerns enough people in more than one figure, or all."""
    cells = {}
    for cell, people in table.items():
        cells[cell] = report._Tally()
        for person in people:
            cells[cell].add(person, 1)
    shown = report._withheld_in_table(cells)
    assert all(figure is None or figure.people == 0 or figure.people >= FEWEST for figure in shown.values())
    for axis in (0, 1):
        for name in {cell[axis] for cell in cells}:
            line = [cell for cell in cells if cell[axis] == name]
            hidden = [cell for cell in line if shown[cell] is None]
            concerned = set().union(*(table[cell] for cell in hidden))
            assert not hidden or (len(concerned) >= FEWEST and len(hidden) > 1) or hidden == line
