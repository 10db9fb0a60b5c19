"""The shapes of charts: inside their box, in proportion, and sound where there is nothing to draw."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from api.web import charts
from api.web.charts import HEIGHT, WIDTH


def points(path: str) -> list[tuple[float, float]]:
    """The corners of a path of straight lines."""
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (3, 5), (10, 10), (11, 20), (21, 25), (26, 50), (51, 100), (999, 1000), (1001, 2000)],
)
def test_the_upper_edge_is_a_round_number(value: int, top: int) -> None:
    """The next one that people read easily, never below the value."""
    assert charts.nice(value) == top


def test_areas_lie_on_each_other() -> None:
    """Each begins where the one below ends; the last value of all of them is as high as it says."""
    found = charts.layers([0, 1, 3], [[0, 50, 100], [0, 25, 50]])
    assert found.top == 200
    lower, upper = (points(path) for path in found.paths)
    assert [x for x, _ in lower[:3]] == [0, round(WIDTH / 3, 1), WIDTH]
    assert [y for _, y in lower[:3]] == [HEIGHT, HEIGHT * 0.75, HEIGHT * 0.5]
    assert [y for _, y in upper[:3]] == [HEIGHT, HEIGHT * 0.625, HEIGHT * 0.25]
    assert sorted(upper[3:]) == sorted(lower[:3])


@pytest.mark.parametrize("values", [[[]], [[0]], [[0, 0], [0, 0]]])
def test_nothing_is_drawn_flat(values: list[list[int]]) -> None:
    """An empty or a single moment, or all zero, is no fault and leaves the box at its bottom."""
    found = charts.layers(range(len(values[0])), values)
    assert len(found.paths) == len(values)
    assert all(y == HEIGHT for path in found.paths for _, y in points(path))


def test_threads_are_as_thick_as_their_values() -> None:
    """Twice the value, twice the thickness, on both sides; in the middle they lie side by side, about the middle."""
    found = charts.threads([400, 200, 100], [700])
    ends = [(points(path)[3][1], float(re.findall(r"V([\d.]+)", path)[0])) for path in (*found.left, *found.right)]
    thick = [low - high for high, low in ends]
    assert thick[0] == pytest.approx(2 * thick[1], abs=0.2)
    assert thick[1] == pytest.approx(2 * thick[2], abs=0.2)
    assert thick[3] == pytest.approx(sum(thick[:3]), abs=0.3)
    assert all(one[1] == pytest.approx(other[0], abs=0.1) for one, other in pairwise(ends[:3]))
    assert ends[0][0] + ends[2][1] == pytest.approx(HEIGHT, abs=0.2)
    assert all(0 <= y <= HEIGHT for path in found.left for _, y in points(path))


def test_a_small_thread_is_seen_and_an_empty_one_is_not() -> None:
    """A shop with one sale among large ones has a line; one without has none, and no row is lost."""
    left = charts.threads([1_000_000, 1, 0], []).left
    thick = [points(path)[-1][1] - points(path)[0][1] for path in left]
    assert thick[1] == pytest.approx(charts.THINNEST, abs=0.1)
    assert thick[2] == 0
    assert charts.threads([], []).left == []
