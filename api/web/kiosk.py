"""The kiosk: a QR symbol that fills the screen and changes by itself, and how many have arrived."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from api.services import services
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, web
from api.web.words import N_, clock, ngettext, say, soon, when
from ledger.book import cities
from ledger.people.roles import STEWARD
from ledger.programme import activities, attendance, codes, posters
from ledger.programme.codes import Code
from ledger.programme.views import ActivityView

LATEST = 5
"""How many of the last arrivals the screen lists, by the time alone."""


@web.get("/c/<city>/kiosk/<activity_id>")
@page("code.read", door="kiosk")
def kiosk(visit: Visit, activity_id: str) -> Answer:
    """The screen with its first symbol; the page's script fetches the following ones."""
    code = current_code(visit, activity_id)
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    desk = visit.address("steward_activity", activity_id=activity_id) if visit.principal.holds(STEWARD) else ""
    return render(
        "kiosk/screen.html",
        activity=view,
        qr=symbol(code.url),
        left_ms=_left_ms(visit, code),
        lasts_ms=_lasts_ms(code),
        desk_url=desk,
        **_arrivals(visit, view),
    )


@web.get("/c/<city>/kiosk/<activity_id>/now")
@page("code.read")
def kiosk_now(visit: Visit, activity_id: str) -> Response:
    """The symbol of this moment, how long it lasts, and the arrivals."""
    code = current_code(visit, activity_id)
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    return jsonify(
        svg=symbol(code.url), left_ms=_left_ms(visit, code), lasts_ms=_lasts_ms(code), **_arrivals(visit, view)
    )


def _left_ms(visit: Visit, code: Code) -> int | None:
    """For how long the symbol may still be shown; None for a code that does not end."""
    return None if code.expires_at is None else int((code.expires_at - visit.now).total_seconds() * 1000)


def _lasts_ms(code: Code) -> int | None:
    return None if code.expires_at is None else int(codes.ROTATION.total_seconds() * 1000)


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
    if view.window.seats is not None and view.seats_left is not None:
        return view.window.seats - view.seats_left  # for the view they have been counted already
    found = attendance.in_sessions(visit.session, visit.city.id, {view.id: view.window.session})
    return found.get(view.id, 0)


def _arrivals(visit: Visit, view: ActivityView) -> dict[str, Any]:
    """What the screen says of those who came: a sentence, seats left, the latest times; or why there is no symbol.

    Where no seat is left a symbol would call people to a refusal.
    """
    if view.window is None:
        shut = say(N_("Not open just now"))
        opening = f"{shut}\n{when(view)}" if view.next_opens_at or view.daily_from else shut
        return {"closed": opening, "full": False, "arrivals": shut, "seats": "", "latest": []}
    count, city = arrivals_of(visit, view), visit.city.id
    left = view.seats_left
    latest = attendance.latest_in_session(visit.session, city, view.id, view.window.session, LATEST)
    return {
        "closed": _full(view) if view.is_full else "",
        "full": view.is_full,
        "arrivals": ngettext("{count} has arrived", "{count} have arrived", count)
        if count
        else say(N_("Be the first to arrive")),
        "seats": ngettext("{count} seat left", "{count} seats left", left) if left and not view.is_full else "",
        "latest": [clock(at) for at in latest],
    }


def _full(view: ActivityView) -> str:
    """That no seat is left, and when there are seats again where that is known."""
    taken = say(N_("All seats are taken"))
    return f"{taken}\n{say(N_('The next one: {at}'), at=soon(view.next_opens_at))}" if view.next_opens_at else taken
