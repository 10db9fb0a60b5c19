"""Check-ins that share a batch see each other, although nothing of them has reached the database yet."""

from __future__ import annotations

from ledger.book.writer import Command, Outcome
from ledger.errors import LedgerError
from ledger.people import learners
from ledger.people.roles import Principal
from ledger.programme import checkins
from ledger.programme.checkins import CheckIn
from tests.factories import CITY
from tests.programme.town import Town


def _together(town: Town, *tries: tuple[Principal, str, str | None]) -> list[str]:
    """What becomes of several check-ins in one batch: "paid", or the code of the refusal."""

    def command(who: Principal, code: str, turn: str | None) -> Command[checkins.Recorded]:
        return Command(lambda unit: checkins.record(unit, who, CheckIn(code, turn)), staged_only=True)

    outcomes = town.installation.writer.execute(CITY, [command(*one) for one in tries])
    return [one.code if isinstance(one, LedgerError) else "paid" for one in outcomes]


def test_one_learner_twice_in_a_batch_is_paid_once(town: Town) -> None:
    """The second of two equal scans meets the first; another learner in between is not concerned."""
    town.activity()
    code, one, other = town.code().text, town.learner(), town.learner()
    found = _together(town, (one, code, None), (other, code, None), (one, code, None))
    assert found == ["paid", "paid", "already_checked_in"]


def test_a_cap_holds_within_a_batch(town: Town) -> None:
    """Two activities under a city-wide cap that is nearly reached: the second check-in of the batch is refused."""
    for name in ("a", "b"):
        town.activity(name, amount_minor=1_000)
    who = town.learner(secured=False)
    for number in range(9):
        town.activity(f"before-{number}", amount_minor=1_000)
        town.check_in(who, town.code(f"before-{number}").text)
    found = _together(town, (who, town.code("a").text, None), (who, town.code("b").text, None))
    assert found == ["paid", "cap_reached"]


def test_a_code_that_serves_once_serves_one_of_a_batch(town: Town) -> None:
    """Two learners with the same single code, by scan and by turn: the first gets it."""
    town.activity("once", mode="kiosk", code_once=True)
    code = town.code("once").text
    turn = town.look(code).turn
    found = _together(town, (town.learner(), code, None), (town.learner(), code, turn), (town.learner(), code, None))
    assert found == ["paid", "code_used", "code_used"]


def test_a_turn_is_used_once_in_a_batch(town: Town) -> None:
    """One turn in two hands pays one of them."""
    town.activity("kiosk", mode="kiosk")
    code = town.code("kiosk").text
    turn = town.look(code).turn
    assert _together(town, (town.learner(), code, turn), (town.learner(), code, turn)) == ["paid", "code_used"]


def test_the_last_seat_goes_to_one_of_a_batch(town: Town) -> None:
    """Three want two seats."""
    town.activity(daily_from=None, daily_until=None)
    town.meet("library", 0, 1, seats=2)
    code = town.code().text
    found = _together(town, *((town.learner(), code, None) for _ in range(3)))
    assert found == ["paid", "paid", "cap_reached"]


def test_the_end_of_a_budget_falls_within_a_batch(town: Town) -> None:
    """Of three who want what is left for two, the third is told; the refused one harms nobody."""
    town.activity(budget_minor=1_000)
    code = town.code().text
    found = _together(town, *((town.learner(), code, None) for _ in range(3)))
    assert found == ["paid", "paid", "budget_exhausted"]
    assert town.view().budget_minor == 0


def test_a_learner_who_joined_in_the_same_batch_checks_in(town: Town) -> None:
    """Commands of both kinds mix in one batch, in their order."""
    town.activity()
    code, old = town.code().text, town.learner()
    outcomes = town.installation.writer.execute(
        CITY,
        [
            Command(lambda unit: checkins.record(unit, old, CheckIn(code)), staged_only=True),
            Command(learners.join),
            Command(lambda unit: checkins.record(unit, old, CheckIn(code))),
        ],
    )
    assert [type(one).__name__ for one in outcomes] == ["Outcome", "Outcome", "Refused"]
    joined = outcomes[1]
    assert isinstance(joined, Outcome)
    assert joined.value is not None
