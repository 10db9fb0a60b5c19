"""Checks one receipt (C2SP tlog-proof with the entry in it, or the compact form of it), offline."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ledger.proof import checkpoint, receipt
from ledger.proof.checkpoint import Checkpoint, CheckpointError
from ledger.proof.encoding import EncodingError
from ledger.proof.merkle import ProofError
from ledger.proof.report import Report
from ledger.verifier import compact
from ledger.verifier.run import Wishes, policy_key
from ledger.verifier.summary import amount, verdict


@dataclass(slots=True)
class Outcome:
    """What a receipt proves, if it does: the entry and the checkpoint; and the report of it."""

    report: Report = field(default_factory=Report)
    entry: dict[str, Any] | None = None
    head: Checkpoint | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        told = self.report
        return {
            "ok": told.ok,
            "origin": told.origin,
            "size": told.size,
            "entry": self.entry,
            "findings": [asdict(finding) for finding in told.findings],
            "checked": told.checked,
            "unchecked": told.unchecked,
        }

    def text(self, *, decimals: int) -> str:
        """Return it for people."""
        lines = []
        if self.entry and self.head:
            entry = self.entry
            lines.append(f"entry {entry['seq']} of {self.head.origin}: {entry['kind']}, {entry['at']}")
            for posting in entry["postings"]:
                moved = amount(posting["amount"], decimals)
                lines.append(f"  {moved:>14}  {posting['from']} → {posting['to']}")
        lines += [f"checked: {item}" for item in self.report.checked]
        lines += [f"not checked: {item}" for item in self.report.unchecked]
        lines += [str(finding) for finding in self.report.findings]
        return "\n".join([*lines, verdict(self.report)])


def check(text: str, wishes: Wishes, entry: bytes | None = None) -> Outcome:
    """Check the receipt in `text`; `entry` is the leaf if it comes from elsewhere. Raises MemoryFault."""
    outcome = Outcome()
    report = outcome.report
    try:
        read = receipt.parse(compact.unpack(text))
        origin = checkpoint.parse(read.note).origin
    except (ProofError, CheckpointError) as error:
        report.add("HASH_MISMATCH", None, f"this is no receipt: {error}")
        return outcome
    seen = wishes.memory.recall(origin) if wishes.memory else None
    vkey = wishes.vkey or policy_key(wishes.policy, read.note) or (seen.vkey if seen else None)
    try:
        head, outcome.entry = receipt.verify(read, vkey, entry)
        outcome.head, report.origin, report.size = head, head.origin, head.size
    except CheckpointError as error:
        is_remembered = seen is not None and vkey == seen.vkey and not wishes.vkey
        hint = f": {wishes.memory.forgetting(origin)}" if wishes.memory and is_remembered else ""
        report.add("BAD_SIGNATURE", None, f"{error}{hint}")
        return outcome
    except (ProofError, EncodingError) as error:
        report.add("HASH_MISMATCH", read.index, str(error))
        return outcome
    report.checked.append(f"that the entry stands at {read.index} in the tree of {head.size} entries")
    if vkey is None:
        report.add("VERIFICATION_INCOMPLETE", None, f"there is no key of {origin} to check the signature with")
    else:
        report.checked.append(f"the signature of {origin}")
        if not wishes.vkey:
            report.checked.append("by the key that the policy names or an earlier run remembered")
    _check_policy(report, wishes, read.note)
    if seen and vkey:
        known = checkpoint.parse(seen.note)
        if known.size == head.size and known.root != head.root:
            message = "the checkpoint remembered from an earlier run gives as many entries another root"
            report.add("SPLIT_VIEW", None, message, seen.note, read.note)
    return outcome


def _check_policy(report: Report, wishes: Wishes, note: str) -> None:
    if wishes.policy is None:
        return
    try:
        cosigners = wishes.policy.cosigners(note)
    except CheckpointError as error:
        report.add("BAD_SIGNATURE", None, str(error))
        return
    if wishes.policy.satisfied(cosigners):
        report.checked.append(f"the policy's quorum; cosigned by {', '.join(sorted(cosigners)) or 'nobody'}")
    else:
        report.add("BAD_SIGNATURE", None, "the policy's quorum has not cosigned")
