"""The kiosk's screen: who has arrived, and what is left of the seats."""

from __future__ import annotations

from datetime import timedelta

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.people.roles import Principal
from ledger.programme import activities
from ledger.programme.activities import NewActivity
from ledger.programme.policy import Policy
from tests.statements import asked
from tests.web.conftest import HOME, Town


def _talk(unit: Unit) -> None:
    """A talk with three seats, which goes on."""
    system = Principal.system(unit.city.id)
    new = NewActivity(id="talk", place="kaen", name_th="เสวนา", name_en="Talk", mode="kiosk", policy=Policy(100))
    activities.create(unit, system, new)
    activities.add_session(unit, system, "talk", unit.now, unit.now + timedelta(hours=1), 3)
    transfers.post(unit, "fund", "treasury", "budget:talk", 1_000, actor="system")


def test_who_has_arrived_is_counted_once_where_seats_are_limited(town: Town) -> None:
    """Arrivals and seats left are two sides of one number, and the check-ins of the session are counted once."""
    town.installation.run(_talk)
    steward, learner = town.worker({"steward"}), town.visitor()
    learner.send(learner.get(town.code("talk")).form())
    with asked(town.app.extensions["kgo"].installation.database) as statements:
        screen = steward.get(f"{HOME}/kiosk/talk?lang=en")
    assert ("1 has arrived" in screen.text, "2 seats left" in screen.text) == (True, True)
    assert sum("count(" in statement and "check_ins" in statement for statement in statements) == 1


def test_who_has_arrived_is_counted_where_seats_are_not_limited(town: Town) -> None:
    """Of a day without a limit nobody but the screen asks how many came."""
    steward, learner = town.worker({"steward"}), town.visitor()
    assert "Be the first to arrive" in steward.get(f"{HOME}/kiosk/circle?lang=en").text
    learner.send(learner.get(town.code("circle")).form())
    screen = steward.get(f"{HOME}/kiosk/circle?lang=en")
    assert ("1 has arrived" in screen.text, "left" in screen.text) == (True, False)
