"""Figures of a run: medians over its rounds, the ratios between them, and how they are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

FIGURES = ("_per_s", "_ms", "_us", "_mb", "_s")
"""How the names of figures end, which say the unit."""

RATIOS = {
    "ratio_checkin_echo": ("checkin_per_s", "echo_per_s"),
    "ratio_transfer_echo": ("transfer_per_s", "echo_per_s"),
    "ratio_checkin_naive": ("checkin_per_s", "naive_per_s"),
    "ratio_post_many_naive": ("post_many_per_s", "naive_post_many_per_s"),
    "ratio_post_many_naive_alone": ("post_many_per_s", "naive_alone_per_s"),
    "ratio_batch_transfer": ("batch_per_s", "transfer_per_s"),
}


@dataclass(frozen=True)
class Goal:
    """What a figure should reach, on each kind of database."""

    postgresql: float
    sqlite: float
    at_most: bool = False

    def reached(self, database: str, value: float) -> bool:
        """Whether it does."""
        bound: float = getattr(self, database)
        return value <= bound if self.at_most else value >= bound

    def text(self, database: str) -> str:
        """The goal as a person reads it."""
        return f"{'≤' if self.at_most else '≥'} {getattr(self, database):g}"


GOALS = {
    "ratio_checkin_echo": Goal(0.6, 0.55),
    "checkin_p99_ms": Goal(60, 60, at_most=True),
    "ratio_transfer_echo": Goal(0.7, 0.65),
    "ratio_checkin_naive": Goal(6, 3),
    "ratio_post_many_naive": Goal(50, 25),
    "ratio_batch_transfer": Goal(6, 6),
    "ratio_transfer_hordak": Goal(12, 12),
    "ratio_4_to_1": Goal(1, 1),
}


def figures(rounds: Mapping[str, Sequence[float]], *, sound: bool) -> dict[str, float]:
    """The median of each figure, and the ratios of these medians; all 0 for a run that failed its audit."""
    middle = {name: round(median(values), 1) if sound else 0.0 for name, values in rounds.items()}
    return {**middle, **ratios(RATIOS, middle)}


def ratios(wanted: Mapping[str, tuple[str, str]], measured: Mapping[str, float]) -> dict[str, float]:
    """The quotient of each two figures that both were measured; 0 where the lower one is."""
    return {
        name: round(measured[above] / measured[below], 3) if measured[below] else 0.0
        for name, (above, below) in wanted.items()
        if above in measured and below in measured
    }


def table(database: str, measured: Mapping[str, float], rounds: Mapping[str, Sequence[float]]) -> str:
    """The figures for a person: the median, the goal, and what the rounds gave."""
    lines = [f"{'':24}{'median':>12}  {'goal':10}rounds"]
    for name, value in measured.items():
        goal = GOALS.get(name)
        wanted = "" if goal is None else goal.text(database) + (" ✓" if goal.reached(database, value) else " ✗")
        seen = "  ".join(f"{one:,.0f}" for one in rounds.get(name, ()))
        shown = f"{value:,.3f}" if name.startswith("ratio") else f"{value:,.1f}"
        lines.append(f"{name:24}{shown:>12}  {wanted:10}{seen}")
    return "\n".join(lines)


def shown(database: str, result: Mapping[str, Any]) -> str:
    """A whole result for a person: the table, and below it whatever is no figure."""
    rounds: Mapping[str, Sequence[float]] = result["rounds"]
    measured = {name: value for name, value in result.items() if name.endswith(FIGURES) or name.startswith("ratio")}
    others = {name: value for name, value in result.items() if name not in {*measured, "rounds"}}
    return "\n".join([table(database, measured, rounds), *(f"{name}: {value}" for name, value in others.items())])


def tell(database: str, result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a whole result: as one JSON object, or for a person."""
    sys.stdout.write((json.dumps(result) if as_json else shown(database, result)) + "\n")
