"""Tokens to a chain and back, for programs: the same rules as on the pages."""

from __future__ import annotations

from ledger.chain import bridges, lists
from ledger.chain.wallets import Wallet
from tests.api.client import Town
from tests.chain.crossing import CHAIN, CONTRACT, TOKEN, Sent, wallet
from tests.factories import CITY


def test_a_withdrawal_through_the_api(town: Town) -> None:
    """Without a bridge or a wallet it is refused; then it is requested, listed, cancelled or held fast."""
    learner = town.rich_learner()
    assert learner.post("/withdrawals", {"amount_minor": 300}).status == 404
    run = town.api.installation.run
    run(lambda unit: bridges.open_bridge(unit, CONTRACT).chain_id)
    assert learner.post("/withdrawals", {"amount_minor": 300}).code == "wallet_missing"
    identity = learner.account.removeprefix("learner:")
    run(lambda unit: unit.session.add(Wallet(city=CITY, learner=identity, address=wallet("ann"), linked_at=unit.now)))
    made = learner.post("/withdrawals", {"amount_minor": 300})
    assert (made.status, made.body["state"], made.body["wallet"]) == (201, "requested", wallet("ann"))
    assert learner.post("/withdrawals", {"amount_minor": 60_000}).code == "bridge_limit"
    back = learner.post(f"/withdrawals/{made.body['seq']}/cancel")
    assert (back.status, back.body["state"]) == (200, "cancelled")
    second = learner.post("/withdrawals", {"amount_minor": 200}).body["seq"]
    run(lambda unit: lists.commit(unit, CHAIN, (unit.next_seq,), Sent()) is None)
    assert learner.post(f"/withdrawals/{second}/cancel").code == "case_closed"
    found = learner.get("/withdrawals").body["items"]
    assert [(one["seq"], one["state"]) for one in found] == [(second, "rooted"), (made.body["seq"], "cancelled")]
    assert town.api.learner().post(f"/withdrawals/{second}/cancel").status == 404


def test_a_ticket_through_the_api(town: Town) -> None:
    """It names the contract and the wallet that it serves; a paused bridge gives none."""
    learner = town.api.learner()
    run = town.api.installation.run
    run(lambda unit: bridges.open_bridge(unit, CONTRACT).chain_id)
    identity = learner.account.removeprefix("learner:")
    run(lambda unit: unit.session.add(Wallet(city=CITY, learner=identity, address=wallet("ann"), linked_at=unit.now)))
    drawn = learner.post("/deposit-tickets")
    assert (drawn.status, drawn.body["contract"], drawn.body["wallet"]) == (201, TOKEN, wallet("ann"))
    assert len(drawn.body["ticket"]) == 66
    run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    assert learner.post("/deposit-tickets").code == "bridge_paused"
