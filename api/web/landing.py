"""The way in: the start page, one-time links, signing out, and the pages that say no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, g, request, url_for

from api import auth, problems
from api.problems import Problem
from api.services import CityFacts, services
from api.web import words
from api.web.checkins import with_ticket
from api.web.shell import Answer, Visit, language, page, render, says, see, web
from api.web.words import N_, say
from ledger.book import cities
from ledger.book.unit import Unit
from ledger.commerce import shops
from ledger.errors import LedgerError, NotFound
from ledger.people import roles, tokens
from ledger.people.roles import Principal
from ledger.programme import activities, places
from ledger.programme.views import ActivityView

TODAY_LIMIT = 6
FIRST_CITY = "khon-kaen"

ROLE_NAMES = {
    roles.LEARNER: N_("Learner"),
    roles.SHOP: N_("Shop"),
    roles.KIOSK: N_("Kiosk"),
    roles.STEWARD: N_("City learning administrator"),
    roles.TREASURER: N_("Treasurer"),
    roles.AUDITOR: N_("Auditor"),
    roles.OPERATOR: N_("Operator"),
    roles.INTEGRATOR: N_("Integrator"),
}


@dataclass(frozen=True)
class Town:
    """A city on the start page. `today` holds (activity, reward, opening) for what is on."""

    city: CityFacts
    today: list[tuple[ActivityView, str, str]]
    street: list[places.PlaceView]


@dataclass(frozen=True)
class Step:
    """A way on from a page."""

    url: str
    label: str


@web.get("/")
def landing() -> str:
    """The start page: the city, its four doors and what is on; other cities below. Open to everybody."""
    known = services()
    now = known.clock()
    with known.installation.database.read() as session:
        rows = sorted(cities.all_(session), key=_first_city_first)
        towns: list[Town] = []
        for row in rows:
            facts = known.facts(row)
            visit = Visit(facts, language(), now)
            views = activities.list_(session, row.id, now) if not towns else []
            today = [one for one in views if one.is_open or one.next_opens_at][:TODAY_LIMIT]
            shown = [(one, words.money(one.amount_minor, facts), words.when(one, visit)) for one in today]
            street = places.street(session, row.id) if not towns else []
            towns.append(Town(facts, shown, street))
    return render("landing.html", towns=towns)


def _city_of_link(session: Any, secret: str) -> str:
    return tokens.city_of(session, secret)


@web.get("/help")
def help_anywhere() -> Answer:
    """The way to help from pages of no city: the help page of the first city. Open to everybody."""
    with services().installation.database.read() as session:
        first = min(cities.all_(session), key=_first_city_first, default=None)
        return see(url_for("web.help_page", city=first.id) if first else url_for("web.landing"))


def _first_city_first(row: cities.City) -> tuple[bool, str]:
    return row.id != FIRST_CITY, row.id


@web.get("/l/<secret>")
@page("link.open", city_of=_city_of_link)
def link(visit: Visit, secret: str) -> str:
    """What a one-time link opens; looking at it uses nothing up."""
    seen = tokens.peek_link(visit.session, secret, visit.now)
    return render(
        "link.html",
        role_name=role_names(seen.roles),
        subject_name=_subject_name(visit, seen.roles, seen.subject),
        replaces=_replaced(visit, seen.roles),
        expires_at=seen.expires_at,
    )


@web.post("/l/<secret>")
@page("link.open", city_of=_city_of_link)
def link_open(visit: Visit, secret: str) -> Answer:
    """Use a one-time link up and sign this device in."""
    token = visit.write(lambda unit: tokens.open_link(unit, secret), Principal.anonymous(visit.city.id))
    signed_in = tokens.find(visit.session, visit.city.id, token, visit.now)
    if signed_in is None:
        raise NotFound("link", "unknown")
    response = see(_home_of(visit, signed_in))
    auth.sign_in(response, auth.kind_of(signed_in), visit.city.id, token)
    return response


says("signed-out", N_("You are signed out on this device."))


@web.get("/c/<city>/sign-out")
@page("city.read")
def sign_out_ask(visit: Visit) -> Answer:
    """Ask before a sign-in ends: only another one-time link brings it back."""
    leaving = _leaving(visit, request.args.get("kind"))
    if not leaving.signed_in:
        return see(url_for("web.landing"))
    g.door = "shop" if leaving is visit.shop else "desk"
    return render(
        "sign_out.html",
        kind=auth.kind_of(leaving),
        role_name=role_names(leaving.roles),
        subject_name=_subject_name(visit, leaving.roles, leaving.subject),
        back_url=_home_of(visit, leaving),
    )


def _leaving(visit: Visit, kind: str | None) -> Principal:
    known = {auth.SHOP: visit.shop, auth.KIOSK: visit.kiosk}
    return known.get(kind or auth.STAFF, visit.staff)


@web.post("/c/<city>/sign-out")
@page("city.read")
def sign_out(visit: Visit) -> Response:
    """End one sign-in of a shop, a kiosk or staff on this device, here and in the register of sign-ins."""
    leaving = _leaving(visit, request.form.get("kind"))
    if leaving.token_id is not None:
        ended = leaving.token_id

        def run(unit: Unit) -> str:
            tokens.revoke(unit, ended)
            return ended

        visit.write(run, leaving)
    response = see(url_for("web.landing"), done="signed-out")
    auth.sign_out(response, auth.kind_of(leaving), visit.city.id)
    return response


def _replaced(visit: Visit, held: frozenset[str]) -> str:
    """The roles of the sign-in that one with these roles would replace in this browser."""
    kind = auth.kind_of(Principal(visit.city.id, held))
    known = {auth.STAFF: visit.staff, auth.SHOP: visit.shop, auth.KIOSK: visit.kiosk, auth.LEARNER: visit.learner}
    return role_names(known[kind].roles)


def role_names(held: frozenset[str]) -> str:
    """The names of some roles, in the order in which the roles are listed."""
    return ", ".join(say(text) for role, text in ROLE_NAMES.items() if role in held)


def _home_of(visit: Visit, principal: Principal) -> str:
    if principal.holds(roles.LEARNER):
        return visit.address("wallet")
    if principal.holds(roles.SHOP):
        return visit.address("till")
    if principal.holds(roles.KIOSK):
        return visit.address("kiosk", activity_id=principal.subject)
    if principal.roles & {roles.STEWARD, roles.TREASURER}:
        return visit.address("desk")
    return visit.address("audit_home")


def _subject_name(visit: Visit, held: frozenset[str], subject: str | None) -> str:
    try:
        if roles.SHOP in held:
            return words.name(shops.find(visit.session, visit.city.id, subject or ""))
        if roles.KIOSK in held:
            return words.name(activities.row(visit.session, visit.city.id, subject or ""))
    except NotFound:
        pass
    return ""


PLAINLY = {
    "idempotency_conflict": N_("Open the page again and fill it in anew."),
    "outcome_unknown": N_("It is not known yet whether this was done. Send it once more; it will not count twice."),
    "method_not_allowed": N_("This page cannot be opened by itself. Go back and begin again."),
    "body_too_large": N_("What you sent is larger than 1 MB. Choose a smaller picture or file and send it again."),
    "bad_request": N_("What arrived here could not be read. Go back and begin again."),
    "budget_exhausted.activity": N_(
        "The tokens of this activity are used up for now. Tell the organiser, and scan again later."
    ),
    "forbidden.wallet": N_("This belongs to another wallet, so it is not shown here."),
    "not_found.promotion": N_("It may have ended, or the link is mistyped. See what else the shops offer."),
    "not_found.activity": N_("It may have been called off, or the link is mistyped. See what else is on."),
}
"""What people read of the refusals whose own words are for programs, by code or by code and reason."""

TITLES = {
    "method_not_allowed": N_("Begin again"),
    "idempotency_conflict": N_("Begin again"),
    "bad_request": N_("Begin again"),
    "body_too_large": N_("Too large to send"),
    "not_found.page": N_("There is no such page"),
    "not_found.promotion": N_("There is no such promotion"),
    "not_found.activity": N_("There is no such activity"),
    "forbidden.wallet": N_("Not in this wallet"),
    "cap_reached.seats": N_("All seats are taken"),
    "activity_closed.not_open_yet": N_("Not open yet"),
    "activity_closed.over": N_("It is over"),
}
"""And above them."""

SIGNS = {
    "not_found": "search",
    "not_found.promotion": "offer",
    "not_found.activity": "today",
    "code_expired": "clock",
    "redemption_expired": "clock",
    "link_expired": "clock",
    "link_used": "link",
    "code_used": "qr",
    "code_invalid": "qr",
    "activity_closed": "today",
    "budget_exhausted": "treasury",
    "insufficient_funds": "wallet",
    "out_of_stock": "offer",
    "promotion_closed": "offer",
    "shop_not_open": "shop",
    "limit_reached": "check",
    "redemption_ended": "check",
    "cap_reached": "check",
    "cap_reached.seats": "people",
    "activity_closed.not_open_yet": "clock",
    "forbidden": "lock",
    "overloaded": "people",
}
"""The sign of icons.svg beside a refusal, by code or by code and reason; `warn` for the rest."""


WORTH_ANOTHER_TRY = {"internal_error", "overloaded", "outcome_unknown"}
"""Refusals that say nothing of what was asked for: it may be asked for again as it is."""

ABOUT_PROMOTIONS = {
    "out_of_stock",
    "promotion_closed",
    "shop_not_open",
    "limit_reached",
    "redemption_ended",
    "redemption_expired",
    "not_found.promotion",
}
"""Refusals, by code or by code and reason, after which a learner looks for another promotion."""

DONE_IN_THE_WALLET = {("cap_reached", "unsecured"), ("limit_reached", "pending")}
"""Code and reason of refusals whose remedy, a recovery code or a reservation to cancel, is there."""


def show_refusal(error: LedgerError) -> Answer:
    """A refusal as a page: words, advice, ways on. Somebody without a sign-in is shown the right door."""
    visit: Visit | None = g.get("visit")
    if visit is not None and error.code in ("unauthenticated", "forbidden") and error.reason != "cross_site":
        door = g.get("door")
        if door == "wallet" and not visit.learner.signed_in:
            shown = with_ticket(visit, render("learner/no_wallet.html"))
            shown.status_code = 200 if request.method == "GET" else 401
            return shown
        if door and door != "wallet":
            return render("staff_only.html", kind=door), problems.PROBLEMS[error.code]
    if visit is not None:
        visit.close()
    problem = problems.describe(error, language(), visit.city if visit else None)
    return show_problem(problem), problem.status


def show_problem(problem: Problem) -> str:
    """A problem as a page."""
    speech, case = language(), _case(problem)
    title, plainly = (said.get(case, said.get(problem.code)) for said in (TITLES, PLAINLY))
    return render(
        "problem.html",
        problem={
            "title": say(title) if title else problem.titles[speech],
            "detail": say(plainly) if plainly else words.flowing(problem.messages[speech]),
            "sign": SIGNS.get(case, SIGNS.get(problem.code, "warn")),
            "code": problem.code,
            "steps": _steps(g.get("visit"), problem),
            "again": _again() if problem.code in WORTH_ANOTHER_TRY else None,
        },
    )


def _case(problem: Problem) -> str:
    """The code of a problem with what is special about it: `cap_reached.seats`, `not_found.promotion`."""
    usual = {"not_found": "page", "budget_exhausted": "activity", "forbidden": g.get("door")}
    return f"{problem.code}.{problem.reason or problem.facts.get('kind') or usual.get(problem.code)}"


def show_lost(problem: Problem) -> str:
    """A problem that no view met. Below a known city the page keeps its ways, so that nobody is led out of it."""
    visit = _visit_of_path() if problem.status in (404, 405) else None
    if visit is None:
        return show_problem(problem)
    g.visit = visit
    try:
        return show_problem(problem)
    finally:
        g.pop("visit").close()


def _visit_of_path() -> Visit | None:
    """The visit to the city of an unknown address `/c/<city>/…`, with the door that such addresses have."""
    _, *parts = request.path.split("/")
    if len(parts) < 2 or parts[0] != "c":
        return None
    try:
        visit = Visit(services().city(parts[1]), language(), services().clock())
    except LedgerError:
        return None
    g.door = {"shop": "shop", "steward": "desk"}.get(parts[2] if len(parts) > 2 else "")
    visit.identify("city.read")
    return visit


def _again() -> dict[str, Any] | None:
    """The same request once more; a form keeps its key, so that it counts once even if it was done after all."""
    if request.method == "GET":
        return {"url": request.full_path.rstrip("?"), "fields": None}
    if request.files or "key" not in request.form:
        return None
    return {"url": request.path, "fields": list(request.form.items(multi=True))}


def _steps(visit: Visit | None, problem: Problem) -> list[Step]:
    if visit is None:
        return [Step(url_for("web.landing"), say(N_("Start page")))]
    if g.get("door") in ("shop", "desk") and visit.at_work.signed_in:
        return [Step(_home_of(visit, visit.at_work), say(N_("Back to my work")))]
    if (request.endpoint or "").startswith("web.audit_"):
        return [Step(visit.address("audit_home"), say(N_("Public log")))]
    steps = [Step(visit.address("whats_on"), say(N_("See what's on")))]
    if {problem.code, _case(problem)} & ABOUT_PROMOTIONS:
        steps = [Step(visit.address("promotions"), say(N_("See the promotions")))]
    if visit.learner.signed_in:
        first = (problem.code, problem.reason) in DONE_IN_THE_WALLET
        steps.insert(0 if first else 1, Step(visit.address("wallet"), say(N_("My wallet"))))
    return steps
