"""What is printed for an activity: its poster, and sheets of one-time codes to cut up and hand out."""

from __future__ import annotations

from markupsafe import Markup

from api.services import services
from api.web.forms import Form
from api.web.kiosk import current_code
from api.web.redemptions import symbol
from api.web.shell import Answer, Visit, page, render, says, see, web
from api.web.words import N_
from ledger.book import cities
from ledger.book.unit import Unit
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.programme import activities, codes, sheets

ON_A_PAGE = 12
"""Slips on one page of A4: three columns, four rows."""

says("sheet-made", N_("The sheet is there. Print it, cut it up, and hand each slip to one person."))
says("sheet-withdrawn", N_("Withdrawn. No slip of that sheet is taken any more."))
says("sheets-renewed", N_("Every slip printed so far is void. Make a new sheet."))


@web.get("/c/<city>/steward/activities/<activity_id>/poster")
@page("activity.manage", door="desk")
def poster(visit: Visit, activity_id: str) -> Answer:
    """The sheet to print: one page of A4 in both languages. An activity with one-time codes has sheets of them."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    if view.mode == activities.CODE:
        return see(visit.address("code_sheets", activity_id=activity_id))
    code = current_code(visit, activity_id)
    return render("steward/poster.html", activity=view, qr=symbol(code.url), code=code.text, url=code.url)


@web.get("/c/<city>/steward/activities/<activity_id>/codes")
@page("activity.manage", door="desk")
def code_sheets(visit: Visit, activity_id: str) -> str:
    """The sheets of an activity: how many slips are used, and the form for another sheet."""
    return _sheets_page(visit, activity_id, Form(visit, {"count": 24}))


@web.post("/c/<city>/steward/activities/<activity_id>/codes")
@page("activity.write", door="desk")
def code_sheet_make(visit: Visit, activity_id: str) -> Answer:
    """Give out the next serial numbers as a sheet."""
    form, caller = Form.sent(visit), visit.principal
    count = form.whole("count") or 0
    try:
        form.check()
        number = visit.write(lambda unit: str(sheets.make(unit, caller, activity_id, count).number))
    except (ValidationFailed, Refused) as refusal:
        return _sheets_page(visit, activity_id, form.refused(refusal)), 422
    return see(visit.address("code_sheet", activity_id=activity_id, number=number), done="sheet-made")


@web.get("/c/<city>/steward/activities/<activity_id>/codes/<int(max=2147483647):number>")
@page("activity.manage", door="desk")
def code_sheet(visit: Visit, activity_id: str, number: int) -> Answer:
    """A sheet to print: pages of A4 with slips in both languages. Used slips are left out."""
    if _sheet(visit, activity_id, number).withdrawn:
        return _code_sheet_page(visit, activity_id, number, [], withdrawn=True), 410
    row = cities.get(visit.session, visit.city.id)
    found = sheets.printed(
        visit.session, row, visit.city.keys, visit.principal, activity_id, number, services().public_url
    )
    slips = [(one.serial, one.code, symbol(one.code.url)) for one in found if not one.used]
    return _code_sheet_page(visit, activity_id, number, slips, used=len(found) - len(slips))


@web.get("/c/<city>/steward/activities/<activity_id>/codes/<int(max=2147483647):number>/withdraw")
@page("activity.write", door="desk")
def code_sheet_ask(visit: Visit, activity_id: str, number: int) -> Answer:
    """Whether a sheet is really to be withdrawn: that cannot be undone."""
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    sheet = _sheet(visit, activity_id, number)
    if sheet.withdrawn:
        return see(visit.address("code_sheets", activity_id=activity_id), done="sheet-withdrawn")
    return render("steward/code_withdraw.html", activity=view, sheet=sheet)


@web.post("/c/<city>/steward/activities/<activity_id>/codes/<int(max=2147483647):number>/withdraw")
@page("activity.write", door="desk")
def code_sheet_withdraw(visit: Visit, activity_id: str, number: int) -> Answer:
    """Take no slip of a sheet any more."""
    caller = visit.principal

    def run(unit: Unit) -> str:
        sheets.withdraw(unit, caller, activity_id, number)
        return str(number)

    visit.write(run)
    return see(visit.address("code_sheets", activity_id=activity_id), done="sheet-withdrawn")


def _sheet(visit: Visit, activity_id: str, number: int) -> sheets.SheetView:
    for one in sheets.list_(visit.session, visit.city.id, activity_id):
        if one.number == number:
            return one
    raise NotFound("sheet", str(number))


def _code_sheet_page(
    visit: Visit,
    activity_id: str,
    number: int,
    slips: list[tuple[int, codes.Code, Markup]],
    *,
    used: int = 0,
    withdrawn: bool = False,
) -> str:
    return render(
        "steward/code_sheet.html",
        activity=activities.get(visit.session, visit.city.id, activity_id, visit.now),
        number=number,
        pages=[slips[start : start + ON_A_PAGE] for start in range(0, len(slips), ON_A_PAGE)],
        used=used,
        withdrawn=withdrawn,
    )


def _sheets_page(visit: Visit, activity_id: str, form: Form) -> str:
    view = activities.get(visit.session, visit.city.id, activity_id, visit.now)
    found = sheets.list_(visit.session, visit.city.id, activity_id)
    return render("steward/code_sheets.html", activity=view, sheets=found, form=form, most=sheets.MOST)
