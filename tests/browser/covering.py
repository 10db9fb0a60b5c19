"""In which looks a journey is walked: sizes, languages and schemes, so that every pair of them comes up.

There are eight looks. Walking every journey in all of them is what `--long` does; on an ordinary day each journey is
walked in two that have nothing in common, so that it sees both sizes, both languages and both schemes. There are
four such couples and the journeys take them in turn, so that over all journeys every look, and with it every pair
(a dark phone, a Thai laptop), comes up. `tests/browser/test_covering.py` counts that.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest

from tests import counts

PHONE = (390, 844)
LAPTOP = (1280, 800)


class Look(NamedTuple):
    """How somebody sees the product: the window in CSS pixels, `th` or `en`, `light` or `dark`."""

    size: tuple[int, int] = PHONE
    language: str = "th"
    scheme: str = "light"

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{'phone' if self.size == PHONE else 'laptop'}-{self.language}-{self.scheme}"

    @property
    def opposite(self) -> Look:
        """The look that has nothing in common with this one."""
        return ALL[len(ALL) - 1 - ALL.index(self)]


ALL = tuple(Look(*one) for one in product((PHONE, LAPTOP), ("th", "en"), ("light", "dark")))
COUPLES = tuple((one, one.opposite) for one in ALL[:4])

JOURNEYS = (
    "learner",
    "kiosk",
    "steward",
    "shop",
    "audit",
    "offline",
    "slips",
    "camera",
    "receipt",
    "learner by keyboard",
    "steward by keyboard",
    "shop by keyboard",
)
"""The journeys in the order in which they take their turns; its place says a journey's couple."""


def looks_of(journey: str) -> tuple[Look, ...]:
    """The looks in which a journey is walked in this run."""
    return ALL if counts.is_long() else COUPLES[JOURNEYS.index(journey) % len(COUPLES)]


def in_looks(journey: str) -> pytest.MarkDecorator:
    """Have a test walk a journey, once in each of its looks, given to it as `look`."""
    looks = looks_of(journey)
    return pytest.mark.parametrize("look", looks, ids=[look.name for look in looks])
