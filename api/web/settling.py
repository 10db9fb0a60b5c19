"""The treasurer's side of settlements: what shops ask for, settled after a second look, or declined."""

from __future__ import annotations

from collections.abc import Callable

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_
from ledger.book import accounts
from ledger.book.unit import Unit
from ledger.commerce import trading
from ledger.commerce.trading import SettlementView
from ledger.errors import NotFound, Refused
from ledger.people.roles import Principal

says("settled", N_("Settled. The entry stands in the public log; the shop sees it."))
says("declined", N_("Declined. The shop keeps its tokens and sees your answer."))


@web.get("/c/<city>/steward/settlements/<settlement_id>")
@page("settlement.answer", door="desk")
def settlement(visit: Visit, settlement_id: str) -> str:
    """One request: how much, and what would be left."""
    return _settlement(visit, settlement_id, None)


@web.post("/c/<city>/steward/settlements/<settlement_id>/settle")
@page("settlement.answer", door="desk")
def settlement_settle(visit: Visit, settlement_id: str) -> Answer:
    """Take the tokens out of circulation."""
    return _answered(visit, settlement_id, trading.settle, "settled")


@web.post("/c/<city>/steward/settlements/<settlement_id>/decline")
@page("settlement.answer", door="desk")
def settlement_decline(visit: Visit, settlement_id: str) -> Answer:
    """Answer with no."""
    return _answered(visit, settlement_id, trading.decline, "declined")


def _answered(
    visit: Visit, settlement_id: str, answer: Callable[[Unit, Principal, str], SettlementView], done: str
) -> Answer:
    caller = visit.principal
    try:
        visit.write(lambda unit: answer(unit, caller, settlement_id).id)
    except Refused as refusal:
        return _settlement(visit, settlement_id, refusal), 409
    return see(visit.address("treasury"), done=done)


def _settlement(visit: Visit, settlement_id: str, refusal: Refused | None) -> str:
    view = trading.get(visit.session, visit.city.id, settlement_id)
    form = Form(visit)
    if refusal is not None:
        form.refused(refusal)
    try:
        held = accounts.balance(visit.session, visit.city.id, f"shop:{view.shop}").available_minor
    except NotFound:
        held = 0
    return render("steward/settlement.html", one=view, held=held, form=form)
