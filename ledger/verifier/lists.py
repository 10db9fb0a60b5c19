"""The published lists of claims (docs/format.md, section 12), each held against the entry that commits to it.

`ClaimLists` notes the commitments as the walk goes by, and judges at the end: the list has the hash, the root, the
total and all else that its entry says; no list takes from a wallet what an earlier one gave, unless the earlier one
was vetoed on the chain; and whatever was proposed on the chain is a list of this log. That each total is what was
withdrawn and not cancelled at its size, the replay has judged.

Memory: the commitments, a few hundred bytes each, and two lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ledger.proof.encoding import EncodingError, canonical, parse
from ledger.proof.report import Report
from ledger.proof.rules import check_entry_shape
from ledger.verifier.chain import Proposal, Reading
from ledger.verifier.keccak import keccak256
from ledger.verifier.source import Source, SourceError

CLOCK_SLACK_SECONDS = 600
"""How far the clocks of the city and of a chain's blocks may be apart."""

_MEMBERS = frozenset({"chain_id", "city", "claims", "contract", "size", "total"})
_wallet = re.compile(r"0x[0-9a-f]{40}").fullmatch


@dataclass(frozen=True, slots=True)
class Commitment:
    """What the entry `seq` says of a list; members as in docs/format.md, section 5."""

    seq: int
    city: str
    chain_id: int
    contract: str
    list: str
    root: str
    size: int
    total: int

    def is_proposal(self, proposal: Proposal) -> bool:
        """Tell whether this is what the contract was offered."""
        return (self.root, self.total, self.size) == (proposal.root.hex(), proposal.total, proposal.size)


class ClaimLists:
    """The lists that a log commits to; findings go to the report that `judge` is given."""

    def __init__(self) -> None:
        self.known: list[Commitment] = []
        self._at = ""

    def add(self, lines: list[bytes]) -> None:
        """Note what entries say of lists; those of another shape are the walk's matter."""
        for line in lines:
            if b'"claims":{' in line and (leaf := _entry(line)) and "claims" in leaf["ref"]:
                self.known.append(Commitment(leaf["seq"], leaf["city"], **leaf["ref"]["claims"]))
        if lines and (leaf := _entry(lines[-1])):
            self._at = leaf["at"]

    def state(self) -> dict[str, Any]:
        """Return all that was noted, as plain values."""
        return {"known": [asdict(one) for one in self.known], "at": self._at}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier walk noted."""
        self.known, self._at = [Commitment(**one) for one in state["known"]], str(state["at"])

    def judge(
        self, source: Source, report: Report, reading: Reading | None, time_of: Callable[[Proposal], int]
    ) -> None:  # fmt: skip
        """Judge the lists, and what the chain (if it was read) was offered.

        Args:
            source: where the lists are published.
            report: takes the findings.
            reading: what the contract says.
            time_of: the time of a proposal's block, in seconds since 1970.
        """
        latest: dict[tuple[int, str], tuple[int, dict[str, int]]] = {}
        checked = 0
        for one in self.known:
            claims = self._read(one, source, report)
            if claims is None:
                continue
            checked += 1
            place = one.chain_id, one.contract
            if place in latest:
                self._compare(one, claims, latest[place], report, reading)
            if not self._is_vetoed(one, reading):
                latest[place] = one.seq, claims
        if checked:
            report.checked.append(f"{checked} lists of claims: hash, root and sum, each against the one before")
        if reading:
            self._judge_proposals(reading, report, time_of)

    def _read(self, one: Commitment, source: Source, report: Report) -> dict[str, int] | None:
        """Return the amounts of a list by wallet, or None if they cannot be gone by."""
        try:
            data = source.claims(one.list)
        except SourceError as fault:
            report.add("VERIFICATION_INCOMPLETE", one.seq, f"its list of claims cannot be read: {fault}")
            return None
        if data is None and source.local:
            message = "the lists of claims: they do not come with this copy of the log, only with its address"
            if message not in report.unchecked:
                report.unchecked.append(message)
            return None
        if data is None:
            report.add("VERIFICATION_INCOMPLETE", one.seq, f"its list of claims, {one.list}, is not published")
            return None
        if sha256(data).hexdigest() != one.list:
            report.add("HASH_MISMATCH", one.seq, "the list of claims that is published is not the one it commits to")
            return None
        claims, problem = _claims(data, one)
        if problem:
            report.add("CASE_VIOLATION", one.seq, f"its list of claims: {problem}")
            return None
        if sum(claims.values()) != one.total:
            message = f"its list of claims makes {sum(claims.values())} and says {one.total}"
            report.add("TOTALS_MISMATCH", one.seq, message)
        if root(one.chain_id, one.contract, claims).hex() != one.root:
            report.add("HASH_MISMATCH", one.seq, "its list of claims does not make the root that the chain is given")
        return claims

    def _compare(
        self,
        one: Commitment,
        claims: dict[str, int],
        before: tuple[int, dict[str, int]],
        report: Report,
        reading: Reading | None,
    ) -> None:
        """Say whether a list gives every wallet what the one before gave it."""
        seq, earlier = before
        fallen = [wallet for wallet, amount in earlier.items() if claims.get(wallet, 0) < amount]
        if not fallen:
            return
        message = f"its list of claims takes from {fallen[0]} what the list of entry {seq} gave"
        if _is_of(one, reading):
            report.add("CASE_VIOLATION", one.seq, message)
        else:
            report.unchecked.append(f"entry {one.seq}: {message}; right if that one was vetoed on the chain")

    def _is_vetoed(self, one: Commitment, reading: Reading | None) -> bool:
        offered = [found for found in reading.proposals if one.is_proposal(found)] if reading else []
        return _is_of(one, reading) and bool(offered) and all(found.vetoed for found in offered)

    def _judge_proposals(self, reading: Reading, report: Report, time_of: Callable[[Proposal], int]) -> None:
        """Say whether all that the contract was offered stands in the log, as far as what is shown can tell."""
        foreign = [
            one for one in reading.proposals
            if not any(known.contract == reading.contract and known.is_proposal(one) for known in self.known)
        ]  # fmt: skip
        shown_to = datetime.fromisoformat(self._at).astimezone(UTC).timestamp() if self._at else 0.0
        for one in foreign:
            what = f"proposal {one.number} on chain, claims of {one.total} minor units"
            if one.vetoed:
                report.unchecked.append(f"{what}: it is no list of this log, and was vetoed")
            elif time_of(one) + CLOCK_SLACK_SECONDS < shown_to:
                report.add("TOTALS_MISMATCH", None, f"{what}: it is no list of this log")
            else:
                report.unchecked.append(f"{what}: it is later than the entries shown here")
        if reading.proposals and not foreign:
            report.checked.append(f"that all {len(reading.proposals)} proposals on chain are lists of this log")


def _is_of(one: Commitment, reading: Reading | None) -> bool:
    """Tell whether this is the contract that was asked."""
    return reading is not None and (one.chain_id, one.contract) == (reading.chain_id, reading.contract)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        leaf = parse(line)
    except EncodingError:
        return None
    return leaf if check_entry_shape(leaf) is None else None


def _claims(data: bytes, one: Commitment) -> tuple[dict[str, int], str | None]:
    """Return the amounts by wallet, and what is wrong with the form."""
    try:
        found = parse(data)
        if type(found) is not dict or found.keys() != _MEMBERS or canonical(found) != data:
            return {}, "it has not the form of one"
        said = {name: found[name] for name in ("chain_id", "city", "contract", "size", "total")}
        if said != {name: getattr(one, name) for name in said}:
            return {}, "it says something else than the entry"
        rows = found["claims"]
        claims = dict(rows)
        if list(claims) != sorted(claims) or len(claims) != len(rows):
            return {}, "the wallets are not in order, or one stands there twice"
        good = all(_wallet(wallet) and type(amount) is int and amount > 0 for wallet, amount in claims.items())
    except (EncodingError, TypeError, ValueError):
        return {}, "it has not the form of one"
    return (claims, None) if good and claims else ({}, "a wallet or an amount is none")


def root(chain_id: int, contract: str, claims: Mapping[str, int]) -> bytes:
    """Return the root of OpenZeppelin's StandardMerkleTree over (chain id, contract, wallet, amount)."""
    head = chain_id.to_bytes(32, "big") + bytes.fromhex(contract[2:]).rjust(32, b"\0")
    leaves = [
        keccak256(keccak256(head + bytes.fromhex(wallet[2:]).rjust(32, b"\0") + amount.to_bytes(32, "big")))
        for wallet, amount in claims.items()
    ]
    # A complete binary tree in an array, the leaves last and backwards; children are hashed in ascending order.
    nodes = [b""] * (len(leaves) - 1) + sorted(leaves, reverse=True)
    for place in reversed(range(len(leaves) - 1)):
        nodes[place] = keccak256(b"".join(sorted(nodes[2 * place + 1 : 2 * place + 3])))
    return nodes[0]
