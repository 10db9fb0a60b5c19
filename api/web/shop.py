"""The till: find a customer's reservation, see what and how much, confirm; refunds and the day's sum.

A look-up by code is a command of the writer, because misses are counted. Nothing moves before the shop confirms.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import CATEGORIES, N_, name, say, statement_lines
from ledger.book import accounts, statements
from ledger.book.unit import Unit
from ledger.commerce import receipts, redemptions, shops
from ledger.commerce.shops import NewShop, ShopView
from ledger.errors import LedgerError, Refused, ValidationFailed
from ledger.programme import places
from ledger.values import SLUG

PAGE = 50
says("confirmed", N_("Confirmed."))
says("refunded", N_("Refunded."))
says("let-go", N_("Cancelled. Nothing was taken."))


def own_shop(visit: Visit) -> ShopView:
    """The shop that is signed in."""
    return shops.get(visit.session, visit.city.id, visit.principal.subject or "", visit.principal)


@web.get("/c/<city>/shop/")
@page("shop.till", door="shop")
def till(visit: Visit) -> str:
    """The till."""
    return _till(visit, Form(visit))


@web.post("/c/<city>/shop/find")
@page("redemption.find", door="shop")
def till_find(visit: Visit) -> Answer:
    """Find what stands under six digits."""
    form = Form.sent(visit)
    caller = visit.principal

    def run(unit: Unit) -> str:
        found = redemptions.find_by_code(unit, caller, form.value("code"))
        return found.redemption.id if found.redemption else f"-{found.tries_left}"

    try:
        # Looking up moves nothing, so that no key is needed: a second look must look again.
        found = visit.write(run, caller, keyed=False)
    except (ValidationFailed, Refused) as refusal:
        if refusal.code in ("redemption_ended", "redemption_expired") and "id" in refusal.params:
            return see(visit.address("till_redemption", redemption_id=refusal.params["id"]))
        return _till(visit, _under_code(form, refusal)), 422
    if found.startswith("-"):
        text = N_("No reservation has these digits. Look at the customer's screen again; {count} more tries.")
        form.errors["code"] = say(text, count=found[1:])
        return _till(visit, form), 404
    return see(visit.address("till_redemption", redemption_id=found))


@web.get("/c/<city>/shop/redemptions/<redemption_id>")
@page("redemption.find", door="shop")
def till_redemption(visit: Visit, redemption_id: str) -> str:
    """A reservation as the shop sees it: what and how much, before it confirms."""
    return _redemption(visit, redemption_id, Form(visit))


@web.post("/c/<city>/shop/redemptions/<redemption_id>/confirm")
@page("redemption.confirm", door="shop")
def till_confirm(visit: Visit, redemption_id: str) -> Answer:
    """Take the tokens."""
    caller = visit.principal
    return _act(visit, redemption_id, Form(visit), lambda unit: redemptions.confirm(unit, caller, redemption_id).id)


@web.post("/c/<city>/shop/redemptions/<redemption_id>/cancel")
@page("redemption.cancel", door="shop")
def till_cancel(visit: Visit, redemption_id: str) -> Answer:
    """Let a customer's reservation go."""
    caller = visit.shop
    form = Form(visit)
    return _act(visit, redemption_id, form, lambda unit: redemptions.cancel(unit, caller, redemption_id).id, "let-go")


@web.post("/c/<city>/shop/redemptions/<redemption_id>/refund")
@page("redemption.refund", door="shop")
def till_refund(visit: Visit, redemption_id: str) -> Answer:
    """Give back all or a part of what was taken."""
    caller, form = visit.principal, Form.sent(visit)
    minor = form.amount("amount")
    if form.errors:
        return _redemption(visit, redemption_id, form), 422
    return _act(
        visit, redemption_id, form, lambda unit: redemptions.refund(unit, caller, redemption_id, minor).id, "refunded"
    )


@web.get("/c/<city>/shop/statement")
@page("shop.till", door="shop")
def shop_statement(visit: Visit) -> str:
    """What came to the shop's account and what went."""
    shop = own_shop(visit)
    if shop.state == shops.APPLIED:
        raise Refused("shop_not_open", shop.state, shop=shop.id)
    cursor = request.args.get("cursor", type=int)
    found = statements.statement(visit.session, visit.city.id, shop.account, cursor=cursor, limit=PAGE)
    return render(
        "shop/statement.html",
        shop=shop,
        balance=accounts.balance(visit.session, visit.city.id, shop.account),
        lines=statement_lines(visit, found.items),
        next_url=visit.address("shop_statement", cursor=found.next) if found.next else None,
    )


@web.get("/c/<city>/shop/apply")
@page("shop.apply")
def shop_apply(visit: Visit) -> str:
    """The form by which a shop asks to be admitted, and afterwards its number."""
    applied = request.args.get("applied", "")
    return _apply_page(visit, Form(visit, {"category": "food"}), applied if SLUG.fullmatch(applied) else "")


@web.post("/c/<city>/shop/apply")
@page("shop.apply")
def shop_apply_sent(visit: Visit) -> Answer:
    """Take an application in."""
    form, caller = Form.sent(visit), visit.principal
    new = NewShop(
        name_th=form.word("name_th"),
        name_en=form.word("name_en"),
        about_th=form.word("about_th"),
        about_en=form.word("about_en"),
        district=form.word("district"),
        category=form.choice("category", CATEGORIES),
    )
    try:
        form.check()
        made = visit.write(lambda unit: shops.apply(unit, caller, new).id)
    except (ValidationFailed, Refused) as refusal:
        return _apply_page(visit, form.refused(refusal), ""), 422
    return see(visit.address("shop_apply", applied=made))


def _under_code(form: Form, refusal: LedgerError) -> Form:
    form.refused(refusal)
    form.errors.setdefault("code", form.errors.get("", ""))
    return form


def _till(visit: Visit, form: Form) -> str:
    shop = own_shop(visit)
    day = receipts.till(visit.session, visit.city.id, shop.id, visit.now)
    return render("shop/till.html", shop=shop, till=day, form=form)


def _redemption(visit: Visit, redemption_id: str, form: Form) -> str:
    view = redemptions.get(visit.session, visit.shop, redemption_id, visit.now)
    if not form.has("amount"):
        form.values["amount"] = _plain(visit, view.moved_minor - view.refunded_minor)
    fresh = request.args.get("done") == "confirmed"
    return render("shop/redemption.html", redemption=view, form=form, fresh=fresh)


def _plain(visit: Visit, minor: int) -> str:
    scale = visit.city.scale
    return f"{minor // 10**scale}.{minor % 10**scale:0{scale}d}" if scale else str(minor)


def _act(visit: Visit, redemption_id: str, form: Form, run: Callable[[Unit], str], done: str = "confirmed") -> Answer:
    """Run a command on a redemption and show it; what has ended meanwhile is shown as what it is."""
    try:
        visit.write(run, visit.shop)
    except (ValidationFailed, Refused) as refusal:
        return _redemption(visit, redemption_id, form.refused(refusal, {"amount_minor": "amount"})), 409
    return see(visit.address("till_redemption", redemption_id=redemption_id), done=done)


def _apply_page(visit: Visit, form: Form, applied: str) -> str:
    districts = [("", "–"), *((one.id, name(one)) for one in places.districts(visit.session, visit.city.id))]
    categories = [(key, say(text)) for key, text in CATEGORIES.items()]
    return render("shop/apply.html", form=form, applied=applied, districts=districts, categories=categories)
