"""Accounts: opening, floors, and balances now and at any time."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from ledger.book import accounts, holds, transfers
from ledger.book.accounts import Account
from ledger.book.blinding import BlindingKey
from ledger.book.legs import Leg
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.values import AMOUNT_LIMIT
from tests.factories import CITY, START, Installation


def _keys(installation: Installation) -> dict[str, bytes]:
    with installation.read() as session:
        return {row.account: row.key for row in session.scalars(select(BlindingKey))}


def test_opening_twice_changes_nothing(installation: Installation) -> None:
    """An account that is opened again keeps its balance and its blinding key."""
    installation.grant(1_000)
    learner = installation.learner(700)
    before = _keys(installation)
    installation.open(learner, "treasury")
    assert installation.balance(learner).posted_minor == 700
    assert installation.balance("treasury").posted_minor == 300
    assert _keys(installation) == before


def test_only_persons_have_blinding_keys(installation: Installation) -> None:
    """A learner's account gets 32 bytes of its own; an institution's gets none."""
    first, second = installation.learner(), installation.learner()
    installation.open("shop:cafe", "budget:library")
    keys = _keys(installation)
    assert set(keys) == {first, second}
    assert {len(key) for key in keys.values()} == {32}
    assert keys[first] != keys[second]


@pytest.mark.parametrize("path", ["", "shop", "shop:", "shop:A", "bank", "treasury:x", "learner:me", "shop:a:b"])
def test_a_path_outside_the_grammar_is_no_account(installation: Installation, path: str) -> None:
    """A path that the format does not know cannot be opened."""
    with pytest.raises(ValueError, match="not an account path"):
        installation.open(path)


def test_an_account_that_was_never_opened_is_not_found(installation: Installation) -> None:
    """Neither reads nor movements invent an account."""
    installation.grant()
    with pytest.raises(NotFound):
        installation.balance("shop:nobody")
    with pytest.raises(NotFound):
        installation.give("shop:nobody", 5)
    installation.open("shop:nobody")
    installation.give("shop:nobody", 5)
    assert installation.balance("shop:nobody").posted_minor == 5


def test_the_whole_balance_may_leave_and_not_one_unit_more(installation: Installation) -> None:
    """The floor is zero, exactly; the refusal says what there was and what was wanted."""
    installation.grant(1_000)
    installation.open("shop:cafe")
    with pytest.raises(Refused) as refusal:
        installation.give("shop:cafe", 1_001)
    assert refusal.value.code == "insufficient_funds"
    assert refusal.value.params == {"account": "treasury", "available_minor": 1_000, "wanted_minor": 1_001}
    installation.give("shop:cafe", 1_000)
    assert installation.balance("treasury").posted_minor == 0


def test_an_empty_budget_says_so_by_its_own_code(installation: Installation) -> None:
    """What a budget cannot pay is `budget_exhausted`; a learner who wonders is told whose money is gone."""
    installation.grant(100)
    learner = installation.learner()
    installation.open("budget:library")

    def fund(amount: int) -> None:
        installation.run(
            lambda unit: transfers.post(unit, "fund", "treasury", "budget:library", amount, actor="steward")
        )

    def reward(amount: int) -> None:
        installation.run(lambda unit: transfers.post(unit, "reward", "budget:library", learner, amount, actor="system"))

    fund(60)
    reward(60)
    with pytest.raises(Refused) as refusal:
        reward(1)
    assert refusal.value.code == "budget_exhausted"
    fund(1)
    reward(1)
    assert installation.balance(learner).available_minor == 61


def test_issuance_alone_goes_below_zero(installation: Installation) -> None:
    """Issued tokens stand as the negative balance of `issuance`."""
    installation.grant(5_000)
    assert installation.balance("issuance").posted_minor == -5_000


def test_what_is_held_cannot_be_spent(installation: Installation) -> None:
    """Available is posted less held: a hold takes spending power at once and moves nothing."""
    installation.grant()
    learner = installation.learner(100)
    installation.open("shop:cafe")
    installation.hold(learner, "shop:cafe", 70)
    balance = installation.balance(learner)
    assert (balance.posted_minor, balance.held_minor, balance.available_minor) == (100, 70, 30)
    with pytest.raises(Refused, match="insufficient_funds"):
        installation.hold(learner, "shop:cafe", 31)
    installation.hold(learner, "shop:cafe", 30)
    assert installation.balance(learner).available_minor == 0
    assert installation.balance("shop:cafe").posted_minor == 0


def test_no_balance_leaves_the_range_that_json_reads_exactly(installation: Installation) -> None:
    """A sum beyond 2**53 - 1 would be read differently by different programs, so it cannot come about."""
    installation.grant(AMOUNT_LIMIT - 1)
    with pytest.raises(ValidationFailed):
        installation.grant(1)
    installation.open("shop:cafe")
    installation.give("shop:cafe", AMOUNT_LIMIT - 1)
    assert installation.balance("shop:cafe").posted_minor == AMOUNT_LIMIT - 1


def test_a_balance_at_a_time_is_that_of_the_last_entry_not_later(installation: Installation) -> None:
    """As-of balances include the entry of that very instant and none after it."""
    installation.open("shop:cafe")
    installation.grant(1_000)
    for minute, amount in ((1, 10), (2, 200)):
        installation.clock.now = START + timedelta(minutes=minute)
        installation.give("shop:cafe", amount)

    def at(**after: float) -> tuple[int, int]:
        balance = installation.balance("shop:cafe", START + timedelta(**after))
        return balance.posted_minor, balance.as_of_seq

    assert at(seconds=-1) == (0, -1)
    assert at(seconds=0) == (0, 0)
    assert at(seconds=60, milliseconds=-1) == (0, 0)
    assert at(seconds=60) == (10, 1)
    assert at(seconds=119) == (10, 1)
    assert at(minutes=2) == (210, 2)
    assert at(days=400) == (210, 2)
    assert installation.balance("shop:cafe").as_of_seq == 2


def test_a_balance_at_a_time_knows_what_was_held_then(installation: Installation) -> None:
    """Reservations are part of history: placed, and freed by their end."""
    installation.grant()
    learner = installation.learner(100)
    installation.open("shop:cafe")
    start = installation.clock.now
    hold = installation.hold(learner, "shop:cafe", 40, minutes=10)
    installation.clock.advance(minutes=5)
    installation.run(lambda unit: holds.capture(unit, hold.seq, 15, actor="shop:cafe"))
    during = installation.balance(learner, start + timedelta(minutes=4))
    after = installation.balance(learner, start + timedelta(minutes=5))
    assert (during.posted_minor, during.held_minor) == (100, 40)
    assert (after.posted_minor, after.held_minor) == (85, 0)


def test_the_versions_of_an_account_count_up_without_a_gap(installation: Installation) -> None:
    """Each leg carries the balances after it, and the next one goes on from there; refusals leave no trace."""
    installation.open("shop:cafe", "shop:books")
    installation.grant(100)
    for amount in (30, 71, 20):
        try:
            installation.give("shop:cafe", amount)
        except Refused:
            continue
    with installation.read() as session:
        legs = session.scalars(select(Leg).where(Leg.account == "treasury").order_by(Leg.version)).all()
    assert [leg.version for leg in legs] == [1, 2, 3]
    assert [leg.posted_change for leg in legs] == [100, -30, -20]
    assert [leg.posted_after for leg in legs] == [100, 70, 50]


def test_the_database_itself_keeps_the_floors(installation: Installation) -> None:
    """Whoever writes past the code is stopped by a CHECK: below zero, held below zero, held above posted."""
    installation.grant(100)

    def write(values: str, path: str) -> None:
        with installation.database.write() as session:
            session.execute(text(f"UPDATE accounts SET {values} WHERE path = :path"), {"path": path})  # noqa: S608
            session.commit()

    for values in ("posted = -1", "held = -1", "held = 101"):
        with pytest.raises(IntegrityError):
            write(values, "treasury")
    write("held = 100", "treasury")
    write("posted = -101", "issuance")


def test_accounts_are_listed_by_prefix_in_the_order_of_their_paths(installation: Installation) -> None:
    """`shop:` lists the shops, all of them and nothing else."""
    installation.open("shop:b", "shop:a_b", "shop:a-b", "shop:a", "sponsor:z", "budget:shop")
    with installation.read() as session:
        found = [balance.account for balance in accounts.with_prefix(session, CITY, "shop:")]
        underscore = [balance.account for balance in accounts.with_prefix(session, CITY, "shop:a_")]
    assert found == ["shop:a", "shop:a-b", "shop:a_b", "shop:b"]
    assert underscore == ["shop:a_b"]


def test_the_projection_is_one_row_an_account(installation: Installation) -> None:
    """However often an account changes, it has one row, at the version of its last leg."""
    installation.grant(10)
    installation.grant(20)
    with installation.read() as session:
        row = session.get_one(Account, (CITY, "treasury"))
        assert (row.posted, row.held, row.version) == (30, 0, 2)
