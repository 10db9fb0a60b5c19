"""How much the tests try: reduced counts by default, the full ones under `scripts/test --long`.

The hammers of `tests/faults` run for seconds by default and `LONG_MINUTES` under `--long`, or as long as `--minutes`
says; `--seed` has them draw the faults of an earlier run again.

A property or a crowd that is wanted in thousands names both numbers where it stands, as
`scale(50, 5000)`, so that a reader sees what is left out on an ordinary day.
"""

from __future__ import annotations

import os
import secrets

VARIABLE = "KGO_TEST_LONG"
"""Set by the `--long` option before any test module is imported; processes that tests start inherit it."""

MINUTES_VARIABLE, SEED_VARIABLE = "KGO_TEST_MINUTES", "KGO_TEST_SEED"
"""Set in the same way by `--minutes` and `--seed`."""

LONG_MINUTES = 10


def is_long() -> bool:
    """Whether the full counts are wanted."""
    return os.environ.get(VARIABLE) == "1"


def scale(short: int, long: int) -> int:
    """The count to use in this run."""
    return long if is_long() else short


def minutes() -> float:
    """How long each hammer is to run; 0 for a single short storm."""
    return float(os.environ.get(MINUTES_VARIABLE) or scale(0, LONG_MINUTES))


def seed() -> int:
    """What the faults are drawn from: another in every run, unless one was given."""
    return int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(1_000_000))
