"""`KgoToken.deposit`, the pause, the ERC-20 itself, and how a token is set up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chain.acts import activate, anchor, claim, claiming, claims_of
from tests.chain.evm import DAY, ORIGIN_HASH, SETTINGS, Contract, Evm, History, Refused

TICKET = b"one-time ticket of the ledger, 1"


@pytest.fixture
def token(token: Contract, history: History) -> Contract:
    """A token of which Alice has claimed 500 and Bob may claim 700; a further list waits as proposal 2."""
    anchor(token, history, 100)
    tree = claims_of(token, {"alice": 500, "bob": 700})
    activate(token, tree, 100)
    claim(token, tree, "alice")
    token.send("proposer", "propose", bytes(range(32)), 2000, 100)
    return token


def test_a_deposit_burns_and_is_numbered(token: Contract) -> None:
    """Deposits are numbered 0, 1, 2 … without a gap, refused ones not counted."""
    alice = token.evm.who["alice"]
    receipt = token.send("alice", "deposit", 200, TICKET)
    assert receipt.events == [
        ("Transfer", {"from": alice, "to": "0x" + "0" * 40, "value": 200}),
        ("Deposited", {"seq": 0, "account": alice, "ref": TICKET, "amount": 200}),
    ]
    assert token.refusal("alice", "deposit", 301, TICKET) == "ERC20InsufficientBalance"
    with pytest.raises(Refused):
        token.send("alice", "deposit", 301, TICKET)
    token.send("alice", "transfer", token.evm.who["carol"], 50)
    assert token.send("carol", "deposit", 50, TICKET).events[1][1]["seq"] == 1
    assert token.send("alice", "deposit", 250, TICKET).events[1][1]["seq"] == 2
    assert token.read("totals") == (500, 500, 3)
    assert token.read("totalSupply") == 0


@pytest.mark.parametrize("amount", [0, 2**53, 2**96, 2**256 - 1])
def test_a_deposit_fits_one_entry_of_the_ledger(token: Contract, amount: int) -> None:
    """Nothing, and more than the ledger can credit in one entry, are refused before anything is burned."""
    assert token.refusal("alice", "deposit", amount, TICKET) == "DepositOutOfRange"


def test_the_pause_stops_what_it_must(token: Contract) -> None:
    """Paused, nobody claims, deposits, proposes or activates; resumed, all of it goes on."""
    tree = claims_of(token, {"alice": 500, "bob": 700})
    stopped: list[tuple[str, tuple[Any, ...]]] = [
        ("bob", ("claim", *claiming(token, tree, "bob"))),
        ("alice", ("deposit", 10, TICKET)),
        ("proposer", ("propose", bytes(range(32)), 1500, 100)),
        ("mallory", ("activate", 2)),
    ]
    token.evm.sleep(SETTINGS["delay"])
    assert token.send("pauser", "pause").events == [("Paused", {"account": token.evm.who["pauser"]})]
    assert [token.refusal(who, *call) for who, call in stopped] == ["EnforcedPause"] * 4
    assert token.send("admin", "unpause").events == [("Unpaused", {"account": token.evm.who["admin"]})]
    token.send("mallory", "activate", 2)
    token.send("alice", "deposit", 10, TICKET)
    token.send("proposer", "propose", bytes(range(32)), 2000, 100)


def test_the_pause_never_stops_anchor_veto_or_transfer(token: Contract, history: History) -> None:
    """History goes on, a wrong list is stopped, and what people own stays theirs."""
    token.send("pauser", "pause")
    token.send("anchorer", "anchor", *history.step(100, 150))
    token.send("guardian", "veto", 2)
    token.send("alice", "transfer", token.evm.who["bob"], 500)
    assert token.read("paused") is True
    assert token.read("anchored")[0] == 150


def test_the_pauser_stops_and_the_admin_resumes(token: Contract) -> None:
    """Neither does the other's part, and nobody else does either."""
    for name in ("admin", "proposer", "guardian", "anchorer", "mallory"):
        assert token.refusal(name, "pause") == "AccessControlUnauthorizedAccount"
    token.send("pauser", "pause")
    assert token.refusal("pauser", "pause") == "EnforcedPause"
    for name in ("pauser", "proposer", "guardian", "anchorer", "mallory"):
        assert token.refusal(name, "unpause") == "AccessControlUnauthorizedAccount"
    token.send("admin", "unpause")
    assert token.refusal("admin", "unpause") == "ExpectedPause"


def test_the_token_is_an_erc20_of_the_citys_scale(evm: Evm) -> None:
    """Name, symbol, digits and the hash of the log's origin are those of the deployment."""
    token = evm.token(name="เหรียญเมือง"[:10], symbol="KGO", decimals=3)
    assert [token.read(name) for name in ("name", "symbol", "decimals")] == ["เหรียญเมือง"[:10], "KGO", 3]
    assert token.read("originHash") == ORIGIN_HASH
    assert token.read("limits") == (100_000_000, 1_000_000, 7 * DAY, 3600)
    assert token.read("totalSupply") == 0


def test_allowances_work_as_in_every_erc20(token: Contract) -> None:
    """Who was allowed to spend spends that much."""
    alice, bob, carol = (token.evm.who[name] for name in ("alice", "bob", "carol"))
    token.send("alice", "approve", bob, 100)
    token.send("bob", "transferFrom", alice, carol, 60)
    assert token.refusal("bob", "transferFrom", alice, carol, 41) == "ERC20InsufficientAllowance"
    assert (token.read("balanceOf", alice), token.read("balanceOf", carol)) == (440, 60)


@pytest.mark.parametrize(
    "changes",
    [
        {"originHash": bytes(32)},
        {"supplyCap": 0},
        {"increaseLimit": 0},
        {"period": 0},
        {"minimumDelay": 0},
        {"minimumDelay": 0, "delay": 0},
        {"delay": 3599},
        {"delay": 30 * DAY + 1},
    ],
)
def test_senseless_settings_are_refused(evm: Evm, changes: dict[str, Any]) -> None:
    """A contract that could never work, or whose veto would have no time, is not deployed."""
    with pytest.raises(Refused, match="InvalidSettings"):
        evm.token(**changes)


def test_a_name_too_long_for_the_code_is_refused(evm: Evm) -> None:
    """31 bytes of UTF-8 fit."""
    assert evm.token(name="x" * 31).read("name") == "x" * 31
    with pytest.raises(Refused, match="StringTooLong"):
        evm.token(name="x" * 32)
