"""Reserving: what it keeps back, and everything that can stand against it."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count

import pytest

from ledger.book import cities, entries
from ledger.book.unit import Unit
from ledger.commerce import redemptions
from ledger.commerce.receipts import RedemptionView
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY, START

HOUR = timedelta(hours=1)


def test_a_reservation_keeps_the_price_back_for_the_citys_minutes(street: Street) -> None:
    """The price is held and not moved; the view carries code, secret, words and the end."""
    noodles, learner = street.shop(), street.learner(1_200)
    promotion = street.promotion(title_en="Noodles", benefit_th="ลด", benefit_en="Less", stock=3)
    made = street.reserve(learner, promotion)
    assert street.balance(learner) == (1_200, 500)
    assert street.balance(noodles) == (0, 0)
    assert (made.state, made.amount_minor, made.moved_minor, made.ended_entry) == ("pending", 500, 0, None)
    assert made.expires_at - made.created_at == timedelta(minutes=10)
    assert len(made.code) == 6
    assert made.code.isdigit()
    assert made.secret.startswith("kk")
    assert len(made.secret) == 28
    assert (made.title_en, made.benefit_en, made.shop_name_en) == ("Noodles", "Less", "noodles")
    assert street.show(promotion).left == 2


def test_the_log_tells_shop_and_promotion_and_not_the_learner(street: Street) -> None:
    """The hold names what the public may know: promotion, shop and end; the learner's id stands nowhere."""
    street.shop()
    learner = street.learner()
    made = street.reserve(learner, street.promotion(id="soup"))
    with street.installation.read() as session:
        leaf = entries.leaf(session, CITY, made.entry).decode()
    hold = json.loads(leaf)
    assert (hold["kind"], hold["actor"]) == ("hold", "learner")
    assert (hold["ref"]["promotion"], hold["ref"]["shop"]) == ("soup", "noodles")
    assert str(learner.subject) not in leaf
    assert made.id not in leaf
    assert made.secret not in leaf


def test_only_learners_reserve(street: Street) -> None:
    """A shop, a steward or somebody unknown reserves nothing; nor can what does not exist be reserved."""
    noodles = street.shop()
    promotion = street.promotion()
    for who, code in ((noodles, "forbidden"), (STEWARD, "forbidden"), (ANONYMOUS, "unauthenticated")):
        refused(code, street.reserve, who, promotion)
    learner = street.learner()
    assert street.reserve(learner, promotion).state == "pending"
    refused("not_found", street.installation.run, lambda unit: redemptions.reserve(unit, learner, "none"))


def test_a_shop_that_is_not_open_gives_nothing(street: Street) -> None:
    """Before approval and during a suspension the answer says which; an approved shop gives."""
    street.shop("waiting", approved=False)
    street.shop("noodles")
    learner = street.learner()
    refused("shop_not_open[applied]", street.reserve, learner, street.promotion("waiting"))
    promotion = street.promotion("noodles")
    street.suspend("noodles")
    refused("shop_not_open[suspended]", street.reserve, learner, promotion)
    street.approve("noodles")
    assert street.reserve(learner, promotion).state == "pending"


def test_a_promotion_is_open_from_its_beginning_to_before_its_end(street: Street) -> None:
    """A millisecond early it is not yet open, at the beginning it is, at the end it is over; a pause shuts it too."""
    street.shop()
    learner = street.learner()
    promotion = street.promotion(starts_at=START + HOUR, ends_at=START + 2 * HOUR)
    street.clock.now = START + HOUR - timedelta(milliseconds=1)
    early = refused("promotion_closed[not_yet]", street.reserve, learner, promotion)
    assert early["opens_at"] == START + HOUR
    street.clock.now = START + HOUR
    street.reserve(learner, promotion)
    street.change(promotion, state="paused")
    refused("promotion_closed[paused]", street.reserve, learner, promotion)
    street.change(promotion, state="active")
    street.clock.now = START + 2 * HOUR - timedelta(milliseconds=1)
    street.reserve(learner, promotion)
    street.clock.now = START + 2 * HOUR
    late = refused("promotion_closed[over]", street.reserve, learner, promotion)
    assert late["closed_at"] == START + 2 * HOUR


def test_the_last_unit_goes_once_and_comes_back(street: Street) -> None:
    """A unit is taken while pending or confirmed; cancellation, expiry and a full refund give it back, a part not."""
    noodles = street.shop()
    promotion = street.promotion(stock=1)
    learner, other = street.learner(), street.learner()
    first = street.reserve(learner, promotion)
    refused("out_of_stock", street.reserve, other, promotion)
    street.cancel(learner, first.id)
    street.reserve(other, promotion)
    refused("out_of_stock", street.reserve, learner, promotion)
    street.clock.advance(minutes=10)
    assert street.show(promotion).left == 1, "the clock alone gives it back, before anything is written"
    third = street.reserve(learner, promotion)
    street.confirm(noodles, third.id)
    street.refund(noodles, third.id, 499)
    refused("out_of_stock", street.reserve, other, promotion)
    street.refund(noodles, third.id)
    assert street.reserve(other, promotion).state == "pending"


def test_nobody_gets_more_than_the_limit(street: Street) -> None:
    """The limit counts like the stock, for each learner apart."""
    noodles = street.shop()
    promotion = street.promotion(per_learner=2)
    learner = street.learner()
    first, second = street.reserve(learner, promotion), street.reserve(learner, promotion)
    assert refused("limit_reached", street.reserve, learner, promotion)["limit"] == 2
    assert street.reserve(street.learner(), promotion).state == "pending"
    street.confirm(noodles, first.id)
    refused("limit_reached", street.reserve, learner, promotion)
    street.cancel(learner, second.id)
    assert street.reserve(learner, promotion).state == "pending"


def test_only_so_many_are_pending_at_once(street: Street) -> None:
    """The sixth reservation waits until one of the five has ended, in whichever way."""
    noodles = street.shop()
    promotion = street.promotion()
    learner = street.learner()
    made = [street.reserve(learner, promotion) for _ in range(redemptions.PENDING_LIMIT)]
    refused("limit_reached[pending]", street.reserve, learner, promotion)
    street.confirm(noodles, made[0].id)
    street.reserve(learner, promotion)
    refused("limit_reached[pending]", street.reserve, learner, promotion)
    street.clock.advance(minutes=10)
    assert street.reserve(learner, promotion).state == "pending"


def test_nobody_reserves_more_than_the_balance(street: Street) -> None:
    """What is held already is not there a second time; exactly the balance can be reserved."""
    street.shop()
    promotion = street.promotion(price_minor=500)
    learner = street.learner(1_000)
    street.reserve(learner, promotion)
    street.reserve(learner, promotion)
    assert street.balance(learner) == (1_000, 1_000)
    refused("insufficient_funds", street.reserve, learner, promotion)
    refused("insufficient_funds", street.reserve, street.learner(499), promotion)
    assert street.reserve(street.learner(500), promotion).state == "pending"


def test_the_first_reason_is_the_one_that_is_given(street: Street) -> None:
    """Shop, pause, stock, limit, balance: with several reasons at once, the answer is the first of these."""
    street.shop()
    learner = street.learner(500)
    promotion = street.promotion(stock=1, per_learner=1)
    street.reserve(learner, promotion)
    street.change(promotion, state="paused")
    street.suspend("noodles")
    refused("shop_not_open[suspended]", street.reserve, learner, promotion)
    street.approve("noodles")
    refused("promotion_closed[paused]", street.reserve, learner, promotion)
    street.change(promotion, state="active")
    refused("out_of_stock", street.reserve, learner, promotion)
    street.change(promotion, stock=2)
    refused("limit_reached", street.reserve, learner, promotion)
    street.change(promotion, per_learner=2)
    refused("insufficient_funds", street.reserve, learner, promotion)


def test_pending_codes_of_one_shop_differ(street: Street) -> None:
    """A number that is pending at the shop is drawn again; at another shop, or after the end, it may come."""
    street.shop("noodles")
    street.shop("tea")
    learner = street.learner()
    here, there = street.promotion("noodles"), street.promotion("tea")
    run = street.installation.run

    def draws(*codes: str) -> RedemptionView:
        drawn = iter(codes)
        return run(lambda unit: redemptions.reserve(unit, learner, here.id, draw=lambda: next(drawn)))

    first = draws("000001")
    assert draws("000001", "000001", "000002").code == "000002"
    assert run(lambda unit: redemptions.reserve(unit, learner, there.id, draw=lambda: "000001")).code == "000001"
    street.cancel(learner, first.id)
    assert draws("000001").code == "000001"


def test_a_shop_without_a_free_code_asks_to_wait(street: Street) -> None:
    """When no free number is found, nothing is reserved and the answer says to come again."""
    street.shop()
    learner = street.learner()
    promotion = street.promotion()
    tries = count()

    def reserve() -> RedemptionView:
        def draw() -> str:
            next(tries)
            return "777777"

        return street.installation.run(lambda unit: redemptions.reserve(unit, learner, promotion.id, draw=draw))

    reserve()
    assert refused("overloaded", reserve)["retry_after_seconds"] > 0
    assert next(tries) == 1 + redemptions.CODE_TRIES
    assert street.balance(learner) == (10_000, 500)


@pytest.mark.parametrize(("minutes", "lasting"), [(3, timedelta(minutes=3)), (100_000, timedelta(days=1))])
def test_the_city_sets_the_minutes_up_to_a_day(street: Street, minutes: int, lasting: timedelta) -> None:
    """A reservation lasts as long as the city says, and never longer than a day."""
    street.shop()
    learner = street.learner()
    promotion = street.promotion()

    def set_minutes(unit: Unit) -> None:
        city = cities.get(unit.session, unit.city.id)
        city.settings = {**city.settings, "hold_minutes": minutes}

    street.installation.run(set_minutes)
    made = street.installation.run(lambda unit: redemptions.reserve(unit, learner, promotion.id))
    assert made.expires_at - made.created_at == lasting
