"""`/redemptions`: a learner reserves, the shop looks it up, sees what and how much, and confirms."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.street import AmountIn, CodeQuery, RedemptionOut, ReserveIn
from ledger.book.unit import Unit
from ledger.commerce import redemptions
from ledger.commerce.receipts import RedemptionView
from ledger.commerce.redemptions import Lookup
from ledger.people.roles import Principal

routes = Operations("redemptions", "Spending: reserve, confirm, cancel, refund.")
ONE = f"{CITY}/redemptions/<redemption>"
ENDED = ("redemption_expired", "redemption_ended")


@routes.write(
    "POST",
    f"{CITY}/redemptions",
    permission="redemption.reserve",
    request=ReserveIn(),
    response=RedemptionOut(),
    status=201,
    problems=("shop_not_open", "promotion_closed", "out_of_stock", "limit_reached", "insufficient_funds"),
    summary="Reserve a promotion",
    description="The amount is held for some minutes. Show `code` or a QR symbol of `url` to the shop.",
)
def reserve(unit: Unit, caller: Principal, command: dict[str, str]) -> RedemptionView:
    """Reserve."""
    return redemptions.reserve(unit, caller, command["promotion"])


@routes.write(
    "GET",
    f"{CITY}/redemptions",
    permission="redemption.find",
    query=CodeQuery(),
    response=RedemptionOut(),
    finish=Lookup.found,
    problems=(*ENDED, "too_many_attempts"),
    summary="Look up a redemption by its six digits",
    description="Among those of the shop that asks. Misses are counted and limited.",
)
def find(unit: Unit, caller: Principal, command: dict[str, str]) -> Lookup:
    """Look up; a miss is counted, and becomes `not_found` after the count stands."""
    return redemptions.find_by_code(unit, caller, command["code"])


@routes.read(
    ONE,
    permission="redemption.read",
    response=RedemptionOut(),
    summary="Show a redemption",
    description="To its learner and its shop.",
)
def show(ask: Ask, redemption: str) -> RedemptionView:
    """One redemption."""
    return redemptions.get(ask.session, ask.caller, redemption, ask.now)


@routes.write(
    "POST",
    f"{ONE}/confirm",
    permission="redemption.confirm",
    request=AmountIn(),
    response=RedemptionOut(),
    problems=(*ENDED, "shop_not_open"),
    summary="Confirm a redemption",
    description="Takes the amount, or less if `amount_minor` says so; the rest is free again.",
)
def confirm(unit: Unit, caller: Principal, command: dict[str, Any], redemption: str) -> RedemptionView:
    """Confirm."""
    return redemptions.confirm(unit, caller, redemption, command.get("amount_minor"))


@routes.write(
    "POST",
    f"{ONE}/cancel",
    permission="redemption.cancel",
    response=RedemptionOut(),
    problems=ENDED,
    summary="Cancel a pending redemption",
)
def cancel(unit: Unit, caller: Principal, command: Any, redemption: str) -> RedemptionView:
    """Cancel."""
    return redemptions.cancel(unit, caller, redemption)


@routes.write(
    "POST",
    f"{ONE}/refund",
    permission="redemption.refund",
    request=AmountIn(),
    response=RedemptionOut(),
    problems=(*ENDED, "not_reversible", "insufficient_funds"),
    summary="Refund a confirmed redemption, in full or in part",
)
def refund(unit: Unit, caller: Principal, command: dict[str, Any], redemption: str) -> RedemptionView:
    """Refund."""
    return redemptions.refund(unit, caller, redemption, command.get("amount_minor"))
