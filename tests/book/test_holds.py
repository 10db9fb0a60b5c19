"""Holds and the cases they begin: placed, captured, released, expired, refunded, each at most once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ledger.book import accounts, cases, holds, transfers, writer
from ledger.book.cases import CaseState
from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.db import Transaction
from ledger.errors import NotFound, Refused, ValidationFailed
from tests.factories import CITY, START, Clock, Installation, reopen
from tests.statements import asked

SHOP = "shop:cafe"

Verb = Callable[[Unit, int], object]
VERBS: dict[str, Verb] = {
    "capture": lambda unit, seq: holds.capture(unit, seq, actor=SHOP),
    "release": lambda unit, seq: holds.release(unit, seq, actor="learner"),
}


@pytest.fixture
def learner(installation: Installation) -> str:
    """Somebody with 100 in their account; a shop stands by."""
    installation.grant()
    installation.open(SHOP)
    return installation.learner(100)


def _do(installation: Installation, verb: Verb, seq: int) -> None:
    installation.run(lambda unit: verb(unit, seq))


def _state(installation: Installation, seq: int) -> CaseState:
    return installation.run(lambda unit: cases.case(unit, seq))


def _balance(installation: Installation, path: str) -> tuple[int, int]:
    balance = installation.balance(path)
    return balance.posted_minor, balance.held_minor


def test_a_capture_moves_what_was_held(installation: Installation, learner: str) -> None:
    """The reservation becomes a movement; nothing stays held."""
    hold = installation.hold(learner, SHOP, 60)
    assert _balance(installation, learner) == (100, 60)
    _do(installation, VERBS["capture"], hold.seq)
    assert _balance(installation, learner) == (40, 0)
    assert _balance(installation, SHOP) == (60, 0)
    state = _state(installation, hold.seq)
    assert (state.state, state.moved_minor, state.ended_at) == ("captured", 60, START)


def test_a_capture_in_part_frees_the_rest(installation: Installation, learner: str) -> None:
    """The entry tells what moved; what was held beyond it is spendable again."""
    hold = installation.hold(learner, SHOP, 60)
    with pytest.raises(ValidationFailed):
        installation.run(lambda unit: holds.capture(unit, hold.seq, 61, actor=SHOP))
    installation.run(lambda unit: holds.capture(unit, hold.seq, 25, actor=SHOP))
    assert _balance(installation, learner) == (75, 0)
    assert _balance(installation, SHOP) == (25, 0)
    leaf = installation.leaves()[-1]
    assert (leaf["kind"], leaf["postings"][0]["amount"], leaf["ref"]) == ("capture", 25, {"origin": hold.seq})


def test_a_release_frees_everything(installation: Installation, learner: str) -> None:
    """Nothing moved, nothing is held, and the shop has nothing."""
    hold = installation.hold(learner, SHOP, 60)
    _do(installation, VERBS["release"], hold.seq)
    assert _balance(installation, learner) == (100, 0)
    assert _balance(installation, SHOP) == (0, 0)
    assert _state(installation, hold.seq).state == "released"


def test_a_hold_lives_until_its_instant_and_not_beyond(installation: Installation, learner: str) -> None:
    """A millisecond before the end it can be captured; at the end it has expired, before anything else happens."""
    first = installation.hold(learner, SHOP, 30, minutes=10)
    second = installation.hold(learner, SHOP, 30, minutes=10)
    installation.clock.advance(minutes=10, milliseconds=-1)
    _do(installation, VERBS["capture"], first.seq)
    installation.clock.advance(milliseconds=1)
    with pytest.raises(Refused) as refusal:
        _do(installation, VERBS["capture"], second.seq)
    assert (refusal.value.code, refusal.value.reason) == ("case_closed", "expired")
    assert installation.leaves()[-1]["kind"] == "hold_expire"
    assert _balance(installation, learner) == (70, 0)
    assert installation.audit().findings == []


def test_expiry_is_true_without_a_worker(installation: Installation, learner: str) -> None:
    """Money whose hold ran out can be spent by the very next command, which needs nobody to clean up first."""
    installation.hold(learner, SHOP, 100, minutes=1)
    installation.clock.advance(seconds=59)
    with pytest.raises(Refused, match="insufficient_funds"):
        installation.hold(learner, SHOP, 1)
    installation.clock.advance(seconds=1)
    hold = installation.hold(learner, SHOP, 100)
    assert [leaf["kind"] for leaf in installation.leaves()[-2:]] == ["hold_expire", "hold"]
    assert _balance(installation, learner) == (100, 100)
    assert hold.at == START + timedelta(minutes=1)


def test_all_due_holds_expire_together_in_the_order_of_the_log(installation: Installation, learner: str) -> None:
    """A batch ends every hold of the city that has run out, whoever's; those not due stay."""
    others = [installation.learner(10) for _ in range(3)]
    seqs = [
        installation.hold(path, SHOP, 10, minutes=minutes).seq for path, minutes in zip(others, (3, 2, 9), strict=True)
    ]
    installation.clock.advance(minutes=5)
    installation.hold(learner, SHOP, 1)
    tail = [(leaf["kind"], leaf["ref"].get("origin")) for leaf in installation.leaves()[-3:]]
    assert tail == [("hold_expire", seqs[0]), ("hold_expire", seqs[1]), ("hold", None)]
    assert _state(installation, seqs[2]).state == "held"


@pytest.mark.parametrize("ending", ["capture", "release", "expire"])
@pytest.mark.parametrize("again", ["capture", "release"])
def test_a_hold_ends_at_most_once(installation: Installation, learner: str, ending: str, again: str) -> None:
    """Whatever ended it, another end is refused and says how it ended, and nothing changes."""
    hold = installation.hold(learner, SHOP, 60, minutes=10)
    if ending == "expire":
        installation.clock.advance(minutes=10)
    else:
        _do(installation, VERBS[ending], hold.seq)
    with pytest.raises(Refused) as refusal:
        _do(installation, VERBS[again], hold.seq)
    size = len(installation.leaves())
    assert refusal.value.code == "case_closed"
    assert refusal.value.reason == {"capture": "captured", "release": "released", "expire": "expired"}[ending]
    assert refusal.value.params["entry"] == hold.seq
    assert refusal.value.params["at"] == installation.clock.now
    with pytest.raises(Refused):
        _do(installation, VERBS[again], hold.seq)
    assert len(installation.leaves()) == size


def test_of_two_ends_in_one_batch_the_first_wins(installation: Installation, learner: str) -> None:
    """Commands of one batch see each other: the second end of a hold is refused."""
    hold = installation.hold(learner, SHOP, 60)
    outcomes = installation.writer.execute(
        CITY,
        [
            Command(lambda unit: holds.release(unit, hold.seq, actor="learner")),
            Command(lambda unit: holds.capture(unit, hold.seq, actor=SHOP)),
        ],
    )
    assert not isinstance(outcomes[0], Exception)
    assert isinstance(outcomes[1], Refused)
    assert _balance(installation, SHOP) == (0, 0)


def _refund(installation: Installation, seq: int, amount: int | None = None) -> None:
    installation.run(lambda unit: holds.refund(unit, seq, amount, actor=SHOP))


def test_refunds_never_exceed_what_moved(installation: Installation, learner: str) -> None:
    """In parts, up to what was captured; one unit more is malformed, and after all of it the case is closed."""
    hold = installation.hold(learner, SHOP, 60)
    installation.run(lambda unit: holds.capture(unit, hold.seq, 50, actor=SHOP))
    _refund(installation, hold.seq, 20)
    with pytest.raises(ValidationFailed):
        _refund(installation, hold.seq, 31)
    _refund(installation, hold.seq)
    assert _balance(installation, learner) == (100, 0)
    with pytest.raises(Refused, match="case_closed"):
        _refund(installation, hold.seq, 1)
    assert _state(installation, hold.seq).refunded_minor == 50
    assert installation.audit().findings == []


def test_what_did_not_move_is_not_refunded(installation: Installation, learner: str) -> None:
    """Neither an open hold nor one that was released has anything to give back."""
    hold = installation.hold(learner, SHOP, 60)
    with pytest.raises(Refused, match="case_closed held"):
        _refund(installation, hold.seq)
    _do(installation, VERBS["release"], hold.seq)
    with pytest.raises(Refused, match="case_closed released"):
        _refund(installation, hold.seq)


def test_a_shop_without_funds_cannot_refund(installation: Installation, learner: str) -> None:
    """What the shop gave away it cannot give back; the case stays open until it can."""
    hold = installation.hold(learner, SHOP, 60)
    _do(installation, VERBS["capture"], hold.seq)
    installation.run(lambda unit: transfers.post(unit, "settle", SHOP, "settled", 30, actor="treasurer"))
    with pytest.raises(Refused, match="insufficient_funds"):
        _refund(installation, hold.seq)
    _refund(installation, hold.seq, 30)
    assert _balance(installation, learner) == (70, 0)


def test_a_direct_redemption_is_a_case_too(installation: Installation, learner: str) -> None:
    """It is refunded under the handle that it was made with."""
    seq = installation.run(lambda unit: transfers.post(unit, "redeem", learner, SHOP, 40, actor=SHOP).seq)
    _refund(installation, seq, 15)
    made, refunded = installation.leaves()[-2:]
    assert refunded["ref"] == {"origin": seq}
    assert refunded["postings"][0]["to"] == made["postings"][0]["from"]
    assert _balance(installation, learner) == (75, 0)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_hold_ends_in_the_future(installation: Installation, learner: str, seconds: int) -> None:
    """An end that is now or past is malformed."""
    with pytest.raises(ValidationFailed):
        installation.hold(learner, SHOP, 1, minutes=seconds / 60)
    assert installation.hold(learner, SHOP, 1, minutes=1 / 60).kind == "hold"


@pytest.mark.parametrize("amount", [0, -5, True])
def test_a_hold_reserves_a_positive_amount(installation: Installation, learner: str, amount: int) -> None:
    """A negative reservation would create spending power."""
    with pytest.raises(ValidationFailed):
        installation.hold(learner, SHOP, amount)
    hold = installation.hold(learner, SHOP, 100)
    for verb in (holds.capture, holds.refund):
        with pytest.raises((ValidationFailed, Refused)):
            installation.run(lambda unit, verb=verb: verb(unit, hold.seq, amount, actor=SHOP))  # type: ignore[misc]
    assert _balance(installation, learner) == (100, 100)


@pytest.mark.parametrize(("source", "target"), [("treasury", SHOP), (SHOP, SHOP), ("learner", "treasury")])
def test_only_learners_reserve_and_only_for_shops(
    installation: Installation, learner: str, source: str, target: str
) -> None:
    """A hold between other accounts is not an entry of the format."""
    with pytest.raises(ValueError, match="refused by its format"):
        installation.hold(learner if source == "learner" else source, target, 1)


def test_a_case_that_does_not_exist_is_not_found(installation: Installation, learner: str) -> None:
    """No entry, or one that began no case."""
    for seq in (0, 99):
        with pytest.raises(NotFound):
            _do(installation, VERBS["capture"], seq)
    assert accounts.Account.__tablename__ == "accounts"


def test_the_database_itself_keeps_the_cases(installation: Installation, learner: str) -> None:
    """Whoever writes past the code cannot refund more than moved, nor move more than was held."""
    hold = installation.hold(learner, SHOP, 60)
    _do(installation, VERBS["capture"], hold.seq)

    def write(values: str) -> None:
        with installation.database.write() as session:
            session.execute(text(f"UPDATE cases SET {values} WHERE seq = :seq"), {"seq": hold.seq})  # noqa: S608
            session.commit()

    for values in (
        "refunded_minor = 61",
        "refunded_minor = -1",
        "moved_minor = 61",
        "refunded_minor = 1, reversed_by = 9",
    ):
        with pytest.raises(IntegrityError):
            write(values)
    write("refunded_minor = 60")


@contextmanager
def _head_is_waited_for(installation: Installation, **by: float) -> Iterator[list[str]]:
    """Each batch in the block gets the head so much later than it asks; what the database is asked for due holds."""

    def take(transaction: Transaction, city: str, until: datetime) -> Any:
        begun = real(transaction, city, until)
        installation.clock.advance(**by)
        return begun

    real, found = writer._take, list[str]()
    with mock.patch.object(writer, "_take", take), asked(installation.database) as statements:
        yield found
    found += [statement for statement in statements if "expires_at <=" in statement]


@pytest.mark.parametrize(("waited_ms", "looks"), [(0, 1), (400, 1), (1_000, 1), (1_001, 2), (60_000, 2)])
def test_a_hold_that_runs_out_while_a_batch_waits_for_the_head_has_expired(
    installation: Installation, learner: str, waited_ms: int, looks: int
) -> None:
    """To the millisecond of the batch's own time, which it has when it has the head; the next one lives on.

    Who is waited for longer than was looked ahead has the database asked again, and nobody else has.
    """
    seqs = [
        installation.hold(installation.learner(10), SHOP, 10, minutes=1 + after_ms / 60_000).seq
        for after_ms in (0, waited_ms, waited_ms + 1)
    ]
    installation.clock.advance(minutes=1)
    size = len(installation.leaves())
    with _head_is_waited_for(installation, milliseconds=waited_ms) as found:
        installation.grant()
    ended = [(leaf["kind"], leaf["ref"].get("origin")) for leaf in installation.leaves()[size:]]
    assert ended == [("hold_expire", seqs[0]), ("hold_expire", seqs[1]), ("grant", None)]
    assert len(found) == looks
    assert _state(installation, seqs[1]).ended_at == installation.clock.now
    assert _state(installation, seqs[2]).state == "held"
    installation.clock.advance(milliseconds=1)
    installation.grant()
    assert _state(installation, seqs[2]).state == "expired"
    assert installation.audit().findings == []


def test_no_hold_expires_before_its_time(installation: Installation, learner: str) -> None:
    """A batch that looked for it a second ahead leaves it alone, and it can still be captured in that batch."""
    hold = installation.hold(learner, SHOP, 60, minutes=1)
    installation.clock.advance(minutes=1, milliseconds=-900)
    with _head_is_waited_for(installation, milliseconds=899) as found:
        installation.run(lambda unit: holds.capture(unit, hold.seq, actor=SHOP))
    assert len(found) == 1
    assert _state(installation, hold.seq).state == "captured"
    assert [leaf["kind"] for leaf in installation.leaves()[-2:]] == ["hold", "capture"]


def test_a_hold_that_another_writer_placed_meanwhile_expires_too(
    installation: Installation, database_url: str, learner: str
) -> None:
    """What was committed while a batch waited for the head is looked at once it has it."""
    other = reopen(database_url, installation.keys.directory.parent, Clock())

    def meanwhile() -> datetime:
        installation.writer.clock = installation.clock
        placed.append(other.hold(learner, SHOP, 60, minutes=0.01).seq)
        asked_at = installation.clock.now
        installation.clock.advance(seconds=0.6)
        return asked_at

    placed: list[int] = []
    installation.writer.clock = meanwhile
    assert installation.hold(learner, SHOP, 100).seq == placed[0] + 2
    assert [leaf["kind"] for leaf in installation.leaves()[-3:]] == ["hold", "hold_expire", "hold"]
    other.close()
