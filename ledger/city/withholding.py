"""Which figures are withheld, so that none that is shown, and no difference of those that are, tells of few people.

A figure over 1 to `FEWEST` - 1 people is withheld. What is shown must not give it away: wherever a shown figure is the
sum of others (a `Line`), so much more is withheld, the smallest first, that what is withheld of the parts concerns
`FEWEST` people or more, and that of the line as a whole more than one figure is missing. A figure that nobody shows,
such as the weeks by which one period is longer than another, takes part like any other: where it tells of few people,
it may not be found as a difference either.

Numbers of people are told rounded down to a multiple of `FEWEST`: two figures, or two looks at the same one, never
differ by one person.

Bounds: this holds along each line. It does not hold against somebody who solves many lines together, or who knows the
others of a group.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

FEWEST = 5
"""A figure concerns at least so many people, or nobody."""


class Measure(NamedTuple):
    """How many people (rounded down to a multiple of `FEWEST`), how often, how much in minor units."""

    people: int
    times: int
    minor: int


Figure = Measure | None
"""None where it is withheld."""


def measure(people: int, times: int, minor: int) -> Measure:
    """So many people as they are told."""
    return Measure(people - people % FEWEST, times, minor)


@dataclass
class Tally:
    """A figure while it is counted. People come one after another, each with everything at once.

    Attributes:
        few: the numbers of the first `FEWEST` people, which is all that has to be known of who they are.
        last: the number of the person who came last.
    """

    people: int = 0
    times: int = 0
    minor: int = 0
    few: set[int] = field(default_factory=set)
    last: int = -1

    def add(self, person: int, minor: int) -> None:
        """Count something of a person."""
        if person != self.last:
            self.people, self.last = self.people + 1, person
            if len(self.few) < FEWEST:
                self.few.add(person)
        self.times += 1
        self.minor += minor

    @property
    def measure(self) -> Measure:
        """What has been counted, as it is told."""
        return measure(self.people, self.times, self.minor)


class Line(NamedTuple):
    """A figure that is the sum of others.

    Attributes:
        total_first: it is withheld itself before any of its parts: the longer of two periods rather than the shorter.
    """

    total: Hashable
    parts: tuple[Hashable, ...]
    total_first: bool = False


def withheld(tallies: Mapping[Hashable, Tally], lines: Sequence[Line]) -> set[Hashable]:
    """The keys of the figures that are withheld. A key of a line that has no tally is nobody's and changes nothing."""
    hidden = {key for key, tally in tallies.items() if 0 < tally.people < FEWEST}
    known = [
        one._replace(parts=tuple(key for key in one.parts if key in tallies)) for one in lines if one.total in tallies
    ]
    before = -1
    while before != len(hidden):
        before = len(hidden)
        for line in known:
            if line.total in hidden or not hidden.isdisjoint(line.parts):
                hidden |= _more(line, hidden, tallies)
    return hidden


def _more(line: Line, hidden: set[Hashable], tallies: Mapping[Hashable, Tally]) -> set[Hashable]:
    """What else is to be withheld of a line of which something is."""
    missing = [key for key in line.parts if key in hidden]
    if line.total_first and missing:
        return {line.total}  # with it, nothing can be subtracted from
    concerned = set().union(*(tallies[key].few for key in missing))
    count = len(missing) + (line.total in hidden)
    more: set[Hashable] = set()
    rest = [key for key in line.parts if key not in hidden]
    for key in sorted(rest, key=lambda key: (tallies[key].people, repr(key))):
        if len(concerned) >= FEWEST and count > 1:
            return more
        more.add(key)
        concerned |= tallies[key].few
        count += 1
    return more if count > 1 else more | {line.total}
