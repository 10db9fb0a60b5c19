"""What the looks of the journeys cover, counted."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.browser.covering import ALL, COUPLES, JOURNEYS, in_looks, looks_of


@pytest.mark.parametrize("journey", JOURNEYS)
def test_each_journey_sees_each_size_language_and_scheme(journey: str) -> None:
    """Two looks at least, and between them every value of every kind."""
    for seen, whole in zip(zip(*looks_of(journey), strict=True), zip(*ALL, strict=True), strict=True):
        assert set(seen) == set(whole)


def test_every_pair_comes_up_somewhere() -> None:
    """The couples of an ordinary day hold each look once, and so every pair of a size, a language and a scheme."""
    looks = [look for couple in COUPLES for look in couple]
    assert sorted(looks) == sorted(ALL)
    assert len(JOURNEYS) >= len(COUPLES)
    for first, second in combinations(range(3), 2):
        assert len({(look[first], look[second]) for look in looks}) == 4


def test_a_long_run_walks_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `--long` each journey is walked in all eight looks."""
    monkeypatch.setenv("KGO_TEST_LONG", "1")
    assert in_looks("learner").args[1] == ALL
