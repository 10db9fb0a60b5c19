"""The city's figures: who took part, what was earned and spent, and which activities feed which shops.

All of it is counted inside the city's own database and leaves it in sums alone, so that no person can be read out:

* A figure over 1 to `FEWEST` - 1 people is withheld, and with it whatever would give it away (`withholding`): along the
  rows and columns of every table and their sums, between a district and what lies in it, between an activity and the
  shops that it feeds, and between the periods, of which each contains the next.
* A period is a whole number of weeks out of `PERIODS` and ends with the running week, so that nobody cuts out a day.

Which activity fed which shop: each person spends what they earned first, first (`trace`). What they spend beyond what
activities gave them, such as tokens handed out by the city, comes from no activity (`UNTRACED`).

What was taken back does not count: reversed rewards, refunded purchases. A purchase counts at its confirmation.
Bounds: reads every reward and purchase of the city once, one person at a time; it keeps sums and, for each figure, the
numbers of the first `FEWEST` people behind it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from heapq import merge
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import Session

from ledger.book.cases import CAPTURED, Case
from ledger.book.cities import City
from ledger.book.entries import Entry
from ledger.city.withholding import Figure, Line, Measure, Tally, withheld
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

UNTRACED = ""
"""In the place of an activity: tokens that came from none."""

Cell = tuple[str, str]


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


class Event(NamedTuple):
    """Something earned at an activity (`shop` is None) or spent at a shop (`activity` is None)."""

    learner: str
    at: datetime
    minor: int
    activity: str | None
    shop: str | None


class Part(NamedTuple):
    """A part of a purchase, with the activity that it was earned at, or `UNTRACED`."""

    purchase: Event
    activity: str
    minor: int


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
    return count.report(weeks)


def trace(events: Iterable[Event]) -> Iterator[Part]:
    """Where one person's purchases came from: what was earned first is spent first. Events in order of time."""
    purse: deque[tuple[str, int]] = deque()
    for event in events:
        if event.shop is None:
            purse.append((event.activity or UNTRACED, event.minor))
            continue
        due = event.minor
        while due and purse:
            activity, held = purse.popleft()
            part = min(due, held)
            due -= part
            if held > part:
                purse.appendleft((activity, held - part))
            yield Part(event, activity, part)
        if due:
            yield Part(event, UNTRACED, due)


class _Tallies(dict[Hashable, Tally]):
    """A tally for each key, made when first asked for."""

    def __missing__(self, key: Hashable) -> Tally:
        made = self[key] = Tally()
        return made


TOTAL, DISTRICT, WEEK, CELL, PLACE, SOURCE, FLOW = "total", "district", "week", "cell", "place", "source", "flow"
"""What a tally is of; a place is an activity or a shop, a source the activity that something was earned at."""


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

    def trace(self, person: int, minor: int, activity: str, place: str, spans: Sequence[Hashable]) -> None:
        """Count where something that was spent at a place had been earned."""
        for span in spans:
            self.tallies[span, SOURCE, activity].add(person, minor)
            self.tallies[span, FLOW, activity, place].add(person, minor)

    def hidden(self, mondays: Mapping[int, Sequence[str]]) -> set[Hashable]:
        """What is withheld. `mondays` are the weeks of each period."""
        return withheld(self.tallies, list(self._lines(mondays)))

    def keys(self, *kind: Hashable) -> list[Any]:
        """The keys of a kind, without the kind."""
        found = [key[len(kind) :] for key in self.tallies if isinstance(key, tuple) and key[: len(kind)] == kind]
        return sorted(key if len(key) > 1 else key[0] for key in found)

    def _lines(self, mondays: Mapping[int, Sequence[str]]) -> Iterator[Line]:
        districts = sorted({district for district, _ in self.keys(CELL)})
        for monday in max(mondays.values(), key=len):
            yield Line((WEEK, monday), tuple((CELL, district, monday) for district in districts))
        for span, within in mondays.items():
            places, sources, flows = self.keys(span, PLACE), self.keys(span, SOURCE), self.keys(span, FLOW)
            yield Line((span, TOTAL), tuple((WEEK, monday) for monday in within))
            yield Line((span, TOTAL), tuple((span, DISTRICT, district) for district in districts))
            yield Line((span, TOTAL), tuple((span, PLACE, place) for place in places))
            yield Line((span, TOTAL), tuple((span, SOURCE, source) for source in sources))
            for district in districts:
                yield Line((span, DISTRICT, district), tuple((CELL, district, monday) for monday in within))
                inside = [place for place in places if self.district_of.get(place, "") == district]
                yield Line((span, DISTRICT, district), tuple((span, PLACE, place) for place in inside))
            for axis, kind in ((0, SOURCE), (1, PLACE)):
                along: defaultdict[str, list[Hashable]] = defaultdict(list)
                for flow in flows:
                    along[flow[axis]].append((span, FLOW, *flow))
                for name, cells in along.items():
                    yield Line((span, kind, name), tuple(cells))
        for shorter, longer in pairwise(sorted(mondays)):
            for key in self.tallies:
                if isinstance(key, tuple) and key[0] == longer:
                    yield Line(key, ((shorter, *key[1:]), ((shorter, longer), *key[1:])))


class _Count:
    """What has been counted so far, one person after another: for every period, whichever is asked for."""

    def __init__(self, zone: str, monday: date, of_activity: Mapping[str, str], of_shop: Mapping[str, str]) -> None:
        self.zone = zone
        self.firsts = {weeks: monday - timedelta(weeks=weeks - 1) for weeks in PERIODS}
        self.learning, self.spending = _Side(of_activity), _Side(of_shop)

    def person(self, number: int, events: Sequence[Event]) -> None:
        """Count one person's events, those before the periods only for where their tokens came from."""
        spans = {}
        for event in events:
            day = day_of(event.at, self.zone)
            if not (within := self._spans(day)):
                continue
            spans[id(event)] = within
            week = (day - timedelta(days=day.weekday())).isoformat()
            if event.shop is not None:
                self.spending.add(number, event.minor, event.shop, week, within)
            elif event.activity is not None:
                self.learning.add(number, event.minor, event.activity, week, within)
        for part in trace(events):
            if within := spans.get(id(part.purchase), []):
                self.spending.trace(number, part.minor, part.activity, part.purchase.shop or "", within)

    def _spans(self, day: date) -> list[Hashable]:
        """The periods that a day lies in, and what longer periods have beyond shorter ones."""
        spans: list[Hashable] = [weeks for weeks, first in self.firsts.items() if day >= first]
        beyond = [pair for pair in pairwise(PERIODS) if self.firsts[pair[1]] <= day < self.firsts[pair[0]]]
        return spans + beyond

    def report(self, weeks: int) -> Report:
        """The sums of a period, with what must be withheld left out."""
        mondays = {span: [first + timedelta(weeks=week) for week in range(span)] for span, first in self.firsts.items()}
        named = {span: [monday.isoformat() for monday in found] for span, found in mondays.items()}
        sides = self.learning, self.spending
        hidden = [side.hidden(named) for side in sides]

        def pair(*key: Hashable) -> Pair:
            return Pair(*(_figure(side, key, out) for side, out in zip(sides, hidden, strict=True)))

        cells = sorted({cell for side in sides for cell in side.keys(CELL) if cell[1] in named[weeks]})
        districts = sorted({one for side in sides for one in side.keys(weeks, DISTRICT)})
        taught = {*self.learning.keys(weeks, PLACE), *self.spending.keys(weeks, SOURCE)} - {UNTRACED}
        spent = partial(_figure, self.spending, out=hidden[1])
        return Report(
            first_day=self.firsts[weeks],
            last_day=mondays[weeks][-1] + timedelta(days=6),
            total=pair(weeks, TOTAL),
            weeks={monday: pair(WEEK, monday.isoformat()) for monday in mondays[weeks]},
            districts={one: pair(weeks, DISTRICT, one) for one in districts},
            district_weeks={cell: pair(CELL, *cell) for cell in cells},
            activities={
                one: Pair(_figure(self.learning, (weeks, PLACE, one), hidden[0]), spent((weeks, SOURCE, one)))
                for one in sorted(taught)
            },
            shops={one: Pair(_NOBODY, spent((weeks, PLACE, one))) for one in self.spending.keys(weeks, PLACE)},
            flows={flow: spent((weeks, FLOW, *flow)) for flow in self.spending.keys(weeks, FLOW)},
        )


_NOBODY = Measure(0, 0, 0)


def _figure(side: _Side, key: Hashable, out: set[Hashable]) -> Figure:
    if key in out:
        return None
    return side.tallies[key].measure if key in side.tallies else _NOBODY


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
        ordered = query.order_by(*list(query.selected_columns)[:2])
        for learner, at, minor, activity in session.execute(ordered, execution_options=_PAGEWISE):
            yield Event(learner, at, minor, activity, None)

    def spent() -> Iterator[Event]:
        ordered = bought.order_by(Redemption.learner, Case.ended_at)
        for learner, at, minor, shop in session.execute(ordered, execution_options=_PAGEWISE):
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
