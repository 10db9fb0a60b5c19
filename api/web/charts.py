"""The shapes of charts, as paths of SVG: pure functions of numbers. Words, colours and tables are the templates'.

All draw into a box of `WIDTH` by `HEIGHT` that is stretched to its place, so that letters stay outside it, in HTML, and
are as large on a phone as on a wall. y grows downwards, as in SVG. Nothing here divides by a sum that may be 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

WIDTH, HEIGHT = 1000, 400

THICKEST = 0.72
"""How much of its row the thickest thread of `threads` fills."""

THINNEST = 3
"""The least thickness of a thread that carries anything, in units of the box."""


@dataclass(frozen=True)
class Layers:
    """Areas on top of each other, the first one at the bottom; `top` is the value of the upper edge."""

    top: int
    paths: list[str]


@dataclass(frozen=True)
class Threads:
    """Threads from rows at the left through a knot in the middle to rows at the right."""

    left: list[str]
    right: list[str]


def nice(value: int) -> int:
    """The smallest 1, 2, 2.5 or 5 times a power of ten that is not below a value; 1 for nothing."""
    power = int(10 ** max(0, len(str(value)) - 1))
    return next(step for step in (power, 2 * power, 5 * power // 2, 5 * power, 10 * power) if step >= max(value, 1))


def layers(places: Sequence[float], values: Sequence[Sequence[int]]) -> Layers:
    """Stacked areas over time.

    Args:
        places: where each moment is, rising; at least two of them for a picture.
        values: one sequence for each area, none below 0, as long as `places`.
    """
    sums = [list(accumulate(at_one)) for at_one in zip(*values, strict=True)]
    top = nice(max((at_one[-1] for at_one in sums if at_one), default=0))
    xs = _stretched(places)
    edges = [[HEIGHT] * len(xs), *([round(HEIGHT * (1 - at[row] / top)) for at in sums] for row in range(len(values)))]
    return Layers(top, [_between(xs, lower, upper) for lower, upper in pairwise(edges)])


def threads(left: Sequence[int], right: Sequence[int]) -> Threads:
    """What came from the rows at the left and went to the rows at the right; the knot between them has one scale.

    Rows share the height equally, so that words may stand beside each of them; a thread is as thick as its value.
    """
    most = max(len(left), len(right), 1)
    top = max(*left, *right, sum(left) / most, sum(right) / most, 1)
    unit = HEIGHT / most * THICKEST / top
    return Threads(_bundle(left, unit, 0), _bundle(right, unit, WIDTH))


def _bundle(values: Sequence[int], unit: float, outer: int) -> list[str]:
    """The threads between the rows at one side and the middle, where they lie side by side."""
    thick = [max(THINNEST, value * unit) if value else 0 for value in values]
    inner, found = (HEIGHT - sum(thick)) / 2, []
    middle, bend = WIDTH / 2, (outer + WIDTH / 2) / 2
    for row, width in enumerate(thick):
        at = HEIGHT * (row + 0.5) / len(values) - width / 2
        found.append(
            f"M{outer} {at:.1f}C{bend:.0f} {at:.1f} {bend:.0f} {inner:.1f} {middle:.0f} {inner:.1f}"
            f"V{inner + width:.1f}C{bend:.0f} {inner + width:.1f} {bend:.0f} {at + width:.1f} {outer} {at + width:.1f}Z"
        )
        inner += width
    return found


def _stretched(places: Sequence[float]) -> list[float]:
    first, last = (places[0], places[-1]) if places else (0.0, 0.0)
    return [round(WIDTH * (place - first) / (last - first or 1), 1) for place in places]


def _between(xs: Sequence[float], lower: Sequence[int], upper: Sequence[int]) -> str:
    """The area between two lines."""
    there = "L".join(f"{x:g} {y}" for x, y in zip(xs, upper, strict=True))
    back = "L".join(f"{x:g} {y}" for x, y in reversed(list(zip(xs, lower, strict=True))))
    return f"M{there}L{back}Z"
