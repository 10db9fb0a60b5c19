"""What a verification found, what it checked and what it could not check. `ledger.verifier` shows it to people."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

# What each means stands in docs/format.md.
CODES = ["HASH_MISMATCH", "SEQUENCE_GAP", "BALANCE_MISMATCH", "OVERDRAFT", "CASE_VIOLATION", "TOTALS_MISMATCH"]
CODES += ["BAD_SIGNATURE", "BEHIND_ANCHOR", "SPLIT_VIEW", "VERIFICATION_INCOMPLETE"]
KEPT_PER_CODE = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold; `seq` is the entry it points at, if it points at one.

    `evidence` holds signed checkpoints that show it, to whoever has the log's key.
    """

    code: str
    seq: int | None
    message: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}{'' if self.seq is None else f' at entry {self.seq}'}: {self.message}"


@dataclass(slots=True)
class Report:
    """The outcome of a verification, amounts in minor units; it keeps KEPT_PER_CODE findings of each code.

    `sealed`: the entries make the root that the log's key signed, and no checkpoint that is known contradicts it.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    origin: str | None = None
    city: str | None = None
    size: int = 0
    root: bytes | None = None
    sealed: bool = False
    totals: dict[str, int] = field(default_factory=dict)
    activities: dict[str, int] = field(default_factory=dict)
    shops: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether everything held."""
        return not self.counts

    def add(self, code: str, seq: int | None, message: str, *evidence: str) -> None:
        """Record a finding."""
        self.counts[code] += 1
        if self.counts[code] <= KEPT_PER_CODE:
            self.findings.append(Finding(code, seq, message, evidence))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        plain = {"ok": self.ok, "counts": dict(self.counts), "root": self.root and self.root.hex()}
        return {**plain, **{name: value for name, value in asdict(self).items() if name not in plain}}

    def text(self) -> str:
        """Return what was found, a line each."""
        many = [f"{code}: {n} in all" for code, n in self.counts.items() if n > KEPT_PER_CODE]
        return "\n".join([*map(str, self.findings), *many])
