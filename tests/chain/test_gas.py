"""What each call costs, measured in this run, held against its bound and against the table in contracts/README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ledger.chain.claims import Claim, ClaimsTree, claims_tree
from tests.chain.acts import activate, anchor, claim, propose
from tests.chain.evm import ORIGIN_HASH, PEOPLE, SETTINGS, Contract, Evm, History
from tests.servers import ROOT

BOUNDS = {
    "token: deploy": 2_200_000,
    "anchor: the first": 68_000,
    "anchor: 512 → 1,000 entries": 41_000,
    "anchor: 891 → 1,000 entries": 68_000,
    "anchor: 127,519 → 200,000 entries": 68_000,
    "anchor: 199,999 → 200,000 entries": 68_000,
    "claim: the very first, of 7,000": 133_000,
    "claim: the first of an account, of 7,000": 133_000,
    "claim: a later one of an account, of 7,000": 65_000,
    "badge: the first of an account": 95_000,
    "badge: a further one": 78_000,
}
"""Figures known from other implementations of the same calls; what is not listed here has none."""


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    """The gas of each call, on a chain of its own."""
    evm = Evm()
    return {**dict(_anchors(evm)), **dict(_claims(evm)), **dict(_badges(evm))}


def _anchors(evm: Evm) -> Iterator[tuple[str, int]]:
    yield "token: deploy", evm.token().deployment_gas
    history = History(b"gas", 200_000)
    yield "anchor: the first", anchor(evm.token(), history, 1000).gas_used
    for old, new in ((512, 1000), (891, 1000), (127_519, 200_000), (199_999, 200_000)):
        yield f"anchor: {old:,} → {new:,} entries", anchor(evm.token(), history, old, new).gas_used


def _list(token: Contract, cumulative: int) -> ClaimsTree:
    strangers = [Claim(f"0x{number:040x}", cumulative) for number in range(2**100, 2**100 + 7000 - len(PEOPLE))]
    people = [Claim(token.evm.who[name], cumulative) for name in PEOPLE]
    return claims_tree(token.evm.chain_id, token.address, people + strangers)


def _claims(evm: Evm) -> Iterator[tuple[str, int]]:
    token = evm.token(supplyCap=2**60, increaseLimit=2**60)
    anchor(token, History(b"gas", 1000), 1000)
    first, second = _list(token, 500), _list(token, 800)
    activate(token, first, 1000)
    yield "claim: the very first, of 7,000", claim(token, first, "alice").gas_used
    yield "claim: the first of an account, of 7,000", claim(token, first, "bob").gas_used
    receipt = token.send("proposer", "propose", second.root, second.total, 1000)
    yield "propose", receipt.gas_used
    evm.sleep(SETTINGS["delay"])
    yield "activate", token.send("mallory", "activate", 2).gas_used
    yield "claim: a later one of an account, of 7,000", claim(token, second, "alice").gas_used
    token.send("alice", "deposit", 5, ORIGIN_HASH)
    yield "deposit", token.send("alice", "deposit", 5, ORIGIN_HASH).gas_used
    propose(token, second, 1000)
    yield "veto", token.send("guardian", "veto", 3).gas_used
    yield "pause", token.send("pauser", "pause").gas_used


def _badges(evm: Evm) -> Iterator[tuple[str, int]]:
    badge = evm.badge()
    yield "badge: deploy", badge.deployment_gas
    for label, seq in (("the first of an account", 41_000), ("a further one", 41_001)):
        yield f"badge: {label}", badge.send("proposer", "award", evm.who["alice"], seq, ORIGIN_HASH).gas_used


def test_no_call_costs_more_than_its_bound(measured: dict[str, int]) -> None:
    """Deployment, anchors, claims and badges cost no more gas than elsewhere."""
    assert set(BOUNDS) <= set(measured)
    assert {call: measured[call] for call, bound in BOUNDS.items() if measured[call] > bound} == {}


def test_the_table_shows_what_was_measured(measured: dict[str, int]) -> None:
    """contracts/README.md tells the figures of this very code."""
    rows = re.findall(r"^\| ([^|]+?) \| ([\d,]+) \|", (ROOT / "contracts" / "README.md").read_text(), re.MULTILINE)
    assert {call: int(gas.replace(",", "")) for call, gas in rows} == measured
