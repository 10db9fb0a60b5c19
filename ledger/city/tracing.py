"""Where purchases came from, told so that no single one of them can be read out.

Each person spends what they earned first, first. What they spend beyond what activities gave them, such as tokens
handed out by the city, comes from no activity (`UNTRACED`). The parts of purchases are then told in groups of `FEWEST`
people or more, formed in the order of time. Those that went one way wait for each other; where they have not become a
group within `WAIT`, they are passed on together to a coarser way, such as that between two districts.

So each part is told in one group or in none, and no group ever changes: whatever two figures are compared, of this
period or that, of a way or of the coarser ways above it, today's or last month's, they differ by whole groups.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger.city.withholding import FEWEST

WAIT = timedelta(weeks=4)
"""How long parts wait for others that go the same way, from the first of them on."""

UNTRACED = ""
"""In the place of an activity: tokens that came from none."""

Way = tuple[str, str]
"""From where to where."""


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


class Spent(NamedTuple):
    """A part of a purchase as it is grouped: when, by which person (a number), how much in minor units."""

    at: datetime
    person: int
    minor: int


class Group(NamedTuple):
    """Parts that stay together, and when they came to be so: were complete, or passed on."""

    at: datetime
    parts: tuple[Spent, ...]


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


def told(
    ways: Mapping[Way, Iterable[Spent]], coarser: Sequence[Callable[[Way], Way]], now: datetime
) -> list[dict[Way, list[Group]]]:
    """The complete groups of every way, those of the ways themselves first, then of the coarser ones.

    Args:
        ways: what went each way, in any order, nothing after `now`.
        coarser: each says which coarser way a way of the step before belongs to. At the last step nothing is passed on.
        now: what has waited in vain up to now is passed on.
    """
    arriving = {way: [Group(part.at, (part,)) for part in parts] for way, parts in ways.items()}
    steps: list[dict[Way, list[Group]]] = []
    for next_way in (*coarser, None):
        complete: dict[Way, list[Group]] = {}
        passed_on: defaultdict[Way, list[Group]] = defaultdict(list)
        for way, waiting in arriving.items():
            found, left = groups(waiting, WAIT if next_way else None, now)
            if found:
                complete[way] = found
            if next_way:
                passed_on[next_way(way)] += left
        steps.append(complete)
        arriving = passed_on
    return steps


def groups(arriving: Iterable[Group], wait: timedelta | None, now: datetime) -> tuple[list[Group], list[Group]]:
    """The complete groups of a way, oldest first, and those that waited in vain. Arriving in any order, none after now.

    `wait` is None where they wait for ever.
    """
    complete: list[Group] = []
    passed_on: list[Group] = []
    waiting: list[Spent] = []
    since = now
    for at, parts in sorted(arriving):
        if waiting and wait is not None and since + wait <= at:
            passed_on.append(Group(since + wait, tuple(waiting)))
            waiting = []
        since = since if waiting else at
        waiting += parts
        if len({part.person for part in waiting}) >= FEWEST:
            complete.append(Group(at, tuple(waiting)))
            waiting = []
    if waiting and wait is not None and since + wait <= now:
        passed_on.append(Group(since + wait, tuple(waiting)))
    return complete, passed_on
