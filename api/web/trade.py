"""What a shop does with its tokens: spend them at another shop, or ask the city to settle them.

Either goes in two steps, as at the treasury: the form leads to a page that shows what would move, and only the button
there sends the command, under the key of the form it began with.
"""

from __future__ import annotations

from flask import request

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.shop import available_minor, own_shop, plain
from api.web.words import N_, money, name, say
from ledger.commerce import shops, trading
from ledger.errors import NotFound, Refused, ValidationFailed

says("spent", N_("Done. The other shop has the tokens; the entry stands in the public log."))
says("asked", N_("Asked. The treasurer sees your request; until it is settled the tokens stay yours."))
says("withdrawn", N_("Withdrawn. Your tokens stay where they are."))


@web.get("/c/<city>/shop/tokens")
@page("shop.spend", door="shop")
def shop_tokens(visit: Visit) -> str:
    """The balance, and what can be done with it."""
    return _tokens(visit, Form(visit))


@web.post("/c/<city>/shop/tokens/spend")
@page("shop.spend", door="shop")
def shop_spend(visit: Visit) -> Answer:
    """Pay another shop, after a second look."""
    form, caller = Form.sent(visit), visit.shop
    taker, minor = form.word("shop"), form.amount("spend")
    if not taker:
        form.fail("shop", N_("Choose one of the list."))
    try:
        form.check()
        other = shops.get(visit.session, visit.city.id, taker)
        if not form.value("confirmed"):
            before = _covered(form, "spend", minor)
            title = say(N_("Pay {shop}?"), shop=name(other))
            rows = [(name(own_shop(visit)), before, before - minor)]
            note = say(N_("It becomes an entry of the public log. Only the other shop can give the tokens back."))
            return _confirm(form, title, minor, rows, say(N_("Pay {shop}"), shop=name(other)), note)
        visit.write(lambda unit: str(trading.spend(unit, caller, taker, minor).seq), caller)
    except (ValidationFailed, Refused, NotFound) as refusal:
        return _tokens(visit, form.refused(refusal, {"amount_minor": "spend"})), 422
    return see(visit.address("shop_tokens"), done="spent")


@web.post("/c/<city>/shop/tokens/settle")
@page("settlement.ask", door="shop")
def shop_settle(visit: Visit) -> Answer:
    """Ask the treasurer to settle, after a second look."""
    form, caller = Form.sent(visit), visit.shop
    minor = form.amount("settle")
    try:
        form.check()
        if not form.value("confirmed"):
            before = _covered(form, "settle", minor)
            rows = [(name(own_shop(visit)), before, before - minor)]
            note = say(N_("Asking moves nothing. When the treasurer settles, the tokens leave your account for good."))
            return _confirm(form, say(N_("Ask the city to settle?")), minor, rows, say(N_("Ask")), note)
        visit.write(lambda unit: trading.ask(unit, caller, minor).id, caller)
    except (ValidationFailed, Refused) as refusal:
        return _tokens(visit, form.refused(refusal, {"amount_minor": "settle"})), 422
    return see(visit.address("shop_tokens"), done="asked")


@web.post("/c/<city>/shop/tokens/settle/<settlement_id>/withdraw")
@page("settlement.ask", door="shop")
def shop_withdraw(visit: Visit, settlement_id: str) -> Answer:
    """Take a request back."""
    caller = visit.shop
    try:
        visit.write(lambda unit: trading.withdraw(unit, caller, settlement_id).id, caller)
    except Refused as refusal:
        return _tokens(visit, Form(visit).refused(refusal)), 409
    return see(visit.address("shop_tokens"), done="withdrawn")


def _covered(form: Form, field: str, minor: int) -> int:
    """What the shop has, which is enough.

    Raises:
        ValidationFailed: it is not; told at the field of the amount.
    """
    held = available_minor(form.visit, own_shop(form.visit)) or 0
    if minor > held:
        form.errors[field] = say(N_("Your shop has only {amount}."), amount=money(held))
    form.check()
    return held


def _confirm(form: Form, title: str, minor: int, rows: list[tuple[str, int, int]], yes: str, note: str) -> Answer:
    return render(
        "shop/confirm.html",
        shop=own_shop(form.visit),
        title=title,
        minor=minor,
        rows=rows,
        yes=yes,
        note=note,
        hidden={**form.values, "confirmed": "1"},
        to=request.path,
    )


def _tokens(visit: Visit, form: Form) -> str:
    shop = own_shop(visit)
    held = available_minor(visit, shop) or 0
    requests = trading.of_shop(visit.session, visit.city.id, shop.id)
    others = [one for one in shops.list_(visit.session, visit.city.id) if one.id != shop.id]
    if held and not form.has("settle"):
        form.values["settle"] = plain(visit, held)
    return render(
        "shop/tokens.html",
        shop=shop,
        form=form,
        available=held,
        choices=[("", say(N_("Choose a shop"))), *((one.id, name(one)) for one in others)],
        waiting=next((one for one in requests if one.state == trading.ASKED), None),
        ended=[one for one in requests if one.state != trading.ASKED],
    )
