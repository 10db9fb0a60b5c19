"""Rewarding many learners from a list: bring it, see every row judged, confirm the sum, watch it being paid.

The page of a running airdrop drives it: its form pays the next rows and shows the page again. A script sends that form
again and again; without the script a person does, or the server's own job, which also goes on after the page is closed.
"""

from __future__ import annotations

from flask import Response, request

from api.web.forms import Form
from api.web.shell import Answer, Visit, asked_whole, page, render, says, see, web
from api.web.words import N_, money, name, say
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.programme import activities, airdrop_files, airdrop_reports, airdrops
from ledger.programme.airdrop_verdicts import REFUSALS, AirdropView
from ledger.programme.airdrops import NewAirdrop
from ledger.programme.views import DRAFT

PAGE = 100
says("airdrop-confirmed", N_("Confirmed. The rows are being paid."))
says("airdrop-cancelled", N_("Cancelled. Nothing more is paid from this list."))

VERDICTS = {
    "ok": N_("To be paid"),
    "paid": N_("Paid"),
    "cancelled": N_("Cancelled"),
    "bad_row": N_("Too many cells"),
    "bad_amount": N_("No amount"),
    "unknown_learner": N_("No such learner"),
    "duplicate": N_("Named twice"),
    "over_cap": N_("Above the cap"),
    "over_budget": N_("Budget used up"),
}
"""What the verdicts are called."""

REMEDIES = {
    "bad_row": N_(
        "The row has more cells than the first line has columns. Put quotation marks around a note with commas."
    ),
    "bad_amount": N_("Write the amount as 5 or 12.50, greater than 0."),
    "unknown_learner": N_("No learner of this city has this number. Compare it with what the learner gave you."),
    "duplicate": N_("An earlier row names the same learner. Put the amounts together into one row."),
    "over_cap": N_("The city pays at most {cap} on its staff's word. Give less."),
    "over_budget": N_(
        "The budget does not cover it after the rows before it. Fund the activity, then bring these rows again."
    ),
}
"""What to do about each kind of refused row."""


@web.get("/c/<city>/steward/airdrops")
@page("airdrop.manage", door="desk")
def airdrop_list(visit: Visit) -> str:
    """The newest lists."""
    views = airdrop_reports.list_(visit.session, visit.city.id)
    names = {one.activity: _activity_name(visit, one.activity) for one in views}
    return render("steward/airdrops.html", airdrops=views, names=names)


@web.get("/c/<city>/steward/airdrops/new")
@page("airdrop.manage", door="desk")
def airdrop_new(visit: Visit) -> str:
    """The empty form, and how a list looks."""
    return _form_page(visit, Form(visit, {"activity": request.args.get("activity", "")}))


@web.post("/c/<city>/steward/airdrops/new")
@page("airdrop.manage", door="desk")
def airdrop_create(visit: Visit) -> Answer:
    """Judge a list; nothing is paid."""
    form, caller, sent = Form.sent(visit), visit.principal, request.files.get("file")
    content = sent.read() if sent else b""
    new = NewAirdrop(form.word("activity"), content, (sent.filename or "") if sent else "")
    try:
        if not content:
            form.fail("file", N_("Choose the list on your device."))
        form.check()
        # Without the form's key, which says nothing of the file: the same list twice is two previews, and pays nothing.
        made = visit.write(lambda unit: airdrops.create(unit, caller, new).id, keyed=False)
    except (ValidationFailed, Refused, NotFound) as refusal:
        return _form_page(visit, form.refused(refusal, {"csv": "file"})), 422
    return see(visit.address("airdrop", airdrop_id=made))


@web.get("/c/<city>/steward/airdrops/<airdrop_id>")
@page("airdrop.manage", door="desk")
def airdrop(visit: Visit, airdrop_id: str) -> str:
    """One list: the preview, its progress, what came of it, and its rows."""
    return _airdrop_page(visit, airdrop_id, Form(visit))


@web.post("/c/<city>/steward/airdrops/<airdrop_id>/confirm")
@page("airdrop.manage", door="desk")
def airdrop_confirm(visit: Visit, airdrop_id: str) -> Answer:
    """Agree to the sum that the preview showed."""
    form, caller = Form.sent(visit), visit.principal
    seen = form.word("sum_minor")
    minor = int(seen) if seen.isdecimal() else 0
    try:
        visit.write(lambda unit: airdrops.confirm(unit, caller, airdrop_id, minor).id)
    except Refused as refusal:
        return _airdrop_page(visit, airdrop_id, form.refused(refusal)), 409
    return see(visit.address("airdrop", airdrop_id=airdrop_id), done="airdrop-confirmed")


@web.post("/c/<city>/steward/airdrops/<airdrop_id>/continue")
@page("airdrop.manage", door="desk")
def airdrop_continue(visit: Visit, airdrop_id: str) -> Answer:
    """Pay the next rows. Sending it again pays the rows after them."""
    caller = visit.principal
    visit.write(lambda unit: airdrops.proceed(unit, caller, airdrop_id).id, keyed=False)
    return see(visit.address("airdrop", airdrop_id=airdrop_id))


@web.post("/c/<city>/steward/airdrops/<airdrop_id>/cancel")
@page("airdrop.manage", door="desk")
def airdrop_cancel(visit: Visit, airdrop_id: str) -> Answer:
    """Pay nothing more from a list."""
    form, caller = Form.sent(visit), visit.principal
    try:
        visit.write(lambda unit: airdrops.cancel(unit, caller, airdrop_id).id)
    except Refused as refusal:
        return _airdrop_page(visit, airdrop_id, form.refused(refusal)), 409
    return see(visit.address("airdrop", airdrop_id=airdrop_id), done="airdrop-cancelled")


@web.get("/c/<city>/steward/airdrops/<airdrop_id>/verdicts.csv")
@page("airdrop.manage", door="desk")
def airdrop_verdicts(visit: Visit, airdrop_id: str) -> Answer:
    """Every row with its verdict, for a spreadsheet."""
    response = Response(airdrop_reports.verdicts_csv(visit.session, visit.city.id, airdrop_id), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{visit.city.id}-{airdrop_id}.csv"'
    return response


def _form_page(visit: Visit, form: Form) -> str:
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    choices = [
        (one.id, say(N_("{activity} – budget {amount}"), activity=name(one), amount=money(one.budget_minor)))
        for one in views
        if one.state != DRAFT
    ]
    limits = {"rows": f"{airdrop_files.MAX_ROWS:,}", "megabytes": airdrop_files.MAX_BYTES // 1_000_000}
    return render("steward/airdrop_form.html", form=form, choices=choices, limits=limits, cap=_cap(visit))


def _airdrop_page(visit: Visit, airdrop_id: str, form: Form) -> str:
    view = airdrop_reports.get(visit.session, visit.city.id, airdrop_id)
    refused = request.args.get("show") == "refused"
    cursor = asked_whole("cursor") or 0
    found = airdrop_reports.rows(visit.session, visit.city.id, airdrop_id, cursor=cursor, limit=PAGE, refused=refused)
    kept = {"airdrop_id": airdrop_id, **({"show": "refused"} if refused else {})}
    return render(
        "steward/airdrop.html",
        airdrop=view,
        activity_name=_activity_name(visit, view.activity),
        form=form,
        rows=found.items,
        refused_only=refused,
        next_url=visit.address("airdrop", cursor=found.next, **kept) if found.next is not None else None,
        verdicts={code: say(words) for code, words in VERDICTS.items()},
        remedies=_remedies(visit, view),
    )


def _remedies(visit: Visit, view: AirdropView) -> list[tuple[str, int, str]]:
    """Verdict, number of rows and remedy, for each kind of refused row that there is."""
    cap = _cap(visit)
    return [
        (say(VERDICTS[code]), view.counts[code], say(REMEDIES[code], cap=cap))
        for code in REFUSALS
        if view.counts.get(code)
    ]


def _cap(visit: Visit) -> str:
    return money(visit.settings.get("assurance_caps", {}).get(airdrops.ASSURANCE, 0))


def _activity_name(visit: Visit, identifier: str) -> str:
    return name(activities.row(visit.session, visit.city.id, identifier))
