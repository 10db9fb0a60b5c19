"""The single writer: batches, order, time, refusals, limits, and an orderly end."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn
from unittest import mock

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from ledger.book import accounts, entries, seal, transfers
from ledger.book.cities import KeysMissing
from ledger.book.commands import Command, Deferred, Wanted
from ledger.book.journal import ENTRIES
from ledger.book.moves import Transfer
from ledger.book.seal import SignedCheckpoint
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.errors import LedgerError, NotFound, Overloaded, Refused
from ledger.proof.checkpoint import parse
from tests.factories import CITY, START, Installation, add_city


def _grant(amount: int = 1) -> Command[int]:
    return Command(lambda unit: transfers.post(unit, "grant", "issuance", "treasury", amount, actor="treasurer").seq)


class Gate:
    """A command that keeps the writer busy until it is let go."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, unit: Unit) -> None:
        """Wait, inside the batch."""
        self.entered.set()
        assert self.open.wait(30)


def _checkpoints(installation: Installation) -> int:
    with installation.read() as session:
        return session.scalar(select(func.count()).select_from(SignedCheckpoint)) or 0


def _wait_for(installation: Installation, waiting: int) -> None:
    tick = threading.Event()
    for _ in range(3_000):
        if installation.writer.waiting()[CITY] >= waiting:
            return
        tick.wait(0.01)
    raise AssertionError(f"{installation.writer.waiting()} of {waiting} commands wait")


@pytest.mark.parametrize("staged_only", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_what_is_acknowledged_stands_whoever_looked_at_the_session(
    installation: Installation, *, staged_only: bool, asked: bool
) -> None:
    """A command may take the unit's session and ask it nothing: what it did by other ways is committed all the same."""

    def give(unit: Unit) -> int:
        assert unit.session is not None
        if asked:
            assert unit.session.scalar(text("SELECT count(*) FROM entries")) == 1
        return transfers.post(unit, "grant", "issuance", "treasury", 7, actor="treasurer").seq

    installation.grant()
    assert installation.writer.submit(CITY, Command(give, staged_only=staged_only)).value == 1
    assert len(installation.leaves()) == 2


def test_an_acknowledged_command_is_sealed(installation: Installation) -> None:
    """When `submit` returns, the entry is in the database and a signed checkpoint covers it."""
    outcome = installation.writer.submit(CITY, _grant())
    assert outcome.value == 0
    with installation.read() as session:
        assert entries.size(session, CITY) == 1
        assert parse(seal.latest(session, CITY).note).size == 1


def test_those_who_wait_share_one_commit(installation: Installation) -> None:
    """Commands that arrive while the writer is busy are one batch: one checkpoint covers them all."""
    gate = Gate()
    with ThreadPoolExecutor(41) as pool:
        blocked = pool.submit(installation.writer.submit, CITY, Command(gate))
        assert gate.entered.wait(30)
        waiting = [pool.submit(installation.writer.submit, CITY, _grant()) for _ in range(40)]
        _wait_for(installation, 40)
        before = _checkpoints(installation)
        gate.open.set()
        seqs = {future.result(30).value for future in waiting}
        blocked.result(30)
    assert seqs == set(range(40))
    assert _checkpoints(installation) == before + 1
    assert installation.audit().findings == []


def test_each_waiting_command_gets_its_own_answer(installation: Installation) -> None:
    """In one batch, refusals and faults reach those they belong to and nobody else."""
    gate = Gate()

    def fault(unit: Unit) -> None:
        transfers.post(unit, "grant", "issuance", "treasury", 5, actor="treasurer")
        raise ZeroDivisionError

    def refusal(unit: Unit) -> None:
        transfers.post(unit, "transfer", "treasury", "treasury", 5, actor="treasurer")

    with ThreadPoolExecutor(4) as pool:
        pool.submit(installation.writer.submit, CITY, Command(gate))
        assert gate.entered.wait(30)
        commands: list[Command[object]] = [Command(fault), Command(refusal), Command(lambda unit: unit.city.id)]
        answers = [pool.submit(installation.writer.submit, CITY, command) for command in commands]
        _wait_for(installation, 3)
        gate.open.set()
        with pytest.raises(ZeroDivisionError):
            answers[0].result(30)
        with pytest.raises(Refused, match="not_allowed"):
            answers[1].result(30)
        assert answers[2].result(30).value == CITY
    assert installation.leaves() == []


def test_what_cannot_be_made_out_beforehand_is_nobody_else_s_fault(installation: Installation) -> None:
    """A fault in what a command says it will read, or in what tells the command, is the answer to that one alone."""

    def grant(unit: Unit) -> int:
        return transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer").seq

    def fault(unit: Unit) -> NoReturn:
        raise ZeroDivisionError

    sound = Command(grant, staged_only=True)
    reading = Command(fault, staged_only=True, reads=[fault])
    deferred: Wanted[Any] = Deferred((accounts.ACCOUNTS, "treasury"), fault)
    for faulty in (reading, deferred):
        commands: list[Wanted[Any]] = [sound, faulty, sound]
        with pytest.raises(ZeroDivisionError):
            installation.writer.execute(CITY, commands)
    assert len(installation.leaves()) == 4


@pytest.mark.parametrize("catches_up", [True, False])
def test_a_value_that_the_database_refuses_leaves_nothing_of_the_batch(
    installation: Installation, *, catches_up: bool
) -> None:
    """Whoever comes next finds it refused; but it is not theirs, and without it the entries before would be false."""

    def overdraw(unit: Unit) -> None:
        unit.catch_up("treasury")
        transfers.post(unit, "grant", "issuance", "treasury", 5, actor="treasurer")
        unit.put(accounts.ACCOUNTS, "treasury", accounts.State(-1, 0, 1))

    def follow(unit: Unit) -> None:
        unit.catch_up("treasury")

    commands = [Command(overdraw, staged_only=True), Command(follow, staged_only=catches_up)]
    with pytest.raises(DBAPIError):
        installation.writer.execute(CITY, commands)
    assert installation.leaves() == []
    assert installation.audit().findings == []


def test_refusals_alone_seal_nothing(installation: Installation) -> None:
    """A batch without entries has no checkpoint of its own."""
    before = _checkpoints(installation)
    with pytest.raises(Refused):
        installation.give("expired", 5)
    assert _checkpoints(installation) == before
    installation.grant()
    assert _checkpoints(installation) == before + 1


def test_time_never_runs_backwards(installation: Installation) -> None:
    """A clock that was set back does not reach the log; one that moves on does."""
    installation.grant()
    installation.clock.now = START - timedelta(hours=2)
    installation.grant()
    installation.clock.now = START + timedelta(milliseconds=1_500)
    installation.grant()
    assert [leaf["at"] for leaf in installation.leaves()] == [
        "2026-03-02T03:00:00.000Z",
        "2026-03-02T03:00:00.000Z",
        "2026-03-02T03:00:01.500Z",
    ]


def test_all_entries_of_a_batch_bear_one_time(installation: Installation) -> None:
    """The unit's `now` is fixed when the batch begins, however long it takes."""

    def work(unit: Unit) -> list[object]:
        first = transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer")
        installation.clock.advance(hours=1)
        second = transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer")
        return [first.at, second.at]

    assert installation.run(work) == [START, START]


def test_a_full_queue_refuses_at_once(installation: Installation) -> None:
    """Beyond its bound the writer says `overloaded` and does nothing; who waits already is served."""
    installation.writer.max_queue = 3
    gate = Gate()
    with ThreadPoolExecutor(4) as pool:
        pool.submit(installation.writer.submit, CITY, Command(gate))
        assert gate.entered.wait(30)
        waiting = [pool.submit(installation.writer.submit, CITY, _grant()) for _ in range(3)]
        _wait_for(installation, 3)
        with pytest.raises(Overloaded) as refusal:
            installation.writer.submit(CITY, _grant())
        gate.open.set()
        assert sorted(future.result(30).value or 0 for future in waiting) == [0, 1, 2]
    assert refusal.value.params == {"retry_after_seconds": 1}
    assert len(installation.leaves()) == 3


def test_closing_serves_who_waits_and_refuses_who_comes_later(installation: Installation) -> None:
    """An orderly end answers everybody: nobody hangs, before or after."""
    gate = Gate()
    with ThreadPoolExecutor(13) as pool:
        pool.submit(installation.writer.submit, CITY, Command(gate))
        assert gate.entered.wait(30)
        waiting = [pool.submit(installation.writer.submit, CITY, _grant()) for _ in range(10)]
        _wait_for(installation, 10)
        closing = pool.submit(installation.writer.close)
        _wait_for(installation, 11)
        late = pool.submit(installation.writer.submit, CITY, _grant())
        with pytest.raises(Overloaded):
            late.result(30)
        gate.open.set()
        assert {future.result(30).value for future in waiting} == set(range(10))
        closing.result(30)
    with pytest.raises(Overloaded):
        installation.writer.submit(CITY, _grant())
    assert len(installation.leaves()) == 10


def test_a_city_that_does_not_exist_is_not_found(installation: Installation) -> None:
    """Neither way in invents a city."""
    with pytest.raises(NotFound):
        installation.writer.submit("atlantis", _grant())
    with pytest.raises(NotFound):
        installation.writer.execute("atlantis", [_grant()])


def test_cities_are_ledgers_of_their_own(installation: Installation) -> None:
    """Two cities in one database have their own seq, accounts and checkpoints."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    installation.grant(100)
    with pytest.raises(NotFound):
        installation.writer.run("phayao", _grant().run)

    def open_and_grant(unit: Unit) -> int:
        for path in ("issuance", "treasury"):
            accounts.open_account(unit, path)
        return _grant(7).run(unit)

    assert installation.writer.run("phayao", open_and_grant) == 0
    assert installation.balance("treasury").posted_minor == 100
    assert [leaf["city"] for leaf in installation.leaves("phayao")] == ["phayao"]


def test_without_the_city_s_keys_nothing_is_written(installation: Installation) -> None:
    """A data directory that lacks the key file cannot sign, so nothing is accepted; with it, all goes on."""
    path = installation.keys.directory / f"{CITY}.key"
    content = path.read_text()
    path.unlink()
    fresh = Writer(
        installation.database,
        type(installation.keys)(installation.keys.directory),
        installation.writer.published,
        installation.clock,
    )
    with pytest.raises(KeysMissing):
        fresh.submit(CITY, _grant())
    assert installation.leaves() == []
    path.write_text(content)
    assert fresh.submit(CITY, _grant()).value == 0
    fresh.close()


def test_a_batch_in_this_thread_answers_in_order(installation: Installation) -> None:
    """`execute` gives an outcome or a refusal for each; a fault, which nobody foresaw, is raised."""
    outcomes = installation.writer.execute(CITY, [_grant(), Command(lambda unit: unit.city.scale), _grant(0)])
    assert [getattr(outcome, "value", None) for outcome in outcomes] == [0, 2, None]
    assert isinstance(outcomes[2], LedgerError)
    with pytest.raises(ZeroDivisionError):
        installation.writer.execute(CITY, [_grant(), Command(lambda unit: 1 // 0)])


def test_the_checkpoint_file_failing_does_not_make_a_commit_a_failure(installation: Installation) -> None:
    """What is committed is acknowledged, even where the note of it beside the database cannot be written."""
    installation.grant()
    directory = installation.writer.published.directory
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    directory.write_text("a file where the directory should be")
    assert installation.writer.submit(CITY, _grant()).value == 1
    assert len(installation.leaves()) == 2


def test_the_last_checkpoint_is_noted_though_nobody_comes_any_more(installation: Installation) -> None:
    """Within a crowd one is noted now and then; the last one is, soon after its commit."""
    for number in range(3):
        assert installation.writer.submit(CITY, _grant()).value == number
    path = installation.writer.published.directory / CITY
    for _ in range(3_000):
        if path.exists() and parse(path.read_text()).size == 3:
            return
        time.sleep(0.01)
    raise AssertionError(f"noted is {parse(path.read_text()).size} of 3 entries")


def test_rows_that_left_ahead_stand_and_those_of_a_refusal_do_not(installation: Installation) -> None:
    """On PostgreSQL rows leave while others are made, within a command too; a refusal takes back its own alone."""
    installation.grant()
    installation.open("shop:a")
    many = [Transfer("transfer", "treasury", "shop:a", 1)] * 400

    def pay(unit: Unit) -> int:
        return len(transfers.post_many(unit, many, actor="treasurer"))

    def pay_and_refuse(unit: Unit) -> int:
        pay(unit)
        raise Refused("enough")

    def pay_and_try_once_more(unit: Unit) -> int:
        paid = pay(unit)
        with suppress(Refused), unit.attempt(staged_only=True):
            pay_and_refuse(unit)
        with unit.attempt(staged_only=True):
            return paid + pay(unit)

    def try_in_vain(unit: Unit) -> int:
        pay_and_try_once_more(unit)
        return pay_and_refuse(unit)

    before = len(installation.leaves())
    acts = (pay, pay, pay_and_refuse, try_in_vain, pay_and_try_once_more, pay, _grant().run)
    with mock.patch.object(ENTRIES, "write", wraps=ENTRIES.write) as write:
        outcomes = installation.writer.execute(CITY, [Command(act, staged_only=True) for act in acts])
    told = [one.code if isinstance(one, LedgerError) else one.value for one in outcomes[:-1]]
    assert told == [400, 400, "enough", "enough", 800, 400]
    assert len(installation.leaves()) == before + 2_001
    assert installation.balance("shop:a").posted_minor == 2_000
    assert installation.audit().findings == []
    if installation.database.engine.dialect.name == "postgresql":
        assert write.call_count >= 3 * 11  # the first three parts of each time that somebody paid
    else:
        assert write.call_count == 1


def test_a_command_reads_while_the_rows_of_others_are_on_their_way(installation: Installation) -> None:
    """What nobody asked for beforehand, by the driver's connection and by a session; a refusal among them is one."""
    installation.grant()
    installation.open("shop:a", "shop:b")
    many = [Transfer("transfer", "treasury", "shop:a", 1)] * 400

    def pay(unit: Unit) -> int:
        return len(transfers.post_many(unit, many, actor="treasurer"))

    def pay_to(unit: Unit, shop: str) -> int:
        return transfers.post(unit, "transfer", "treasury", shop, 1, actor="treasurer").seq

    def shops(unit: Unit) -> int:
        query = select(func.count()).select_from(accounts.Account).where(accounts.Account.path.startswith("shop:"))
        return unit.session.scalar(query) or 0

    acts = (pay, lambda unit: pay_to(unit, "shop:b"), lambda unit: pay_to(unit, "shop:none"), shops, pay)
    for first, staged_only in ((1, True), (802, False)):
        outcomes = installation.writer.execute(CITY, [Command(act, staged_only=staged_only) for act in acts])
        told = [one.code if isinstance(one, LedgerError) else one.value for one in outcomes]
        assert told == [400, first + 400, "not_found", 2, 400]
    assert installation.audit().findings == []
