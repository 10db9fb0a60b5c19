"""The steward's activities: the list, each one's page, its sessions, and the kiosk's link.

How an activity is made and changed is in `planning`, what is printed for it in `paper`, the month in `agenda`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from flask import request

from api.services import services
from api.web import movements, planning
from api.web.chain import badges_of
from api.web.forms import Form
from api.web.kiosk import arrivals_of
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, say
from ledger.book import statements
from ledger.book.unit import Unit
from ledger.chain import badges
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people import tokens
from ledger.people.roles import KIOSK
from ledger.programme import activities, places, sheets
from ledger.programme.views import CLOSED, DRAFT, PUBLISHED, ActivityView, budget_of

LATEST = 8
SHOWN: dict[str, tuple[str, Callable[[ActivityView], bool]]] = {
    "open": (N_("Open now"), lambda one: one.is_open),
    "poor": (N_("The budget is empty"), lambda one: one.state == PUBLISHED and not one.is_funded),
    "draft": (N_("Draft"), lambda one: one.state == DRAFT),
    "closed": (N_("Closed"), lambda one: one.state == CLOSED),
}
"""The parts of the list of activities that may be asked for, and what belongs to each."""

says("session-ended", N_("The session has ended."))
says("session-gone", N_("The session is gone from what's on."))
says("code-renewed", N_("This is the new poster. The old ones no longer work."))
says("session-opened", N_("The session stands. Next: print the poster or open the kiosk."))


@web.get("/c/<city>/steward/activities")
@page("activity.manage", door="desk")
def steward_activities(visit: Visit) -> str:
    """All activities, drafts and closed ones too."""
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    chosen = next(
        (place for place in places.list_(visit.session, visit.city.id) if place.id == request.args.get("place")), None
    )
    if chosen is not None:
        views = [one for one in views if one.place.id == chosen.id]
    shown = request.args.get("show", "")
    counts = {key: sum(map(belongs, views)) for key, (_, belongs) in SHOWN.items()}
    if shown in SHOWN:
        views = [one for one in views if SHOWN[shown][1](one)]
    labels = {key: say(label) for key, (label, _) in SHOWN.items()}
    return render("steward/activities.html", activities=views, chosen=chosen, shown=shown, labels=labels, counts=counts)


@web.get("/c/<city>/steward/activities/<activity_id>")
@page("activity.manage", door="desk")
def steward_activity(visit: Visit, activity_id: str) -> str:
    """One activity at the desk: budget, sessions, poster or kiosk."""
    return activity_page(visit, activity_id, Form(visit))


@web.post("/c/<city>/steward/activities/<activity_id>/sessions")
@page("activity.write", door="desk")
def session_new(visit: Visit, activity_id: str) -> Answer:
    """Open a session."""
    form, caller = Form.sent(visit), visit.principal
    begin, end, seats = form.moment("starts_at"), form.moment("ends_at"), form.whole("seats")
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    if end <= visit.now:
        form.fail("ends_at", N_("This time is over already. Give a later one."))
    if view.state == CLOSED:
        form.fail("", N_("This activity is closed. Publish it again under “Change”, then open a session."))
    try:
        form.check()
        visit.write(lambda unit: activities.add_session(unit, caller, activity_id, begin, end, seats).session)
    except (ValidationFailed, Refused) as refusal:
        return activity_page(visit, activity_id, form.refused(refusal)), 422
    return see(visit.address("steward_activity", activity_id=activity_id), done="session-opened")


@web.get("/c/<city>/steward/activities/<activity_id>/sessions/<session_id>/end")
@page("activity.write", door="desk")
def session_end_ask(visit: Visit, activity_id: str, session_id: str) -> Answer:
    """Ask before a session ends or goes: people may be on their way to it."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    session = next((one for one in view.sessions if one.session == session_id), None)
    if session is None:  # somebody else was faster
        return see(visit.address("steward_activity", activity_id=activity_id), done="session-ended")
    running = session == view.window
    return render(
        "steward/session_end.html", activity=view, session=session, running=running, arrivals=arrivals_of(visit, view)
    )


@web.post("/c/<city>/steward/activities/<activity_id>/sessions/<session_id>/end")
@page("activity.write", door="desk")
def session_end(visit: Visit, activity_id: str, session_id: str) -> Answer:
    """Take a coming session away, or end the running one now."""
    caller = visit.principal

    def run(unit: Unit) -> str:
        running = activities.get(unit.session, unit.city.id, activity_id, unit.now).window
        activities.end_session(unit, caller, activity_id, session_id)
        return "session-ended" if running and running.session == session_id else "session-gone"

    done = "session-ended"
    with suppress(NotFound, ValidationFailed):  # somebody else was faster: it is as it was meant to be
        done = visit.write(run)
    return see(visit.address("steward_activity", activity_id=activity_id), done=done)


@web.post("/c/<city>/steward/activities/<activity_id>/new-code")
@page("activity.write", door="desk")
def code_renew(visit: Visit, activity_id: str) -> Answer:
    """Withdraw every poster that was printed so far."""
    caller = visit.principal

    def run(unit: Unit) -> str:
        activities.renew_code(unit, caller, activity_id)
        return activity_id

    visit.write(run)
    if activities.row(visit.session, visit.city.id, activity_id).mode == activities.CODE:
        return see(visit.address("code_sheets", activity_id=activity_id), done="sheets-renewed")
    return see(visit.address("poster", activity_id=activity_id), done="code-renewed")


@web.post("/c/<city>/steward/activities/<activity_id>/kiosk-link")
@page("link.create", door="desk")
def kiosk_link(visit: Visit, activity_id: str) -> Answer:
    """Make a one-time link for the tablet at the door. It is shown in the answer and nowhere else."""
    activities.row(visit.session, visit.city.id, activity_id)
    secret = visit.write(lambda unit: tokens.create_link(unit, {KIOSK}, activity_id))
    return activity_page(visit, activity_id, Form(visit), link=link_address(secret))


def link_address(secret: str) -> str:
    """The address of a one-time link."""
    return f"{services().public_url}/l/{secret}"


def activity_page(visit: Visit, activity_id: str, form: Form, link: str = "") -> str:
    """The page of an activity, with a form that was refused or a link that is shown once."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    found = statements.statement(visit.session, visit.city.id, budget_of(activity_id), limit=LATEST)
    slips = sheets.list_(visit.session, visit.city.id, activity_id) if view.mode == activities.CODE else []
    return render(
        "steward/activity.html",
        activity=view,
        forecast=planning.forecast_of(visit, view),
        slips_left=sum(sheet.left for sheet in slips),
        sessions=view.sessions,
        arrivals=arrivals_of(visit, view),
        form=form,
        may_post=visit.principal.may("entry.post"),
        treasury=movements.treasury_minor(visit),
        lines=movements.lines(visit, found.items),
        undo=movements.just_made(visit),
        link=link,
        link_qr=symbol(link) if link else "",
        badge_offered=activity_id in badges.offered(visit.session, visit.city.id) if badges_of(visit.city.id) else None,
    )
