"""What is withheld: few people, and whatever would give them away along a line."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from ledger.city.withholding import FEWEST, Line, Tally, withheld

ROWS, COLUMNS = "abcd", "wxyz"
TABLES = st.dictionaries(
    st.tuples(st.sampled_from(ROWS), st.sampled_from(COLUMNS)), st.sets(st.integers(1, 12), min_size=1, max_size=9)
)
ALL = "all"


def _tallies(groups: dict[Hashable, set[int]]) -> dict[Hashable, Tally]:
    found = {}
    for key, people in groups.items():
        found[key] = Tally()
        for person in sorted(people):
            found[key].add(person, 1)
    return found


def _with_sums(table: dict[tuple[str, str], set[int]]) -> tuple[dict[Hashable, set[int]], list[Line]]:
    """A table with the sums of its rows and columns and of everything, and the lines that they make."""
    groups: dict[Hashable, set[int]] = dict(table.items())
    lines = []
    for axis, names in enumerate((ROWS, COLUMNS)):
        for name in names:
            along = [cell for cell in table if cell[axis] == name]
            if along:
                groups[name] = set().union(*(table[cell] for cell in along))
                lines.append(Line(name, tuple(along)))
        lines.append(Line(ALL, tuple(name for name in names if name in groups)))
    if table:
        groups[ALL] = set().union(*table.values())
    return groups, lines


def _gives_nobody_away(line: Line, hidden: set[Hashable], groups: dict[Hashable, set[int]]) -> bool:
    missing = [key for key in line.parts if key in hidden]
    if not missing and line.total not in hidden:
        return True
    concerned = set().union(*(groups[key] for key in missing))
    enough = len(concerned) >= FEWEST or len(missing) == len(line.parts)
    return enough and len(missing) + (line.total in hidden) > 1


@given(TABLES)
def test_no_line_gives_few_people_away(table: dict[tuple[str, str], set[int]]) -> None:
    """Of a table with its sums, each line shows everything, or lacks more than one figure and enough people."""
    groups, lines = _with_sums(table)
    hidden = withheld(_tallies(groups), lines)
    assert {key for key, people in groups.items() if len(people) < FEWEST} <= hidden
    assert all(_gives_nobody_away(line, hidden, groups) for line in lines if line.total in groups)


def test_a_sum_that_is_withheld_is_not_put_together_from_its_parts() -> None:
    """Two weeks with many and one with few: the week that hides the small one has no column that can be added up."""
    people = {
        ("a", "w"): range(10), ("a", "x"): range(3), ("a", "y"): range(20), ("a", "z"): range(30),
        ("b", "w"): range(30), ("b", "y"): range(8), ("b", "z"): range(7),
    }  # fmt: skip
    groups, lines = _with_sums({cell: set(found) for cell, found in people.items()})
    hidden = withheld(_tallies(groups), lines)
    for week in COLUMNS:
        if week in hidden:
            assert any(cell in hidden for cell in people if cell[1] == week), week


def test_where_everybody_is_many_nothing_is_withheld() -> None:
    """Nothing small, nothing hidden; a person who comes again is one person."""
    many = _tallies({("a", "w"): set(range(5)), ("b", "w"): set(range(6)), "w": set(range(6))})
    assert withheld(many, [Line("w", (("a", "w"), ("b", "w"), ("c", "w")))]) == set()
    twice = Tally()
    for _ in range(2):
        twice.add(7, 50)
    assert (twice.people, twice.measure) == (1, (0, 2, 100))


def test_a_figure_that_is_a_sum_of_one_goes_with_it() -> None:
    """A district with one activity is withheld as soon as that activity is, and the other way round."""
    groups: dict[Hashable, set[int]] = {"walk": set(range(9)), "mueang": set(range(9)), "hall": {1, 2, 3}}
    groups |= {"other": set(range(90)), "rest": {*range(90)}, ALL: set(range(90))}
    lines = [Line(ALL, ("walk", "hall", "other")), Line("mueang", ("walk",))]
    hidden = withheld(_tallies(groups), lines)
    assert {"hall", "walk", "mueang"} <= hidden
    assert "other" not in hidden


def test_of_two_periods_the_longer_one_is_withheld() -> None:
    """What the longer has beyond the shorter is few people's: the shorter, which more ask for, is still told."""
    groups: dict[Hashable, set[int]] = {"quarter": set(range(40)), "before": {1, 2}, "year": set(range(41))}
    line = Line("year", ("quarter", "before"), total_first=True)
    assert withheld(_tallies(groups), [line]) == {"before", "year"}
    weeks = Line("year", ("first", "second", "before"))
    groups |= {"first": set(range(20)), "second": set(range(20, 40))}
    assert withheld(_tallies(groups), [line, weeks]) == {"before", "year", "first"}
