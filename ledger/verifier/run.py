"""One verification from end to end: open the source, recall what was seen, walk the entries, remember.

A walk may go on where an earlier one stood. What is local is then hashed again up to there, and must be the same
bytes; what comes over a network is not fetched again, which the report says. A walk that went on and found
anything is repeated from the first entry, so that the report says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.proof import checkpoint as notes
from ledger.proof.checkpoint import CheckpointError
from ledger.proof.merkle import Frontier, leaf_hash
from ledger.proof.policy import Policy
from ledger.proof.report import Report
from ledger.proof.verify import Verification
from ledger.verifier import chain
from ledger.verifier.cases import CaseBook
from ledger.verifier.chain import ChainFault, Contract, Proposal, Reading
from ledger.verifier.lists import ClaimLists
from ledger.verifier.memory import Memory, Seen
from ledger.verifier.source import DamagedError, Source, SourceError, boundary, is_url, open_source
from ledger.verifier.tiles import TileCheck
from ledger.verifier.walks import Walk, WalkLost

Progress = Callable[[int, int | None], None]
SAVE_EVERY = 1 << 17
"""How many entries a walk goes at most before its state is kept again."""

SEEN_ELSEWHERE = "the checkpoint seen elsewhere"
REMEMBERED = "the checkpoint remembered from an earlier run"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a verification is asked to go by, beside the log itself."""

    vkey: str | None = None
    """The log's key, from a source that the user trusts."""
    seen: str | None = None
    """A checkpoint of the same log, from elsewhere."""
    policy: Policy | None = None
    memory: Memory | None = None
    chain: Contract | None = None
    """Where the log is anchored."""
    fresh: bool = False
    """Walk from the first entry, whatever was verified before."""


def verify_export(
    path: str | Path, *, vkey: str | None = None, seen: str | None = None, progress: Progress | None = None
) -> Report:
    """Verify the log at a path or URL by itself, remembering nothing."""
    return verify(path, Wishes(vkey, seen), progress=progress)


def verify(where: str | Path, wishes: Wishes, *, progress: Progress | None = None) -> Report:
    """Verify the log at `where`; `progress(done, total)` is called now and then.

    Raises:
        MemoryFault: what is remembered cannot be used.
    """
    try:
        source = open_source(where)
    except SourceError as error:
        return _unreadable(error)
    with ExitStack() as stack:
        stack.callback(source.close)
        try:
            return _Run(str(where), source, wishes, progress).report()
        except SourceError as error:
            return _unreadable(error)


def _unreadable(error: SourceError) -> Report:
    report = Report()
    code = "HASH_MISMATCH" if isinstance(error, DamagedError) else "VERIFICATION_INCOMPLETE"
    report.add(code, None, f"the log cannot be read: {error}")
    return report


class _Run:
    """What is known before the walk, and the walk."""

    def __init__(self, where: str, source: Source, wishes: Wishes, progress: Progress | None) -> None:
        self._where, self._source, self._wishes, self._progress = where, source, wishes, progress
        self._bridged, self._withdrawn = 0, 0
        self._lists = ClaimLists()
        self._note, self._own_key = source.text("checkpoint"), (source.text("vkey") or "").removesuffix("\n")
        self._origin = _origin_of(self._note)
        memory = wishes.memory
        self._seen = memory.recall(self._origin) if memory and self._origin else None
        self._pinned = wishes.vkey or policy_key(wishes.policy, self._note) or (self._seen and self._seen.vkey)
        self._key = self._pinned or self._own_key
        self._known = {SEEN_ELSEWHERE: wishes.seen} if wishes.seen is not None else {}
        if self._seen:
            self._known[REMEMBERED] = self._seen.note
        self._chain, self._chain_problem = _read_chain(wishes.chain, self._origin)

    def report(self) -> Report:
        """Walk, judge, remember."""
        report = None
        if not self._wishes.fresh:
            report = self._walk_kept()
        if report is None:
            report = self._walk_anew()
        self._judge_key(report)
        self._judge_chain(report)
        try:
            self._lists.judge(self._source, report, self._chain, self._time_of)
        except ChainFault as fault:
            report.add("VERIFICATION_INCOMPLETE", None, f"the chain cannot be read: {fault}")
        if self._wishes.memory:
            self._remember(report, self._wishes.memory)
        return report

    def _open_walk(self, *, keep: bool = True) -> Walk:
        memory = self._wishes.memory
        path = memory.walk_path(self._origin) if keep and memory and self._origin and self._key else None
        return Walk(path, self._origin or "", self._key or "")

    def _walk_kept(self) -> Report | None:
        """Go on where an earlier walk stood; None if there is none that fits, or if it does not end well."""
        try:
            with self._open_walk() as walk:
                state = walk.load() if walk.kept else None
                report = self._walk(walk, state) if state else None
        except WalkLost:
            return None
        return report if report and not set(report.counts) - {"VERIFICATION_INCOMPLETE"} else None

    def _walk_anew(self) -> Report:
        try:
            with self._open_walk() as walk:
                walk.clear()
                report = self._walk(walk, None)
        except WalkLost:  # unwritable, or somebody else's at the moment: do without
            with self._open_walk(keep=False) as walk:
                report = self._walk(walk, None)
        if report is None:
            raise AssertionError("a walk from the first entry goes on from nothing")
        return report

    def _walk(self, walk: Walk, state: dict[str, Any] | None) -> Report | None:
        """Feed the entries to the judge; None if it cannot go on from `state` with this source."""
        openings = self._source.openings()
        if state is not None and openings is not None:
            return None
        try:
            cases = CaseBook(walk, Frontier.from_bytes(bytes.fromhex(state["proof"]["tree"])).size if state else 0)
            verification = Verification(
                self._note, self._key, known=self._known, policy=self._wishes.policy, openings=openings, cases=cases,
                anchors=self._chain.anchors if self._chain else (),
            )  # fmt: skip
            tiles = TileCheck(self._source, verification.report.add) if self._source.has_tiles() else None
            self._lists = ClaimLists()
            if state is not None:
                verification.resume(state["proof"])
                self._lists.resume(state["lists"])
                if tiles and not self._source.local:
                    tiles.resume(state["tiles"])
        except (KeyError, TypeError, ValueError, AttributeError):
            if state is None:
                raise
            return None  # kept in another form than this program's
        total = verification.head.size if verification.head else None
        if state is not None and (total is None or verification.size > total):
            return None
        if state is not None and not self._went_over(verification, tiles, state):
            return None
        cut = self._feed(verification, tiles, cases, walk, total)
        if tiles:
            self._finish_tiles(verification, tiles, cut_short=cut)
        report = verification.conclude(cut_short=cut)
        if self._chain:
            account, books = f"bridge:{self._chain.chain_id}", verification.books()
            self._bridged = books.balances.get(account, 0)
            self._withdrawn = books.withdrawn.get(account, [[-1, 0]])[-1][1]
        return report

    def _went_over(self, verification: Verification, tiles: TileCheck | None, state: dict[str, Any]) -> bool:
        """Tell whether the source begins with what the kept walk went over; a local one is read to know."""
        size = verification.size
        if not self._source.local:
            message = f"entries 0 to {size - 1}, in an earlier run and not fetched again"
            verification.report.checked.append(message)
            return True
        tree = Frontier()
        for batch in self._source.batches(0, size):
            hashes = [leaf_hash(line) for line, _ in batch[: size - tree.size]]
            tree = tree.append(hashes)
            if tiles:
                tiles.add(hashes)
            if tree.size == size:
                break
        return bool(tree.to_bytes().hex() == state["proof"]["tree"])

    def _feed(
        self, verification: Verification, tiles: TileCheck | None, cases: CaseBook, walk: Walk, total: int | None
    ) -> bool:
        """Feed what the source has; tell whether it broke off."""
        report, saved = verification.report, verification.size
        try:
            for batch in self._source.batches(verification.size, total):
                hashes = verification.feed(batch)
                self._lists.add([line for line, _ in batch[: len(hashes)]])
                if tiles:
                    tiles.add(hashes)
                size = verification.size
                if walk.kept and (size - saved >= SAVE_EVERY or (total and size == boundary(total) > saved)):
                    saved = self._save(verification, tiles, cases, walk)
                if self._progress:
                    self._progress(size, total)
                if len(hashes) < len(batch):
                    break
        except DamagedError as error:
            report.add("HASH_MISMATCH", verification.size, str(error))
        except SourceError as error:
            report.add("VERIFICATION_INCOMPLETE", verification.size, f"the log cannot be read any further: {error}")
        else:
            return False
        return True

    def _save(self, verification: Verification, tiles: TileCheck | None, cases: CaseBook, walk: Walk) -> int:
        """Keep where the walk stands, unless anything was found; return where that is."""
        if verification.size == boundary(verification.size) and (state := verification.state()) is not None:
            cases.save()
            walk.save(
                {"proof": state, "tiles": tiles.state() if tiles else None, "lists": self._lists.state()}
            )  # fmt: skip
        return verification.size

    def _finish_tiles(self, verification: Verification, tiles: TileCheck, *, cut_short: bool) -> None:
        report = verification.report
        if cut_short:
            report.unchecked.append("the hash tiles from where the entries could not be read")
            return
        try:
            tiles.finish()
        except SourceError as error:
            report.add("VERIFICATION_INCOMPLETE", None, f"a hash tile cannot be read: {error}")
        else:
            report.checked.append(f"{tiles.checked} hash tiles")

    def _judge_key(self, report: Report) -> None:
        """Say what the key is worth, and whether the address still leads to the log it led to."""
        if self._pinned and self._own_key and self._own_key != self._pinned:
            report.add("BAD_SIGNATURE", None, self._other_key(self._own_key, self._pinned))
        if not self._pinned:
            report.unchecked.append("that the key, which came with the log, is the one that the log publishes")
        elif self._seen and not self._wishes.vkey and self._pinned == self._seen.vkey:
            report.checked.append("that the key is the one remembered from an earlier run")
        if not self._known:
            report.unchecked.append("whether a later checkpoint exists: none was given or remembered to compare with")
        memory = self._wishes.memory
        if memory and is_url(self._where) and self._origin and not self._wishes.vkey:
            before = memory.log_at(self._where)
            if before not in (None, self._origin):
                last = memory.recall(str(before))
                message = f"this address showed the log {before} before, and now shows {self._origin}"
                report.add("BAD_SIGNATURE", None, message, *([last.note] if last else []), self._note or "")

    def _other_key(self, shown: str, pinned: str) -> str:
        memory, seen = self._wishes.memory, self._seen
        told = f"the log carries the key {_key_id(shown)}, and not {_key_id(pinned)}, the one"
        if memory is None or seen is None or self._wishes.vkey or seen.vkey != pinned:
            return f"{told} given"
        return f"{told} that an earlier run saw: {memory.forgetting(self._origin or '')}"

    def _judge_chain(self, report: Report) -> None:
        """Say what the chain was worth, and hold the tokens there against the account that they left by."""
        found = self._chain
        if self._chain_problem:
            report.add("VERIFICATION_INCOMPLETE", None, self._chain_problem)
        if found is None:
            return
        where = f"chain {found.chain_id} at block {found.block}"
        if not found.is_final:
            report.unchecked.append(f"whether {where} is final: the chain does not say")
        if found.anchors and found.anchors[-1][0] > report.size:
            report.unchecked.append("the tokens on chain: the log shown here ends before the newest anchor")
            return
        problems = []
        if found.supply > self._bridged:
            problems.append(f"{found.supply} minor units circulate on {where}, and only {self._bridged} left for it")
        if found.claimed > self._withdrawn:
            problems.append(f"{found.claimed} minor units were claimed on {where}, of {self._withdrawn} withdrawn")
        if (arrived := self._withdrawn - self._bridged) > found.deposited:
            problems.append(f"{arrived} minor units came back by the log, {found.deposited} on {where}")
        for message in problems:
            report.add("TOTALS_MISMATCH", None, message)
        if not problems:
            report.checked.append(f"that no more tokens circulate on {where} than left for it, and that all came back")

    def _time_of(self, proposal: Proposal) -> int:
        contract = self._wishes.chain
        return chain.time_of(contract, proposal.block) if contract else 0

    def _remember(self, report: Report, memory: Memory) -> None:
        """Remember the checkpoint if it is the log's and extends what was seen before."""
        if self._origin is None or self._note is None or not self._key or not report.sealed:
            return
        try:
            memory.remember(self._origin, Seen(self._note, self._key))
            if is_url(self._where) and not report.counts:
                memory.remember_address(self._where, self._origin)
        except OSError as error:
            report.unchecked.append(f"the next run against this one: nothing could be remembered ({error})")


def _read_chain(contract: Contract | None, origin: str | None) -> tuple[Reading | None, str | None]:
    """Return what the contract says, or why that is of no use."""
    if contract is None:
        return None, None
    try:
        found = chain.read(contract)
    except ChainFault as fault:
        return None, f"the chain cannot be read: {fault}"
    if origin is None or not found.is_for(origin):
        return None, f"the contract {contract.address} is another log's"
    return found, None


def _key_id(vkey: str) -> str:
    """Return what of a verifier key stands in signatures, as far as it can be read."""
    return vkey.split("+", 2)[1][:8] if vkey.count("+") >= 2 else "(unreadable)"


def _origin_of(note: str | None) -> str | None:
    try:
        return notes.parse(note or "").origin
    except CheckpointError:
        return None


def policy_key(policy: Policy | None, note: str | None) -> str | None:
    """Return the key of the log of the policy that signed the checkpoint, or else one of the same name."""
    found = None
    for party in policy.logs if policy else ():
        try:
            notes.verify(note or "", party.vkey)
        except CheckpointError:
            found = found or (party.vkey if party.key.name == _origin_of(note) else None)
        else:
            return party.vkey
    return found
