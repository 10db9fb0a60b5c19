"""What a verification found, what it checked and what it could not check."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

# What each means stands in docs/format.md.
CODES = ["HASH_MISMATCH", "SEQUENCE_GAP", "BALANCE_MISMATCH", "OVERDRAFT", "CASE_VIOLATION", "TOTALS_MISMATCH"]
CODES += ["BAD_SIGNATURE", "BEHIND_ANCHOR", "SPLIT_VIEW", "VERIFICATION_INCOMPLETE"]
KEPT_PER_CODE = 20
TOP_LINES = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold; `seq` is the entry it points at, if it points at one."""

    code: str
    seq: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.code}{'' if self.seq is None else f' at entry {self.seq}'}: {self.message}"


@dataclass(slots=True)
class Report:
    """The outcome of a verification, amounts in minor units; it keeps KEPT_PER_CODE findings of each code."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    origin: str | None = None
    city: str | None = None
    size: int = 0
    root: bytes | None = None
    totals: dict[str, int] = field(default_factory=dict)
    activities: dict[str, int] = field(default_factory=dict)
    shops: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether everything held."""
        return not self.counts

    def add(self, code: str, seq: int | None, message: str) -> None:
        """Record a finding."""
        self.counts[code] += 1
        if self.counts[code] <= KEPT_PER_CODE:
            self.findings.append(Finding(code, seq, message))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            **asdict(self),
            "counts": dict(self.counts),
            "root": self.root and self.root.hex(),
        }

    def text(self) -> str:
        """Return the report for people."""
        lines = [
            f"log      {self.origin or '(no checkpoint)'}",
            f"entries  {self.size:,} (amounts below in minor units)",
        ]
        lines += [f"{name:<12} {amount:>20,}" for name, amount in self.totals.items()]
        for title, figures in (("rewarded by activity", self.activities), ("redeemed at shops", self.shops)):
            top = sorted(figures.items(), key=lambda item: (-item[1], item[0]))
            lines += [f"{title} ({len(top)})"] * bool(top)
            lines += [f"  {name:<30} {amount:>20,}" for name, amount in top[:TOP_LINES]]
        lines += [f"checked: {item}" for item in self.checked]
        lines += [f"not checked: {item}" for item in self.unchecked]
        lines += [str(finding) for finding in self.findings]
        lines += [f"{code}: {n} in all" for code, n in self.counts.items() if n > KEPT_PER_CODE]
        return "\n".join([*lines, "OK: all of it holds" if self.ok else "FAILED"])
