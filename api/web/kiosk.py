"""The kiosk: a QR symbol that fills the screen and changes by itself, and how many have arrived."""

from __future__ import annotations

from flask import Response, jsonify

from api.services import services
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, web
from api.web.words import N_, say
from ledger.book import cities
from ledger.people.roles import STEWARD
from ledger.programme import activities, attendance, codes, posters
from ledger.programme.codes import Code
from ledger.programme.views import ActivityView


@web.get("/c/<city>/kiosk/<activity_id>")
@page("code.read", door="desk")
def kiosk(visit: Visit, activity_id: str) -> Answer:
    """The screen with its first symbol; the page's script fetches the following ones."""
    code = current_code(visit, activity_id)
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    desk = visit.address("steward_activity", activity_id=activity_id) if visit.principal.holds(STEWARD) else ""
    return render(
        "kiosk/screen.html", activity=view, qr=symbol(code.url), arrivals=_arrivals(visit, view), desk_url=desk
    )


@web.get("/c/<city>/kiosk/<activity_id>/now")
@page("code.read")
def kiosk_now(visit: Visit, activity_id: str) -> Response:
    """The symbol of this moment, how long it lasts, and the arrivals."""
    code = current_code(visit, activity_id)
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    left = None
    if code.expires_at is not None:
        left = int((code.expires_at - visit.now).total_seconds() * 1000)
    lasts = int(codes.ROTATION.total_seconds() * 1000) if left is not None else None
    return jsonify(svg=symbol(code.url), left_ms=left, lasts_ms=lasts, arrivals=_arrivals(visit, view))


def current_code(visit: Visit, activity_id: str) -> Code:
    """The code to show for an activity now."""
    row = cities.get(visit.session, visit.city.id)
    return posters.code(
        visit.session, row, visit.city.keys, visit.principal, activity_id, services().public_url, visit.now
    )


def arrivals_of(visit: Visit, view: ActivityView) -> int:
    """How many have checked in to the session that is open now."""
    if view.window is None:
        return 0
    return attendance.in_session(visit.session, visit.city.id, view.id, view.window.session)


def _arrivals(visit: Visit, view: ActivityView) -> str:
    if view.window is None:
        return say(N_("Not open just now"))
    count = arrivals_of(visit, view)
    if view.window.seats is not None:
        return say(N_("{count} have arrived, {left} seats left"), count=count, left=max(0, view.window.seats - count))
    return say(N_("{count} have arrived"), count=count)
