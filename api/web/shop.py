"""The till: find a customer's reservation, see what and how much, confirm; refunds and the day's sum.

A look-up by code is a command of the writer, because misses are counted. Nothing moves before the shop confirms. What
is over already, such as a code that was redeemed before, is shown as loudly as a refusal, so that nobody gives twice;
and the loud yes is shown right after the confirmation only: whoever comes back to it later finds the plain receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask import g, request

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, clock, field, money, ngettext, say
from ledger.book import accounts
from ledger.book.unit import Unit
from ledger.commerce import receipts, redemptions, shops
from ledger.commerce.receipts import RedemptionView
from ledger.commerce.shops import ShopView
from ledger.errors import Forbidden, LedgerError, NotFound, Refused, ValidationFailed

FRESH = timedelta(minutes=1)
"""How long after its confirmation a redemption is shown as one that the customer is waiting for."""

ANOTHER_SHOP = N_("This reservation is for another shop. Nothing was taken.")

says("refunded", N_("Refunded."))


def own_shop(visit: Visit) -> ShopView:
    """The shop that is signed in."""
    return shops.get(visit.session, visit.city.id, visit.shop.subject or "", visit.shop)


def available_minor(visit: Visit, shop: ShopView) -> int | None:
    """What the shop may spend; None where it has no account, for the city never admitted it."""
    try:
        return accounts.balance(visit.session, visit.city.id, shop.account).available_minor
    except NotFound:
        return None


def plain(visit: Visit, minor: int) -> str:
    """An amount as it stands in a field: `1250.00`."""
    scale = visit.city.scale
    return f"{minor // 10**scale}.{minor % 10**scale:0{scale}d}" if scale else str(minor)


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
            return see(visit.address("till_redemption", redemption_id=refusal.params["id"], late=1))
        return _till(visit, _under_code(form, refusal)), 422
    if found.startswith("-"):
        form.errors["code"] = ngettext(
            "No reservation has these digits. Look at the customer's screen again; {count} more try.",
            "No reservation has these digits. Look at the customer's screen again; {count} more tries.",
            int(found[1:]),
        )
        return _till(visit, form), 404
    return see(visit.address("till_redemption", redemption_id=found))


@web.get("/c/<city>/shop/redemptions/<redemption_id>")
@page("redemption.find", door="shop")
def till_redemption(visit: Visit, redemption_id: str) -> Answer:
    """A reservation as the shop sees it: what and how much, before it confirms."""
    try:
        return _redemption(visit, redemption_id, Form(visit))
    except Forbidden:
        return another_shop(visit)


@web.post("/c/<city>/shop/redemptions/<redemption_id>/confirm")
@page("redemption.confirm", door="shop")
def till_confirm(visit: Visit, redemption_id: str) -> Answer:
    """Take the tokens."""
    caller = visit.principal
    return _act(visit, redemption_id, lambda unit: redemptions.confirm(unit, caller, redemption_id).id, fresh=1)


@web.post("/c/<city>/shop/redemptions/<redemption_id>/cancel")
@page("redemption.cancel", door="shop")
def till_cancel(visit: Visit, redemption_id: str) -> Answer:
    """Let a customer's reservation go."""
    caller = visit.shop
    return _act(visit, redemption_id, lambda unit: redemptions.cancel(unit, caller, redemption_id).id)


@web.post("/c/<city>/shop/redemptions/<redemption_id>/refund")
@page("redemption.refund", door="shop")
def till_refund(visit: Visit, redemption_id: str) -> Answer:
    """Give back all or a part of what was taken, after a second look."""
    caller, form = visit.shop, Form.sent(visit)
    view = redemptions.get(visit.session, caller, redemption_id, visit.now)
    minor = form.amount("amount")
    try:
        form.check()
        if not form.value("confirmed"):
            _check_left(visit, view, minor)
            return _refund_review(visit, view, form, minor)
        visit.write(lambda unit: redemptions.refund(unit, caller, redemption_id, minor).id, caller)
    except (ValidationFailed, Refused) as refusal:
        # A refund that fails is no customer's invalid code: its reason stands at the amount.
        form.refused(refusal, {"amount_minor": "amount"})
        if "" in form.errors:
            form.errors["amount"] = form.errors.pop("")
        return _redemption(visit, redemption_id, form), 409
    return see(visit.address("till_redemption", redemption_id=redemption_id), done="refunded")


def _check_left(visit: Visit, view: RedemptionView, minor: int) -> None:
    if view.state != "confirmed":
        return
    left = view.moved_minor - view.refunded_minor
    held = available_minor(visit, own_shop(visit)) or 0
    if minor > left:
        raise ValidationFailed({"amount_minor": f"Give at most {left}, which is what is left to refund."})
    if minor > held:
        text = say(N_("Your shop has only {amount} left to give back."), amount=money(held))
        raise ValidationFailed({"amount": text})


def _refund_review(visit: Visit, view: RedemptionView, form: Form, minor: int) -> str:
    shop = own_shop(visit)
    held = available_minor(visit, shop) or 0
    return render(
        "shop/confirm.html",
        shop=shop,
        title=say(N_("Give this back to the customer?")),
        text=field(view, "title"),
        minor=minor,
        rows=[(say(N_("Your shop")), held, held - minor)],
        yes=say(N_("Give it back")),
        note=say(N_("The customer sees it at once. It cannot be taken again without a new reservation.")),
        hidden={**form.values, "confirmed": "1"},
        to=request.path,
        back_url=visit.address("till_redemption", redemption_id=view.id),
    )


def another_shop(visit: Visit) -> Answer:
    """The till, with a loud no: what the customer shows is another shop's."""
    g.door = "shop"
    return _till(visit, Form(visit), say(ANOTHER_SHOP)), 403


def _under_code(form: Form, refusal: LedgerError) -> Form:
    form.refused(refusal)
    if seconds := refusal.params.get("retry_after_seconds"):
        text = N_("Too many wrong codes. Scan the customer's QR, or type again at {at}.")
        form.errors["code"] = say(text, at=clock(form.visit.now + timedelta(seconds=seconds)))
    form.errors.setdefault("code", form.errors.get("", ""))
    return form


def _till(visit: Visit, form: Form, refusal: str = "") -> str:
    shop = own_shop(visit)
    day = receipts.till(visit.session, visit.city.id, shop.id, visit.now)
    state = "declined" if shop.state == shops.SUSPENDED and available_minor(visit, shop) is None else shop.state
    return render("shop/till.html", shop=shop, state=state, till=day, form=form, refusal=refusal)


def _redemption(visit: Visit, redemption_id: str, form: Form) -> str:
    view = redemptions.get(visit.session, visit.shop, redemption_id, visit.now)
    if not form.has("amount"):
        form.values["amount"] = plain(visit, view.moved_minor - view.refunded_minor)
    late = bool(form.errors.get("")) or (bool(request.args.get("late")) and view.state != "pending")
    asked_fresh = bool(request.args.get("fresh")) and view.state == "confirmed"
    fresh = asked_fresh and view.confirmed_at is not None and visit.now - view.confirmed_at < FRESH
    return render(
        "shop/redemption.html", redemption=view, shop=own_shop(visit), form=form, fresh=fresh and not late, late=late
    )


def _act(visit: Visit, redemption_id: str, run: Callable[[Unit], str], **shown: int) -> Answer:
    """Run a command on a redemption and show it; what has ended meanwhile is shown as what it is."""
    try:
        visit.write(run, visit.shop)
    except (ValidationFailed, Refused) as refusal:
        form = Form(visit).refused(refusal, {"amount_minor": "amount"})
        return _redemption(visit, redemption_id, form), 409
    return see(visit.address("till_redemption", redemption_id=redemption_id, **shown))
