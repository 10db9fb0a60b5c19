"""What an activity will cost, before its policy is published. Pure: counts and limits in, minor units out.

A *meeting* is one session, or one day of daily hours; a person is rewarded at most once at each. Two figures come out:

    at most     everybody who could come does, and takes every reward that the limits leave
    likely      as many as usually come do, each of them somebody who may still be rewarded

Both are the same sum with another number of people at each meeting: over the days, the smaller of the seats taken and
people x rewards a day; in all no more than people x rewards a person, nor than the one-time codes that are printed.
This is exact, not only a bound: let people take turns in one fixed order, and nobody exceeds a limit (the tests find
the same by maximum flow). A figure that nothing bounds is None: then the budget alone ends the spending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PEOPLE, SEATS, PERSON, DAY, CODES = "people", "seats", "person", "day", "codes"
"""What may bound a figure: how many people there are, seats, the limit per person, the limit per day, printed codes."""


@dataclass(frozen=True)
class Plan:
    """What is planned.

    Attributes:
        reward_minor: what one check-in earns, after the city's cap.
        days: by day, the seats of each of its meetings; None is no limit.
        people: how many different people may come at most; None is not known.
        usual: how many usually come to one meeting; None is not known.
        max_per_person: rewards of one person in all; None is no limit.
        max_per_day: rewards of one person and day, the activity's limit or the city's, whichever is less.
        codes: one-time codes that may still serve; None where other codes are used.
    """

    reward_minor: int
    days: Sequence[Sequence[int | None]]
    people: int | None = None
    usual: int | None = None
    max_per_person: int | None = None
    max_per_day: int | None = None
    codes: int | None = None


@dataclass(frozen=True)
class Figure:
    """A number of check-ins, what they cost, and what bounds it; both None where nothing does."""

    check_ins: int | None
    cost_minor: int | None
    bound_by: str | None


@dataclass(frozen=True)
class Forecast:
    """What a plan costs, and how that stands to a budget.

    Attributes:
        likely: None of both where nobody said how many usually come.
        at_most: everything that the limits allow.
        budget_minor: what the budget holds.
        affords: how many check-ins the budget pays for.
    """

    likely: Figure
    at_most: Figure
    budget_minor: int
    affords: int

    @property
    def missing_minor(self) -> int:
        """What the budget lacks for the likely case, 0 if nothing."""
        return max(0, (self.likely.cost_minor or 0) - self.budget_minor)

    @property
    def runs_out(self) -> bool:
        """Whether more may come than the budget pays for."""
        return self.at_most.cost_minor is None or self.at_most.cost_minor > self.budget_minor


def forecast(plan: Plan, budget_minor: int) -> Forecast:
    """What a plan costs, likely and at most."""
    likely = Figure(None, None, None)
    if plan.usual is not None:
        likely = _figure(plan, plan.usual if plan.people is None else min(plan.usual, plan.people))
    affords = budget_minor // plan.reward_minor if plan.reward_minor else 0
    return Forecast(likely, _figure(plan, plan.people), budget_minor, affords)


def least(*limits: int | None) -> int | None:
    """The smallest of some limits, None standing for no limit."""
    return min((limit for limit in limits if limit is not None), default=None)


def _figure(plan: Plan, at_each: int | None) -> Figure:
    """The check-ins if `at_each` people come to every meeting that has room for them."""
    total: int | None = 0
    bound = PEOPLE
    for seats in plan.days:
        day, by = _of_day(plan, seats, at_each)
        total = None if total is None or day is None else total + day
        bound = by or bound
    for limit, name in ((_times(plan.people, plan.max_per_person), PERSON), (plan.codes, CODES)):
        if limit is not None and (total is None or limit < total):
            total, bound = limit, name
    if total is None:
        return Figure(None, None, None)
    return Figure(total, total * plan.reward_minor, bound)


def _of_day(plan: Plan, seats: Sequence[int | None], at_each: int | None) -> tuple[int | None, str | None]:
    """The check-ins of one day, and what bounds them other than how many people come."""
    taken = [least(at_each, limit) for limit in seats]
    by_seats = None if None in taken else sum(one for one in taken if one is not None)
    by_limit = _times(plan.people, plan.max_per_day)
    if by_limit is not None and (by_seats is None or by_limit < by_seats):
        return by_limit, DAY
    full = any(limit is not None and (at_each is None or limit < at_each) for limit in seats)
    return by_seats, SEATS if full else None


def _times(people: int | None, limit: int | None) -> int | None:
    return None if people is None or limit is None else people * limit


def by_day(meetings: Mapping[str, Sequence[int | None]]) -> list[Sequence[int | None]]:
    """The days of a plan, in order, out of the seats of meetings by date."""
    return [meetings[day] for day in sorted(meetings)]
