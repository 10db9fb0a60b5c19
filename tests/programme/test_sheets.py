"""One-time codes: given out on sheets, serving one person once, withdrawn as a sheet."""

from __future__ import annotations

import pytest

from ledger.errors import Forbidden, NotFound, Refused, ValidationFailed
from ledger.programme import activities, codes, posters, sheets
from ledger.programme.sheets import OneTimeCode, SheetView
from tests.factories import CITY
from tests.programme.town import PUBLIC_URL, STEWARD, Town


def made(town: Town, count: int = 3, name: str = "library") -> SheetView:
    """A sheet that was given out."""
    return town.run(lambda unit: sheets.make(unit, STEWARD, name, count))


def on(town: Town, number: int = 1, name: str = "library") -> list[OneTimeCode]:
    """The codes of a sheet."""
    with town.installation.read() as session:
        city, keys = town.installation.city(), town.installation.city_keys()
        return sheets.printed(session, city, keys, STEWARD, name, number, PUBLIC_URL)


def listed(town: Town, name: str = "library") -> list[SheetView]:
    """The sheets of an activity."""
    with town.installation.read() as session:
        return sheets.list_(session, CITY, name)


def test_each_code_serves_one_person_once(town: Town) -> None:
    """The first comes and is paid with the assurance `code`; the second with the same slip is told it was used."""
    town.activity(mode="code", amount_minor=500)
    made(town)
    first, second, _ = on(town)
    early, late = town.learner(), town.learner()
    assert town.check_in(early, first.code.text).amount_minor == 500
    assert town.installation.leaves()[-1]["evidence"]["assurance"] == "code"
    assert town.refusal(late, first.code.url).code == "code_used"
    assert town.refusal(early, first.code.text).code == "already_checked_in"
    assert town.check_in(late, second.code.text).amount_minor == 500
    assert [one.used for one in on(town)] == [True, True, False]
    assert [(sheet.count, sheet.used, sheet.left) for sheet in listed(town)] == [(3, 2, 1)]
    assert town.installation.audit().findings == []


def test_a_slip_serves_once_also_within_one_batch(town: Town) -> None:
    """Two people who send the same code in the same batch: one is paid."""
    town.activity(mode="code")
    made(town)
    slip = on(town)[0].code.text
    people = [town.learner(), town.learner()]
    commands = [town.command(who, slip) for who in people]
    answers = town.installation.writer.execute(CITY, commands)
    assert sorted(answer.code if isinstance(answer, Refused) else "paid" for answer in answers) == ["code_used", "paid"]


def test_serials_go_on_and_meet_nobody(town: Town) -> None:
    """A second sheet takes the next numbers; every code is another one, 20 characters long."""
    town.activity(mode="code")
    assert (made(town, 3).first_serial, made(town, 2).first_serial) == (1, 4)
    texts = [one.code.text for number in (1, 2) for one in on(town, number)]
    assert len(set(texts)) == 5
    assert {len(text) for text in texts} == {codes.LENGTH}


def test_a_signed_code_that_nobody_gave_out_is_not_taken(town: Town) -> None:
    """Whoever could sign still cannot invent a serial beyond the sheets."""
    town.activity(mode="code")
    made(town, 3)
    with town.installation.read() as session:
        row = activities.row(session, CITY, "library")
        issuer = posters.issuer_of(town.installation.city(), town.installation.city_keys(), row)
    invented = codes.issue_serial(issuer, PUBLIC_URL, 4).text
    assert (town.refusal(town.learner(), invented).code) == "code_invalid"
    made(town, 1)
    town.check_in(town.learner(), invented)


def test_a_withdrawn_sheet_serves_no_more(town: Town) -> None:
    """Its codes are refused and cannot be printed again, another sheet's go on; what was used stays counted."""
    town.activity(mode="code")
    made(town, 2)
    made(town, 2)
    used, lost = on(town, 1)
    kept = on(town, 2)[0]
    town.check_in(town.learner(), used.code.text)
    for _ in range(2):
        town.run(lambda unit: sheets.withdraw(unit, STEWARD, "library", 1))
    assert town.refusal(town.learner(), lost.code.text).code == "code_invalid"
    town.check_in(town.learner(), kept.code.text)
    assert [(sheet.number, sheet.withdrawn, sheet.used, sheet.left) for sheet in listed(town)] == [
        (2, False, 1, 1),
        (1, True, 1, 0),
    ]
    with pytest.raises(NotFound):
        on(town, 1)


def test_a_new_code_withdraws_every_sheet(town: Town) -> None:
    """As it does with posters: the old slips are forged from then on, a new sheet works."""
    town.activity(mode="code")
    made(town)
    old = on(town)[0].code.text
    town.run(lambda unit: activities.renew_code(unit, STEWARD, "library"))
    assert town.refusal(town.learner(), old).reason == "forged"
    assert listed(town)[0].withdrawn
    made(town)
    town.check_in(town.learner(), on(town, 2)[0].code.text)


def test_a_poster_and_a_slip_do_not_stand_in_for_each_other(town: Town) -> None:
    """Where slips count a poster has expired, and the other way round."""
    town.activity()
    poster = town.code().text
    town.change("library", mode="code")
    made(town)
    slip = on(town)[0].code.text
    assert town.refusal(town.learner(), poster).code == "code_expired"
    assert town.look(poster).expired
    assert not town.look(slip).expired
    with pytest.raises(NotFound):
        town.code()
    town.change("library", mode="poster")
    assert town.refusal(town.learner(), slip).code == "code_expired"
    assert town.look(slip).expired


def test_a_slip_needs_an_open_session_and_a_free_seat(town: Town) -> None:
    """What holds for every check-in holds for one by slip."""
    town.activity(mode="code", daily_from=None, daily_until=None)
    made(town)
    slips = [one.code.text for one in on(town)]
    assert town.refusal(town.learner(), slips[0]).code == "activity_closed"
    town.meet("library", -0.5, seats=1)
    town.check_in(town.learner(), slips[0])
    assert town.refusal(town.learner(), slips[1]).reason == "seats"


@pytest.mark.parametrize("count", [0, -1, sheets.MOST + 1])
def test_a_sheet_has_a_size(town: Town, count: int) -> None:
    """None, or more than can be printed, is refused at its field."""
    town.activity(mode="code")
    with pytest.raises(ValidationFailed) as refusal:
        made(town, count)
    assert list(refusal.value.fields) == ["count"]


def test_only_where_slips_count(town: Town) -> None:
    """An activity with a poster has no sheets; nor does an activity that is not there; nor do learners make any."""
    town.activity()
    with pytest.raises(ValidationFailed):
        made(town)
    with pytest.raises(NotFound):
        made(town, 1, "nothing")
    town.change("library", mode="code")
    learner = town.learner()
    with pytest.raises(Forbidden):
        town.run(lambda unit: sheets.make(unit, learner, "library", 1))
    with pytest.raises(NotFound):
        town.run(lambda unit: sheets.withdraw(unit, STEWARD, "library", 7))
