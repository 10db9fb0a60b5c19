"""The unit of work: what is staged, when it is sent, and what an undone attempt leaves (nothing)."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from ledger.book import accounts, transfers
from ledger.book.accounts import ACCOUNTS, State
from ledger.book.commands import Command
from ledger.book.idempotency import StoredAnswer
from ledger.book.unit import Unit
from ledger.errors import Refused
from ledger.rows import Rows
from tests.factories import CITY, Installation


def _grant(unit: Unit, amount: int) -> None:
    transfers.post(unit, "grant", "issuance", "treasury", amount, actor="treasurer")


def _treasury(unit: Unit) -> int:
    return accounts.state(unit, "treasury").posted


class GivenUp(Exception):
    """What ends an attempt in these tests."""


def _give_up(unit: Unit, work: Callable[[], object], *, staged_only: bool = False) -> None:
    """Do some work in an attempt, and then raise."""
    with suppress(GivenUp), unit.attempt(staged_only=staged_only):
        work()
        raise GivenUp


@pytest.mark.parametrize("staged_only", [True, False])
def test_an_attempt_that_raises_leaves_nothing(installation: Installation, staged_only: bool) -> None:
    """Balances, entries, the seq and the rows staged are those from before; what stood before it stays."""

    def work(unit: Unit) -> tuple[int, int]:
        _grant(unit, 100)
        seq = unit.next_seq
        _give_up(unit, lambda: _grant(unit, 7), staged_only=staged_only)
        assert unit.next_seq == seq
        _grant(unit, 3)
        return seq, _treasury(unit)

    assert installation.run(work) == (1, 103)
    assert [leaf["postings"][0]["amount"] for leaf in installation.leaves()] == [100, 3]
    assert installation.balance("treasury").posted_minor == 103
    assert installation.audit().findings == []


def test_attempts_nest(installation: Installation) -> None:
    """The outer attempt undoes what an inner one had kept; the inner one undoes only its own."""

    def nested(unit: Unit) -> None:
        _grant(unit, 10)
        with unit.attempt():
            _grant(unit, 100)
        _give_up(unit, lambda: _grant(unit, 1_000))
        assert _treasury(unit) == 111

    def work(unit: Unit) -> None:
        _grant(unit, 1)
        _give_up(unit, lambda: nested(unit))
        assert _treasury(unit) == 1
        with unit.attempt():
            _grant(unit, 20)

    installation.run(work)
    assert installation.balance("treasury").posted_minor == 21
    assert [leaf["seq"] for leaf in installation.leaves()] == [0, 1]
    assert installation.audit().findings == []


def test_an_undone_new_account_does_not_exist(installation: Installation) -> None:
    """An account that was opened in an undone attempt can be opened again in the same unit."""

    def open_it(unit: Unit) -> None:
        accounts.open_account(unit, "shop:cafe")
        unit.flush()

    def work(unit: Unit) -> None:
        _give_up(unit, lambda: open_it(unit))
        assert unit.get(ACCOUNTS, "shop:cafe") is None
        accounts.open_account(unit, "shop:cafe")

    installation.run(work)
    assert installation.balance("shop:cafe").posted_minor == 0


def test_plain_sql_sees_the_commands_before_it(installation: Installation) -> None:
    """What earlier commands of the batch staged is in the database when the next command asks it."""
    counts = "SELECT count(*) FROM entries"
    seen = installation.writer.execute(
        "khon-kaen",
        [
            Command(lambda unit: _grant(unit, 1), staged_only=True),
            Command(lambda unit: unit.session.scalar(text(counts))),
            Command(lambda unit: unit.session.scalar(text("SELECT posted FROM accounts WHERE path = 'treasury'"))),
        ],
    )
    assert [outcome.value for outcome in seen[1:] if not isinstance(outcome, Exception)] == [1, 1]


def test_a_constraint_that_one_command_breaks_harms_no_other(installation: Installation) -> None:
    """Rows that the database refuses undo the command that staged them, at once, and nobody else's."""
    answers = Rows(StoredAnswer)

    def break_a_rule(unit: Unit) -> None:
        _grant(unit, 50)
        for _ in range(2):
            unit.insert(answers, (CITY, "same", b"", b"", 0))

    def run(unit: Unit) -> None:
        for amount in (1, 2):
            with unit.attempt():
                _grant(unit, amount)
            with pytest.raises(IntegrityError), unit.attempt():
                break_a_rule(unit)

    installation.run(run)
    assert [leaf["postings"][0]["amount"] for leaf in installation.leaves()] == [1, 2]
    with installation.read() as session:
        assert session.scalars(select(StoredAnswer)).all() == []
    assert installation.audit().findings == []


def test_a_refused_command_leaves_its_neighbours_alone(installation: Installation) -> None:
    """In one batch, those before and after a refused one stand, in order and without a gap."""
    installation.open("shop:cafe")

    def pay(amount: int) -> Command[object]:
        return Command(
            lambda unit: transfers.post(unit, "transfer", "treasury", "shop:cafe", amount, actor="treasurer").seq
        )

    outcomes = installation.writer.execute(
        "khon-kaen", [Command(lambda unit: _grant(unit, 100)), pay(60), pay(41), pay(40), pay(1)]
    )
    assert isinstance(outcomes[2], Refused)
    assert isinstance(outcomes[4], Refused)
    assert [getattr(outcome, "value", None) for outcome in outcomes] == [None, 1, None, 2, None]
    assert installation.balance("shop:cafe").posted_minor == 100
    assert installation.audit().findings == []


def test_a_value_that_changes_often_is_saved_once(installation: Installation) -> None:
    """However many entries of one command touch an account, its row is written once."""

    class Counting:
        saves = 0

        def ask(self, where: object, city: str, keys: Sequence[str]) -> Callable[[], dict[str, State]]:
            return dict

        def save(self, where: object, city: str, changed: list[tuple[str, State]]) -> None:
            self.saves += len(changed)

    projection = Counting()

    def work(unit: Unit) -> None:
        for number in range(10):
            unit.put(projection, "hot", State(number, 0, number))
        assert projection.saves == 0

    installation.run(work)
    assert projection.saves == 1
