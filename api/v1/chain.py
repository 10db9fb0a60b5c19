"""`/withdrawals`, `/deposit-tickets`: tokens to a chain and back. A wallet is linked on the pages."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items, items_of
from api.schemas.chain import TicketOut, WithdrawalIn, WithdrawalOut
from ledger.book.unit import Unit
from ledger.chain import bridges, deposits, withdrawals
from ledger.chain.withdrawals import WithdrawalView
from ledger.people.roles import Principal

routes = Operations("chain", "Tokens to a wallet on a public chain, and back, where the city has a bridge.")
ONE = f"{CITY}/withdrawals/<int:seq>"


@routes.read(
    f"{CITY}/withdrawals",
    permission="chain.read",
    response=items_of(WithdrawalOut, "Withdrawals"),
    summary="List the learner's withdrawals",
    description="The newest first.",
)
def list_(ask: Ask) -> Items:
    """Withdrawals."""
    bridge = bridges.first(ask.session, ask.city.id)
    return Items(withdrawals.of_learner(ask.session, bridge, ask.caller.subject or ""))


@routes.write(
    "POST",
    f"{CITY}/withdrawals",
    permission="withdrawal.write",
    request=WithdrawalIn(),
    response=WithdrawalOut(),
    status=201,
    problems=("bridge_paused", "bridge_limit", "wallet_missing", "insufficient_funds"),
    summary="Take tokens to the chain",
    description="To the linked wallet. Whoever learns whose wallet it is sees what comes and goes there, for ever: "
    "tell the learner before you send this.",
)
def request(unit: Unit, caller: Principal, command: dict[str, int]) -> WithdrawalView:
    """Withdraw."""
    learner, bridge = caller.subject or "", bridges.first(unit.session, unit.city.id)
    seq = withdrawals.request(unit, bridge.chain_id, learner, command["amount_minor"])
    return withdrawals.view(unit.session, bridge, learner, seq)


@routes.write(
    "POST",
    f"{ONE}/cancel",
    permission="withdrawal.write",
    response=WithdrawalOut(),
    problems=("case_closed",),
    summary="Call a withdrawal off",
    description="Until a list in the public log holds it; and again if the proposal of that list was vetoed.",
)
def cancel(unit: Unit, caller: Principal, command: Any, seq: int) -> WithdrawalView:
    """Cancel."""
    learner, bridge = caller.subject or "", bridges.first(unit.session, unit.city.id)
    withdrawals.cancel(unit, bridge.chain_id, learner, seq)
    return withdrawals.view(unit.session, bridge, learner, seq)


@routes.write(
    "POST",
    f"{CITY}/deposit-tickets",
    permission="deposit.write",
    response=TicketOut(),
    status=201,
    problems=("bridge_paused", "wallet_missing", "limit_reached"),
    summary="Draw a ticket for a deposit",
    description="It serves one deposit from the linked wallet, credited once it is final.",
)
def draw(unit: Unit, caller: Principal, command: Any) -> dict[str, Any]:
    """Draw."""
    learner, bridge = caller.subject or "", bridges.first(unit.session, unit.city.id)
    made = deposits.draw(unit, bridge.chain_id, learner)
    return {
        "ticket": made.ticket,
        "chain_id": bridge.chain_id,
        "contract": bridge.contract,
        "wallet": made.wallet,
        "expires_at": made.expires_at,
    }
