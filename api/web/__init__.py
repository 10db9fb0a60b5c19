"""The pages for learners, shops, stewards, auditors and kiosks: `register` puts them into an application."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, g, make_response, request, url_for

from api import auth
from api.problems import Problem
from api.web import (
    agenda,
    airdrops,
    audit,
    chain,
    checkins,
    helping,
    installing,
    kiosk,
    landing,
    learner,
    market,
    movements,
    paper,
    planning,
    programme,
    promotions,
    receipts,
    redemptions,
    reports,
    sales,
    scanning,
    settling,
    shell,
    shop,
    spaces,
    steward,
    storefront,
    trade,
    words,
)
from api.web.shell import Visit, web
from api.web.words import N_, say
from ledger.errors import LedgerError

__all__ = ["problem_page", "register"]

PAGES = (
    agenda,
    airdrops,
    audit,
    chain,
    checkins,
    helping,
    installing,
    kiosk,
    landing,
    learner,
    market,
    movements,
    paper,
    planning,
    programme,
    promotions,
    receipts,
    redemptions,
    reports,
    sales,
    scanning,
    settling,
    shop,
    spaces,
    steward,
    storefront,
    trade,
)
"""The modules that declare views; importing them declares."""


def problem_page(problem: Problem) -> Response:
    """A problem that no page of a city met, such as an unknown address, as a page with the headers of one."""
    return shell.finish(make_response(landing.show_lost(problem), problem.status))


Ways = tuple[tuple[str, str, str, tuple[str, ...]], ...]
"""The ways of an area: page, label, sign (of icons.svg), and the pages below it."""

LEARNER_WAYS: Ways = (
    ("whats_on", N_("What's on"), "today", ("activity", "code")),
    ("promotions", N_("Promotions"), "offer", ("promotion",)),
    (
        "wallet",
        N_("Wallet"),
        "wallet",
        ("redemption", "received", "recover", "recover_wallet", "chain", "chain_ticket"),
    ),
)
SHOP_WAYS: Ways = (
    ("till", N_("Till"), "till", ("till_redemption", "till_find", "till_confirm", "till_cancel", "till_refund")),
    (
        "shop_promotions",
        N_("Promotions"),
        "offer",
        ("promotion_new", "promotion_create", "promotion_edit", "promotion_change", "shop_about", "shop_about_sent"),
    ),
    ("shop_sales", N_("Sales"), "figures", ()),
    (
        "shop_tokens",
        N_("Tokens"),
        "treasury",
        ("shop_spend", "shop_settle", "shop_statement", "shop_statement_print"),
    ),
)
DESK_WAYS: Ways = (
    ("desk", N_("Desk"), "desk", ()),
    (
        "steward_activities",
        N_("Activities"),
        "activity",
        (
            "steward_activity",
            "session_end_ask",
            "activity_new",
            "activity_create",
            "activity_change",
            "activity_edit",
            "activity_cost",
            "agenda",
            "spaces",
            "space_new",
            "space_edit",
            "poster",
            "code_sheets",
            "code_sheet",
            "code_sheet_ask",
            "airdrop_list",
            "airdrop_new",
            "airdrop",
        ),
    ),
    ("treasury", N_("Treasury"), "treasury", ("fund", "grant", "reverse_ask", "settlement")),
    ("steward_shops", N_("Shops"), "shop", ("steward_promotions", "shop_link")),
    ("city_figures", N_("Figures"), "figures", ()),
)
AUDIT_WAYS: Ways = (
    ("audit_home", N_("Public log"), "log", ()),
    ("audit_entries", N_("Entries"), "list", ("audit_entry",)),
    ("audit_check", N_("Check a receipt"), "check", ()),
)


def register(app: Flask) -> None:
    """Add the pages and what their templates call."""
    app.register_blueprint(web)


@web.app_context_processor
def context() -> dict[str, Any]:
    """What every template may call."""
    visit: Visit | None = g.get("visit")
    known = hasattr(visit, "principal") and g.get("door") in ("shop", "desk")
    return {
        "_": say,
        "ngettext": words.ngettext,
        "static": shell.static,
        "new_key": shell.new_key,
        "ways": _ways(visit),
        "for_learners": g.get("door") not in ("shop", "desk", "kiosk"),
        "wallet_url": visit.address("wallet")
        if visit and hasattr(visit, "learner") and visit.learner.signed_in
        else "",
        "home_url": visit.address("whats_on") if visit else url_for("web.landing"),
        "working_as": auth.kind_of(visit.at_work) if visit and known and visit.at_work.signed_in else "",
    }


for _name, _filter in words.FILTERS.items():
    web.add_app_template_filter(_filter, _name)


@web.errorhandler(LedgerError)
def refused(error: LedgerError) -> shell.Answer:
    """Show a refusal of a page."""
    return landing.show_refusal(error)


def _may(visit: Visit, name: str) -> bool:
    """Whether staff may see a page: a treasurer's ways do not lead to a steward's doors."""
    permission = getattr(current_app.view_functions[f"web.{name}"], "permission", "")
    return visit.staff.may(permission)


def _back(visit: Visit) -> Ways:
    """The way from the public log to where somebody who is signed in came from."""
    signed_in = ((visit.learner, LEARNER_WAYS[2:]), (visit.shop, SHOP_WAYS[:1]), (visit.staff, DESK_WAYS[:1]))
    found = [ways for principal, ways in signed_in if principal.signed_in]
    return tuple(way for ways in found for way in ways) or LEARNER_WAYS[:1]


def _ways(visit: Visit | None) -> list[dict[str, Any]]:
    """The ways of the area that the page belongs to."""
    if visit is None or not hasattr(visit, "principal"):
        return []
    endpoint = (request.endpoint or "").removeprefix("web.")
    if g.get("door") == "shop":
        known: Ways = SHOP_WAYS if visit.shop.signed_in else ()
    elif g.get("door") == "desk":
        known = DESK_WAYS if visit.staff.signed_in else ()
    elif endpoint.startswith("audit_"):
        known = AUDIT_WAYS + _back(visit)
    else:
        known = LEARNER_WAYS
    return [
        {
            "url": visit.address(name),
            "label": say(label),
            "icon": icon,
            "current": endpoint == name or endpoint in others,
        }
        for name, label, icon, others in known
        if known is not DESK_WAYS or _may(visit, name)
    ]
