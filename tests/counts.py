"""How much the tests try: reduced counts by default, the full ones under `scripts/test --long`.

A property or a crowd that an issue wants in thousands names both numbers where it stands, as
`scale(50, 5000)`, so that a reader sees what is left out on an ordinary day.
"""

from __future__ import annotations

import os

VARIABLE = "KGO_TEST_LONG"
"""Set by the `--long` option before any test module is imported; processes that tests start inherit it."""


def is_long() -> bool:
    """Whether the full counts are wanted."""
    return os.environ.get(VARIABLE) == "1"


def scale(short: int, long: int) -> int:
    """The count to use in this run."""
    return long if is_long() else short
