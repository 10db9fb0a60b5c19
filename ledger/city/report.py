"""The city's figures: who took part, what was earned and spent, and which activities feed which shops.

All of it is counted inside the city's own database and leaves it in sums alone, so that no person can be read out.
When each activity gave and each shop took how much stands in the public log, under handles that nobody can link. What
the log does not tell is who is the same person, and so where a purchase came from. That is what is guarded here:

* A figure over 1 to `FEWEST` - 1 people is withheld. So that it cannot be found by subtraction, more figures of its
  line are withheld, the smallest first, until those withheld concern `FEWEST` people or more; in a table along its
  rows and along its columns, until both hold; of activities and shops in the whole city and in each district.
* A number of people is rounded down to a multiple of `FEWEST`: two figures, of two weeks, two periods or two looks at
  the same page, never differ by one person.
* What went from an activity to a shop is told in groups of `FEWEST` people or more, each whole, in the period in which
  it became so many (`tracing.groups`). So two of these figures differ by whole groups too, however they are compared.
* A period is a whole number of weeks out of `PERIODS` and ends with the running week, so that nobody cuts out a day.

Which activity fed which shop: each person spends what they earned first, first (`tracing.trace`).

What was taken back does not count: reversed rewards, refunded purchases; a refund groups anew what came after it. A
purchase counts at its confirmation. This does not protect from somebody who knows all others of a group.
Bounds: reads every reward and purchase of the city once, one person at a time; it keeps sums, the numbers of the people
behind each, and the parts of purchases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import Session

from ledger.book.cases import CAPTURED, Case
from ledger.book.cities import City
from ledger.book.entries import Entry
from ledger.city.tracing import FEWEST, UNTRACED, Event, Spent, groups, trace
from ledger.commerce.shops import Shop
from ledger.commerce.standing import Redemption, with_case
from ledger.programme.activities import Activity
from ledger.programme.airdrops import Airdrop, AirdropRow
from ledger.programme.attendance import Attendance
from ledger.programme.places import Place
from ledger.programme.windows import day_of

PERIODS = (4, 13, 52)
"""The periods that may be asked for, in weeks."""

NOWHERE = "-"
"""Among flows between districts: an activity or shop of no district."""

Key = TypeVar("Key", bound=Hashable)
Cell = tuple[str, str]


class Measure(NamedTuple):
    """How many people (rounded down to a multiple of `FEWEST`), how often, how much in minor units."""

    people: int
    times: int
    minor: int


Figure = Measure | None
"""None where it is withheld."""


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
        flows: by activity and shop, what was earned at the one and spent at the other.
        district_flows: the same by the district of the activity and that of the shop.
        district_flow_weeks: and by Monday (ISO) of the week in which a group was complete, as the third.
    """

    first_day: date
    last_day: date
    total: Pair
    weeks: Mapping[date, Pair]
    districts: Mapping[str, Pair]
    district_weeks: Mapping[Cell, Pair]
    activities: Mapping[str, Pair]
    shops: Mapping[str, Pair]
    flows: Mapping[Cell, Figure]
    district_flows: Mapping[Cell, Figure]
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
    first = monday - timedelta(weeks=weeks - 1)
    count = _Count(city.zone, first, _districts_of(session, city.id, Activity), _districts_of(session, city.id, Shop))
    for number, (_, events) in enumerate(groupby(_events(session, city.id), key=lambda event: event.learner)):
        count.person(number, list(events))
    return count.report(first, [first + timedelta(weeks=week) for week in range(weeks)])


@dataclass
class _Tally:
    people: set[int] = field(default_factory=set)
    times: int = 0
    minor: int = 0

    def add(self, person: int, minor: int, times: int = 1) -> None:
        self.people.add(person)
        self.times += times
        self.minor += minor


class _Tallies(dict[Key, _Tally]):
    """A tally for each key, made when first asked for."""

    def __missing__(self, key: Key) -> _Tally:
        made = self[key] = _Tally()
        return made


class _Count:
    """What has been counted so far, one person after another."""

    def __init__(self, zone: str, first: date, of_activity: Mapping[str, str], of_shop: Mapping[str, str]) -> None:
        self.zone, self.first = zone, first
        self.of_activity, self.of_shop = of_activity, of_shop
        self.learning: _Tallies[Cell] = _Tallies()
        self.spending: _Tallies[Cell] = _Tallies()
        self.activities: _Tallies[str] = _Tallies()
        self.shops: _Tallies[str] = _Tallies()
        self.ways: defaultdict[Cell, list[Spent]] = defaultdict(list)

    def person(self, number: int, events: Sequence[Event]) -> None:
        """Count one person's events, those before the period only for where their tokens came from."""
        within = [(event, day) for event in events if (day := day_of(event.at, self.zone)) >= self.first]
        for event, day in within:
            week = (day - timedelta(days=day.weekday())).isoformat()
            if event.shop is not None:
                self.spending[self.of_shop.get(event.shop, ""), week].add(number, event.minor)
                self.shops[event.shop].add(number, event.minor)
            elif event.activity is not None:
                self.learning[self.of_activity.get(event.activity, ""), week].add(number, event.minor)
                self.activities[event.activity].add(number, event.minor)
        for purchase, parts in groupby(trace(events), key=lambda part: part.purchase):
            sums: defaultdict[str, int] = defaultdict(int)
            for part in parts:
                sums[part.activity] += part.minor
            for activity, minor in sums.items():
                self.ways[activity, purchase.shop or ""].append(Spent(purchase.at, number, minor))

    def told(self, parts: Iterable[Spent]) -> dict[str, list[Spent]]:
        """Of the parts that went one way, those whose group became complete in a week of the period, by its Monday."""
        found: defaultdict[str, list[Spent]] = defaultdict(list)
        for group in groups(parts):
            day = day_of(group.complete_at, self.zone)
            if day >= self.first:
                found[(day - timedelta(days=day.weekday())).isoformat()] += group.parts
        return found

    def sums_of_ways(self, name: Callable[[Cell], Key], told: Mapping[Cell, Sequence[Spent]]) -> dict[Key, Figure]:
        """The sums of ways that share a name, each grouped by itself.

        It is withheld where it would say together with `told`, what is told of its ways, what a few people did.
        """
        gathered: defaultdict[Key, list[Spent]] = defaultdict(list)
        known: defaultdict[Key, Counter[Spent]] = defaultdict(Counter)
        for way, parts in self.ways.items():
            gathered[name(way)] += parts
            known[name(way)].update(told.get(way, ()))
        sums: dict[Key, Figure] = {}
        for key, parts in gathered.items():
            counted = Counter(chain.from_iterable(self.told(parts).values()))
            beyond = {part.person for part in (counted - known[key]) + (known[key] - counted)}
            figure = _measure(counted.elements())
            if figure or self._of_period(parts):
                sums[key] = None if not figure or 0 < len(beyond) < FEWEST else figure
        return sums

    def _of_period(self, parts: Iterable[Spent]) -> bool:
        """Whether anything of it was spent in the period."""
        return any(day_of(part.at, self.zone) >= self.first for part in parts)

    def report(self, first: date, weeks: Sequence[date]) -> Report:
        """The sums, with what must be withheld left out."""
        learning, spending = _withheld_in_table(self.learning), _withheld_in_table(self.spending)
        cells = _paired(learning, spending, sorted({*learning, *spending}))
        earned_in, spent_in = (_withheld(_along(tallies, 0)) for tallies in (self.learning, self.spending))
        earned_at, spent_at = (_withheld(_along(tallies, 1)) for tallies in (self.learning, self.spending))
        mondays = {monday.isoformat(): monday for monday in weeks}
        weekly = _paired(earned_at, spent_at, list(mondays))
        told = {way: list(chain.from_iterable(self.told(parts).values())) for way, parts in self.ways.items()}
        flows = self.sums_of_ways(lambda way: way, told)
        spent_of = self.sums_of_ways(lambda way: way[0], told)
        between = self.sums_of_ways(self._districts, told)
        learnt_at = _withheld_in_parts(self.activities, self.of_activity, earned_in)
        return Report(
            first_day=first,
            last_day=weeks[-1] + timedelta(days=6),
            total=Pair(*(_whole(tallies) for tallies in (self.learning, self.spending))),
            weeks={mondays[key]: pair for key, pair in weekly.items()},
            districts=_paired(earned_in, spent_in, sorted({*earned_in, *spent_in})),
            district_weeks=cells,
            activities=_paired(learnt_at, spent_of, sorted({*learnt_at, *spent_of} - {UNTRACED})),
            shops=_paired({}, _withheld_in_parts(self.shops, self.of_shop, spent_in), sorted(self.shops)),
            flows=flows,
            district_flows=between,
            district_flow_weeks=self._weekly({way for way, figure in between.items() if figure}),
        )

    def _districts(self, way: Cell) -> Cell:
        """From the district of an activity to that of a shop; what comes from no activity stays so."""
        activity, shop = way
        return (UNTRACED if activity == UNTRACED else self.of_activity.get(activity) or NOWHERE), (
            self.of_shop.get(shop) or NOWHERE
        )

    def _weekly(self, ways: Set[Cell]) -> dict[tuple[str, str, str], Measure]:
        """What is told of these ways between districts, by the week in which it could be."""
        gathered: defaultdict[Cell, list[Spent]] = defaultdict(list)
        for way, parts in self.ways.items():
            gathered[self._districts(way)] += parts
        return {
            (*way, week): figure
            for way in sorted(ways)
            for week, parts in self.told(gathered[way]).items()
            if (figure := _measure(parts))
        }


def _along(cells: Mapping[Cell, _Tally], axis: int) -> dict[str, _Tally]:
    """The sums of a table's rows (0) or columns (1); people are counted once."""
    sums: _Tallies[str] = _Tallies()
    for cell, tally in cells.items():
        into = sums[cell[axis]]
        into.people |= tally.people
        into.times += tally.times
        into.minor += tally.minor
    return sums


def _whole(cells: Mapping[Cell, _Tally]) -> Figure:
    """The sum of everything."""
    everything = _Tally()
    for tally in cells.values():
        everything.people |= tally.people
        everything.times += tally.times
        everything.minor += tally.minor
    return _figure(everything, 0 < len(everything.people) < FEWEST)


def _withheld(tallies: Mapping[Key, _Tally]) -> dict[Key, Figure]:
    """The figures of a line whose sum is known."""
    hidden = _to_withhold(tallies, _small(tallies))
    return {key: _figure(tally, key in hidden) for key, tally in tallies.items()}


def _withheld_in_table(cells: Mapping[Cell, _Tally]) -> dict[Cell, Figure]:
    """The figures of a table of which the sums of rows and of columns are known."""
    hidden = _small(cells)
    while True:
        before = len(hidden)
        for axis in (0, 1):
            for line in {cell[axis] for cell in hidden}:
                within = {cell: tally for cell, tally in cells.items() if cell[axis] == line}
                hidden |= _to_withhold(within, hidden & within.keys())
        if len(hidden) == before:
            return {cell: _figure(tally, cell in hidden) for cell, tally in cells.items()}


def _withheld_in_parts(
    tallies: Mapping[str, _Tally], part_of: Mapping[str, str], parts: Mapping[str, Figure]
) -> dict[str, Figure]:
    """The figures of a line whose sum is known, and that of each of its parts, but for the `parts` withheld."""
    hidden = _small(tallies)
    known = defaultdict[str | None, dict[str, _Tally]](dict)
    for key, tally in tallies.items():
        part = part_of.get(key, "")
        known[part if parts.get(part) else None][key] = tally
    for line in known.values():
        hidden |= _to_withhold(line, hidden & line.keys())
    hidden = _to_withhold(tallies, hidden)
    return {key: _figure(tally, key in hidden) for key, tally in tallies.items()}


def _small(tallies: Mapping[Key, _Tally]) -> set[Key]:
    return {key for key, tally in tallies.items() if 0 < len(tally.people) < FEWEST}


def _to_withhold(line: Mapping[Key, _Tally], hidden: set[Key]) -> set[Key]:
    """What to withhold of a line in which this much is withheld already: together it concerns `FEWEST` people."""
    hidden = set(hidden)
    if not hidden:
        return hidden
    people = set().union(*(line[key].people for key in hidden))
    others = sorted((key for key in line if key not in hidden), key=lambda key: (len(line[key].people), repr(key)))
    for key in others:
        if len(people) >= FEWEST and len(hidden) > 1:
            break
        hidden.add(key)
        people |= line[key].people
    return hidden


def _figure(tally: _Tally, hidden: bool) -> Figure:
    return None if hidden else Measure(_rounded(len(tally.people)), tally.times, tally.minor)


def _measure(parts: Iterable[Spent]) -> Measure | None:
    """The sum of parts that may be told; None if there are none."""
    found = list(parts)
    people = len({part.person for part in found})
    return Measure(_rounded(people), len(found), sum(part.minor for part in found)) if found else None


def _rounded(people: int) -> int:
    """A number of people as it is told."""
    return people - people % FEWEST


def _paired(learning: Mapping[Key, Figure], spending: Mapping[Key, Figure], keys: Iterable[Key]) -> dict[Key, Pair]:
    nobody = Measure(0, 0, 0)
    return {key: Pair(learning.get(key, nobody), spending.get(key, nobody)) for key in keys}


def _events(session: Session, city: str) -> Iterator[Event]:
    """What everybody earned and spent, a person at a time, each in the order of time."""
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

    def earned(query: Select[str, datetime, Any, str]) -> Iterator[Event]:
        for learner, at, minor, activity in session.execute(query.order_by(*list(query.selected_columns)[:2])):
            yield Event(learner, at, minor, activity, None)

    def spent() -> Iterator[Event]:
        for learner, at, minor, shop in session.execute(bought.order_by(Redemption.learner, Case.ended_at)):
            assert at is not None  # noqa: S101 — for the type only; what was captured has ended
            yield Event(learner, at, minor, None, shop)

    return merge(earned(attended), earned(listed), spent(), key=lambda event: (event.learner, event.at))


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
