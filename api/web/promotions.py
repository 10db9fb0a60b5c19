"""A shop's promotions: offer, change, pause, resume."""

from __future__ import annotations

from dataclasses import replace

from flask import request

from api.i18n import number
from api.web.forms import Form, local_value
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.shop import own_shop
from api.web.words import N_
from ledger.book.unit import Unit
from ledger.commerce import phones
from ledger.commerce import promotions as offers
from ledger.commerce.promotions import NewPromotion, PromotionChange, PromotionView
from ledger.errors import NotFound, Refused, ValidationFailed

RENAMED = {"price_minor": "price"}
says("offered", N_("Offered. Learners see it now."))
says("changed", N_("Saved."))
says("active", N_("Resumed. Learners can reserve it again."))
says("paused", N_("Paused. Nobody can reserve it until you resume it."))


@web.get("/c/<city>/shop/promotions")
@page("shop.till", door="shop")
def shop_promotions(visit: Visit) -> str:
    """All promotions of the shop, in whatever state."""
    shop = own_shop(visit)
    views = offers.list_(visit.session, visit.city.id, visit.now, shop=shop.id, everything=True)
    phone = phones.shown(shop.phone) if shop.phone else ""
    return render("shop/promotions.html", shop=shop, promotions=views, phone=phone)


@web.get("/c/<city>/shop/promotions/new")
@page("shop.till", door="shop")
def promotion_new(visit: Visit) -> str:
    """The empty form, or with `?like=` the words and bounds of another promotion of the shop, without its times."""
    if like := request.args.get("like"):
        view = _own(visit, like)
        values = {**_words(visit, view), "stock": view.stock, "per_learner": view.per_learner}
        return _form_page(visit, Form(visit, values), None, view)
    return _form_page(visit, Form(visit, {"per_learner": 1}), None)


@web.post("/c/<city>/shop/promotions/new")
@page("shop.till", door="shop")
def promotion_create(visit: Visit) -> Answer:
    """Offer a new promotion."""
    form, caller = Form.sent(visit), visit.principal
    form.needs("title_th")
    new = NewPromotion(
        shop=caller.subject or "",
        title_th=form.word("title_th"),
        title_en=form.word("title_en"),
        benefit_th=form.word("benefit_th"),
        benefit_en=form.word("benefit_en"),
        price_minor=form.amount("price"),
        stock=form.whole("stock"),
        per_learner=form.whole("per_learner"),
        starts_at=form.instant("starts_at"),
        ends_at=form.instant("ends_at"),
    )
    try:
        form.check()
        visit.write(lambda unit: offers.create(unit, caller, new).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), None), 422
    return see(visit.address("shop_promotions"), done="offered")


@web.get("/c/<city>/shop/promotions/<promotion_id>")
@page("shop.till", door="shop")
def promotion_edit(visit: Visit, promotion_id: str) -> str:
    """The form with what the promotion says now."""
    view = _own(visit, promotion_id)
    bounds = {
        "stock": view.stock,
        "per_learner": view.per_learner,
        "starts_at": local_value(visit, view.starts_at),
        "ends_at": local_value(visit, view.ends_at),
    }
    return _form_page(visit, Form(visit, {**_words(visit, view), **bounds}), view)


@web.post("/c/<city>/shop/promotions/<promotion_id>")
@page("shop.till", door="shop")
def promotion_change(visit: Visit, promotion_id: str) -> Answer:
    """Change a promotion."""
    form, caller, view = Form.sent(visit), visit.principal, _own(visit, promotion_id)
    form.needs("title_th")
    wanted = PromotionChange(
        title_th=form.word("title_th"),
        title_en=form.word("title_en"),
        benefit_th=form.word("benefit_th"),
        benefit_en=form.word("benefit_en"),
        price_minor=form.amount("price"),
        stock=form.whole("stock"),
        per_learner=form.whole("per_learner"),
    )
    # A field of the page knows minutes only: an instant that was not touched keeps its seconds.
    if form.word("starts_at") != local_value(visit, view.starts_at):
        wanted = replace(wanted, starts_at=form.instant("starts_at"))
    if form.word("ends_at") != local_value(visit, view.ends_at):
        wanted = replace(wanted, ends_at=form.instant("ends_at"))
    try:
        form.check()
        visit.write(lambda unit: offers.change(unit, caller, promotion_id, wanted).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), view), 422
    return see(visit.address("shop_promotions"), done="changed")


@web.post("/c/<city>/shop/promotions/<promotion_id>/state")
@page("shop.till", door="shop")
def promotion_state(visit: Visit, promotion_id: str) -> Answer:
    """Pause or resume a promotion."""
    caller = visit.principal
    state = offers.PAUSED if Form.sent(visit).value("state") == offers.PAUSED else offers.ACTIVE

    def run(unit: Unit) -> str:
        return offers.change(unit, caller, promotion_id, PromotionChange(state=state)).id

    visit.write(run)
    return see(visit.address("shop_promotions"), done=state)


def _own(visit: Visit, promotion_id: str) -> PromotionView:
    """A promotion of the shop that is signed in.

    Raises:
        NotFound: there is none, or it is another shop's.
    """
    view = offers.get(visit.session, visit.city.id, promotion_id, visit.now, visit.shop)
    if view.shop != visit.shop.subject:
        raise NotFound("promotion", promotion_id)
    return view


def _words(visit: Visit, view: PromotionView) -> dict[str, str]:
    """Words and price as the form has them."""
    words = {name: getattr(view, name) for name in ("title_th", "title_en", "benefit_th", "benefit_en")}
    return {**words, "price": number(view.price_minor, visit.city.scale)}


def _form_page(visit: Visit, form: Form, promotion: PromotionView | None, like: PromotionView | None = None) -> str:
    return render("shop/promotion_form.html", shop=own_shop(visit), form=form, promotion=promotion, like=like)
