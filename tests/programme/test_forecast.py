"""What an activity will cost: single cases by hand, and every small case by maximum flow."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.programme.forecast import CODES, DAY, PEOPLE, PERSON, SEATS, Plan, by_day, forecast

FEW = st.integers(0, 4)


def most_check_ins(plan: Plan, people: int) -> int:
    """The maximum flow person → day → meeting, by breadth-first augmentation: independent of the formula."""
    capacity: dict[tuple[str, str], int] = {}
    for person in range(people):
        who = f"person {person}"
        capacity["source", who] = 99 if plan.max_per_person is None else plan.max_per_person
        for day, seats in enumerate(plan.days):
            that_day = f"{who} on day {day}"
            capacity[who, that_day] = 99 if plan.max_per_day is None else plan.max_per_day
            for meeting, limit in enumerate(seats):
                room = f"meeting {day} {meeting}"
                capacity[that_day, room] = 1
                capacity[room, "sink"] = 99 if limit is None else limit
    nodes: dict[str, set[str]] = {}
    for a, b in list(capacity):
        nodes.setdefault(a, set()).add(b)
        nodes.setdefault(b, set()).add(a)
        capacity.setdefault((b, a), 0)
    flow = 0
    while path := _path(nodes, capacity):
        for edge in path:
            capacity[edge] -= 1
            capacity[edge[1], edge[0]] += 1
        flow += 1
    return flow


def _path(nodes: dict[str, set[str]], capacity: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    came: dict[str, str] = {"source": ""}
    queue = deque(["source"])
    while queue:
        here = queue.popleft()
        for there in sorted(nodes.get(here, ())):
            if there not in came and capacity[here, there] > 0:
                came[there] = here
                queue.append(there)
    edges, here = [], "sink"
    while came.get(here):
        edges.append((came[here], here))
        here = came[here]
    return edges


@given(
    days=st.lists(st.lists(st.none() | st.integers(1, 4), max_size=3), max_size=3),
    people=FEW,
    max_per_person=st.none() | st.integers(1, 4),
    max_per_day=st.none() | st.integers(1, 3),
)
def test_at_most_is_what_can_really_be_taken(
    days: list[list[int | None]], people: int, max_per_person: int | None, max_per_day: int | None
) -> None:
    """Not a rough bound: the very number that a maximum flow finds."""
    plan = Plan(300, days, people, None, max_per_person, max_per_day)
    figure = forecast(plan, 0).at_most
    assert figure.check_ins == most_check_ins(plan, people)
    assert figure.cost_minor == 300 * (figure.check_ins or 0)


@given(
    days=st.lists(st.lists(st.none() | st.integers(1, 9), max_size=3), max_size=4),
    people=st.none() | st.integers(0, 20),
    usual=st.integers(0, 20),
    codes=st.none() | st.integers(0, 20),
)
def test_likely_is_never_more_than_at_most(
    days: list[list[int | None]], people: int | None, usual: int, codes: int | None
) -> None:
    """Whatever is planned."""
    found = forecast(Plan(300, days, people, usual, 2, 1, codes), 1_000)
    assert found.likely.cost_minor is not None
    if found.at_most.cost_minor is not None:
        assert found.likely.cost_minor <= found.at_most.cost_minor


@pytest.mark.parametrize(
    ("plan", "check_ins", "bound_by"),
    [
        (Plan(500, [[20]] * 3), 60, SEATS),
        (Plan(500, [[None]] * 3), None, None),
        (Plan(500, [[None]] * 3, people=10), 30, PEOPLE),
        (Plan(500, [[None]] * 3, people=10, max_per_person=2), 20, PERSON),
        (Plan(500, [[None, None]], people=10, max_per_day=1), 10, DAY),
        (Plan(500, [[None]] * 3, codes=24), 24, CODES),
        (Plan(500, []), 0, PEOPLE),
    ],
)
def test_what_bounds_it(plan: Plan, check_ins: int | None, bound_by: str | None) -> None:
    """Seats, people, the limits of the policy, or the printed codes; without any of them nothing does."""
    figure = forecast(plan, 0).at_most
    assert (figure.check_ins, figure.bound_by) == (check_ins, bound_by)


def test_beside_the_budget() -> None:
    """What it pays for, what is missing for the likely case, and whether more may come than it pays for."""
    found = forecast(Plan(500, [[30]] * 4, people=40, usual=25), 40_000)
    assert (found.likely.cost_minor, found.at_most.cost_minor) == (50_000, 60_000)
    assert (found.affords, found.missing_minor, found.runs_out) == (80, 10_000, True)
    enough = forecast(Plan(500, [[30]] * 4, people=40, usual=25), 60_000)
    assert (enough.missing_minor, enough.runs_out) == (0, False)
    assert forecast(Plan(500, [[None]]), 10**9).runs_out


def test_meetings_of_one_day_belong_together() -> None:
    """The limit per day looks at dates, in order."""
    assert by_day({"2026-01-02": [3], "2026-01-01": [1, 2]}) == [[1, 2], [3]]
