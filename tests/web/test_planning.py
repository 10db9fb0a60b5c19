"""Spaces, the calendar, what an activity will cost, sheets of codes, and movements that are taken back."""

from __future__ import annotations

import re

from ledger.book import accounts, transfers
from ledger.book.unit import Unit
from tests.web.conftest import HOME, Town
from tests.web.visitor import Page, Visitor

BOTH = {"steward", "treasurer"}
NEW = f"{HOME}/steward/activities/new"


def asked(town: Town, steward: Visitor, **fields: str) -> Page:
    """A new activity as far as the page that says what it will cost, in English."""
    steward.get(f"{HOME}/steward/?lang=en")
    return steward.send(steward.get(NEW).form("/new"), name_th="ก", name_en="A", amount="2", follow=True, **fields)


def policies(town: Town) -> int:
    """How many policies stand in the log."""
    return sum(leaf["kind"] == "policy" for leaf in town.installation.leaves())


def test_nothing_is_published_before_its_cost_was_seen(town: Town) -> None:
    """The page works out what is asked as often as it is asked, keeps every field, and publishes on one button."""
    steward, before = town.worker(BOTH), policies(town)
    page = asked(town, steward, about_en="Something long", max_per_person="3")
    assert page.status == 200
    assert "no limit" in page.text
    numbers = {"est_usual": "10", "est_people": "4", "est_meetings": "5", "again": "cost"}
    worked = steward.send(page.form("/new"), follow=True, **numbers)
    assert "12 24.00 KGO" in worked.text
    assert "because of the limit per person" in worked.text
    assert policies(town) == before
    back = steward.send(worked.form("/new"), again="form")
    assert back.form("/new").fields["about_en"] == "Something long"
    made = steward.send(steward.send(back.form("/new")).form("/new"), confirmed="1")
    assert policies(town) == before + 1
    assert "Enough for" in made.text


def test_a_draft_is_saved_at_once_and_publishing_it_asks(town: Town) -> None:
    """A draft is nobody's promise; the step from draft to published is."""
    steward = town.worker(BOTH)
    draft = asked(town, steward, state="draft")
    edit = next(link for link in draft.links if link.endswith("/edit"))
    published = steward.send(steward.get(edit).form("/edit"), state="published")
    assert "Publish “A”?" in published.text
    assert steward.send(published.form("/edit"), confirmed="1").address.endswith("done=activity-changed")


def test_other_words_are_saved_without_asking_another_reward_is_not(town: Town) -> None:
    """What costs nothing is not asked about."""
    steward = town.worker(BOTH)
    form = steward.get(f"{HOME}/steward/activities/walk/edit").form("/edit")
    assert steward.send(form, name_en="Stroll").address.endswith("done=activity-changed")
    before = policies(town)
    form = steward.get(f"{HOME}/steward/activities/walk/edit").form("/edit")
    dearer = steward.send(form, amount="6")
    assert policies(town) == before
    steward.send(dearer.form("/edit"), confirmed="1")
    assert policies(town) == before + 1


def test_numbers_that_make_no_sense_are_told_at_their_fields(town: Town) -> None:
    """On the page of the cost as on any other."""
    steward = town.worker(BOTH)
    page = steward.get(f"{HOME}/steward/activities/walk/cost")
    bad = steward.send(page.form("/cost"), est_people="many", est_meetings="5000")
    assert bad.status == 422
    assert 'id="e-est_people"' in bad.html
    assert 'id="e-est_meetings"' in bad.html


def test_a_policy_above_the_cap_is_refused_before_it_is_asked(town: Town) -> None:
    """The form comes back with the error; no page asks whether what cannot be is meant."""
    page = asked(town, town.worker(BOTH), daily_from="9")
    assert page.status == 422
    assert 'id="e-daily_from"' in page.html


def test_a_space_is_made_and_changed(town: Town) -> None:
    """It stands in the list, its fields come back, and a number on the street that is taken is refused there."""
    steward = town.worker(BOTH)
    form = steward.get(f"{HOME}/steward/spaces/new").form("/new")
    listed = steward.send(form, name_th="ลานคูน", name_en="Court", kind="park", district="mueang")
    assert "ลานคูน" in listed.text
    address = next(link for link in listed.links if re.search(r"/spaces/(?!new|kaen)", link))
    edit = steward.get(address).form()
    assert (edit.fields["kind"], edit.fields["district"]) == ("park", "mueang")
    refused = steward.send(edit, street_order="1", note_th="ข้างบึง")
    assert refused.status == 422
    assert refused.form().fields["note_th"] == "ข้างบึง"
    assert steward.send(refused.form(), street_order="2").status == 200


def test_the_month_by_day(town: Town) -> None:
    """Sessions stand under their day on the city's clock, daily ones once; other months are one tap away."""
    steward = town.worker(BOTH)
    made = steward.send(asked(town, steward).form("/new"), confirmed="1")
    steward.send(made.form("/sessions"), starts_at="2026-03-10T23:30", ends_at="2026-03-11T01:00", seats="8")
    page = steward.get(f"{HOME}/steward/calendar?lang=en")
    assert "Tuesday 10 Mar 2026" in page.text
    assert "23:30–01:00" in page.text
    assert 'href="#d10"' in page.html
    assert page.text.count("00:00–24:00") == 3
    later = steward.get(f"{HOME}/steward/calendar?month=2026-04&lang=en")
    assert "April 2026" in later.text
    assert "23:30" not in later.text
    assert "มีนาคม 2569" in steward.get(f"{HOME}/steward/calendar?month=9999-99&lang=th").text


def test_the_calendar_by_day_and_by_week(town: Town) -> None:
    """A day and a week show what lies in them; what lasts for days stands once, for as long as it lasts."""
    steward = town.worker(BOTH)
    page = steward.send(asked(town, steward).form("/new"), confirmed="1")
    for begins, ends in (("10T09:00", "10T11:00"), ("12T09:00", "14T17:00"), ("20T09:00", "21T00:00")):
        page = steward.send(page.form("/sessions"), starts_at=f"2026-03-{begins}", ends_at=f"2026-03-{ends}")
    calendar = f"{HOME}/steward/calendar?lang=en"
    assert "09:00–11:00" in steward.get(f"{calendar}&day=2026-03-10").text
    assert "No session is planned here." in steward.get(f"{calendar}&day=2026-03-11").text
    week = steward.get(f"{calendar}&week=2026-03-13").text
    assert "9 Mar 2026 – 15 Mar 2026" in week
    assert "09:00–11:00" in week
    assert "12 Mar 2026, 09:00 – 14 Mar 2026, 17:00" in week
    assert "09:00–24:00" in steward.get(f"{calendar}&day=2026-03-20").text
    assert "09:00–24:00" not in week
    assert "Open for several days" not in steward.get(f"{calendar}&week=2026-03-20").text
    assert "March 2026" in steward.get(f"{calendar}&day=2026-02-31").text


def test_a_sheet_from_the_form_to_a_learner_s_wallet(town: Town) -> None:
    """Made, printed, used once, left out of the next print, withdrawn after a question."""
    steward, learner = town.worker(BOTH), town.visitor()
    steward.send(
        steward.send(steward.get(f"{HOME}/steward/activities/slips").form("/fund"), fund_amount="40").form("/fund")
    )
    sheets_page = f"{HOME}/steward/activities/slips/codes"
    assert steward.send(steward.get(sheets_page).form("/codes"), count="0").status == 422
    sheet = steward.send(steward.get(sheets_page).form("/codes"), count="2")
    slips = re.findall(r"https://kgo\.example(/q/[a-z2-7]{20})", sheet.html)
    assert len(set(slips)) == 2
    assert "+4.00" in learner.send(learner.get(slips[0]).form()).text
    again = steward.get(f"{sheets_page}/2")
    assert set(re.findall(r"https://kgo\.example(/q/[a-z2-7]{20})", again.html)) == {slips[1]}
    question = steward.get(f"{sheets_page}/2/withdraw")
    assert "1" in question.text
    steward.send(question.form())
    other = town.visitor()
    assert other.send(other.get(slips[1]).form()).status == 422
    void = steward.get(f"{sheets_page}/2?lang=en")
    assert (void.status, "This sheet was withdrawn." in void.text, "/q/" in void.html) == (410, True, False)
    assert f'href="{sheets_page}"' in void.html.partition("<h1")[2]
    assert steward.get(f"{sheets_page}/3").status == 404
    assert steward.get(f"{HOME}/steward/activities/slips/poster").address.endswith("/codes")


def test_a_movement_is_taken_back_once(town: Town) -> None:
    """Offered where it was made; both balances are as before; a second time is told kindly and writes nothing."""
    steward = town.worker(BOTH)
    review = steward.send(steward.get(f"{HOME}/steward/activities/walk").form("/fund"), fund_amount="50")
    done = steward.send(review.form("/fund"))
    undo = next(link for link in done.links if link.endswith("/reverse"))
    question = steward.get(undo)
    assert town.kinds()[-1] == "fund"
    steward.send(question.form("/reverse"))
    assert town.kinds()[-1] == "reverse"
    assert "800.00 KGO" in steward.get(f"{HOME}/steward/treasury").text
    before = town.kinds()
    assert not [form for form in steward.get(undo).forms if form.action.endswith("/reverse")]
    assert steward.send(question.form("/reverse"), key="another-key-of-some-length").status == 422
    assert town.kinds() == before


def test_what_a_sponsor_was_given_can_be_taken_back(town: Town) -> None:
    """A funding between the treasury and a sponsor has a page like any other, which names the sponsor's account."""

    def give(unit: Unit) -> int:
        accounts.open_account(unit, "sponsor:bank")
        return transfers.post(unit, "fund", "treasury", "sponsor:bank", 700, actor="treasurer").seq

    seq = town.installation.run(give)
    page = town.worker(BOTH).get(f"{HOME}/steward/entries/{seq}/reverse")
    assert "sponsor:bank" in page.text
    town.worker(BOTH).send(page.form("/reverse"))
    assert town.kinds()[-1] == "reverse"
    assert town.installation.balance("sponsor:bank").posted_minor == 0


def test_what_was_spent_is_not_taken_back(town: Town) -> None:
    """A grant whose tokens have moved on says so, with how much is left, and has no button."""
    page = town.worker(BOTH).get(f"{HOME}/steward/entries/0/reverse")
    assert page.status == 200
    assert not [form for form in page.forms if form.action.endswith("/reverse")]


def test_only_a_treasurer_and_only_the_city_s_own_money(town: Town) -> None:
    """A steward is refused; so is the reversal of somebody's reward from this page."""
    learner = town.learner()
    assert learner.get(f"{HOME}/wallet").status == 200
    reward = len(town.installation.leaves()) - 1
    assert town.worker({"steward"}).get(f"{HOME}/steward/entries/0/reverse").status == 403
    assert town.worker(BOTH).get(f"{HOME}/steward/entries/{reward}/reverse").status in (409, 422)
