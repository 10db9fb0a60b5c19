"""How a shop comes in and what it says about itself: the application, and its own description."""

from __future__ import annotations

from flask import request

from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.shop import own_shop
from api.web.words import CATEGORIES, N_, name, say
from ledger.commerce import phones, shops
from ledger.commerce.shops import NewShop, ShopChange
from ledger.errors import Refused, ValidationFailed
from ledger.programme import places
from ledger.values import SLUG

says("described", N_("Saved. Learners read it now."))


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
    form.needs("name_th")
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


@web.get("/c/<city>/shop/about")
@page("shop.write", door="shop")
def shop_about(visit: Visit) -> str:
    """What the shop says about itself, in a form."""
    shop = own_shop(visit)
    words = {field: getattr(shop, field) for field in ("about_th", "about_en", "district", "category")}
    return _about(visit, Form(visit, {**words, "phone": phones.shown(shop.phone) if shop.phone else ""}))


@web.post("/c/<city>/shop/about")
@page("shop.write", door="shop")
def shop_about_sent(visit: Visit) -> Answer:
    """Take it in."""
    form, caller = Form.sent(visit), visit.shop
    wanted = ShopChange(
        about_th=form.word("about_th"),
        about_en=form.word("about_en"),
        district=form.word("district"),
        category=form.choice("category", CATEGORIES),
        phone=form.word("phone"),
    )
    try:
        form.check()
        visit.write(lambda unit: shops.change(unit, caller, caller.subject or "", wanted).id, caller)
    except ValidationFailed as refusal:
        return _about(visit, form.refused(refusal)), 422
    return see(visit.address("shop_about"), done="described")


def _about(visit: Visit, form: Form) -> str:
    return render("shop/about.html", shop=own_shop(visit), form=form, **_choices(visit))


def _apply_page(visit: Visit, form: Form, applied: str) -> str:
    return render("shop/apply.html", form=form, applied=applied, **_choices(visit))


def _choices(visit: Visit) -> dict[str, list[tuple[str, str]]]:
    found = places.districts(visit.session, visit.city.id)
    return {
        "districts": [("", "–"), *((one.id, name(one)) for one in found)],
        "categories": [(key, say(text)) for key, text in CATEGORIES.items()],
    }
