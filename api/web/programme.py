"""The steward's activities: list, make, change, open sessions, print the poster, hand out the kiosk's link."""

from __future__ import annotations

from typing import Any

from api.i18n import number
from api.services import services
from api.web import steward
from api.web.chain import badges_of
from api.web.forms import Form
from api.web.kiosk import arrivals_of, current_code
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, money, name, say, statement_lines
from ledger.book import statements
from ledger.book.unit import Unit
from ledger.chain import badges
from ledger.errors import Refused, ValidationFailed
from ledger.people import tokens
from ledger.people.roles import KIOSK
from ledger.programme import activities, places
from ledger.programme.activities import ActivityChange, NewActivity
from ledger.programme.policy import Policy
from ledger.programme.views import ActivityView, budget_of

RENAMED = {"amount_minor": "amount"}
TEXTS = ("name_th", "name_en", "about_th", "about_en", "organiser_th", "organiser_en")
LATEST = 8
says("activity-made", N_("The activity is there. Next: fund it, and open a session."))
says("activity-changed", N_("Saved."))
says("session-ended", N_("The session has ended."))
says("code-renewed", N_("This is the new poster. The old ones no longer work."))
says("session-opened", N_("The session stands. Next: print the poster or open the kiosk."))


@web.get("/c/<city>/steward/activities")
@page("activity.manage", door="desk")
def steward_activities(visit: Visit) -> str:
    """All activities, drafts and closed ones too."""
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    return render("steward/activities.html", activities=views)


@web.get("/c/<city>/steward/activities/new")
@page("activity.write", door="desk")
def activity_new(visit: Visit) -> str:
    """The empty form."""
    return _form_page(visit, Form(visit, {"mode": "poster", "state": "published", "max_per_day": 1}), None)


@web.post("/c/<city>/steward/activities/new")
@page("activity.write", door="desk")
def activity_create(visit: Visit) -> Answer:
    """Make an activity; its policy is published in the log."""
    form, caller = Form.sent(visit), visit.principal
    policy = _policy(form)
    new = NewActivity(
        place=form.word("place"),
        policy=policy,
        mode=form.word("mode"),
        state=form.word("state"),
        daily_from=form.word("daily_from") or None,
        daily_until=form.word("daily_until") or None,
        name_th=form.word("name_th"),
        name_en=form.word("name_en"),
        about_th=form.word("about_th"),
        about_en=form.word("about_en"),
        organiser_th=form.word("organiser_th"),
        organiser_en=form.word("organiser_en"),
    )
    try:
        form.check()
        made = visit.write(lambda unit: activities.create(unit, caller, new).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), None), 422
    return see(visit.address("steward_activity", activity_id=made), done="activity-made")


@web.get("/c/<city>/steward/activities/<activity_id>")
@page("activity.manage", door="desk")
def steward_activity(visit: Visit, activity_id: str) -> str:
    """One activity at the desk: budget, sessions, poster or kiosk."""
    return _activity_page(visit, activity_id, Form(visit))


@web.get("/c/<city>/steward/activities/<activity_id>/edit")
@page("activity.write", door="desk")
def activity_edit(visit: Visit, activity_id: str) -> str:
    """The form with what the activity is now."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    values: dict[str, Any] = {text: getattr(view, text) for text in TEXTS}
    values |= {
        "place": view.place.id,
        "mode": view.mode,
        "state": view.state,
        "amount": number(view.policy.amount_minor, visit.city.scale),
        "max_per_person": view.policy.max_per_person,
        "max_per_day": view.policy.max_per_day,
        "code_once": "1" if view.policy.code_once else None,
        "daily_from": view.daily_from,
        "daily_until": view.daily_until,
    }
    return _form_page(visit, Form(visit, values), view)


@web.post("/c/<city>/steward/activities/<activity_id>/edit")
@page("activity.write", door="desk")
def activity_change(visit: Visit, activity_id: str) -> Answer:
    """Change an activity; a changed policy is published in the log and holds from then on."""
    form, caller = Form.sent(visit), visit.principal
    wanted = ActivityChange(
        place=form.word("place"),
        policy=_policy(form),
        mode=form.word("mode"),
        state=form.word("state"),
        daily_from=form.word("daily_from"),
        daily_until=form.word("daily_until"),
        **{text: form.word(text) for text in TEXTS},
    )
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    try:
        form.check()
        visit.write(lambda unit: activities.change(unit, caller, activity_id, wanted).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), view), 422
    return see(visit.address("steward_activity", activity_id=activity_id), done="activity-changed")


@web.post("/c/<city>/steward/activities/<activity_id>/sessions")
@page("activity.write", door="desk")
def session_new(visit: Visit, activity_id: str) -> Answer:
    """Open a session."""
    form, caller = Form.sent(visit), visit.principal
    begin, end, seats = form.moment("starts_at"), form.moment("ends_at"), form.whole("seats")
    try:
        form.check()
        visit.write(lambda unit: activities.add_session(unit, caller, activity_id, begin, end, seats).session)
    except (ValidationFailed, Refused) as refusal:
        return _activity_page(visit, activity_id, form.refused(refusal)), 422
    return see(visit.address("steward_activity", activity_id=activity_id), done="session-opened")


@web.post("/c/<city>/steward/activities/<activity_id>/sessions/<session_id>/end")
@page("activity.write", door="desk")
def session_end(visit: Visit, activity_id: str, session_id: str) -> Answer:
    """Take a coming session away, or end the running one now."""
    caller = visit.principal

    def run(unit: Unit) -> str:
        activities.end_session(unit, caller, activity_id, session_id)
        return session_id

    visit.write(run)
    return see(visit.address("steward_activity", activity_id=activity_id), done="session-ended")


@web.post("/c/<city>/steward/activities/<activity_id>/new-code")
@page("activity.write", door="desk")
def code_renew(visit: Visit, activity_id: str) -> Answer:
    """Withdraw every poster that was printed so far."""
    caller = visit.principal

    def run(unit: Unit) -> str:
        activities.renew_code(unit, caller, activity_id)
        return activity_id

    visit.write(run)
    return see(visit.address("poster", activity_id=activity_id), done="code-renewed")


@web.get("/c/<city>/steward/activities/<activity_id>/poster")
@page("activity.manage", door="desk")
def poster(visit: Visit, activity_id: str) -> str:
    """The sheet to print: one page of A4 in both languages."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    code = current_code(visit, activity_id)
    return render("steward/poster.html", activity=view, qr=symbol(code.url), code=code.text, url=code.url)


@web.post("/c/<city>/steward/activities/<activity_id>/kiosk-link")
@page("link.create", door="desk")
def kiosk_link(visit: Visit, activity_id: str) -> Answer:
    """Make a one-time link for the tablet at the door. It is shown in the answer and nowhere else."""
    activities.row(visit.session, visit.city.id, activity_id)
    secret = visit.write(lambda unit: tokens.create_link(unit, {KIOSK}, activity_id))
    return _activity_page(visit, activity_id, Form(visit), link=link_address(secret))


def link_address(secret: str) -> str:
    """The address of a one-time link."""
    return f"{services().public_url}/l/{secret}"


def _policy(form: Form) -> Policy:
    return Policy(
        amount_minor=form.amount("amount"),
        max_per_person=form.whole("max_per_person"),
        max_per_day=form.whole("max_per_day"),
        code_once=form.value("code_once") == "1",
    )


def _activity_page(visit: Visit, activity_id: str, form: Form, link: str = "") -> str:
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    found = statements.statement(visit.session, visit.city.id, budget_of(activity_id), limit=LATEST)
    return render(
        "steward/activity.html",
        activity=view,
        sessions=view.sessions,
        arrivals=arrivals_of(visit, view),
        form=form,
        may_post=steward.may_post(visit),
        treasury=steward.treasury_minor(visit),
        lines=statement_lines(visit, found.items),
        link=link,
        link_qr=symbol(link) if link else "",
        badge_offered=activity_id in badges.offered(visit.session, visit.city.id) if badges_of(visit.city.id) else None,
    )


def _form_page(visit: Visit, form: Form, activity: ActivityView | None) -> str:
    caps = visit.settings.get("assurance_caps", {})
    hint = say(
        N_("At most {poster} with a poster and {kiosk} with a kiosk."),
        poster=money(caps.get("poster", 0)),
        kiosk=money(caps.get("kiosk", 0)),
    )
    back = (
        visit.address("steward_activity", activity_id=activity.id) if activity else visit.address("steward_activities")
    )
    return render(
        "steward/activity_form.html",
        form=form,
        activity=activity,
        places=[(one.id, name(one)) for one in places.list_(visit.session, visit.city.id)],
        caps_hint=hint,
        back_url=back,
    )
