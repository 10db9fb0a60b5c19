"""Many at once, through the writer's queue and through two writers on one database: one gets the last, all are told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ledger.book import transfers
from ledger.book.cities import KeyRing
from ledger.book.commands import Command
from ledger.book.seal import Published
from ledger.book.writer import Writer
from ledger.commerce import redemptions, trading
from ledger.commerce.promotions import PromotionView
from ledger.commerce.receipts import RedemptionView
from ledger.db import Database
from ledger.errors import LedgerError
from ledger.people.roles import Principal
from tests.commerce.street import Street
from tests.counts import scale
from tests.factories import CITY

CROWD = scale(24, 200)
TREASURER = Principal(CITY, frozenset({"treasurer"}), None, "treasurer's token")


@pytest.fixture(params=[1, 2], ids=["one-writer", "two-writers"])
def writers(request: pytest.FixtureRequest, street: Street, tmp_path: Path) -> Iterator[list[Writer]]:
    """One writer, or two with connections and queues of their own, as two processes have them."""
    home = street.installation
    others = [
        Writer(Database(home.database.url), KeyRing(home.keys.directory), Published(tmp_path / "published"), home.clock)
        for _ in range(request.param - 1)
    ]
    yield [home.writer, *others]
    for other in others:
        other.close()
        other.database.close()


def _all_at_once(acts: list[Callable[[], object]]) -> Counter[str]:
    """Run all of them from threads that start together; how often each answer came."""
    answers: list[str] = []
    together = threading.Barrier(len(acts))

    def one(act: Callable[[], object]) -> None:
        together.wait()
        try:
            act()
        except LedgerError as refusal:
            answers.append(refusal.code)
        else:
            answers.append("ok")

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(answers)


def _reserving(writer: Writer, learner: Principal, promotion: PromotionView) -> Callable[[], object]:
    command = Command(lambda unit: redemptions.reserve(unit, learner, promotion.id))
    return lambda: writer.submit(CITY, command)


def _confirming(writer: Writer, till: Principal, made: RedemptionView) -> Callable[[], object]:
    command = Command(lambda unit: redemptions.confirm(unit, till, made.id))
    return lambda: writer.submit(CITY, command)


def test_the_last_units_go_to_as_many(street: Street, writers: list[Writer]) -> None:
    """Of a crowd that wants three units, three get one and every other is told that it is sold out."""
    street.shop()
    promotion = street.promotion(stock=3)
    crowd = [street.learner() for _ in range(CROWD)]
    acts = [_reserving(writers[number % len(writers)], who, promotion) for number, who in enumerate(crowd)]
    assert _all_at_once(acts) == {"ok": 3, "out_of_stock": CROWD - 3}
    assert street.show(promotion).left == 0
    assert sum(street.balance(who)[1] for who in crowd) == 3 * 500
    assert street.installation.audit().ok


def test_one_learner_cannot_spend_twice(street: Street, writers: list[Writer]) -> None:
    """A learner with the price of two, tapping on many phones, gets two; the balance never goes below zero."""
    street.shop()
    promotion = street.promotion()
    learner = street.learner(1_000)
    acts = [_reserving(writers[number % len(writers)], learner, promotion) for number in range(CROWD)]
    assert _all_at_once(acts) == {"ok": 2, "insufficient_funds": CROWD - 2}
    assert street.balance(learner) == (1_000, 1_000)
    assert street.installation.audit().ok


def test_the_limit_holds_in_a_crowd(street: Street, writers: list[Writer]) -> None:
    """One unit for each learner stays one, however often it is asked for at once."""
    street.shop()
    promotion = street.promotion(per_learner=1)
    learner = street.learner()
    acts = [_reserving(writers[number % len(writers)], learner, promotion) for number in range(CROWD)]
    assert _all_at_once(acts) == {"ok": 1, "limit_reached": CROWD - 1}


def test_a_request_to_settle_is_answered_once(street: Street, writers: list[Writer]) -> None:
    """Of many who settle, decline and withdraw at once, one does; the tokens leave once or not at all."""
    tea = street.shop("tea")
    street.installation.give("shop:tea", 1_000)
    asked = street.installation.run(lambda unit: trading.ask(unit, tea, 700))
    verbs = [(trading.settle, TREASURER), (trading.decline, TREASURER), (trading.withdraw, tea)]

    def answer(number: int) -> Callable[[], object]:
        verb, who = verbs[number % 3]
        command = Command(lambda unit: verb(unit, who, asked.id))
        return lambda: writers[number % len(writers)].submit(CITY, command)

    assert _all_at_once([answer(number) for number in range(CROWD)]) == {"ok": 1, "case_closed": CROWD - 1}
    with street.installation.read() as session:
        state = trading.get(session, CITY, asked.id).state
    settled = street.installation.balance("settled").posted_minor
    assert (settled, street.balance(tea)[0]) == ((700, 300) if state == "settled" else (0, 1_000))
    assert street.installation.audit().ok


def test_an_entry_is_taken_back_once_and_only_while_its_tokens_are_there(street: Street, writers: list[Writer]) -> None:
    """Many take one payment back while its taker spends it: it is undone once, or spent; never both."""
    tea, rice = street.shop("tea"), street.shop("rice")
    street.installation.give("shop:tea", 500)
    paid = street.installation.run(lambda unit: trading.spend(unit, tea, "rice", 500)).seq
    undo = Command(lambda unit: transfers.reverse(unit, paid, actor="treasurer"))
    spend = Command(lambda unit: trading.spend(unit, rice, "tea", 500))
    acts: list[Callable[[], object]] = [
        partial(writers[number % len(writers)].submit, CITY, (undo, spend)[number % 2]) for number in range(CROWD)
    ]
    answers = _all_at_once(acts)
    assert answers["ok"] == 1
    assert set(answers) <= {"ok", "insufficient_funds", "not_reversible"}
    assert (street.balance(tea)[0], street.balance(rice)[0]) == (500, 0)
    assert street.installation.audit().ok


def test_a_redemption_is_confirmed_once(street: Street, writers: list[Writer]) -> None:
    """Of many confirmations one moves the tokens; the others hear that it was confirmed."""
    noodles, learner = street.shop(), street.learner(1_000)
    made = street.reserve(learner, street.promotion())
    acts = [_confirming(writers[number % len(writers)], noodles, made) for number in range(CROWD)]
    assert _all_at_once(acts) == {"ok": 1, "redemption_ended": CROWD - 1}
    assert (street.balance(learner), street.balance(noodles)) == ((500, 0), (500, 0))
    assert street.installation.audit().ok
