"""`/activities`: what takes place, its times and its reward, and the codes to print or to show."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items, items_of
from api.schemas.places import (
    ActivitiesQuery,
    ActivityChangeIn,
    ActivityIn,
    ActivityOut,
    CodeOut,
    SessionIn,
    SessionOut,
)
from api.services import services
from ledger.book import cities
from ledger.book.unit import Unit
from ledger.people.roles import Principal, require
from ledger.programme import activities, posters, qr
from ledger.programme.activities import ActivityChange, NewActivity
from ledger.programme.codes import Code
from ledger.programme.views import ActivityView
from ledger.programme.windows import Window

routes = Operations("activities", "Learning activities in learning spaces, and the codes that learners scan.")
ONE = f"{CITY}/activities/<activity>"
Sessions = list[dict[str, Any]]


@routes.read(
    f"{CITY}/activities",
    permission="activity.read",
    query=ActivitiesQuery(),
    response=items_of(ActivityOut, "Activities"),
    summary="List the activities",
    description="The open ones come first, then those that open next.",
)
def list_(ask: Ask) -> Items:
    """The activities."""
    if ask.query["everything"]:
        require(ask.caller, "activity.manage")
    found = activities.list_(ask.session, ask.city.id, ask.now, everything=ask.query["everything"])
    return Items(found)


@routes.read(ONE, permission="activity.read", response=ActivityOut(), summary="Show an activity")
def show(ask: Ask, activity: str) -> ActivityView:
    """One activity."""
    return activities.shown(ask.session, ask.city.id, activity, ask.now, ask.caller)


@routes.write(
    "POST",
    f"{CITY}/activities",
    permission="activity.write",
    request=ActivityIn(),
    response=ActivityOut(),
    status=201,
    summary="Set up an activity",
    description="It opens its budget account `budget:<id>`, which the treasurer then funds.",
)
def create(unit: Unit, caller: Principal, command: tuple[NewActivity, Sessions]) -> ActivityView:
    """Create."""
    new, sessions = command
    return _with_sessions(unit, caller, activities.create(unit, caller, new), sessions)


@routes.write(
    "PATCH",
    ONE,
    permission="activity.write",
    request=ActivityChangeIn(),
    response=ActivityOut(),
    summary="Change an activity",
    description="A changed reward is published in the log and holds from then on.",
)
def change(unit: Unit, caller: Principal, command: tuple[ActivityChange, Sessions], activity: str) -> ActivityView:
    """Change."""
    wanted, sessions = command
    return _with_sessions(unit, caller, activities.change(unit, caller, activity, wanted), sessions)


@routes.write(
    "POST",
    f"{ONE}/sessions",
    permission="activity.write",
    request=SessionIn(),
    response=SessionOut(),
    status=201,
    summary="Add a session to an activity",
)
def add_session(unit: Unit, caller: Principal, command: dict[str, Any], activity: str) -> Window:
    """Add a session."""
    return _add(unit, caller, activity, command)


@routes.read(
    f"{ONE}/code",
    permission="code.read",
    response=CodeOut(),
    summary="Get the code to print or to show",
    description="A poster's code does not expire; a kiosk's is shown until `expires_at`, then fetched anew. "
    "An activity of mode `code` has none: its one-time codes are printed on sheets.",
)
def code(ask: Ask, activity: str) -> Code:
    """The code."""
    return _code(ask, activity)


@routes.read(
    f"{ONE}/qr.svg",
    permission="code.read",
    media="image/svg+xml",
    summary="Get the code's QR symbol as SVG",
)
def qr_svg(ask: Ask, activity: str) -> str:
    """The symbol, for screens and posters."""
    return qr.svg(_code(ask, activity).url)


@routes.read(
    f"{ONE}/qr.png",
    permission="code.read",
    media="image/png",
    summary="Get the code's QR symbol as PNG",
)
def qr_png(ask: Ask, activity: str) -> bytes:
    """The symbol, for everything else."""
    return qr.png(_code(ask, activity).url)


def _code(ask: Ask, activity: str) -> Code:
    known = services()
    city = cities.get(ask.session, ask.city.id)
    return posters.code(ask.session, city, ask.city.keys, ask.caller, activity, known.public_url, ask.now)


def _with_sessions(unit: Unit, caller: Principal, view: ActivityView, sessions: Sessions) -> ActivityView:
    """The activity with further sessions; what the command staged so far is flushed, so that it can be read."""
    if not sessions:
        return view
    for wanted in sessions:
        _add(unit, caller, view.id, wanted)
    unit.flush()
    return activities.get(unit.session, unit.city.id, view.id, unit.now)


def _add(unit: Unit, caller: Principal, activity: str, wanted: dict[str, Any]) -> Window:
    return activities.add_session(
        unit, caller, activity, wanted["starts_at"], wanted["ends_at"], wanted.get("seats"), wanted.get("id")
    )
