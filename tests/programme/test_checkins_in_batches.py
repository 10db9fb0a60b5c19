"""Check-ins that share a batch see each other, although nothing of them has reached the database yet."""

from __future__ import annotations

from typing import Any
from unittest import mock

from ledger.book.commands import Command, Outcome
from ledger.errors import LedgerError
from ledger.people import learners
from ledger.people.roles import STEWARD, Principal
from ledger.programme import activities, checkins
from ledger.programme.activities import ActivityChange
from ledger.programme.checkins import CheckIn
from ledger.rows import Driver
from tests.factories import CITY
from tests.programme.town import Town


def _together(town: Town, *tries: tuple[Principal, str, str | None]) -> list[str]:
    """What becomes of several check-ins in one batch: "paid", or the code of the refusal."""
    commands = [checkins.command(who, CheckIn(code, turn)) for who, code, turn in tries]
    outcomes = town.installation.writer.execute(CITY, commands)
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
            checkins.command(old, CheckIn(code)),
            Command(learners.join),
            Command(lambda unit: checkins.record(unit, old, CheckIn(code))),
        ],
    )
    assert [type(one).__name__ for one in outcomes] == ["Outcome", "Outcome", "Refused"]
    joined = outcomes[1]
    assert isinstance(joined, Outcome)
    assert joined.value is not None


def test_what_a_batch_has_read_ahead_is_read_again_after_plain_sql(town: Town) -> None:
    """An activity that is closed in the middle of a batch takes nobody from then on, read ahead or not."""
    steward = Principal(CITY, frozenset({STEWARD}), None)
    town.activity()
    code, one, other = town.code().text, town.learner(), town.learner()
    close = Command(lambda unit: activities.change(unit, steward, "library", ActivityChange(state="closed")))
    commands: list[Command[Any]] = [checkins.command(one, CheckIn(code)), close, checkins.command(other, CheckIn(code))]
    outcomes = town.installation.writer.execute(CITY, commands)
    assert [getattr(outcome, "code", "done") for outcome in outcomes] == ["done", "done", "activity_closed"]


def test_a_batch_asks_the_database_once_a_question(town: Town) -> None:
    """Sixty-four check-ins of a batch take as many statements as four do, but for the lengths of lists."""
    town.activity(budget_minor=10_000_000)
    code, sent = town.code().text, [0]

    execute = Driver.execute

    def count(driver: Driver, *arguments: Any, **options: Any) -> object:
        sent[0] += 1
        return execute(driver, *arguments, **options)

    def batch(size: int) -> int:
        commands = [checkins.command(town.learner(), CheckIn(code)) for _ in range(size)]
        sent[0] = 0
        with mock.patch.object(Driver, "execute", count):
            outcomes = town.installation.writer.execute(CITY, commands)
        assert not any(isinstance(outcome, LedgerError) for outcome in outcomes)
        return sent[0]

    assert 5 < batch(64) <= batch(4) + 2
