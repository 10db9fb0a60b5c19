"""Scanning a code: what a newcomer, a learner and a latecomer meet."""

from __future__ import annotations

from datetime import timedelta

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.people.roles import Principal
from ledger.programme import activities
from ledger.programme.activities import NewActivity
from ledger.programme.policy import Policy
from tests.factories import CITY
from tests.web.conftest import HOME, Town

JOIN = f"learner.{CITY}"
WELCOME = f"welcome.{CITY}"
TICKET = f"joining.{CITY}"


def test_opening_a_code_claims_nothing(town: Town) -> None:
    """A chat program that fetches the address for its preview leaves no trace; sending the form does."""
    before = town.kinds()
    visitor = town.visitor()
    page = visitor.get(town.code("walk"))
    assert page.status == 200
    assert town.kinds() == before
    assert visitor.cookie(JOIN) is None
    visitor.send(page.form())
    assert town.kinds() == [*before, "reward"]


def test_a_newcomer_joins_and_receives_in_one_tap(town: Town) -> None:
    """One form: a wallet, the reward, and the recovery code until it has been written down."""
    visitor = town.visitor()
    page = visitor.send(visitor.get(town.code("walk")).form())
    assert "/received/" in page.address
    assert "5.00" in page.text
    code = visitor.cookie(WELCOME, f"{HOME}/")
    assert code is not None
    assert code in page.text
    assert code in visitor.get(page.address).text
    after = visitor.send(page.form("/secure"))
    assert code not in after.text
    assert visitor.cookie(WELCOME, f"{HOME}/") is None


def test_the_same_form_twice_rewards_once(town: Town) -> None:
    """A double tap finds the first answer: one wallet, one reward, the same page."""
    visitor, twin = town.visitor(), town.visitor()
    form = visitor.get(town.code("walk")).form()
    first = visitor.send(form, follow=False)
    second = twin.send(form, follow=False)
    assert first.address == second.address
    assert visitor.cookie(JOIN) == twin.cookie(JOIN)
    assert town.kinds().count("reward") == 1


def test_two_tabs_of_a_newcomer_come_to_one_wallet(town: Town) -> None:
    """Both forms are sent before either is answered: at one activity the second finds the first's receipt."""
    visitor, twin = town.visitor(), town.visitor()
    form = visitor.get(town.code("walk")).form()
    twin.client.set_cookie(TICKET, visitor.cookie(TICKET) or "")
    other = twin.get(town.code("walk")).form()
    assert form.fields["key"] != other.fields["key"]
    first, second = visitor.send(form), twin.send(other)
    assert (second.address, town.kinds().count("reward")) == (f"{first.address}?again=1", 1)
    codes = {one.cookie(WELCOME, f"{HOME}/") for one in (visitor, twin)}
    assert len(codes) == 1
    assert codes != {None}
    assert visitor.cookie(TICKET) is None


def test_two_tabs_at_two_activities_fill_one_wallet(town: Town) -> None:
    """The second joins nobody: what it earns is the first's as well. A wallet without tokens is found as well."""
    visitor, twin, third = town.visitor(), town.visitor(), town.visitor()
    form = visitor.get(town.code("walk")).form()
    for one in (twin, third):
        one.client.set_cookie(TICKET, visitor.cookie(TICKET) or "")
    others = (twin, twin.get(town.code("circle")).form()), (third, third.get(f"{HOME}/wallet").form("/join"))
    visitor.send(form)
    for one, other in others:
        one.send(other)
    wallets = [one.get(f"{HOME}/wallet").text for one in (visitor, twin, third)]
    assert all("15.00" in text for text in wallets), wallets


def test_a_newcomer_is_promised_nothing_that_cannot_be_had(town: Town) -> None:
    """Where nobody can check in, or no token is left, the page says so before the tap and leads on."""
    town.installation.run(lambda unit: activities.close(unit, Principal.system(CITY), "walk").id)
    page = town.visitor().get(town.code("walk") + "?lang=en")
    assert page.status == 200
    assert not [form for form in page.forms if form.method == "post"]
    assert "It is over" in page.text
    assert f"{HOME}/" in page.links


def test_a_second_scan_is_answered_kindly(town: Town) -> None:
    """Having been here already is shown as a success that names the first time, not as an error."""
    learner = town.learner()
    town.installation.clock.advance(minutes=5)
    page = learner.send(learner.get(town.code("walk")).form())
    assert page.status == 200
    assert "again=1" in page.address
    assert "เช็กอินที่นี่แล้ว" in page.text
    assert town.kinds().count("reward") == 1


def test_a_learner_s_page_sends_itself_and_a_newcomer_s_waits(town: Town) -> None:
    """Only somebody with a wallet is checked in without a tap."""
    address = town.code("circle")
    assert "data-send-at-once" in town.learner().get(address).html
    assert "data-send-at-once" not in town.visitor().get(address).html


def test_whoever_opened_a_rotating_code_in_time_keeps_the_turn(town: Town) -> None:
    """The form of a page opened in time counts minutes later; the bare code by then does not."""
    in_time, late = town.visitor(), town.visitor()
    address = town.code("circle")
    form = in_time.get(address).form()
    town.installation.clock.advance(minutes=3)
    assert late.get(address).status == 410
    assert "10.00" in in_time.send(form).text


def test_a_turn_older_than_five_minutes_is_refused(town: Town) -> None:
    """The refusal says what to do: scan again."""
    visitor = town.visitor()
    form = visitor.get(town.code("circle")).form()
    town.installation.clock.advance(minutes=6)
    page = visitor.send(form)
    assert page.status == 410
    assert "สแกนอีกครั้ง" in page.text
    assert visitor.cookie(JOIN) is None


def test_codes_that_are_not_codes_are_named(town: Town) -> None:
    """A forged code and plain nonsense are refused with a way on; nothing is written."""
    before = town.kinds()
    real = town.code("walk")
    forged = real[:-1] + ("a" if real[-1] != "a" else "b")
    for address in (forged, "/q/nonsense"):
        page = town.visitor().get(address)
        assert page.status == 422
        assert page.links
    assert town.kinds() == before


def test_another_site_cannot_check_anybody_in(town: Town) -> None:
    """A form that another site sends is refused, for learners and newcomers alike."""
    learner = town.learner()
    form = learner.get(town.code("circle")).form()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        answer = learner.client.post(form.action, data=form.fields, headers=headers)
        assert answer.status_code == 403, headers
    assert town.kinds().count("reward") == 1
    assert learner.send(form).status == 200


def meet(town: Town, seats: int) -> None:
    """Let `ring`, a poster activity without daily hours, meet now with so many seats, and again in two days."""

    def stage(unit: Unit) -> str:
        system = Principal.system(CITY)
        new = NewActivity(id="ring", place="kaen", name_th="วง", name_en="Ring", mode="poster", policy=Policy(500))
        activities.create(unit, system, new)
        unit.flush()
        transfers.post(unit, "fund", "treasury", "budget:ring", 10_000, actor="system")
        for days in (0, 2):
            begin = unit.now + timedelta(days=days)
            activities.add_session(unit, system, "ring", begin, begin + timedelta(hours=1), seats)
        return "ring"

    town.installation.run(stage)


def test_seats_are_told_before_the_tap(town: Town) -> None:
    """What is on, the activity and its code tell the seats left; where none is, nobody is asked to join for nothing."""
    meet(town, 2)
    code, pages = town.code("ring") + "?lang=en", (f"{HOME}/?lang=en", f"{HOME}/activities/ring?lang=en")
    for left in ("2 seats left", "1 seat left"):
        assert all(left in town.visitor().get(page).text for page in (code, *pages)), left
        learner = town.visitor()
        learner.send(learner.get(code).form())
    before = town.kinds()
    late = town.visitor()
    shown = late.get(code)
    assert "All seats are taken The next one:" in shown.text
    assert not shown.forms
    assert f"{HOME}/" in shown.links
    assert all("All seats are taken" in late.get(page).text for page in pages)
    assert "All seats are taken" not in late.get(f"{HOME}/activities/walk?lang=en").text
    assert town.kinds() == before
    assert "+5.00" in learner.send(learner.get(code).form()).text, "who has a seat still finds the receipt"
