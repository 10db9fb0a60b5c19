"""What goes wrong at a steward's desk: twice, going back, two at once, odd input. Nothing is lost or done twice."""

from __future__ import annotations

import re

import pytest

from tests.web.conftest import HOME, Town
from tests.web.visitor import Page, Visitor

BOTH = {"steward", "treasurer"}
WALK = f"{HOME}/steward/activities/walk"


def english(town: Town) -> Visitor:
    """A steward who reads English, with the treasury's key."""
    steward = town.worker(BOTH)
    steward.get(f"{HOME}/steward/?lang=en")
    return steward


def made(steward: Visitor) -> Page:
    """The page of a new activity without daily hours."""
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    return steward.send(steward.send(form, name_th="ก", name_en="A", amount="1").form("/new"), confirmed="1")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("1,000.00", "1,000.00 KGO"),
        ("๑๒๓", "123.00 KGO"),
        ("๑๒.๕๐", "12.50 KGO"),
        (" 5 kgo ", "5.00 KGO"),
        ("0", None),
        ("-1", None),
        ("1e9", None),
        ("12,5", None),
        ("1,00", None),
        ("0.001", None),
        ("", None),
    ],
)
def test_amounts_as_people_type_them(town: Town, typed: str, read: str | None) -> None:
    """Thai digits and thousands are read; what could mean two amounts is refused at its field and stays there."""
    steward = english(town)
    page = steward.send(steward.get(f"{HOME}/steward/treasury").form("/grant"), grant_amount=typed)
    if read:
        assert f"Grant new tokens? {read}" in page.text
    else:
        assert (page.status, 'id="e-grant_amount"' in page.html) == (422, True)
        assert page.form("/grant").fields["grant_amount"] == typed


def test_a_form_that_was_sent_is_changed_and_sent_again(town: Town) -> None:
    """Back, another amount, on: nothing is done under the used key; the reader is told, and may send it once more."""
    steward, before = english(town), town.kinds()
    form = steward.get(f"{HOME}/steward/treasury").form("/grant")
    steward.send(steward.send(form, grant_amount="5").form("/grant"))
    again = steward.send(steward.send(form, grant_amount="6").form("/grant"))
    assert "was sent before with something else in it" in again.text
    assert "Idempotency" not in again.text
    assert town.kinds() == [*before, "grant"]
    steward.send(steward.send(again.form("/grant")).form("/grant"))
    assert town.kinds() == [*before, "grant", "grant"]


def test_a_session_is_opened_once(town: Town) -> None:
    """A double tap opens one; what is over already, or in a closed activity, is not; a year of the Thai era is."""
    steward = english(town)
    page = made(steward)
    form, year = page.form("/sessions"), town.installation.clock.now.year
    begins, ends = f"{year + 1}-03-10T09:00", f"{year + 1}-03-10T10:00"
    steward.send(form, starts_at=begins, ends_at=ends)
    assert steward.send(form, starts_at=begins, ends_at=ends).html.count('/end"') == 1
    past = steward.send(page.form("/sessions"), starts_at="2020-01-01T09:00", ends_at="2020-01-01T10:00", seats="x")
    assert 'id="e-ends_at">This time is over already.' in past.html
    assert past.form("/sessions").fields["seats"] == "x"
    assert "Wednesday 1 January 2020, 09:00" in past.text
    thai = steward.send(past.form("/sessions"), starts_at="2599-01-01T09:00", ends_at="2599-01-01T10:00", seats="๒๐")
    assert "1 Jan 2056, 09:00–10:00 20 seats" in thai.text
    edit = steward.get(page.address.split("?")[0] + "/edit").form("/edit")
    steward.send(edit, state="closed")
    closed = steward.send(
        form, key="another-key-of-some-length", starts_at=f"{year + 2}-01-01T09:00", ends_at=f"{year + 2}-01-01T10:00"
    )
    assert (closed.status, "This activity is closed." in closed.text) == (422, True)


def test_two_end_the_same_session(town: Town) -> None:
    """The slower one sees that it has ended, and no dead end."""
    first, second = english(town), english(town)
    year = town.installation.clock.now.year + 1
    page = made(first)
    opened = first.send(page.form("/sessions"), starts_at=f"{year}-03-10T09:00", ends_at=f"{year}-03-10T10:00")
    seen = second.get(opened.address.split("?")[0])
    (end,) = (link for link in seen.links if link.endswith("/end"))
    asked = second.get(end)
    first.send(first.get(end).form("/end"))
    for late in (second.send(asked.form("/end")), second.get(end)):
        assert (late.status, "The session has ended." in late.text) == (200, True)


@pytest.mark.parametrize("address", [f"{WALK}/edit", f"{HOME}/steward/spaces/kaen"])
def test_two_change_the_same_thing(town: Town, address: str) -> None:
    """The slower one is told before the other's words are replaced, keeps what was typed, and may insist."""
    first, second = english(town), english(town)
    slow = second.get(address).form()
    first.send(first.get(address).form(), name_en="Stroll")
    told = second.send(slow, name_th="ช้าไป")
    assert (told.status, "Somebody else changed this meanwhile." in told.text) == (422, True)
    assert told.form().fields["name_th"] == "ช้าไป"
    assert first.get(address).form().fields["name_en"] == "Stroll"
    assert second.send(told.form()).status == 200
    assert first.get(address).form().fields["name_th"] == "ช้าไป"
    twice = first.get(address).form()
    for _ in range(2):
        assert first.send(twice, name_en="Twice").status == 200


def test_nobody_s_activity_is_funded(town: Town) -> None:
    """Without an activity the error stands at its field, and the amount stays."""
    steward = english(town)
    page = steward.send(steward.get(f"{HOME}/steward/treasury").form("/fund"), activity="", fund_amount="5")
    assert (page.status, 'id="e-activity"' in page.html) == (422, True)
    assert page.form("/fund").fields["fund_amount"] == "5"


@pytest.mark.parametrize(
    ("path", "wrong", "missing"),
    [
        ("steward/activities/new", {"amount": "five"}, ("name_th", "name_en")),
        (f"{WALK.removeprefix(f'{HOME}/')}/edit", {"amount": "five", "name_th": " ", "name_en": ""}, ("name_th",)),
        ("steward/spaces/new", {"street_order": "first"}, ("name_th", "name_en")),
        ("shop/promotions/new", {"price": "five"}, ("title_th",)),
        ("shop/apply", {"category": "none"}, ("name_th",)),
    ],
)
def test_all_that_is_wrong_is_told_at_once(
    town: Town, path: str, wrong: dict[str, str], missing: tuple[str, ...]
) -> None:
    """What is empty and must not be is named together with what cannot be read, at the first try."""
    visitor = town.worker({"shop"}, "cafe") if path.startswith("shop") else english(town)
    address = f"{HOME}/{path}"
    form = visitor.get(address).form(f"/{path}")
    form.fields.update(wrong)
    told = visitor.send(form)
    assert told.status == 422
    named = set(re.findall(r'id="e-([a-z_]+)"', told.html))
    assert {*missing, *wrong} <= named


def test_odd_names_are_text_and_nothing_else(town: Town) -> None:
    """Markup is shown, not obeyed; what turns the direction of a line, or rings a bell, is left out."""
    steward = english(town)
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    page = steward.send(form, name_th="<b>\u202eก\x07</b> 🎉", name_en="مرحبا", amount="1", state="draft")
    assert "<b>" not in page.html
    edit = steward.get(page.address.split("?")[0] + "/edit").form("/edit")
    assert (edit.fields["name_th"], edit.fields["name_en"]) == ("<b>ก</b> 🎉", "مرحبا")


@pytest.mark.parametrize("typed", ["9.00", "9:00", "๙.๐๐ น.", "09:00"])
def test_hours_as_people_type_them(town: Town, typed: str) -> None:
    """Thai digits, a point for a colon, one digit for the hour."""
    steward = english(town)
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    page = steward.send(
        form, name_th="ก", name_en="A", amount="1", state="draft", daily_from=typed, daily_until="๑๗.๓๐"
    )
    edit = steward.get(page.address.split("?")[0] + "/edit").form("/edit")
    assert (edit.fields["daily_from"], edit.fields["daily_until"]) == ("09:00", "17:30")


def test_a_poster_says_when_it_is_of_no_use_yet(town: Town) -> None:
    """Without a session, or unpublished, whoever prints it is told what is missing and where to mend it."""
    steward = english(town)
    page = made(steward)
    address = page.address.split("?")[0]
    assert "No session is planned" in steward.get(f"{address}/poster").text
    assert "No session is planned" not in steward.get(f"{WALK}/poster").text
    steward.send(steward.get(f"{address}/edit").form("/edit"), state="draft")
    assert "not published" in steward.get(f"{address}/poster").text


def test_a_sheet_is_withdrawn_once(town: Town) -> None:
    """Whoever asks about a sheet that was withdrawn is led back and told so."""
    steward = english(town)
    ask = f"{HOME}/steward/activities/slips/codes/1/withdraw"
    steward.send(steward.get(ask).form())
    assert steward.get(ask).address.endswith("/codes?done=sheet-withdrawn")
