"""The address in a QR symbol: what it shows, and the check-in that it leads to.

GET never claims anything, because chat programs fetch addresses for their previews. It shows what the code is for;
for somebody with a wallet the page sends its form at once, a newcomer taps once, which opens a wallet and checks in
in one command. What comes of it is a page of its own, so that a reload shows the receipt and posts nothing.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from flask import Response, make_response, request
from sqlalchemy.orm import Session

from api import auth
from api.services import services
from api.web.shell import Answer, Visit, page, render, see, web
from ledger.book import accounts, cities
from ledger.book.unit import Unit
from ledger.errors import NotFound, Refused
from ledger.people import learners
from ledger.people.roles import LEARNER, Principal
from ledger.programme import activities, attendance, checkins, codes, posters
from ledger.programme.checkins import CheckIn
from ledger.values import random_id

WELCOME_LIFETIME = timedelta(days=7)
TICKET_LIFETIME = timedelta(days=1)
TICKET_LENGTH = 26


def city_of_code(session: Session, code: str) -> str:
    """The id of the city that a code names.

    Raises:
        Refused: `code_invalid` (`unknown`).
    """
    city = cities.by_code_prefix(session, codes.read(code).prefix)
    if city is None:
        raise Refused("code_invalid", "unknown")
    return city.id


@web.get("/q/<code>")
@page("learner.join", city_of=city_of_code)
def code(visit: Visit, code: str) -> Answer:
    """What a code is for. A rotating code that is opened in time carries a turn from here on."""
    row = cities.get(visit.session, visit.city.id)
    look = posters.look(visit.session, row, visit.city.keys, code, visit.now)
    learner = visit.learner.signed_in
    if look.expired and not learner:
        raise Refused("code_expired")
    view = look.activity
    pays = learner or ((view.is_open or look.turn is not None) and view.is_funded and not view.is_full)
    shown = render("learner/code.html", code=look.code, activity=view, turn=look.turn, learner=learner, pays=pays)
    return with_ticket(visit, shown)


@web.post("/q/<code>")
@page("learner.join", city_of=city_of_code)
def claim(visit: Visit, code: str) -> Answer:
    """Check in; somebody without a wallet gets one first, in the same command."""
    command = CheckIn(code, request.form.get("turn") or None)
    if not visit.learner.signed_in:
        return _join_and_claim(visit, command)
    learner = visit.learner
    try:
        reads = checkins.reads(learner, command)
        entry = visit.write(lambda unit: str(checkins.record(unit, learner, command).entry), learner, reads=reads)
    except Refused as refusal:
        if refusal.code != "already_checked_in":
            raise
        return see(visit.address("received", entry=refusal.params["entry"], again=1))
    return see(visit.address("received", entry=int(entry)))


def _join_and_claim(visit: Visit, command: CheckIn) -> Response:
    mine = ticket(visit)

    def run(unit: Unit) -> str:
        joined = learners.join(unit, mine)
        unit.session.flush()
        unit.flush()
        principal = Principal(unit.city.id, frozenset({LEARNER}), joined.learner)
        entry = checkins.record(unit, principal, command).entry
        return json.dumps({"token": joined.token, "recovery": joined.recovery_code, "entry": entry})

    try:
        made = json.loads(visit.write(run, Principal.anonymous(visit.city.id)))
    except Refused as refusal:
        if refusal.code != "already_checked_in":
            raise
        # Another tab of this browser was faster: its wallet is ours.
        made = json.loads(visit.write(lambda unit: joined(learners.join(unit, mine)), keyed=False))
        return welcome(visit, made, see(visit.address("received", entry=refusal.params["entry"], again=1)))
    return welcome(visit, made, see(visit.address("received", entry=made["entry"])))


def joined(fresh: learners.Joined) -> str:
    """What a command that joins gives to `welcome`."""
    return json.dumps({"token": fresh.token, "recovery": fresh.recovery_code})


def ticket(visit: Visit) -> str | None:
    """The secret by which two taps of one browser come to one wallet; None for a browser that shows none."""
    kept = request.cookies.get(_ticket_cookie(visit), "")
    return kept if len(kept) == TICKET_LENGTH and kept.isalnum() and kept.isascii() else None


def with_ticket(visit: Visit, shown: str) -> Response:
    """A page that offers a newcomer to join, with the ticket for it; tabs that are open already keep theirs."""
    response = make_response(shown)
    if not visit.learner.signed_in and ticket(visit) is None:
        response.set_cookie(
            _ticket_cookie(visit),
            random_id(),
            max_age=TICKET_LIFETIME,
            httponly=True,
            samesite="Lax",
            secure=services().secure,
            path="/",
        )
    return response


def _ticket_cookie(visit: Visit) -> str:
    return f"joining.{visit.city.id}"


def welcome(visit: Visit, made: dict[str, Any], response: Response) -> Response:
    """Sign a new learner in, and keep the recovery code on the device until it has been written down.

    The database does not know the code, and an address must not carry it. The cookie is as well kept as the sign-in
    beside it, and goes away with the button "I have written it down".
    """
    auth.sign_in(response, auth.LEARNER, visit.city.id, made["token"])
    response.delete_cookie(_ticket_cookie(visit), path="/")
    response.set_cookie(
        welcome_cookie(visit),
        made["recovery"],
        max_age=WELCOME_LIFETIME,
        httponly=True,
        samesite="Lax",
        secure=services().secure,
        path=f"/c/{visit.city.id}/",
    )
    return response


def welcome_cookie(visit: Visit) -> str:
    """The name of the cookie that holds a recovery code not yet written down."""
    return f"welcome.{visit.city.id}"


@web.get("/c/<city>/received/<int:entry>")
@page("learner.secure", door="wallet")
def received(visit: Visit, entry: int) -> str:
    """The receipt of a check-in: what for, by whom, and what the wallet holds now."""
    learner = visit.learner.subject or ""
    arrival = attendance.of_entry(visit.session, visit.city.id, learner, entry)
    if arrival is None:
        raise NotFound("entry", entry)
    return render(
        "learner/received.html",
        entry=arrival,
        again="again" in request.args,
        activity=activities.get(visit.session, visit.city.id, arrival.activity, visit.now),
        balance=accounts.balance(visit.session, visit.city.id, learners.account_of(learner)),
        **secrets_of(visit),
    )


def secrets_of(visit: Visit) -> dict[str, Any]:
    """What a page says about the learner's recovery code: the code itself while the device still keeps it."""
    secured = learners.is_secured(visit.session, visit.city.id, visit.learner.subject or "")
    kept = request.cookies.get(welcome_cookie(visit), "")
    return {"recovery_code": "" if secured else kept[:40], "unsecured": not secured}
