"""Deposits: credited once, by ticket, to the learner or to suspense."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.chain import bridges, deposits
from ledger.chain.deposits import Arrival, NotInOrder
from ledger.errors import NotFound, Refused
from tests.chain.crossing import BRIDGE, CHAIN, SUSPENSE, Crossing, wallet
from tests.factories import Installation


@pytest.fixture
def crossing(installation: Installation) -> Crossing:
    """A bridge over which 5,000 minor units of Ann's went out."""
    made = Crossing(installation)
    made.withdraw("ann", 5_000)
    return made


def draw(crossing: Crossing, name: str = "ann") -> str:
    """A ticket of a learner, bound to their wallet."""
    return crossing.ticket(name)


def arrival(number: int, ticket: str, amount: int = 100, name: str = "ann") -> Arrival:
    """A finalized deposit."""
    return Arrival(number, wallet(name), ticket, amount, f"0x{number:064x}", 10 + number)


def credit(crossing: Crossing, *arrivals: Arrival) -> int:
    """Credit some."""
    return crossing.city.run(lambda unit: deposits.credit(unit, CHAIN, arrivals))


def outcomes(crossing: Crossing) -> list[str]:
    """What became of every deposit, those in suspense first."""
    with crossing.city.read() as session:
        return [one.outcome for one in deposits.in_suspense(session, crossing.bridge)]


def test_a_deposit_with_a_ticket_is_credited_to_its_learner(crossing: Crossing) -> None:
    """In one entry out of the bridge account."""
    assert credit(crossing, arrival(0, draw(crossing))) == 1
    leaf = crossing.city.leaves()[-1]
    assert (leaf["kind"], leaf["postings"][0]["from"], leaf["ref"]) == ("bridge_in", BRIDGE, {"reason": "credited"})
    assert (crossing.held("ann"), crossing.city.balance(BRIDGE).posted_minor) == (5_100, 4_900)
    assert crossing.city.audit().ok


def test_a_deposit_is_credited_once_however_often_it_is_seen(crossing: Crossing) -> None:
    """A watcher that begins again, or a second one beside it, hands in the same and credits nothing."""
    first, second = arrival(0, draw(crossing)), arrival(1, draw(crossing), 7)
    assert credit(crossing, first) == 1
    assert credit(crossing, first, second) == 1
    assert credit(crossing, first, second) == 0
    assert crossing.held("ann") == 5_107
    assert (crossing.bridge.deposits, crossing.bridge.deposited_minor) == (2, 107)


def test_a_deposit_that_has_become_another_is_refused(crossing: Crossing) -> None:
    """What is final cannot change: a number with another content credits nothing, also not what follows."""
    first = arrival(0, draw(crossing))
    credit(crossing, first)
    changes: tuple[dict[str, object], ...] = (
        {"amount_minor": 101}, {"wallet": wallet("bo")}, {"ticket": "0x" + "1" * 64},
    )  # fmt: skip
    for change in changes:
        with pytest.raises(NotInOrder, match="other"):
            credit(crossing, replace(first, **change), arrival(1, draw(crossing)))  # type: ignore[arg-type]
    assert crossing.held("ann") == 5_100


def test_nothing_is_credited_beyond_a_gap(crossing: Crossing) -> None:
    """A number that is missing stops everything after it, and all of one hand-over is undone."""
    with pytest.raises(NotInOrder, match="gap"):
        credit(crossing, arrival(0, draw(crossing)), arrival(2, draw(crossing)))
    assert (crossing.held("ann"), crossing.bridge.deposits) == (5_000, 0)


def test_what_no_ticket_fits_goes_to_suspense(crossing: Crossing) -> None:
    """Unknown, used, expired, or sent from another wallet: burned tokens are never lost, and nobody is credited."""
    used, expired, stolen = draw(crossing), draw(crossing), draw(crossing)
    credit(crossing, arrival(0, used))
    credit(crossing, arrival(1, "0x" + "0" * 64), arrival(2, used), arrival(3, stolen, name="bo"))
    crossing.city.clock.now += deposits.TICKET_LIFETIME + deposits.LATENESS
    credit(crossing, arrival(4, expired))
    assert outcomes(crossing) == ["unknown", "used", "sender", "expired"]
    assert (crossing.held("ann"), crossing.city.balance(SUSPENSE).posted_minor) == (5_100, 400)
    assert crossing.city.audit().ok


def test_a_thief_of_a_ticket_does_not_use_it_up(crossing: Crossing) -> None:
    """Whoever sees it on its way to the chain and is quicker only gives tokens away; the owner's deposit counts."""
    ticket = draw(crossing)
    credit(crossing, arrival(0, ticket, 1, name="bo"), arrival(1, ticket, 900))
    assert crossing.held("ann") == 5_900


def test_a_deposit_just_within_its_ticket_counts_when_it_is_final_later(crossing: Crossing) -> None:
    """Finality takes time, which is not the learner's fault."""
    ticket = draw(crossing)
    crossing.city.clock.now += deposits.TICKET_LIFETIME + deposits.LATENESS / 2
    credit(crossing, arrival(0, ticket))
    assert crossing.held("ann") == 5_100


def test_staff_move_a_deposit_out_of_suspense_once(crossing: Crossing) -> None:
    """To the learner whose it turns out to be; a credited or resolved one stays where it is."""
    credit(crossing, arrival(0, "0x" + "0" * 64), arrival(1, draw(crossing)))
    bo = crossing.learners["bo"]
    crossing.city.run(lambda unit: deposits.resolve(unit, CHAIN, 0, bo, actor="operator"))
    assert (crossing.held("bo"), crossing.city.balance(SUSPENSE).posted_minor) == (10_100, 0)
    for number, reason in ((0, "resolved"), (1, "credited")):
        with pytest.raises(Refused, match=reason):
            crossing.city.run(lambda unit: deposits.resolve(unit, CHAIN, number, bo, actor="operator"))
    with pytest.raises(NotFound):
        crossing.city.run(lambda unit: deposits.resolve(unit, CHAIN, 2, bo, actor="operator"))
    assert outcomes(crossing) == []


def test_more_than_ever_left_does_not_come_back(crossing: Crossing) -> None:
    """The bridge account has a floor like any other."""
    with pytest.raises(Refused, match="insufficient_funds"):
        credit(crossing, arrival(0, draw(crossing), 5_001))


def test_a_pause_stops_crediting(crossing: Crossing) -> None:
    """What came meanwhile is credited afterwards."""
    ticket = draw(crossing)
    crossing.city.run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    with pytest.raises(Refused, match="bridge_paused"):
        credit(crossing, arrival(0, ticket))
    crossing.city.run(lambda unit: bridges.resume(unit, CHAIN))
    assert credit(crossing, arrival(0, ticket)) == 1


def test_a_learner_has_few_tickets_and_the_erased_none(crossing: Crossing) -> None:
    """Beyond the limit none is drawn; a deposit with the ticket of somebody who was erased goes to suspense."""
    tickets = [draw(crossing) for _ in range(deposits.TICKETS)]
    with pytest.raises(Refused, match="limit_reached"):
        draw(crossing)
    with crossing.city.read() as session:
        own = deposits.tickets_of(session, crossing.bridge, crossing.learners["ann"], crossing.city.clock.now)
    assert {one.ticket for one in own} == set(tickets)
    crossing.city.run(lambda unit: deposits.forget(unit, crossing.learners["ann"]))
    credit(crossing, arrival(0, tickets[0]))
    assert outcomes(crossing) == ["unknown"]
