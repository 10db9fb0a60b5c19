"""docs/format.md names everything that a second verifier has to know."""

import re
from pathlib import Path

import pytest

from ledger.proof import report, rules

FORMAT = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")


@pytest.mark.parametrize(
    "names",
    [
        report.CODES,
        rules.KINDS,
        rules.SINGLE_ACCOUNTS | rules.NAMED_ACCOUNTS,
        rules.LEAF_MEMBERS,
        rules.REF_MEMBERS,
        rules.ROLES,
    ],
    ids=["codes", "kinds", "accounts", "leaf", "ref", "roles"],
)
def test_every_name_stands_in_the_format(names: list[str] | frozenset[str]) -> None:
    """Finding codes, kinds, account types, members and roles are each explained as `name`."""
    documented = set(re.findall(r"`([A-Za-z_]+)`", FORMAT))
    assert set(names) <= documented
    assert "invented" not in documented


def test_the_totals_and_assurances_stand_in_the_format() -> None:
    """They are written as formulas and in the evidence's form."""
    assert [name for name in rules.TOTALS if not re.search(rf"{name}\s+=", FORMAT)] == []
    assert [name for name in rules.ASSURANCES if f'"{name}"' not in FORMAT] == []


def test_the_allow_list_of_the_format_is_that_of_the_code() -> None:
    """Each row's arrows, written out, are the movements of its kinds."""
    table = FORMAT.split("## 4.")[1].split("## 5.")[0]
    written = set()
    for kinds, moves in re.findall(r"^\| ((?:`[a-z_]+`[ ,]*)+) \| (.*→.*) \|$", table, re.MULTILINE):
        arrows = set()
        for part in re.split(r"[;,] (?=\w+ →)", moves.split(", moving nothing")[0]):
            giver, _, takers = part.partition(" → ")
            arrows |= {(giver, taker) for taker in re.split(r", | or ", takers)}
        names = re.findall(r"`([a-z_]+)`", kinds)
        pairs = sorted(arrows, reverse=True)
        zipped = len(names) == len(pairs) == 2  # one kind, one arrow each: bridge_out and bridge_cancel
        for at, kind in enumerate(names):
            written |= {(kind, *pair) for pair in ([pairs[at]] if zipped else pairs)}
    assert written == {move for move in rules.ALLOWED if move[0] != "reverse"}
