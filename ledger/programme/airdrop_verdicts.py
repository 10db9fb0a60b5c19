"""What becomes of the rows of an airdrop, judged purely, and how an airdrop is seen.

A row is judged in this order, and by the first that applies:

    bad_row bad_amount      the file's fault: more cells than columns, or no amount
    unknown_learner         no learner of this city has this id
    duplicate               an earlier row names the same learner
    over_cap                more than the city pays for what its staff attest
    over_budget             the budget does not cover it after the rows before it
    ok                      later `paid`, `cancelled`, or refused as unknown or over the budget when its turn comes
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

DRAFT, RUNNING, DONE, CANCELLED = "draft", "running", "done", "cancelled"
STATES = (DRAFT, RUNNING, DONE, CANCELLED)

BAD_ROW, BAD_AMOUNT = "bad_row", "bad_amount"
OK, PAID, STOPPED = "ok", "paid", "cancelled"
UNKNOWN_LEARNER, DUPLICATE, OVER_CAP, OVER_BUDGET = "unknown_learner", "duplicate", "over_cap", "over_budget"
REFUSALS = (
    BAD_ROW,
    BAD_AMOUNT,
    UNKNOWN_LEARNER,
    DUPLICATE,
    OVER_CAP,
    OVER_BUDGET,
)
VERDICTS = (OK, PAID, STOPPED, *REFUSALS)

SHARED = (
    "id",
    "activity",
    "state",
    "file_name",
    "file_hash",
    "created_at",
    "confirmed_at",
    "ended_at",
    "counts",
    "accepted",
    "sum_minor",
    "left_minor",
    "paid_minor",
)
"""What a view has from the airdrop's row as it is."""


@dataclass(frozen=True)
class Row:
    """A row of the list with its verdict so far.

    Attributes:
        line: the line of the file that it begins on; the header is 1.
        learner: a learner's id, or what stands there instead of one.
        given: the amount as it stands there.
        amount_minor: the amount in minor units; None where it is none.
        entry: the seq of the entry that paid it.
    """

    line: int
    learner: str
    given: str
    amount_minor: int | None
    note: str
    verdict: str
    entry: int | None = None


@dataclass(frozen=True)
class AirdropView:
    """An airdrop as it stands.

    Attributes:
        rows: how many the list has; `counts` says how many have each verdict.
        accepted: how many the preview found payable, `sum_minor` in all; of these `waiting` are not yet settled.
        left_minor: what is still to be paid; `paid_minor` what was.
        budget_minor: what the activity's budget holds now.
        earlier: the latest other airdrop of the same file that was confirmed, if any: was it meant twice?
    """

    id: str
    activity: str
    state: str
    file_name: str
    file_hash: str
    created_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    counts: dict[str, int]
    accepted: int
    sum_minor: int
    left_minor: int
    paid_minor: int
    budget_minor: int
    earlier: str | None

    @property
    def rows(self) -> int:
        """How many rows the list has."""
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """How many rows are payable and not yet settled."""
        return self.counts.get(OK, 0)

    @property
    def settled(self) -> int:
        """How many of the accepted rows have been paid, refused or cancelled."""
        return self.accepted - self.waiting

    @property
    def paid(self) -> int:
        """How many rows have been paid."""
        return self.counts.get(PAID, 0)

    @property
    def refused(self) -> int:
        """How many rows were refused, in the preview or when their turn came."""
        return sum(self.counts.get(code, 0) for code in REFUSALS)

    @property
    def budget_after_minor(self) -> int:
        """What the budget would hold if everything that is left were paid now; may be below zero."""
        return self.budget_minor - self.left_minor


def judge(rows: Sequence[Row], known: Collection[str], cap_minor: int, budget_minor: int) -> list[Row]:
    """The rows of a list with their verdicts, as if all were paid now in their order; moves nothing.

    Args:
        rows: as `airdrop_files.read` found them: `ok`, or with a fault of the file.
        known: the learners that there are.
        cap_minor: the most that one row may give.
        budget_minor: what there is to give.
    """
    judged: list[Row] = []
    named: set[str] = set()
    left_minor = budget_minor
    for row in rows:
        amount_minor = row.amount_minor or 0
        verdict = row.verdict
        if verdict != OK:
            pass
        elif row.learner not in known:
            verdict = UNKNOWN_LEARNER
        elif row.learner in named:
            verdict = DUPLICATE
        elif amount_minor > cap_minor:
            verdict = OVER_CAP
        elif amount_minor > left_minor:
            verdict = OVER_BUDGET
        else:
            left_minor -= amount_minor
        named.add(row.learner)
        judged.append(replace(row, verdict=verdict))
    return judged
