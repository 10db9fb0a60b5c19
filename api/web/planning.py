"""How an activity is made and changed: the form, and what it will cost, before its policy is published.

A draft is saved at once. What makes a policy public (an activity that is published, or a published one with another
policy) leads to a page that says what it will cost, beside the budget; only the button there sends the command. Nothing
typed is lost on the way there, back, or around.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.i18n import local, number
from api.web.forms import Form
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_, money, name, say
from ledger.book import cities
from ledger.book.unit import Unit
from ledger.errors import Refused, ValidationFailed
from ledger.programme import activities, places, sheets
from ledger.programme import forecast as forecasts
from ledger.programme import policy as policies
from ledger.programme.activities import ActivityChange, NewActivity
from ledger.programme.forecast import Forecast, Plan
from ledger.programme.policy import CityRules, Policy
from ledger.programme.views import PUBLISHED, ActivityView

RENAMED = {"amount_minor": "amount"}
TEXTS = ("name_th", "name_en", "about_th", "about_en", "organiser_th", "organiser_en")
ASKED = ("est_people", "est_usual", "est_meetings", "est_seats")
MONTH = 30
"""How many days of an activity with daily hours are looked at, unless the steward says otherwise."""

MOST_MEETINGS = 1_000
MODES = {"poster": N_("Poster"), "kiosk": N_("Kiosk"), "code": N_("One-time codes")}
BOUNDS = {
    forecasts.PEOPLE: N_("because no more people are expected"),
    forecasts.SEATS: N_("because the seats are taken then"),
    forecasts.PERSON: N_("because of the limit per person"),
    forecasts.DAY: N_("because of the limit per person and day"),
    forecasts.CODES: N_("because no more codes are printed"),
}
"""Why a figure is no larger."""

says("activity-made", N_("The activity is there. Next: fund it, and open a session."))
says("activity-changed", N_("Saved."))


@web.get("/c/<city>/steward/activities/new")
@page("activity.write", door="desk")
def activity_new(visit: Visit) -> str:
    """The empty form."""
    return _form_page(visit, Form(visit, {"mode": "poster", "state": "published", "max_per_day": 1}), None)


@web.post("/c/<city>/steward/activities/new")
@page("activity.write", door="desk")
def activity_create(visit: Visit) -> Answer:
    """Make an activity; its policy is published in the log once its cost has been seen."""
    form, caller = Form.sent(visit), visit.principal
    new = _new(form)
    try:
        form.check()
        activities.check(visit.session, cities.get(visit.session, visit.city.id), new)
        if asked := _asked(visit, form, new, None):
            return asked
        made = visit.write(lambda unit: activities.create(unit, caller, new).id)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), None), 422
    return see(visit.address("steward_activity", activity_id=made), done="activity-made")


@web.get("/c/<city>/steward/activities/<activity_id>/edit")
@page("activity.write", door="desk")
def activity_edit(visit: Visit, activity_id: str) -> str:
    """The form with what the activity is now."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    values = _values(view, visit.city.scale)
    return _form_page(visit, Form(visit, values).shows(values), view)


@web.post("/c/<city>/steward/activities/<activity_id>/edit")
@page("activity.write", door="desk")
def activity_change(visit: Visit, activity_id: str) -> Answer:
    """Change an activity; another policy is published in the log, and holds from then on, once its cost was seen."""
    form, caller = Form.sent(visit), visit.principal
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    new = _new(form)
    wanted = ActivityChange(
        place=new.place,
        policy=new.policy,
        mode=new.mode,
        state=new.state,
        daily_from=form.clock("daily_from"),
        daily_until=form.clock("daily_until"),
        **{text: form.word(text) for text in TEXTS},
    )

    scale = visit.city.scale

    def run(unit: Unit) -> str:
        form.check_current(_values(activities.get(unit.session, unit.city.id, activity_id, unit.now), scale))
        return activities.change(unit, caller, activity_id, wanted).id

    try:
        form.check()
        activities.check(visit.session, cities.get(visit.session, visit.city.id), new)
        if asked := _asked(visit, form, new, view):
            return asked
        visit.write(run)
    except (ValidationFailed, Refused) as refusal:
        return _form_page(visit, form.refused(refusal, RENAMED), view), 422
    return see(visit.address("steward_activity", activity_id=activity_id), done="activity-changed")


@web.get("/c/<city>/steward/activities/<activity_id>/cost")
@page("activity.manage", door="desk")
def activity_cost(visit: Visit, activity_id: str) -> str:
    """What an activity will cost as it is planned now."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    return _cost_page(visit, Form(visit), view)


@web.post("/c/<city>/steward/activities/<activity_id>/cost")
@page("activity.manage", door="desk")
def activity_cost_again(visit: Visit, activity_id: str) -> Answer:
    """The same with other numbers of people and meetings; nothing is written."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    form = Form.sent(visit)
    shown = _cost_page(visit, form, view)
    return (shown, 422) if form.errors else shown


def forecast_of(visit: Visit, view: ActivityView) -> Forecast:
    """What an activity will cost at most as it is planned now."""
    return _forecast(visit, Form(visit), view.policy, view.mode, bool(view.daily_from), view)


def mode_name(mode: str) -> str:
    """What a way of checking in is called."""
    return say(MODES[mode])


def _cost_page(visit: Visit, form: Form, view: ActivityView) -> str:
    found = _forecast(visit, form, view.policy, view.mode, bool(view.daily_from), view)
    return render(
        "steward/cost.html", form=form, activity=view, forecast=found, bounds=BOUNDS, by_sessions=bool(view.sessions)
    )


def _asked(visit: Visit, form: Form, new: NewActivity, view: ActivityView | None) -> Answer | None:
    """The page to show before the command is sent: the form again, or what it will cost; None if it was seen."""
    if form.value("again") == "form":
        return _form_page(visit, form, view)
    public = view is not None and view.state == PUBLISHED and view.policy == new.policy and view.mode == new.mode
    if new.state != PUBLISHED or public or form.value("confirmed"):
        return None
    found = _forecast(visit, form, new.policy, new.mode, bool(new.daily_from), view)
    kept = {key: text for key, text in form.values.items() if key not in (*ASKED, "again", "confirmed")}
    shown = render(
        "steward/publish.html",
        form=form,
        new=new,
        activity=view,
        forecast=found,
        bounds=BOUNDS,
        by_sessions=bool(view and view.sessions),
        mode=mode_name(new.mode),
        hidden=kept,
    )
    return (shown, 422) if form.errors else shown


def _forecast(visit: Visit, form: Form, policy: Policy, mode: str, daily: bool, view: ActivityView | None) -> Forecast:
    """What a policy costs with the numbers of the form, and what is known of the activity."""
    rules = CityRules.of(visit.settings)
    people, usual, meetings, seats = (form.whole(asked) for asked in ASKED)
    if meetings is not None and meetings > MOST_MEETINGS:
        form.fail("est_meetings", N_("Give at most 1,000."))
        meetings = MOST_MEETINGS
    if meetings is None and view is not None and view.sessions and not daily:
        dated: dict[str, list[int | None]] = {}
        for one in view.sessions:
            day = local(one.starts_at, visit.city.zone).date().isoformat()
            dated.setdefault(day, []).append(seats or one.seats)
        days = forecasts.by_day(dated)
    else:
        days = [[seats]] * (meetings if meetings is not None else MONTH if daily else 1)
    slips = sheets.left(visit.session, visit.city.id, view.id) if view and mode == activities.CODE else 0
    plan = Plan(
        reward_minor=policies.points_for(policy, rules.assurance_caps, mode),
        days=days,
        people=people,
        usual=usual,
        max_per_person=policy.max_per_person,
        max_per_day=forecasts.least(policy.max_per_day, rules.rewards_per_day),
        codes=slips or None,
    )
    return forecasts.forecast(plan, view.budget_minor if view else 0)


def _new(form: Form) -> NewActivity:
    form.needs("name_th", "name_en")
    return NewActivity(
        place=form.word("place"),
        policy=Policy(
            amount_minor=form.amount("amount"),
            max_per_person=form.whole("max_per_person"),
            max_per_day=form.whole("max_per_day"),
            code_once=form.value("code_once") == "1",
        ),
        mode=form.word("mode"),
        state=form.word("state"),
        daily_from=form.clock("daily_from") or None,
        daily_until=form.clock("daily_until") or None,
        name_th=form.word("name_th"),
        name_en=form.word("name_en"),
        about_th=form.word("about_th"),
        about_en=form.word("about_en"),
        organiser_th=form.word("organiser_th"),
        organiser_en=form.word("organiser_en"),
    )


def _values(view: ActivityView, scale: int) -> Mapping[str, Any]:
    values: dict[str, Any] = {text: getattr(view, text) for text in TEXTS}
    return values | {
        "place": view.place.id,
        "mode": view.mode,
        "state": view.state,
        "amount": number(view.policy.amount_minor, scale),
        "max_per_person": view.policy.max_per_person,
        "max_per_day": view.policy.max_per_day,
        "code_once": "1" if view.policy.code_once else None,
        "daily_from": view.daily_from,
        "daily_until": view.daily_until,
    }


def _form_page(visit: Visit, form: Form, activity: ActivityView | None) -> str:
    caps = visit.settings.get("assurance_caps", {})
    hint = say(
        N_("At most {poster} with a poster, {kiosk} with a kiosk, {code} with one-time codes."),
        **{mode: money(caps.get(mode, 0)) for mode in activities.MODES},
    )
    back = (
        visit.address("steward_activity", activity_id=activity.id) if activity else visit.address("steward_activities")
    )
    return render(
        "steward/activity_form.html",
        form=form,
        activity=activity,
        modes=[(mode, mode_name(mode)) for mode in activities.MODES],
        places=[(one.id, name(one)) for one in places.list_(visit.session, visit.city.id)],
        caps_hint=hint,
        back_url=back,
    )
