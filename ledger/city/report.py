"""The city's figures: who took part, what was earned and spent, and which activities feed which shops.

All of it is counted inside the city's own database and leaves it in sums alone, so that no person can be read out.
When each activity gave and each shop took how much stands in the public log, under handles that nobody can link. What
the log does not tell is who is the same person, and so where a purchase came from. That is what is guarded here:

* A figure over 1 to `FEWEST` - 1 people is withheld, and with it whatever would give it away (`withholding`): along the
  rows and columns of every table and their sums, between a district and what lies in it, and between the periods, of
  which each contains the next. Numbers of people are told in multiples of `FEWEST`.
* What went from an activity to a shop is told in groups of `FEWEST` people or more, each whole, in the period in which
  it became so many (`tracing`): for the way itself, else for the activity and the shop's district, else for the two
  districts. A sum of ways is that of their groups. Of ways on which no group is complete, nothing is told, not even
  that somebody took them.
* A period is a whole number of weeks out of `PERIODS` and ends with the running week, so that nobody cuts out a day.

What was taken back does not count: reversed rewards, refunded purchases; a refund, or another district, groups anew
what came after it. A purchase counts at its confirmation. This does not protect from somebody who knows all others of
a group.
Bounds: reads every reward and purchase of the city once, one person at a time; it keeps sums, for each the numbers of
the first `FEWEST` people behind it, and the parts of purchases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import chain, groupby, pairwise
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ledger.book.cases import CAPTURED, Case
from ledger.book.cities import City
from ledger.book.entries import Entry
from ledger.city.tracing import UNTRACED, Event, Group, Spent, Way, told, trace
from ledger.city.withholding import Figure, Line, Measure, Tally, measure, withheld
from ledger.commerce.shops import Shop
from ledger.commerce.standing import Redemption, with_case
from ledger.programme.activities import Activity
from ledger.programme.airdrops import Airdrop, AirdropRow
from ledger.programme.attendance import Attendance
from ledger.programme.places import Place
from ledger.programme.windows import day_of

PERIODS = (4, 13, 52)
"""The periods that may be asked for, in weeks."""

_PAGEWISE = {"yield_per": 2_000}
"""How the rows are fetched: on PostgreSQL they would all be held at once otherwise."""

NOWHERE = "-"
"""Among flows between districts: an activity or shop of no district."""

Cell = tuple[str, str]
Key = TypeVar("Key", bound=Hashable)


class Pair(NamedTuple):
    """What was learnt and earned, and what was spent."""

    learning: Figure
    spending: Figure


@dataclass(frozen=True)
class Report:
    """The figures of a period.

    Attributes:
        first_day, last_day: Monday to Sunday, inclusive.
        total: of the whole city.
        weeks: by Monday, every week of the period in order.
        districts: by the district of the place and of the shop; "" is of none.
        district_weeks: by district and Monday (ISO).
        activities: `learning` there, and `spending` of what was earned there, whenever it was earned.
        shops: `spending` there; `learning` is of nobody.
        flows: by activity and shop, what was earned at the one and spent at the other, where it can be told.
        flows_to_district: by activity and the shop's district, what could be told of no single shop.
        flows_between: by the two districts, what could be told of no single activity either.
        district_flows: all three by the district of the activity and that of the shop.
        district_flow_weeks: and by Monday (ISO) of the week in which a group was complete, as the third.

    What was earned at several activities counts in flows as so many purchases.
    """

    first_day: date
    last_day: date
    total: Pair
    weeks: Mapping[date, Pair]
    districts: Mapping[str, Pair]
    district_weeks: Mapping[Cell, Pair]
    activities: Mapping[str, Pair]
    shops: Mapping[str, Pair]
    flows: Mapping[Way, Measure]
    flows_to_district: Mapping[Way, Measure]
    flows_between: Mapping[Way, Measure]
    district_flows: Mapping[Way, Measure]
    district_flow_weeks: Mapping[tuple[str, str, str], Measure]


def of(session: Session, city: City, now: datetime, weeks: int) -> Report:
    """The figures of the last `weeks` weeks, the running one included.

    Raises:
        ValueError: this is no period.
    """
    if weeks not in PERIODS:
        raise ValueError(f"{weeks} weeks are no period")
    today = day_of(now, city.zone)
    monday = today - timedelta(days=today.weekday())
    count = _Count(city.zone, monday, _districts_of(session, city.id, Activity), _districts_of(session, city.id, Shop))
    for number, (_, events) in enumerate(groupby(_events(session, city.id), key=lambda event: event.learner)):
        count.person(number, list(events))
    return count.report(weeks, now)


class _Tallies(dict[Hashable, Tally]):
    """A tally for each key, made when first asked for."""

    def __missing__(self, key: Hashable) -> Tally:
        made = self[key] = Tally()
        return made


TOTAL, DISTRICT, WEEK, CELL, PLACE = "total", "district", "week", "cell", "place"
"""What a tally is of; a place is an activity or a shop."""


class _Side:
    """What was learnt, or what was spent.

    Attributes:
        tallies: by (kind, key, …) of cells and weeks, which are the same in any period, and by (period, kind, key, …)
            of the rest. A period is a number of weeks; `(4, 13)` is what 13 have beyond 4.
    """

    def __init__(self, district_of: Mapping[str, str]) -> None:
        self.district_of = district_of
        self.tallies = _Tallies()

    def add(self, person: int, minor: int, place: str, monday: str, spans: Sequence[Hashable]) -> None:
        """Count something that a person did at a place in a week, which lies within some periods."""
        district = self.district_of.get(place, "")
        keys = [(span, *key) for span in spans for key in ((TOTAL,), (DISTRICT, district), (PLACE, place))]
        for key in ((CELL, district, monday), (WEEK, monday), *keys):
            self.tallies[key].add(person, minor)

    def hidden(self, mondays: Mapping[int, Sequence[str]]) -> set[Hashable]:
        """What is withheld. `mondays` are the weeks of each period."""
        return withheld(self.tallies, list(self._lines(mondays)))

    def keys(self, *kind: Hashable) -> list[Any]:
        """The keys of a kind, without the kind."""
        found = [key[len(kind) :] for key in self.tallies if isinstance(key, tuple) and key[: len(kind)] == kind]
        return sorted(key if len(key) > 1 else key[0] for key in found)

    def _lines(self, mondays: Mapping[int, Sequence[str]]) -> Iterator[Line]:
        """Small sums first: what is withheld inside a district often serves the whole city's lines too."""
        districts = sorted({district for district, _ in self.keys(CELL)})
        for span, within in mondays.items():
            places = self.keys(span, PLACE)
            for district in districts:
                inside = [place for place in places if self.district_of.get(place, "") == district]
                yield Line((span, DISTRICT, district), tuple((span, PLACE, place) for place in inside))
                yield Line((span, DISTRICT, district), tuple((CELL, district, monday) for monday in within))
        for monday in max(mondays.values(), key=len):
            yield Line((WEEK, monday), tuple((CELL, district, monday) for district in districts))
        for span, within in mondays.items():
            yield Line((span, TOTAL), tuple((span, PLACE, place) for place in self.keys(span, PLACE)))
            yield Line((span, TOTAL), tuple((span, DISTRICT, district) for district in districts))
            yield Line((span, TOTAL), tuple((WEEK, monday) for monday in within))
        for shorter, longer in pairwise(sorted(mondays)):
            for key in self.tallies:
                if isinstance(key, tuple) and key[0] == longer:
                    yield Line(key, ((shorter, *key[1:]), ((shorter, longer), *key[1:])), total_first=True)


class _Count:
    """What has been counted so far, one person after another: for every period, whichever is asked for."""

    def __init__(self, zone: str, monday: date, of_activity: Mapping[str, str], of_shop: Mapping[str, str]) -> None:
        self.zone = zone
        self.firsts = {weeks: monday - timedelta(weeks=weeks - 1) for weeks in PERIODS}
        self.learning, self.spending = _Side(of_activity), _Side(of_shop)
        self.ways: defaultdict[Way, list[Spent]] = defaultdict(list)

    def person(self, number: int, events: Sequence[Event]) -> None:
        """Count one person's events, those before the periods only for where their tokens came from."""
        for event in events:
            day = day_of(event.at, self.zone)
            if not (within := self._spans(day)):
                continue
            if event.shop is not None:
                self.spending.add(number, event.minor, event.shop, _week(day), within)
            elif event.activity is not None:
                self.learning.add(number, event.minor, event.activity, _week(day), within)
        for purchase, parts in groupby(trace(events), key=lambda part: part.purchase):
            sums: defaultdict[str, int] = defaultdict(int)
            for part in parts:
                sums[part.activity] += part.minor
            for activity, minor in sums.items():
                self.ways[activity, purchase.shop or ""].append(Spent(purchase.at, number, minor))

    def _spans(self, day: date) -> list[Hashable]:
        """The periods that a day lies in, and what longer periods have beyond shorter ones."""
        spans: list[Hashable] = [weeks for weeks, first in self.firsts.items() if day >= first]
        beyond = [pair for pair in pairwise(PERIODS) if self.firsts[pair[1]] <= day < self.firsts[pair[0]]]
        return spans + beyond

    def report(self, weeks: int, now: datetime) -> Report:
        """The sums of a period, with what must be withheld left out."""
        mondays = {span: [first + timedelta(weeks=week) for week in range(span)] for span, first in self.firsts.items()}
        named = {span: [monday.isoformat() for monday in found] for span, found in mondays.items()}
        sides = self.learning, self.spending
        hidden = [side.hidden(named) for side in sides]

        def pair(*key: Hashable) -> Pair:
            return Pair(*(_figure(side, key, out) for side, out in zip(sides, hidden, strict=True)))

        cells = sorted({cell for side in sides for cell in side.keys(CELL) if cell[1] in named[weeks]})
        districts = sorted({one for side in sides for one in side.keys(weeks, DISTRICT)})
        steps, spent_of, between = self._flows(weeks, now)
        to_shop, to_district, between_only = map(_sums, steps)
        taught = sorted({*self.learning.keys(weeks, PLACE), *spent_of} - {UNTRACED})
        shops = self.spending.keys(weeks, PLACE)
        return Report(
            first_day=self.firsts[weeks],
            last_day=mondays[weeks][-1] + timedelta(days=6),
            total=pair(weeks, TOTAL),
            weeks={monday: pair(WEEK, monday.isoformat()) for monday in mondays[weeks]},
            districts={one: pair(weeks, DISTRICT, one) for one in districts},
            district_weeks={cell: pair(CELL, *cell) for cell in cells},
            activities={
                one: Pair(_figure(self.learning, (weeks, PLACE, one), hidden[0]), _sum(spent_of.get(one, ())))
                for one in taught
            },
            shops={one: Pair(_NOBODY, _figure(self.spending, (weeks, PLACE, one), hidden[1])) for one in shops},
            flows=to_shop,
            flows_to_district=to_district,
            flows_between=between_only,
            district_flows=_sums(between),
            district_flow_weeks=_sums(self._by_week(between)),
        )

    def _flows(
        self, weeks: int, now: datetime
    ) -> tuple[list[dict[Way, list[Group]]], dict[str, list[Group]], dict[Way, list[Group]]]:
        """The groups told in a period: by the step that told them, of each activity, of each two districts."""
        steps = [
            {way: within for way, found in step.items() if (within := self._within(weeks, found))}
            for step in told(self.ways, (self._to_district, self._between), now)
        ]
        of_activity: defaultdict[str, list[Group]] = defaultdict(list)
        between = defaultdict(list, {way: list(found) for way, found in steps[2].items()})
        for way, found in chain(steps[0].items(), steps[1].items()):
            of_activity[way[0]] += found
        for way, found in steps[0].items():
            between[self._between(self._to_district(way))] += found
        for way, found in steps[1].items():
            between[self._between(way)] += found
        return steps, dict(of_activity), dict(sorted(between.items()))

    def _within(self, weeks: int, found: Iterable[Group]) -> list[Group]:
        return [group for group in found if day_of(group.at, self.zone) >= self.firsts[weeks]]

    def _to_district(self, way: Way) -> Way:
        """From an activity to the district of a shop."""
        return way[0], self.spending.district_of.get(way[1]) or NOWHERE

    def _between(self, way: Way) -> Way:
        """From the district of an activity to that of a shop; what comes from no activity stays so."""
        return (way[0] and (self.learning.district_of.get(way[0]) or NOWHERE)), way[1]

    def _by_week(self, ways: Mapping[Way, Iterable[Group]]) -> dict[tuple[str, str, str], list[Group]]:
        """The same by the week in which a group was complete."""
        weekly: defaultdict[tuple[str, str, str], list[Group]] = defaultdict(list)
        for way, found in ways.items():
            for group in found:
                weekly[(*way, _week(day_of(group.at, self.zone)))].append(group)
        return weekly


_NOBODY = Measure(0, 0, 0)


def _week(day: date) -> str:
    """The Monday of a day's week (ISO)."""
    return (day - timedelta(days=day.weekday())).isoformat()


def _sum(found: Iterable[Group]) -> Figure:
    """What these groups did; None if there are none."""
    parts = [part for group in found for part in group.parts]
    people = len({part.person for part in parts})
    return measure(people, len(parts), sum(part.minor for part in parts)) if parts else None


def _sums(told_of: Mapping[Key, Iterable[Group]]) -> dict[Key, Measure]:
    return {key: figure for key, found in told_of.items() if (figure := _sum(found))}


def _figure(side: _Side, key: Hashable, out: set[Hashable]) -> Figure:
    if key in out:
        return None
    return side.tallies[key].measure if key in side.tallies else _NOBODY


def _events(session: Session, city: str) -> Iterator[Event]:
    """What everybody earned and spent, a person at a time, each in the order of time and of the log."""
    attended = select(Attendance.learner, Attendance.at, Attendance.amount_minor, Attendance.activity).where(
        Attendance.city == city, ~_reversed(Attendance.city, Attendance.entry)
    )
    listed = (
        select(AirdropRow.learner, Entry.at, AirdropRow.amount_minor, Airdrop.activity)
        .join(Airdrop, and_(Airdrop.city == AirdropRow.city, Airdrop.id == AirdropRow.airdrop))
        .join(Entry, and_(Entry.city == AirdropRow.city, Entry.seq == AirdropRow.entry))
        .where(AirdropRow.city == city, ~_reversed(AirdropRow.city, AirdropRow.entry))
    )
    bought = (
        select(Redemption.learner, Case.ended_at, Case.moved_minor - Case.refunded_minor, Redemption.shop)
        .join(Case, with_case())
        .where(Redemption.city == city, Case.state == CAPTURED, Case.moved_minor > Case.refunded_minor)
    )

    def earned(query: Select[str, datetime, Any, str], seq: InstrumentedAttribute[Any]) -> Iterator[Event]:
        ordered = query.order_by(*list(query.selected_columns)[:2], seq)
        for learner, at, minor, activity in session.execute(ordered, execution_options=_PAGEWISE):
            yield Event(learner, at, minor, activity, None)

    def spent() -> Iterator[Event]:
        ordered = bought.order_by(Redemption.learner, Case.ended_at, Case.seq)
        for learner, at, minor, shop in session.execute(ordered, execution_options=_PAGEWISE):
            assert at is not None  # noqa: S101 — for the type only; what was captured has ended
            yield Event(learner, at, minor, None, shop)

    sources = earned(attended, Attendance.entry), earned(listed, AirdropRow.entry), spent()
    return merge(*sources, key=lambda event: (event.learner, event.at))


def _reversed(city: object, seq: object) -> ColumnElement[bool]:
    """The condition under which an entry has been reversed."""
    return exists().where(Case.city == city, Case.seq == seq, Case.reversed_by.is_not(None))


def _districts_of(session: Session, city: str, what: type[Activity] | type[Shop]) -> dict[str, str]:
    """The district of each activity (its place's) or shop; "" for none."""
    if what is Shop:
        return {
            row.id: row.district for row in session.execute(select(Shop.id, Shop.district).where(Shop.city == city))
        }
    query = (
        select(Activity.id, Place.district)
        .join(Place, and_(Place.city == Activity.city, Place.id == Activity.place))
        .where(Activity.city == city)
    )
    return {activity: district or "" for activity, district in session.execute(query)}
