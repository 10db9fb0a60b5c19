"""The steward's desk: what to do next, what waits for a decision, and where the city's tokens are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from api.web import figures
from api.web.shell import Visit, page, render, web
from api.web.words import N_, name, ngettext, say
from ledger.commerce import shops, trading
from ledger.programme import activities, airdrop_reports
from ledger.programme.views import ActivityView

OPEN_SHOWN = 8
"""How many open activities the desk lists, those with least in their budgets first."""


@dataclass(frozen=True)
class Step:
    """A stop on the way: what to do, whether it is done, and the pages that do it as (url, label).

    `next` is the first that is not done: its first page is what a hurried steward opens.
    """

    title: str
    text: str
    done: bool
    links: list[dict[str, str]] = field(default_factory=list)
    next: bool = False


@dataclass(frozen=True)
class Call:
    """What waits for the steward: where it is dealt with, its sign, and what it is."""

    url: str
    sign: str
    text: str


@web.get("/c/<city>/steward/")
@page("report.read", door="desk")
def desk(visit: Visit) -> str:
    """The desk: next steps, figures at a glance, what is open. Who manages nothing is offered what they may read."""
    totals = figures.of(visit.session, visit.city.id)
    views = activities.list_(visit.session, visit.city.id, visit.now)
    manages = visit.principal.may("activity.manage")
    open_now = sorted((one for one in views if one.is_open), key=lambda one: one.budget_minor)
    return render(
        "steward/desk.html",
        steps=_steps(visit, totals, views) if manages else [],
        totals=totals,
        treasury=totals.treasury,
        budgets=totals.in_budgets,
        learners=totals.learners,
        calls=[
            *(_money_calls(visit) if manages or visit.principal.may("settlement.answer") else []),
            *(_calls(visit, views) if manages else []),
        ],
        manages=manages,
        open_now=open_now[:OPEN_SHOWN],
        open_more=len(open_now) if len(open_now) > OPEN_SHOWN else 0,
    )


def _money_calls(visit: Visit) -> list[Call]:
    count = len(trading.waiting(visit.session, visit.city.id))
    text = say(N_("Shops that ask to settle: {count}"), count=count)
    return [Call(visit.address("treasury"), "treasury", text)] if count else []


def _calls(visit: Visit, views: list[ActivityView]) -> list[Call]:
    """What somebody waits for, and what will soon fail: shops, unfinished payments, empty budgets."""
    session, city = visit.session, visit.city.id
    calls = []
    if count := len(shops.list_(session, city, state=shops.APPLIED)):
        text = say(N_("Shops that wait for your decision: {count}"), count=count)
        calls.append(Call(visit.address("steward_shops"), "shop", text))
    for airdrop in airdrop_reports.running(session, city):
        text = say(N_("A list is being paid and is not finished"))
        calls.append(Call(visit.address("airdrop", airdrop_id=airdrop), "upload", text))
    poor = [one for one in views if one.is_open and one.amount_minor and one.budget_minor < one.amount_minor]
    if len(poor) == 1:
        text = say(N_("“{activity}” is open, but its budget is empty"), activity=name(poor[0]))
        calls.append(Call(visit.address("steward_activity", activity_id=poor[0].id), "activity", text))
    elif poor:
        text = say(N_("Open activities with an empty budget: {count}"), count=len(poor))
        calls.append(Call(visit.address("steward_activities", show="poor"), "activity", text))
    return calls


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
        grant_link = [_link(visit.address("treasury") + "#grant", say(N_("Grant tokens")))]
        steps.append(Step(say(N_("Grant tokens")), say(N_("The treasury is empty.")), False, grant_link))
    fund_links = []
    if poor is not None:
        at = visit.address("steward_activity", activity_id=poor.id)
        fund_links.append(_link(at, say(N_("Fund “{activity}”"), activity=name(poor))))
    fund_links.append(_link(visit.address("treasury"), say(N_("Treasury"))))
    text = (
        ngettext("{count} activity can pay rewards.", "{count} activities can pay rewards.", len(funded))
        if funded
        else say(N_("No budget yet."))
    )
    steps.append(Step(say(N_("Fund an activity")), text, bool(funded), fund_links))
    open_links = [_link(visit.address("activity_new"), say(N_("New activity")))]
    if closed is not None:
        at = visit.address("steward_activity", activity_id=closed.id)
        open_links.insert(0, _link(at, say(N_("Open “{activity}”"), activity=name(closed))))
    text = (
        ngettext("{count} is open and funded now.", "{count} are open and funded now.", len(running))
        if running
        else say(N_("None is open now."))
    )
    steps.append(Step(say(N_("Open a session")), text, bool(running), open_links))
    show_links = [_show_link(visit, one) for one in running[:4]]
    text = say(N_("Learners scan it with the phone's own camera."))
    steps.append(Step(say(N_("Print the poster or open the kiosk")), text, False, show_links))
    first = next(step for step in steps if not step.done)
    return [replace(step, next=step is first) for step in steps]


def _show_link(visit: Visit, one: ActivityView) -> dict[str, str]:
    if one.mode == activities.KIOSK:
        return _link(visit.address("kiosk", activity_id=one.id), say(N_("Kiosk: {activity}"), activity=name(one)))
    if one.mode == activities.CODE:
        at = visit.address("code_sheets", activity_id=one.id)
        return _link(at, say(N_("One-time codes: {activity}"), activity=name(one)))
    return _link(visit.address("poster", activity_id=one.id), say(N_("Poster: {activity}"), activity=name(one)))
