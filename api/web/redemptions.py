"""A redemption from both sides: the learner's code that notices the confirmation, and the shop's view of the QR."""

from __future__ import annotations

from flask import request
from markupsafe import Markup
from sqlalchemy.orm import Session

from api.services import services
from api.web.learner import balance_of
from api.web.shell import Answer, Visit, kept, page, render, says, see, web
from api.web.shop import another_shop
from api.web.words import N_
from ledger.book import cities
from ledger.commerce import redemptions
from ledger.commerce.receipts import RedemptionView
from ledger.errors import Forbidden, NotFound
from ledger.programme import qr

says("cancelled", N_("Cancelled. The tokens are yours to spend again."))


def symbol(text: str, title: str | None = None) -> Markup:
    """A QR symbol to stand inside a page."""
    return Markup(qr.svg(text, title))  # noqa: S704 — made of modules and an escaped title


@web.post("/c/<city>/promotions/<promotion_id>/reserve")
@page("redemption.reserve", door="wallet")
def reserve(visit: Visit, promotion_id: str) -> Answer:
    """Reserve a promotion and show its code."""
    learner = visit.learner
    made = visit.write(lambda unit: redemptions.reserve(unit, learner, promotion_id).id, learner)
    return see(visit.address("redemption", redemption_id=made))


@web.get("/c/<city>/redemptions/<redemption_id>")
@page("redemption.read", door="wallet")
def redemption(visit: Visit, redemption_id: str) -> Answer:
    """The learner's own redemption. The page's script asks for it again until the shop has confirmed."""
    if not visit.learner.signed_in:
        return see(visit.address("till_redemption", redemption_id=redemption_id))
    view = redemptions.get(visit.session, visit.learner, redemption_id, visit.now)
    return _own(visit, view)


@web.post("/c/<city>/redemptions/<redemption_id>/cancel")
@page("redemption.cancel", door="wallet")
def cancel(visit: Visit, redemption_id: str) -> Answer:
    """Call a reservation off."""
    learner = visit.learner
    visit.write(lambda unit: redemptions.cancel(unit, learner, redemption_id).id, learner)
    return see(visit.address("redemption", redemption_id=redemption_id))


def _city_of_secret(session: Session, secret: str) -> str:
    city = cities.by_code_prefix(session, secret[:2].lower())
    if city is None:
        raise NotFound("redemption", "secret")
    return city.id


@web.get("/r/<secret>")
@page("city.read", city_of=_city_of_secret)
def scanned(visit: Visit, secret: str) -> Answer:
    """The QR of a redemption: its shop is led to what it is and how much, its learner to their own page."""
    if visit.shop.signed_in:
        try:
            view = redemptions.find_by_secret(visit.session, visit.shop, secret, visit.now)
        except Forbidden:
            return another_shop(visit)
        late = {} if view.state == "pending" else {"late": 1}
        return see(visit.address("till_redemption", redemption_id=view.id, **late))
    if visit.learner.signed_in:
        view = redemptions.find_by_secret(visit.session, visit.learner, secret, visit.now)
        return see(visit.address("redemption", redemption_id=view.id))
    return render("staff_only.html", kind="shop"), 401


def _own(visit: Visit, view: RedemptionView) -> Answer:
    address = f"{services().public_url}/r/{view.secret}"
    shown = render(
        "learner/redemption.html",
        redemption=view,
        qr=symbol(address) if view.state == "pending" else "",
        hold_seconds=int((view.expires_at - view.created_at).total_seconds()),
        left_seconds=max(0, int((view.expires_at - visit.now).total_seconds())),
        balance=balance_of(visit),
        request=request,
    )
    return kept(shown) if view.state == "pending" else shown
