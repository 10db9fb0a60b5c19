"""The steward's desk, the treasury and the figures: what to do next, and where the city's tokens are.

Money moves in two steps: the form leads to a page that shows both accounts as they are and as they would be, and
only the button there sends the command, under the key of the form it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request

from api.web import figures
from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, name, say, statement_lines
from ledger.book import accounts, statements, transfers
from ledger.book.unit import Unit
from ledger.commerce import shops, trading
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people.roles import PERMISSIONS, require
from ledger.programme import activities
from ledger.programme.views import CLOSED, ActivityView, budget_of

PAGE = 30
TOP = 15
says("funded", N_("Funded. The entry stands in the public log."))
says("granted", N_("Granted. The entry stands in the public log."))


@dataclass(frozen=True)
class Step:
    """A stop on the way: what to do, whether it is done, and the pages that do it as (url, label)."""

    title: str
    text: str
    done: bool
    links: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Review:
    """What a movement would do, for the page that asks whether it is meant."""

    title: str
    amount_minor: int
    rows: list[dict[str, Any]]
    action: str
    hidden: Mapping[str, str]
    button: str
    back: str


@web.get("/c/<city>/steward/")
@page("report.read", door="desk")
def desk(visit: Visit) -> str:
    """The desk: next steps, figures at a glance, what is open."""
    totals = figures.of(visit.session, visit.city.id)
    views = activities.list_(visit.session, visit.city.id, visit.now)
    return render(
        "steward/desk.html",
        steps=_steps(visit, totals, views),
        totals=totals,
        treasury=totals.treasury,
        budgets=totals.in_budgets,
        learners=totals.learners,
        waiting=len(shops.list_(visit.session, visit.city.id, state=shops.APPLIED)),
        open_now=[one for one in views if one.is_open],
    )


@web.get("/c/<city>/steward/treasury")
@page("report.read", door="desk")
def treasury(visit: Visit) -> str:
    """The treasury: balance, grant, fund, budgets, statement."""
    return _treasury(visit, Form(visit, {"activity": request.args.get("activity", "")}))


@web.post("/c/<city>/steward/grant")
@page("entry.post", door="desk")
def grant(visit: Visit) -> Answer:
    """Issue tokens into the treasury."""
    form = Form.sent(visit)
    minor = form.amount("grant_amount")
    if form.errors:
        return _treasury(visit, form), 422
    if not form.value("confirmed"):
        totals = figures.of(visit.session, visit.city.id)
        rows = [
            _row(say(N_("Issued in all")), totals.issued, minor),
            _row(say(N_("Treasury")), totals.treasury, minor),
        ]
        return _review(visit, form, say(N_("Grant new tokens?")), minor, rows, say(N_("Grant")), "treasury")
    actor = visit.principal.actor("entry.post")

    def run(unit: Unit) -> str:
        accounts.open_account(unit, "issuance")
        accounts.open_account(unit, "treasury")
        return str(transfers.post(unit, "grant", "issuance", "treasury", minor, actor=actor).seq)

    visit.write(run)
    return see(visit.address("treasury"), done="granted")


@web.post("/c/<city>/steward/fund")
@page("entry.post", door="desk")
def fund(visit: Visit) -> Answer:
    """Move tokens from the treasury into an activity's budget."""
    form = Form.sent(visit)
    chosen, minor = form.word("activity"), form.amount("fund_amount")
    try:
        form.check()
        view = activities.get(visit.session, visit.city.id, chosen, visit.now)
        held = treasury_minor(visit)
        _check_covered(minor, held)
        if not form.value("confirmed"):
            rows = [_row(say(N_("Treasury")), held, -minor), _row(name(view), view.budget_minor, minor)]
            title = say(N_("Fund “{activity}”?"), activity=name(view))
            return _review(visit, form, title, minor, rows, say(N_("Fund")), "steward_activity", activity_id=view.id)
        actor = visit.principal.actor("entry.post")
        budget = budget_of(view.id)
        ref = {"activity": view.id}
        visit.write(lambda unit: str(transfers.post(unit, "fund", "treasury", budget, minor, actor=actor, ref=ref).seq))
    except (ValidationFailed, Refused, NotFound) as refusal:
        return _treasury(visit, form.refused(refusal, {"amount_minor": "fund_amount"})), 422
    return see(visit.address("steward_activity", activity_id=view.id), done="funded")


@web.get("/c/<city>/steward/figures")
@page("report.read", door="desk")
def city_figures(visit: Visit) -> str:
    """Issued, circulating, redeemed, expired; what was earned by activity and redeemed by shop."""
    totals = figures.of(visit.session, visit.city.id)
    return render(
        "steward/figures.html",
        totals=totals,
        activities=figures.top_activities(visit.session, visit.city.id, TOP),
        shops=figures.top_shops(visit.session, visit.city.id, totals, TOP),
    )


def may_post(visit: Visit) -> bool:
    """Whether the visitor may move the city's money."""
    return bool(visit.principal.roles & PERMISSIONS["entry.post"])


def treasury_minor(visit: Visit) -> int:
    """What the treasury may spend."""
    try:
        return accounts.balance(visit.session, visit.city.id, "treasury").available_minor
    except NotFound:
        return 0


def _treasury(visit: Visit, form: Form) -> str:
    require(visit.principal, "report.read")
    totals = figures.of(visit.session, visit.city.id)
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    cursor = request.args.get("cursor", type=int)
    try:
        found = statements.statement(visit.session, visit.city.id, "treasury", cursor=cursor, limit=PAGE)
        lines, following = found.items, found.next
    except NotFound:
        lines, following = [], None
    return render(
        "steward/treasury.html",
        totals=totals,
        treasury=totals.treasury,
        budgets=totals.in_budgets,
        form=form,
        may_post=may_post(visit),
        settlements=trading.waiting(visit.session, visit.city.id),
        choices=[(one.id, name(one)) for one in views if one.state != CLOSED],
        rows=[{"activity": one, "budget_minor": one.budget_minor} for one in views],
        lines=statement_lines(visit, lines),
        next_url=visit.address("treasury", cursor=following) if following else None,
    )


def _review(
    visit: Visit, form: Form, title: str, minor: int, rows: list[dict[str, Any]], button: str, back: str, **to: str
) -> str:
    review = Review(title, minor, rows, request.path, form.values, button, visit.address(back, **to))
    return render("steward/review.html", review=review)


def _check_covered(minor: int, held: int) -> None:
    if minor > held:
        raise Refused("insufficient_funds", account="treasury", available_minor=held, wanted_minor=minor)


def _row(label: str, before: int, change: int) -> dict[str, Any]:
    return {"label": label, "before": before, "after": before + change}


def _link(url: str, label: str) -> dict[str, str]:
    return {"url": url, "label": label}


def _steps(visit: Visit, totals: figures.Totals, views: list[ActivityView]) -> list[Step]:
    """Fund, open, show: the three stops of a steward's day, each with the activity that needs it most."""
    funded = [one for one in views if one.is_funded]
    running = [one for one in funded if one.is_open]
    poor = next((one for one in views if not one.is_funded), None)
    closed = next((one for one in funded if not one.is_open), funded[0] if funded else None)
    steps = []
    if totals.treasury == 0 and not funded:
        grant_link = [_link(visit.address("treasury"), say(N_("Treasury")))]
        steps.append(Step(say(N_("Grant tokens")), say(N_("The treasury is empty.")), False, grant_link))
    fund_links = []
    if poor is not None:
        at = visit.address("steward_activity", activity_id=poor.id)
        fund_links.append(_link(at, say(N_("Fund “{activity}”"), activity=name(poor))))
    fund_links.append(_link(visit.address("treasury"), say(N_("Treasury"))))
    text = say(N_("{count} activities can pay rewards."), count=len(funded))
    steps.append(Step(say(N_("Fund an activity")), text, bool(funded), fund_links))
    open_links = [_link(visit.address("activity_new"), say(N_("New activity")))]
    if closed is not None:
        at = visit.address("steward_activity", activity_id=closed.id)
        open_links.insert(0, _link(at, say(N_("Open “{activity}”"), activity=name(closed))))
    text = say(N_("{count} are open and funded now."), count=len(running))
    steps.append(Step(say(N_("Open a session")), text, bool(running), open_links))
    show_links = [_show_link(visit, one) for one in running[:4]]
    text = say(N_("Learners scan it with the phone's own camera."))
    steps.append(Step(say(N_("Print the poster or open the kiosk")), text, False, show_links))
    return steps


def _show_link(visit: Visit, one: ActivityView) -> dict[str, str]:
    if one.mode == activities.KIOSK:
        return _link(visit.address("kiosk", activity_id=one.id), say(N_("Kiosk: {activity}"), activity=name(one)))
    return _link(visit.address("poster", activity_id=one.id), say(N_("Poster: {activity}"), activity=name(one)))
