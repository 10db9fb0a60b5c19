"""The steward's shops: who waits, who is in, links for their tills, all promotions."""

from __future__ import annotations

from flask import request

from api.web import figures
from api.web.programme import link_address
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import CATEGORIES, N_, name, say
from ledger.commerce import promotions as offers
from ledger.commerce import shops
from ledger.errors import Refused
from ledger.people import tokens
from ledger.people.roles import SHOP
from ledger.programme import places

PAGE = 60
says("approved", N_("Approved. Next: hand the shop its link for the till."))
says("suspended", N_("Suspended. Its promotions no longer show."))
says("shop-declined", N_("Declined. It stands below, and can still be approved."))


@web.get("/c/<city>/steward/shops")
@page("shop.list_all", door="desk")
def steward_shops(visit: Visit) -> str:
    """Applications first, then the shops that are in, then the suspended, then those that never were in."""
    return _page(visit)


@web.post("/c/<city>/steward/shops/<shop_id>/approve")
@page("shop.approve", door="desk")
def shop_approve(visit: Visit, shop_id: str) -> Answer:
    """Admit a shop."""
    caller = visit.principal
    visit.write(lambda unit: shops.approve(unit, caller, shop_id).id)
    return see(visit.address("steward_shops"), done="approved")


@web.post("/c/<city>/steward/shops/<shop_id>/suspend")
@page("shop.approve", door="desk")
def shop_suspend(visit: Visit, shop_id: str) -> Answer:
    """Suspend a shop, or decline its application."""
    caller = visit.principal
    was = shops.find(visit.session, visit.city.id, shop_id).state
    visit.write(lambda unit: shops.suspend(unit, caller, shop_id).id)
    return see(visit.address("steward_shops"), done="shop-declined" if was == shops.APPLIED else "suspended")


@web.post("/c/<city>/steward/shops/<shop_id>/link")
@page("link.create", door="desk")
def shop_link(visit: Visit, shop_id: str) -> Answer:
    """Make a one-time link for a shop's till. It is shown in the answer and nowhere else."""
    shop = shops.find(visit.session, visit.city.id, shop_id)
    if shop.state != shops.APPROVED:
        raise Refused("shop_not_open", shop.state, shop=shop_id)
    secret = visit.write(lambda unit: tokens.create_link(unit, {SHOP}, shop_id))
    return _page(visit, link_address(secret), shop_id)


@web.get("/c/<city>/steward/promotions")
@page("shop.list_all", door="desk")
def steward_promotions(visit: Visit) -> str:
    """Every promotion of every shop."""
    views = offers.list_(visit.session, visit.city.id, visit.now, everything=True)
    return render("steward/promotions.html", promotions=views)


def _page(visit: Visit, link: str = "", link_shop: str = "") -> str:
    session, city = visit.session, visit.city.id
    after = request.args.get("after")
    approved = shops.list_(session, city, after=after, limit=PAGE + 1)
    districts = places.districts(session, city)
    holdings = figures.of(session, city).shops
    out = shops.list_(session, city, state=shops.SUSPENDED, limit=PAGE)
    return render(
        "steward/shops.html",
        waiting=shops.list_(session, city, state=shops.APPLIED),
        approved=approved[:PAGE],
        # An account is opened by the first approval: who has none was declined.
        suspended=[one for one in out if one.account in holdings],
        declined=[one for one in out if one.account not in holdings],
        next_url=visit.address("steward_shops", after=approved[PAGE - 1].id) if len(approved) > PAGE else None,
        holdings=holdings,
        category_names={key: say(text) for key, text in CATEGORIES.items()},
        district_names={one.id: name(one) for one in districts},
        link=link,
        link_shop=shops.find(session, city, link_shop) if link else None,
        link_qr=symbol(link) if link else "",
    )
