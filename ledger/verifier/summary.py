"""The report for people: what the log holds, what was checked, what was not, what does not hold."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from ledger.proof.report import KEPT_PER_CODE, Report

TOP_LINES = 10
MEANINGS = {"redeemed": "  held by shops, or settled", "held": "  a part of circulating"}
DECIMALS = 2
"""KGO has two decimals; the log itself knows minor units alone."""
BAR_CELLS = 24
REDRAWN_EVERY_S = 0.1


def amount(minor: int, decimals: int = DECIMALS) -> str:
    """Return an amount in minor units as people write it: 1,234.50."""
    whole, rest = divmod(abs(minor), 10**decimals)
    return f"{'-' * (minor < 0)}{whole:,}" + (f".{rest:0{decimals}}" if decimals else "")


def text(report: Report, *, decimals: int = DECIMALS) -> str:
    """Return the whole report."""
    lines = [f"log      {report.origin or '(no checkpoint)'}", f"entries  {report.size:,}"]
    if report.root:
        lines.append(f"root     {report.root.hex()}")
    for name, value in report.totals.items():
        lines.append(f"{name:<12} {amount(value, decimals):>22}{MEANINGS.get(name, '')}".rstrip())
        if name == "redeemed":
            lines += _sources(value, sum(report.shops.values()), decimals)
    figures_by = {
        "rewarded by activity, less what was reversed": report.activities,
        "redeemed by learners at each shop, less refunds": report.shops,
    }
    for title, figures in figures_by.items():
        top = sorted(figures.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"{title} ({len(top)})"] * bool(top)
        lines += [f"  {name:<32} {amount(value, decimals):>20}" for name, value in top[:TOP_LINES]]
        lines += [f"  and {len(top) - TOP_LINES} more"] * (len(top) > TOP_LINES)
    lines += [f"checked: {item}" for item in report.checked]
    lines += [f"not checked: {item}" for item in report.unchecked]
    for finding in report.findings:
        lines.append(str(finding))
        for note in finding.evidence:
            lines += [f"    {line}" for line in ("signed evidence:", *note.splitlines())]
    lines += [f"{code}: {count} in all" for code, count in report.counts.items() if count > KEPT_PER_CODE]
    return "\n".join([*lines, verdict(report)])


def _sources(redeemed: int, by_learners: int, decimals: int) -> list[str]:
    """Say where what is redeemed came from, where it is not learners alone: the city may pay shops, and shops it."""
    if redeemed == by_learners:
        return []
    other = redeemed - by_learners
    said = "paid to shops by the city, less what they gave back" if other > 0 else "given back to the city by shops"
    parts = ((by_learners, "spent by learners at shops, less refunds"), (other, said))
    return [f"  of it      {amount(part, decimals):>22}  {what}" for part, what in parts]


def verdict(report: Report) -> str:
    """Return the last line: the verdict in a word."""
    if report.ok:
        return "OK: all of it holds"
    if incomplete(report):
        return "INCOMPLETE: nothing wrong was found, and not all of it could be checked"
    return "FAILED"


def incomplete(report: Report) -> bool:
    """Whether all that is wrong is that something could not be had."""
    return set(report.counts) == {"VERIFICATION_INCOMPLETE"}


class Bar:
    """A progress bar on a terminal; call it with (done, total)."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream, self._started, self._drawn = stream, time.monotonic(), 0.0
        self._first: int | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Draw the bar anew, unless it was just drawn."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._drawn < REDRAWN_EVERY_S and done != total:
            return
        self._drawn = now
        speed = (done - self._first) / max(now - self._started, 0.001)
        bar = "#" * int((done / total if total else 0) * BAR_CELLS)
        left = f", {(total - done) / speed:,.0f} s left" if total and speed and done < total else ""
        whole = "?" if total is None else f"{total:,}"
        line = f"[{bar:<{BAR_CELLS}}] {done:,} of {whole} entries, {speed:,.0f}/s{left}"
        self._stream.write(f"\r\x1b[K{line}" + "\n" * (done == total))
        self._stream.flush()
