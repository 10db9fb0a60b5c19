"""The book as a few lines of plain Python, to compare the real one with.

It knows balances, holds, cases, idempotency keys and time; it knows nothing of databases, trees or blinding.
Amounts are minor units. `Refusal.code` is the code that the book must refuse with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

REVERSIBLE = {"grant", "fund", "reward", "transfer", "redeem", "settle", "expire"}


class Refusal(Exception):
    """The book must refuse with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Case:
    """How far a case has gone."""

    state: str
    source: str
    target: str
    amount: int
    moved: int = 0
    refunded: int = 0
    reversed: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """One entry as the model remembers it."""

    kind: str
    source: str
    target: str
    amount: int
    at: datetime


@dataclass(frozen=True)
class Line:
    """One change of one account, with the balances after it."""

    seq: int
    posted_change: int
    held_change: int
    posted: int
    held: int


@dataclass
class Model:
    """A city's book."""

    now: datetime
    posted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    entries: list[Entry] = field(default_factory=list)
    cases: dict[int, Case] = field(default_factory=dict)
    lines: defaultdict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)

    def begin(self, now: datetime) -> None:
        """A batch begins: no entry is earlier than the last one, and what is due expires."""
        self.now = max(now, self.entries[-1].at) if self.entries else now
        for _, case in sorted(self.cases.items()):
            if case.state == "held" and case.expires_at is not None and case.expires_at <= self.now:
                self._free(case, "hold_expire", "expired")

    def once(self, key: str, body: str, work: Callable[[], int]) -> tuple[bool, str]:
        """Carry out `work` under an idempotency key; (whether it is a replay, the answer)."""
        if key in self.answers:
            known, answer = self.answers[key]
            if known != body:
                raise Refusal("idempotency_conflict")
            return True, answer
        self.answers[key] = (body, str(work()))
        return False, self.answers[key][1]

    def move(self, kind: str, source: str, target: str, amount: int) -> int:
        """An entry that moves."""
        seq = self._append(kind, source, target, amount, posted=amount)
        if kind == "redeem":
            self.cases[seq] = Case("moved", source, target, amount, moved=amount)
        return seq

    def hold(self, source: str, target: str, amount: int, expires_at: datetime) -> int:
        """Reserve."""
        seq = self._append("hold", source, target, amount, held=amount)
        self.cases[seq] = Case("held", source, target, amount, expires_at=expires_at)
        return seq

    def capture(self, origin: int, amount: int | None) -> int:
        """Move what was held, or a part."""
        case = self._open(origin)
        amount = case.amount if amount is None else amount
        if amount > case.amount:
            raise Refusal("validation_failed")
        seq = self._append("capture", case.source, case.target, amount, posted=amount, held=-case.amount)
        case.state, case.moved = "captured", amount
        return seq

    def release(self, origin: int) -> int:
        """Free."""
        return self._free(self._open(origin), "release", "released")

    def refund(self, origin: int, amount: int | None) -> int:
        """Move back what moved, or a part."""
        case = self._case(origin)
        left = case.moved - case.refunded
        if case.state not in ("captured", "moved") or case.reversed or not left:
            raise Refusal("case_closed")
        amount = left if amount is None else amount
        if amount > left:
            raise Refusal("validation_failed")
        seq = self._append("refund", case.target, case.source, amount, posted=amount)
        case.refunded += amount
        return seq

    def reverse(self, origin: int) -> int:
        """Move everything back."""
        if origin >= len(self.entries):
            raise Refusal("not_found")
        entry = self.entries[origin]
        case = self.cases.get(origin)
        if entry.kind not in REVERSIBLE or (case and (case.reversed or case.refunded)):
            raise Refusal("not_reversible")
        seq = self._append("reverse", entry.target, entry.source, entry.amount, posted=entry.amount)
        self.cases[origin] = Case("moved", entry.source, entry.target, entry.amount, entry.amount, reversed=True)
        return seq

    def balance_at(self, account: str, at: datetime) -> tuple[int, int]:
        """Posted and held as they stood at an instant."""
        known = [line for line in self.lines[account] if self.entries[line.seq].at <= at]
        return (known[-1].posted, known[-1].held) if known else (0, 0)

    def size_at(self, at: datetime) -> int:
        """How many entries there were at an instant."""
        return sum(entry.at <= at for entry in self.entries)

    def _case(self, origin: int) -> Case:
        if origin not in self.cases:
            raise Refusal("not_found")
        return self.cases[origin]

    def _open(self, origin: int) -> Case:
        case = self._case(origin)
        if case.state != "held":
            raise Refusal("case_closed")
        return case

    def _free(self, case: Case, kind: str, end: str) -> int:
        case.state = end
        return self._append(kind, case.source, case.target, case.amount, held=-case.amount)

    def _append(self, kind: str, source: str, target: str, amount: int, *, posted: int = 0, held: int = 0) -> int:
        available = self.posted[source] - self.held[source]
        if posted + held > 0 and available < posted + held and source != "issuance":
            raise Refusal("budget_exhausted" if source.startswith("budget:") else "insufficient_funds")
        seq = len(self.entries)
        self.entries.append(Entry(kind, source, target, amount, self.now))
        for account, change, reserved in ((source, -posted, held), (target, posted, 0)):
            if change or reserved:
                self.posted[account] += change
                self.held[account] += reserved
                self.lines[account].append(Line(seq, change, reserved, self.posted[account], self.held[account]))
        return seq
