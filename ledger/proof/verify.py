"""Judges a log with neither server nor database; `ledger.verifier` brings the bytes and shows the verdict.

In one pass over the lines: each is one canonical entry in its place, the leaves make the signed root, the
recounted size is the signed size, money obeys the rules at every prefix (`replay`), and this history leads to
every other checkpoint that is known. What breaks the order of the lines ends the replay: everything after it would
be judged by wrong balances. Nothing in a log raises: it is reported, and what could not be checked is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.proof import checkpoint as notes
from ledger.proof.checkpoint import Checkpoint, CheckpointError
from ledger.proof.encoding import MAX_INT, EncodingError, canonical, parse
from ledger.proof.merkle import EMPTY_ROOT, Frontier, leaf_hash
from ledger.proof.openings import Line, Openings
from ledger.proof.policy import Policy
from ledger.proof.replay import Cases, Replay
from ledger.proof.report import Report
from ledger.proof.rules import check_entry_shape, read_plain


def _read_entry(line: bytes) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
    """Return the entry in `line`, if there is one, and the code and message of what is wrong with it."""
    if leaf := read_plain(line):
        return leaf, None
    try:
        leaf = parse(line)
        if type(leaf) is not dict or type(leaf.get("seq")) is not int or not 0 <= leaf["seq"] <= MAX_INT:
            return None, ("HASH_MISMATCH", "the line is not an entry")
        if canonical(leaf) != line:
            return leaf, ("HASH_MISMATCH", "the line is not in canonical form")
        problem = check_entry_shape(leaf)
    except EncodingError as error:
        return None, ("HASH_MISMATCH", f"the line is damaged: {error}")
    return leaf, ("CASE_VIOLATION", problem) if problem else None


class Verification:
    """One pass over a log: what was expected, hashed and replayed so far, and the report of it.

    `note` is the log's checkpoint and `vkey` its key (None for what is missing); `known` has other checkpoints
    of it, under what to call each; `policy` says whose cosignatures the checkpoint must bear; `openings` are
    the lines of openings.ndjson; `cases` is for `Replay`; `anchors` are sizes and roots that a chain has of this log.
    """

    def __init__(
        self,
        note: str | None,
        vkey: str | None,
        *,
        known: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        openings: Iterable[Line] | None = None,
        cases: Cases | None = None,
        anchors: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        self.report = report = Report()
        if note is None:
            report.add("VERIFICATION_INCOMPLETE", None, "the checkpoint is missing")
        if not vkey:
            report.add("VERIFICATION_INCOMPLETE", None, "there is no key to check signatures with")
        self._note, (self.head, self._signed) = note, self._read_head("the checkpoint", note, vkey)
        if policy is not None and note is not None:
            self._check_policy(policy, note, vkey)
        heads = [(what, text, *self._read_head(what, text, vkey)) for what, text in (known or {}).items()]
        self._known = [(what, text, head) for what, text, head, signed in heads if head and signed]
        self._anchors = dict(anchors)
        self._openings = None if openings is None else Openings(openings, report.add)
        self._replay = Replay(report.add, opened=openings is not None, cases=cases)
        self._broken_at: int | None = None
        self._tree, self._roots = Frontier(), {0: EMPTY_ROOT}  # by size, where a checkpoint wants to know
        self.size = self._expected = 0

    def _read_head(self, what: str, note: str | None, vkey: str | None) -> tuple[Checkpoint | None, bool]:
        """Return the checkpoint in `note`, and whether it is rightly signed: if not, it may still guide."""
        head = None
        try:
            head = None if note is None else notes.parse(note)
            if note is not None and vkey:
                notes.verify(note, vkey)
                self.report.checked.append(f"the signature of {what}")
                return head, True
        except CheckpointError as error:
            self.report.add("BAD_SIGNATURE", None, f"{what}: {error}")
        return head, False

    def _check_policy(self, policy: Policy, note: str, vkey: str | None) -> None:
        if policy.logs and vkey not in [party.vkey for party in policy.logs]:
            self.report.add("BAD_SIGNATURE", None, "the policy accepts other logs, not this one")
        try:
            cosigners = ", ".join(sorted(found := policy.cosigners(note))) or "nobody"
            if policy.satisfied(found):
                self.report.checked.append(f"the policy's quorum; cosigned by {cosigners}")
            else:
                self.report.add("BAD_SIGNATURE", None, f"the policy's quorum has not cosigned; {cosigners} did")
        except CheckpointError as error:
            self.report.add("BAD_SIGNATURE", None, f"the checkpoint: {error}")

    def state(self) -> dict[str, Any] | None:
        """Return where the pass stands, beside its cases, or None if it found anything or follows openings."""
        if self.report.counts or self._openings:
            return None
        roots = {str(size): root.hex() for size, root in self._roots.items()}
        return {"tree": self._tree.to_bytes().hex(), "roots": roots, "replay": self._replay.state()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where a pass with this `state` and these cases stood, before anything was fed to this one."""
        self._replay.resume(state["replay"])
        self._tree = Frontier.from_bytes(bytes.fromhex(state["tree"]))
        self._roots = {int(size): bytes.fromhex(root) for size, root in state["roots"].items()}
        self.size = self._expected = self._tree.size
        if self._replay.size != self.size or self._marks(0, self.size) - self._roots.keys():
            raise ValueError("tree and books are not of one size, or a root that is wanted lies behind")

    def _marks(self, low: int, high: int) -> set[int]:
        """Return the sizes above `low`, up to `high`, of which a checkpoint wants the root."""
        sizes = self._anchors.keys() | {head.size for _, _, head in self._known}
        return {size for size in sizes if low < size <= high}

    def feed(self, lines: Sequence[Line]) -> list[bytes]:
        """Judge the next lines, up to the signed size; return the leaf hashes of those that belong to it."""
        total = self.head.size if self.head else None
        if total is not None and self.size + len(lines) > total:
            self.report.add("VERIFICATION_INCOMPLETE", total, "there are lines that the checkpoint does not cover")
            lines = lines[: total - self.size]
        hashes = [leaf_hash(line) for line, _ in lines]
        start, end = self.size, self.size + len(lines)
        for mark in sorted(self._marks(start, end)):
            self._tree = self._tree.append(hashes[self._tree.size - start : mark - start])
            self._roots[mark] = self._tree.root()
        self._tree = self._tree.append(hashes[self._tree.size - start :])
        self.size = end
        for place, (line, problem) in enumerate(lines, start):
            self._judge(line, problem, place)
        return hashes

    def _judge(self, line: bytes, problem: str | None, place: int) -> None:
        leaf, damage = (None, ("HASH_MISMATCH", problem)) if problem else _read_entry(line)
        seq = leaf["seq"] if leaf else self._expected
        if seq != self._expected:
            damage = ("SEQUENCE_GAP", f"entry {seq} stands in its place")
        if damage:
            self.report.add(damage[0], self._expected, damage[1])
            self._broken_at = self._expected if self._broken_at is None else self._broken_at
        elif self._broken_at is None and leaf:
            self._replay.apply(leaf, self._openings.accounts(leaf) if self._openings else None)
        self._expected = seq + 1

    def conclude(self, *, cut_short: bool = False) -> Report:
        """Compare the roots with the checkpoints, fill in the report and return it.

        `cut_short`: the lines ended where they could not be read any further, which is reported already.
        """
        report, replay = self.report, self._replay
        report.city, report.size, report.root = replay.city, self.size, self._tree.root()
        report.totals, report.activities, report.shops = replay.totals(), dict(replay.rewards), dict(replay.sales)
        whose = "each learner's balance" if self._openings else "the sum of learners' balances"
        books = f"every institution's balance, {whose}, cases and totals"
        if self._broken_at is None and not cut_short:
            report.checked.append(f"{books} at each of {self.size} entries")
            if self._openings:
                self._openings.accounts(None)
            replay.finish()
        else:
            report.unchecked.append(f"{books} from entry {min(self._broken_at or self.size, self.size)} on")
        if not self._openings:
            report.unchecked.append("each learner's balance: there are no openings")
        rooted = self._compare_root(cut_short=cut_short)
        for what, note, known in self._known:
            self._compare(what, note, known, rooted=rooted)
        self._compare_anchors()
        report.sealed = self._signed and rooted and not report.counts.keys() & {"SPLIT_VIEW", "BEHIND_ANCHOR"}
        return report

    def books(self) -> Replay:
        """Return the books after the entries so far, to read in."""
        return self._replay

    def _compare_anchors(self) -> None:
        """Say whether this history leads through every root that was anchored."""
        report, note = self.report, [self._note] if self._note else []
        size = self.head.size if self.head else self.size
        if beyond := [at for at in self._anchors if at > size]:
            more = f" ({len(beyond)} anchors beyond these, the first of {min(beyond)})" if len(beyond) > 1 else ""
            message = f"{max(beyond)} entries were anchored on chain{more}: there is more than is shown here"
            report.add("BEHIND_ANCHOR", self.size, message, *note)
        for at, root in self._anchors.items():
            if at <= size and self._roots.get(at, root) != root:
                message = f"the chain has a root of the first {at} entries that this log never had"
                report.add("SPLIT_VIEW", None, message, *note)
        unseen = [at for at in self._anchors if at <= size and at not in self._roots]
        if unseen:
            report.unchecked.append(f"whether this log extends {len(unseen)} of the anchors on chain")
        elif self._anchors and not report.counts.keys() & {"SPLIT_VIEW", "BEHIND_ANCHOR"}:
            newest = max(self._anchors)
            report.checked.append(f"{len(self._anchors)} anchors on chain, the newest of {newest} entries")

    def _compare_root(self, *, cut_short: bool) -> bool:
        """Say whether the entries make the root of the checkpoint."""
        head, report = self.head, self.report
        if not head:
            return False
        report.origin = head.origin
        if self.size < head.size and self._expected < head.size and not cut_short:
            message = f"the entries from here to {head.size - 1}, which the checkpoint covers, are missing"
            report.add("SEQUENCE_GAP", self._expected, message)
        elif self.size < head.size:
            report.unchecked.append("the root: lines are missing")
        elif self._tree.root() != head.root:
            report.add("HASH_MISMATCH", None, f"the first {head.size} entries do not make the signed root")
        else:
            report.checked.append(f"the root over {head.size} entries")
            return True
        return False

    def _compare(self, what: str, note: str, known: Checkpoint, *, rooted: bool) -> None:
        """Say whether this history leads to another checkpoint that is known, or it to this one."""
        head, evidence = self.head, [text for text in (note, self._note) if text]
        if known.size > (head.size if head else self.size):
            message = f"{what} is of {known.size} entries: there is more than is shown here"
            self.report.add("BEHIND_ANCHOR", self.size, message, *evidence)
        elif head and known.size == head.size and known.root != head.root:
            message = f"{what} gives the same {known.size} entries another root"
            self.report.add("SPLIT_VIEW", None, message, *evidence)
        elif not rooted and (head or known.size not in self._roots):
            self.report.unchecked.append(f"whether this log extends {what}")
        elif self._roots[known.size] != known.root:
            message = f"{what} gives the first {known.size} entries another root"
            self.report.add("SPLIT_VIEW", None, message, *evidence)
        else:
            self.report.checked.append(f"that the log extends {what}, of {known.size} entries")
