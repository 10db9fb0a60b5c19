"""What a shop does with its tokens: another shop takes them, or the treasurer settles them."""

from __future__ import annotations

import pytest

from ledger.book import transfers
from ledger.commerce import trading
from ledger.commerce.trading import SettlementView
from ledger.people.roles import Principal
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY

TREASURER = Principal(CITY, frozenset({"treasurer"}), None, "treasurer's token")


def _rich(street: Street, name: str, amount_minor: int = 1_000) -> Principal:
    shop = street.shop(name)
    street.installation.give(f"shop:{name}", amount_minor)
    return shop


def _spend(street: Street, shop: Principal, taker: str, amount_minor: int) -> int:
    return street.installation.run(lambda unit: trading.spend(unit, shop, taker, amount_minor)).seq


def _ask(street: Street, shop: Principal, amount_minor: int) -> SettlementView:
    return street.installation.run(lambda unit: trading.ask(unit, shop, amount_minor))


def _answer(street: Street, verb: str, who: Principal, request: str) -> SettlementView:
    command = {"settle": trading.settle, "decline": trading.decline, "withdraw": trading.withdraw}[verb]
    return street.installation.run(lambda unit: command(unit, who, request))


def test_a_shop_buys_from_another(street: Street) -> None:
    """One transfer, named by the shop that gives; both balances follow, and the audit finds nothing."""
    tea, rice = _rich(street, "tea"), street.shop("rice")
    _spend(street, tea, "rice", 400)
    assert (street.balance(tea), street.balance(rice)) == ((600, 0), (400, 0))
    leaf = street.installation.leaves()[-1]
    assert (leaf["kind"], leaf["actor"], leaf["postings"][0]["to"]) == ("transfer", "shop:tea", "shop:rice")
    assert street.installation.audit().findings == []


def test_what_a_shop_may_not_spend(street: Street) -> None:
    """More than it has, nothing, at itself, at a shop that is not open, or while it is suspended."""
    tea = _rich(street, "tea")
    street.shop("rice")
    street.shop("new", approved=False)
    refused("insufficient_funds", _spend, street, tea, "rice", 1_001)
    assert set(refused("validation_failed", _spend, street, tea, "rice", 0)["fields"]) == {"amount_minor"}
    assert set(refused("validation_failed", _spend, street, tea, "tea", 1)["fields"]) == {"shop"}
    refused("shop_not_open[applied]", _spend, street, tea, "new", 1)
    refused("not_found", _spend, street, tea, "nobody", 1)
    street.suspend("tea")
    refused("shop_not_open[suspended]", _spend, street, tea, "rice", 1)
    refused("shop_not_open[suspended]", _ask, street, tea, 1)


@pytest.mark.parametrize(("who", "code"), [(ANONYMOUS, "unauthenticated"), (STEWARD, "forbidden")])
def test_only_a_shop_spends_and_asks(street: Street, who: Principal, code: str) -> None:
    """Neither a stranger nor a steward moves a shop's tokens or asks in its name."""
    street.shop("rice")
    refused(code, _spend, street, who, "rice", 1)
    refused(code, _ask, street, who, 1)


def test_asking_moves_nothing_and_settling_does(street: Street) -> None:
    """The treasurer's answer is the entry: the tokens leave the shop for `settled`, and the request names the entry."""
    tea = _rich(street, "tea")
    asked = _ask(street, tea, 700)
    assert street.balance(tea) == (1_000, 0)
    with street.installation.read() as session:
        assert trading.waiting(session, CITY) == [asked]
    settled = _answer(street, "settle", TREASURER, asked.id)
    leaf = street.installation.leaves()[-1]
    assert (settled.state, settled.entry, settled.ended_at) == ("settled", leaf["seq"], street.clock.now)
    assert (leaf["kind"], leaf["actor"], leaf["ref"]) == ("settle", "treasurer", {"shop": "tea"})
    assert street.balance(tea) == (300, 0)
    assert street.installation.balance("settled").posted_minor == 700
    with street.installation.read() as session:
        assert trading.waiting(session, CITY) == []
    assert street.installation.audit().findings == []


def test_a_settlement_that_was_reversed_says_so(street: Street) -> None:
    """Alone and in the shop's list it reads taken back; the tokens are the shop's, which may ask again; others stay."""
    tea = _rich(street, "tea")
    first, second = (_answer(street, "settle", TREASURER, _ask(street, tea, amount).id) for amount in (300, 700))
    assert second.entry is not None
    seq = second.entry
    street.installation.run(lambda unit: transfers.reverse(unit, seq, actor="treasurer"))
    with street.installation.read() as session:
        listed = {one.id: one.state for one in trading.of_shop(session, CITY, "tea")}
        assert trading.get(session, CITY, second.id).state == "taken_back"
        assert trading.get(session, CITY, first.id).state == "settled"
    assert listed == {first.id: "settled", second.id: "taken_back"}
    assert street.balance(tea) == (700, 0)
    refused("case_closed[settled]", _answer, street, "settle", TREASURER, second.id)
    assert _ask(street, tea, 700).state == "asked"
    assert street.installation.audit().findings == []


def test_one_request_at_a_time(street: Street) -> None:
    """A second one is refused until the first has its answer; more than the shop has is refused at once."""
    tea = _rich(street, "tea")
    refused("insufficient_funds", _ask, street, tea, 1_001)
    first = _ask(street, tea, 700)
    refused("limit_reached[settlements]", _ask, street, tea, 100)
    assert _answer(street, "withdraw", tea, first.id).state == "withdrawn"
    second = _ask(street, tea, 100)
    assert _answer(street, "decline", TREASURER, second.id).state == "declined"
    assert _ask(street, tea, 50).state == "asked"
    assert street.balance(tea) == (1_000, 0)


def test_an_answer_is_final(street: Street) -> None:
    """Whatever ended a request, nothing else ends it again, and no token moves twice."""
    tea = _rich(street, "tea")
    for end, who in (("settle", TREASURER), ("decline", TREASURER), ("withdraw", tea)):
        asked = _ask(street, tea, 100)
        _answer(street, end, who, asked.id)
        for again, whoever in (("settle", TREASURER), ("decline", TREASURER), ("withdraw", tea)):
            refused(f"case_closed[{_state(end)}]", _answer, street, again, whoever, asked.id)
    assert street.balance(tea) == (900, 0)


def _state(verb: str) -> str:
    return {"settle": "settled", "decline": "declined", "withdraw": "withdrawn"}[verb]


def test_what_is_spent_meanwhile_cannot_be_settled(street: Street) -> None:
    """The request reserves nothing; the treasurer is told that less is left, and it stays open."""
    tea = _rich(street, "tea")
    street.shop("rice")
    asked = _ask(street, tea, 700)
    _spend(street, tea, "rice", 400)
    told = refused("insufficient_funds", _answer, street, "settle", TREASURER, asked.id)
    assert told["available_minor"] == 600
    with street.installation.read() as session:
        assert trading.get(session, CITY, asked.id).state == "asked"


def test_who_answers_and_who_withdraws(street: Street) -> None:
    """The treasurer alone answers; the request's own shop alone withdraws."""
    tea, rice = _rich(street, "tea"), street.shop("rice")
    asked = _ask(street, tea, 100)
    for who in (tea, rice, STEWARD):
        refused("forbidden", _answer, street, "settle", who, asked.id)
        refused("forbidden", _answer, street, "decline", who, asked.id)
    for who in (rice, TREASURER):
        refused("forbidden", _answer, street, "withdraw", who, asked.id)
