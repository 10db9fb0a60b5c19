"""The judgement of a list's rows, which is pure: order, caps, and how far the budget reaches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.programme.airdrop_verdicts import Row, judge

KNOWN = frozenset("abcd")
ROWS = st.lists(st.tuples(st.sampled_from("abcdxy"), st.integers(1, 50), st.sampled_from(["ok", "ok", "bad_row"])))


def listed(*rows: tuple[str, int, str]) -> list[Row]:
    """Rows as a file has them."""
    return [
        Row(line, learner, str(amount), amount, "", verdict) for line, (learner, amount, verdict) in enumerate(rows, 2)
    ]


def verdicts(rows: list[Row], cap: int, budget: int) -> list[str]:
    """The verdicts alone."""
    return [row.verdict for row in judge(rows, KNOWN, cap, budget)]


def test_a_row_that_the_budget_does_not_cover_leaves_it_to_the_rows_after() -> None:
    """The second does not fit any more, the smaller third does."""
    rows = listed(("a", 6, "ok"), ("b", 5, "ok"), ("c", 4, "ok"))
    assert verdicts(rows, 10, 10) == ["ok", "over_budget", "ok"]
    assert verdicts(rows, 10, 15) == ["ok", "ok", "ok"]


def test_the_first_reason_that_applies_is_given() -> None:
    """The file's own fault before the learner, the learner before the cap, the cap before the budget."""
    rows = listed(("x", 99, "bad_row"), ("x", 99, "ok"), ("a", 99, "ok"), ("a", 99, "ok"), ("b", 9, "ok"))
    assert verdicts(rows, 10, 5) == ["bad_row", "unknown_learner", "over_cap", "duplicate", "over_budget"]


@given(ROWS, st.integers(0, 60), st.integers(0, 200))
def test_what_is_accepted_fits(rows: list[tuple[str, int, str]], cap: int, budget: int) -> None:
    """Accepted rows are of known learners, each once, within the cap each and within the budget together."""
    accepted = [row for row in judge(listed(*rows), KNOWN, cap, budget) if row.verdict == "ok"]
    assert len({row.learner for row in accepted}) == len(accepted)
    assert {row.learner for row in accepted} <= KNOWN
    assert all((row.amount_minor or 0) <= cap for row in accepted)
    assert sum(row.amount_minor or 0 for row in accepted) <= budget
