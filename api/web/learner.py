"""Pages of the learner: what is on, promotions, the wallet, and how a wallet moves to another phone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from flask import request

from api import auth
from api.web import near
from api.web.checkins import joined, secrets_of, ticket, welcome, welcome_cookie
from api.web.forms import Form
from api.web.shell import Answer, Visit, asked_whole, kept, page, render, says, see, web
from api.web.words import N_, Line, date_of, name, statement_lines
from ledger.book import accounts, statements
from ledger.book.accounts import Balance
from ledger.book.unit import Unit
from ledger.chain import bridges
from ledger.commerce import promotions as offers
from ledger.commerce import receipts, shops
from ledger.commerce.receipts import RedemptionView
from ledger.errors import NotFound, ValidationFailed
from ledger.people import learners
from ledger.people.roles import Principal
from ledger.programme import activities, places
from ledger.programme.views import ActivityView

PAGE = 30
SOON = timedelta(days=7)
says("secured", N_("Good. Your recovery code counts as written down."))
says("recovered", N_("Your wallet is here. The old sign-in has ended."))
says("joined", N_("Your wallet is open."))


def balance_of(visit: Visit) -> Balance | None:
    """What the visiting learner holds; None for nobody."""
    if not visit.learner.signed_in:
        return None
    account = learners.account_of(visit.learner.subject or "")
    return accounts.balance(visit.session, visit.city.id, account)


@web.get("/c/<city>/")
@page("activity.read")
def whats_on(visit: Visit) -> str:
    """Activities by time, by place or by how near they are; `?place=` shows those of one place alone."""
    views = activities.list_(visit.session, visit.city.id, visit.now)
    around = near.look_around(visit)
    known = places.list_(visit.session, visit.city.id)
    chosen = next((place for place in known if place.id == request.args.get("place")), None)
    if chosen is not None:
        views = [one for one in views if one.place.id == chosen.id]
    at_places = [(place, [one for one in views if one.place.id == place.id]) for place in known]
    return render(
        "learner/whats_on.html",
        times=_by_time(visit, views),
        street=[(place, found) for place, found in at_places if place.street_order is not None],
        elsewhere=[(place, found) for place, found in at_places if place.street_order is None and found],
        by=_arranged() if chosen is None else "time",
        around=around,
        nearest=near.arrange(around.here, views) if around.here else [],
        chosen=chosen,
        balance=balance_of(visit),
    )


def _arranged() -> str:
    """How the reader wants what is on: `time`, `near` or `place`."""
    wanted = request.args.get("by", "near" if "near" in request.args else "time")
    return wanted if wanted in ("near", "place") else "time"


def _by_time(visit: Visit, views: list[ActivityView]) -> list[tuple[str, list[ActivityView]]]:
    """Activities under headings: open now, later today, another day, no date; empty headings are left out."""
    today = date_of(visit.now)
    groups: dict[str, list[ActivityView]] = {
        N_("Open now"): [],
        N_("Later today"): [],
        N_("Coming up"): [],
        N_("No date yet"): [],
    }
    now, later, coming, undated = groups.values()
    for one in views:
        following = one.next_opens_at
        if one.is_open:
            now.append(one)
        elif following is None:
            undated.append(one)
        else:
            (later if date_of(following) == today else coming).append(one)
    for dated in (later, coming):
        dated.sort(key=lambda one: one.next_opens_at or visit.now)
    return [(heading, found) for heading, found in groups.items() if found or found is now]


@web.get("/c/<city>/activities/<activity_id>")
@page("activity.read")
def activity(visit: Visit, activity_id: str) -> str:
    """One activity, as learners see it."""
    view = activities.shown(visit.session, visit.city.id, activity_id, visit.now, visit.learner)
    return render("learner/activity.html", activity=view, sessions=view.sessions)


@web.get("/c/<city>/promotions")
@page("promotion.read")
def promotions(visit: Visit) -> str:
    """Promotions: what the learner can afford first, then the dearer, then what cannot be had now.

    In each part those of the district that the learner is in stand first.
    """
    around = near.look_around(visit)
    found = offers.list_(visit.session, visit.city.id, visit.now)
    views = sorted(found, key=lambda one: not (around.district and one.shop_district == around.district))
    balance = balance_of(visit)
    available = balance.available_minor if balance else None
    within = [one for one in views if one.open and (available is None or one.price_minor <= available)]
    return render(
        "learner/promotions.html",
        affordable=within,
        dearer=[one for one in views if one.open and one not in within],
        closed=[one for one in views if not one.open],
        balance=balance,
        around=around,
        district_names={one.id: name(one) for one in around.districts},
    )


@web.get("/c/<city>/promotions/<promotion_id>")
@page("promotion.read")
def promotion(visit: Visit, promotion_id: str) -> str:
    """One promotion, with the button that reserves it."""
    view = offers.get(visit.session, visit.city.id, promotion_id, visit.now)
    return render(
        "learner/promotion.html",
        promotion=view,
        shop=shops.get(visit.session, visit.city.id, view.shop),
        balance=balance_of(visit),
        hold_minutes=visit.settings["hold_minutes"],
    )


@web.get("/c/<city>/wallet")
@page("learner.secure", door="wallet")
def wallet(visit: Visit) -> Answer:
    """The learner's wallet: balance, what ends soon, what came and went, each line with its receipt."""
    learner = visit.learner.subject or ""
    cursor = asked_whole("cursor")
    account = learners.account_of(learner)
    found = statements.statement(visit.session, visit.city.id, account, cursor=cursor, limit=PAGE)
    own = receipts.of_learner(visit.session, visit.city.id, learner, visit.now).items
    balance = accounts.balance(visit.session, visit.city.id, account)
    ending = offers.ending(
        visit.session,
        visit.city.id,
        visit.now,
        visit.now + SOON,
        learner=learner,
        affordable_minor=balance.available_minor,
    )
    shown = render(
        "learner/wallet.html",
        balance=balance,
        days=_by_day(statement_lines(visit, found.items)),
        addresses=_receipts_of(visit, own),
        next_url=visit.address("wallet", cursor=found.next) if found.next else None,
        first_page=cursor is None,
        pending=[one for one in own if one.state == "pending"],
        ending=ending,
        has_chain=bool(bridges.all_(visit.session, visit.city.id)),
        **secrets_of(visit),
    )
    return kept(shown)


def _by_day(lines: list[Line]) -> list[tuple[datetime, list[Line]]]:
    """Lines, newest first, under the days on which they were written; a day is named by its newest instant."""
    days = [list(day) for _, day in groupby(lines, key=lambda line: date_of(line.at))]
    return [(day[0].at, day) for day in days]


def _receipts_of(visit: Visit, own: Iterable[RedemptionView]) -> dict[int, str]:
    """Where the receipt of an entry is, for the entries of some redemptions."""
    found: dict[int, str] = {}
    for one in own:
        address = visit.address("redemption", redemption_id=one.id)
        written = (one.entry, one.ended_entry, *one.refund_entries)
        found.update({entry: address for entry in written if entry is not None})
    return found


@web.post("/c/<city>/join")
@page("learner.join")
def join(visit: Visit) -> Answer:
    """Open an empty wallet on this device, unless there is one."""
    if visit.learner.signed_in:
        return see(visit.address("wallet"))

    mine = ticket(visit)
    made = json.loads(visit.write(lambda unit: joined(learners.join(unit, mine)), Principal.anonymous(visit.city.id)))
    return welcome(visit, made, see(visit.address("wallet"), done="joined"))


@web.post("/c/<city>/secure")
@page("learner.secure", door="wallet")
def secure(visit: Visit) -> Answer:
    """Note that the recovery code has been written down, and forget it on this device."""
    learner = visit.learner.subject or ""

    def run(unit: Unit) -> str:
        learners.secure(unit, learner)
        return learner

    visit.write(run, visit.learner)
    response = see(visit.address("wallet"), done="secured")
    response.delete_cookie(welcome_cookie(visit), path=f"/c/{visit.city.id}/")
    return response


@web.get("/c/<city>/recover")
@page("learner.recover")
def recover(visit: Visit) -> str:
    """The form that brings a wallet to this device."""
    return _recover_page(visit, Form(visit), request.args.get("then", ""))


@web.post("/c/<city>/recover")
@page("learner.recover")
def recover_wallet(visit: Visit) -> Answer:
    """Bring a wallet to this device, and go on to where the visitor came from."""
    form = Form.sent(visit)
    then = form.value("then")

    def run(unit: Unit) -> str:
        joined = learners.recover(unit, form.value("recovery_code"))
        return json.dumps({"token": joined.token})

    try:
        made = json.loads(visit.write(run, Principal.anonymous(visit.city.id)))
    except (ValidationFailed, NotFound) as refusal:
        if isinstance(refusal, NotFound):
            form.fail("recovery_code", N_("No wallet has this code. Look at each letter and digit again."))
        else:
            form.refused(refusal)
        return _recover_page(visit, form, then), 422
    response = see(then if _is_code_address(then) else visit.address("wallet", done="recovered"))
    auth.sign_in(response, auth.LEARNER, visit.city.id, made["token"])
    response.delete_cookie(welcome_cookie(visit), path=f"/c/{visit.city.id}/")
    return response


def _recover_page(visit: Visit, form: Form, then: str) -> str:
    kept = then if _is_code_address(then) else ""
    return render("learner/recover.html", form=form, then=kept, signed_in=visit.learner.signed_in)


def _is_code_address(address: str) -> bool:
    """Whether an address is one of our own `/q/<code>`: nothing else may be gone on to."""
    return address.startswith("/q/") and address.removeprefix("/q/").isalnum()
