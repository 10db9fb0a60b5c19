"""`/shops` and `/promotions`: who takes tokens, and what for."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items, items_of
from api.schemas.street import (
    PromotionChangeIn,
    PromotionIn,
    PromotionOut,
    PromotionsQuery,
    ShopIn,
    ShopOut,
    ShopsQuery,
    new_promotion,
)
from ledger.book.unit import Unit
from ledger.commerce import promotions, shops
from ledger.commerce.promotions import PromotionChange, PromotionView
from ledger.commerce.shops import NewShop, ShopView
from ledger.people.roles import SHOP, Principal, require

routes = Operations("shops", "Small shops that take tokens as a discount, and what they offer for them.")
ONE = f"{CITY}/shops/<shop>"


@routes.read(
    f"{CITY}/shops",
    permission="shop.read",
    query=ShopsQuery(),
    response=items_of(ShopOut, "Shops"),
    summary="List the shops",
    description="The approved ones; stewards may ask for others.",
)
def list_(ask: Ask) -> Items:
    """The shops."""
    state = ask.query.pop("state", shops.APPROVED)
    if state != shops.APPROVED:
        require(ask.caller, "shop.list_all")
    return Items(shops.list_(ask.session, ask.city.id, state=None if state == "any" else state, **ask.query))


@routes.read(ONE, permission="shop.read", response=ShopOut(), summary="Show a shop")
def show(ask: Ask, shop: str) -> ShopView:
    """One shop."""
    return shops.get(ask.session, ask.city.id, shop, ask.caller)


@routes.write(
    "POST",
    f"{CITY}/shops",
    permission="shop.apply",
    request=ShopIn(),
    response=ShopOut(),
    status=201,
    problems=("limit_reached",),
    summary="Apply as a shop",
)
def apply(unit: Unit, caller: Principal, command: NewShop) -> ShopView:
    """Apply."""
    return shops.apply(unit, caller, command)


@routes.write("POST", f"{ONE}/approve", permission="shop.approve", response=ShopOut(), summary="Approve a shop")
def approve(unit: Unit, caller: Principal, command: Any, shop: str) -> ShopView:
    """Approve."""
    return shops.approve(unit, caller, shop)


@routes.write(
    "POST",
    f"{ONE}/suspend",
    permission="shop.approve",
    response=ShopOut(),
    summary="Suspend a shop, or decline its application",
)
def suspend(unit: Unit, caller: Principal, command: Any, shop: str) -> ShopView:
    """Suspend."""
    return shops.suspend(unit, caller, shop)


@routes.read(
    f"{CITY}/promotions",
    permission="promotion.read",
    query=PromotionsQuery(),
    response=items_of(PromotionOut, "Promotions"),
    summary="List the promotions",
    description="Those that can be had now come first, the cheapest in front.",
)
def list_promotions(ask: Ask) -> Items:
    """The promotions."""
    if ask.query["everything"]:
        require(ask.caller, "promotion.write", ask.query.get("shop", ""))
    return Items(promotions.list_(ask.session, ask.city.id, ask.now, **ask.query))


@routes.read(
    f"{CITY}/promotions/<promotion>",
    permission="promotion.read",
    response=PromotionOut(),
    summary="Show a promotion",
)
def show_promotion(ask: Ask, promotion: str) -> PromotionView:
    """One promotion."""
    return promotions.get(ask.session, ask.city.id, promotion, ask.now, ask.caller)


@routes.write(
    "POST",
    f"{CITY}/promotions",
    permission="promotion.write",
    request=PromotionIn(),
    response=PromotionOut(),
    status=201,
    problems=("limit_reached",),
    summary="Offer a promotion",
)
def create_promotion(unit: Unit, caller: Principal, command: dict[str, Any]) -> PromotionView:
    """Offer."""
    own = caller.subject if caller.holds(SHOP) else None
    return promotions.create(unit, caller, new_promotion(command, own))


@routes.write(
    "PATCH",
    f"{CITY}/promotions/<promotion>",
    permission="promotion.write",
    request=PromotionChangeIn(),
    response=PromotionOut(),
    problems=("limit_reached",),
    summary="Change, pause or resume a promotion",
    description="What is reserved already keeps its price and its words.",
)
def change_promotion(unit: Unit, caller: Principal, command: PromotionChange, promotion: str) -> PromotionView:
    """Change."""
    return promotions.change(unit, caller, promotion, command)
