"""The city's money at the desk: treasury, grants, budgets, and taking a movement back.

Money moves in two steps: the form leads to a page that shows both accounts as they are and as they would be, and
only the button there sends the command, under the key of the form it began with. What was moved by mistake is moved
back by an entry of its own, once and as a whole, as long as the money is still there; both stay in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request

from api.web import figures
from api.web.forms import Form
from api.web.shell import Answer, Visit, asked_whole, page, render, says, see, web
from api.web.words import N_, Line, kind, money, name, say, statement_lines
from ledger.book import accounts, cases, entries, statements, transfers
from ledger.book.statements import StatementLine
from ledger.book.unit import Unit
from ledger.commerce import trading
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people.roles import require
from ledger.programme import activities
from ledger.programme.views import CLOSED, budget_of

PAGE = 30
UNDONE_HERE = ("grant", "fund")
"""The kinds of entries that the desk takes back: those that move the city's own money."""

says("funded", N_("Funded. The entry stands in the public log."))
says("granted", N_("Granted. The entry stands in the public log."))
says("reversed", N_("Taken back. Both entries stand in the public log."))


@dataclass(frozen=True)
class Review:
    """What a movement would do, for the page that asks whether it is meant."""

    title: str
    amount_minor: int
    rows: list[tuple[str, int, int]]
    action: str
    hidden: Mapping[str, str]
    button: str
    back: str
    note: str


@dataclass(frozen=True)
class Movement:
    """A line of a statement, and where it can be taken back ("" where it cannot)."""

    line: Line
    undo_url: str


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
            (say(N_("Issued in all")), totals.issued, totals.issued + minor),
            (say(N_("Treasury")), totals.treasury, totals.treasury + minor),
        ]
        return _review(visit, form, say(N_("Grant new tokens?")), minor, rows, say(N_("Grant")), "treasury")
    actor = visit.principal.actor("entry.post")

    def run(unit: Unit) -> str:
        accounts.open_account(unit, "issuance")
        accounts.open_account(unit, "treasury")
        return str(transfers.post(unit, "grant", "issuance", "treasury", minor, actor=actor).seq)

    try:
        made = visit.write(run)
    except Refused as refusal:
        return _treasury(visit, form.refused(refusal)), 409
    return see(visit.address("treasury", made=made), done="granted")


@web.post("/c/<city>/steward/fund")
@page("entry.post", door="desk")
def fund(visit: Visit) -> Answer:
    """Move tokens from the treasury into an activity's budget."""
    form = Form.sent(visit)
    chosen, minor = form.word("activity"), form.amount("fund_amount")
    if not chosen:
        form.fail("activity", N_("Choose one of the list."))
    try:
        form.check()
        view = activities.get(visit.session, visit.city.id, chosen, visit.now)
        held = treasury_minor(visit)
        _check_covered(form, minor, held)
        if not form.value("confirmed"):
            rows = [
                (say(N_("Treasury")), held, held - minor),
                (name(view), view.budget_minor, view.budget_minor + minor),
            ]
            title = say(N_("Fund “{activity}”?"), activity=name(view))
            return _review(visit, form, title, minor, rows, say(N_("Fund")), "steward_activity", activity_id=view.id)
        actor = visit.principal.actor("entry.post")
        budget = budget_of(view.id)
        ref = {"activity": view.id}
        made = visit.write(
            lambda unit: str(transfers.post(unit, "fund", "treasury", budget, minor, actor=actor, ref=ref).seq)
        )
    except (ValidationFailed, Refused, NotFound) as refusal:
        return _treasury(visit, form.refused(refusal, {"amount_minor": "fund_amount"})), 422
    return see(visit.address("steward_activity", activity_id=view.id, made=made), done="funded")


@web.get("/c/<city>/steward/entries/<int:seq>/reverse")
@page("entry.post", door="desk")
def reverse_ask(visit: Visit, seq: int) -> str:
    """What taking an entry back would do, and the button that does it."""
    return _reverse_page(visit, seq, Form(visit))


@web.post("/c/<city>/steward/entries/<int:seq>/reverse")
@page("entry.post", door="desk")
def reverse(visit: Visit, seq: int) -> Answer:
    """Take an entry back, by an entry that moves everything the other way."""
    _undoable(visit, seq)
    actor = visit.principal.actor("entry.post")
    try:
        visit.write(lambda unit: str(transfers.reverse(unit, seq, actor=actor).seq))
    except Refused as refusal:
        return _reverse_page(visit, seq, Form.sent(visit).refused(refusal)), 422
    return see(visit.address("treasury"), done="reversed")


def treasury_minor(visit: Visit) -> int:
    """What the treasury may spend."""
    try:
        return accounts.balance(visit.session, visit.city.id, "treasury").available_minor
    except NotFound:
        return 0


def lines(visit: Visit, found: Sequence[StatementLine]) -> list[Movement]:
    """The lines of an institution's statement, each with the way to take it back, for whoever may."""
    open_ones = {one.entry for one in found if one.kind in UNDONE_HERE and visit.principal.may("entry.post")}
    open_ones -= cases.reversed_among(visit.session, visit.city.id, sorted(open_ones))
    return [
        Movement(line, visit.address("reverse_ask", seq=line.entry) if line.entry in open_ones else "")
        for line in statement_lines(visit, found)
    ]


def just_made(visit: Visit) -> str:
    """Where the movement that has just been made can be taken back; "" where there is none."""
    seq = asked_whole("made")
    if (
        seq is None
        or not visit.principal.may("entry.post")
        or cases.reversed_among(visit.session, visit.city.id, [seq])
    ):
        return ""
    return visit.address("reverse_ask", seq=seq)


def _undoable(visit: Visit, seq: int) -> dict[str, Any]:
    """The entry, if it is one of those that the desk takes back.

    Raises:
        NotFound: there is no such entry.
        Refused: `not_reversible`.
    """
    entry = entries.parsed(visit.session, visit.city.id, seq)
    if entry["kind"] not in UNDONE_HERE:
        raise Refused("not_reversible", "kind", entry=seq, kind=entry["kind"])
    return entry


def _reverse_page(visit: Visit, seq: int, form: Form) -> str:
    entry = _undoable(visit, seq)
    (posting,) = entry["postings"]
    minor = posting["amount"]
    rows = [
        (_called(visit, posting["to"]), *_changed(visit, posting["to"], -minor)),
        (_called(visit, posting["from"]), *_changed(visit, posting["from"], minor)),
    ]
    done = bool(cases.reversed_among(visit.session, visit.city.id, [seq]))
    return render(
        "steward/reverse.html",
        form=form,
        seq=seq,
        what=kind(entry["kind"]),
        at=datetime.fromisoformat(entry["at"]),
        minor=minor,
        rows=[] if done else rows,
        done_already=done,
        covered=rows[0][2] >= 0,
        back_url=visit.address("treasury"),
    )


def _changed(visit: Visit, account: str, change: int) -> tuple[int, int]:
    """A balance now and afterwards; what was issued counts upwards."""
    if account == "issuance":
        issued = figures.of(visit.session, visit.city.id).issued
        return issued, issued - change
    held = accounts.balance(visit.session, visit.city.id, account).available_minor
    return held, held + change


def _called(visit: Visit, account: str) -> str:
    """What an institution's account is called."""
    if account == "issuance":
        return say(N_("Issued in all"))
    if account == "treasury":
        return say(N_("Treasury"))
    if account.startswith("sponsor:"):
        return account
    return name(activities.row(visit.session, visit.city.id, account.removeprefix("budget:")))


def _treasury(visit: Visit, form: Form) -> str:
    require(visit.principal, "report.read")
    totals = figures.of(visit.session, visit.city.id)
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    cursor = asked_whole("cursor")
    try:
        found = statements.statement(visit.session, visit.city.id, "treasury", cursor=cursor, limit=PAGE)
        recent, following = found.items, found.next
    except NotFound:
        recent, following = [], None
    return render(
        "steward/treasury.html",
        totals=totals,
        treasury=totals.treasury,
        budgets=totals.in_budgets,
        form=form,
        may_post=visit.principal.may("entry.post"),
        may_manage=visit.principal.may("activity.manage"),
        settlements=trading.waiting(visit.session, visit.city.id),
        choices=[
            ("", say(N_("Choose an activity"))),
            *((one.id, f"{name(one)} ({money(one.budget_minor)})") for one in views if one.state != CLOSED),
        ],
        rows=[
            {"activity": one, "budget_minor": one.budget_minor}
            for one in sorted(views, key=lambda one: one.budget_minor)
            if one.state != CLOSED or one.budget_minor
        ],
        lines=lines(visit, recent),
        undo=just_made(visit),
        next_url=visit.address("treasury", cursor=following) if following else None,
    )


def _review(
    visit: Visit,
    form: Form,
    title: str,
    minor: int,
    rows: list[tuple[str, int, int]],
    button: str,
    back: str,
    **to: str,
) -> str:
    note = say(
        N_("It becomes an entry of the public log. A treasurer can take it back later with an entry of its own.")
    )
    hidden = {**form.values, "confirmed": "1"}
    review = Review(title, minor, rows, request.path, hidden, button, visit.address(back, **to), note)
    return render("steward/review.html", review=review)


def _check_covered(form: Form, minor: int, held: int) -> None:
    """See that the treasury has it, or say at the field of the amount that it has not.

    Raises:
        ValidationFailed: it has less.
    """
    if minor > held:
        form.errors["fund_amount"] = say(N_("The treasury has only {amount}."), amount=money(held))
    form.check()
