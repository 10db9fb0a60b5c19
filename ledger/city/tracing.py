"""Where purchases came from, told so that no single one of them can be read out.

Each person spends what they earned first, first. What they spend beyond what activities gave them, such as tokens
handed out by the city, comes from no activity (`UNTRACED`). The parts that went one way are then told in groups of
`FEWEST` people, formed in the order of time from the very first one on: a group never changes once it is complete, so
that whatever is told of a way, now or later, of this period or that, differs by whole groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

FEWEST = 5
"""A figure concerns at least so many people, or nobody."""

UNTRACED = ""
"""In the place of an activity: tokens that came from none."""


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


@dataclass(frozen=True)
class Group:
    """Parts that are told together: complete with the last of them."""

    parts: tuple[Spent, ...]

    @property
    def complete_at(self) -> datetime:
        """When the last person of it came."""
        return self.parts[-1].at


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


def groups(parts: Iterable[Spent]) -> Iterator[Group]:
    """The complete groups of a way, oldest first; what does not make one up yet is left out. Parts in any order."""
    gathered: list[Spent] = []
    people: set[int] = set()
    for part in sorted(parts):
        gathered.append(part)
        people.add(part.person)
        if len(people) == FEWEST:
            yield Group(tuple(gathered))
            gathered, people = [], set()
