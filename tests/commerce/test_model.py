"""Random days on the street against a small model: never more than the stock, the limit or the balance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ledger.commerce.promotions import PromotionView
from ledger.commerce.redemptions import PENDING_LIMIT
from ledger.errors import LedgerError
from ledger.people.roles import Principal
from ledger.values import short_id
from tests.commerce.street import Street
from tests.counts import scale

HOLD = timedelta(minutes=10)
LEARNERS = 2


@dataclass
class Promised:
    """What the model knows of one redemption."""

    learner: int
    promotion: int
    amount: int
    expires_at: datetime
    ended: str | None = None
    moved: int = 0
    refunded: int = 0

    def state(self, now: datetime) -> str:
        """Its state in the product's words."""
        if self.ended == "confirmed" and self.refunded == self.moved:
            return "refunded"
        return self.ended or ("expired" if self.expires_at <= now else "pending")

    def taken(self, now: datetime) -> bool:
        """Whether it takes a unit of stock."""
        return self.state(now) in ("pending", "confirmed")


@dataclass
class Terms:
    """A promotion's price and bounds."""

    price: int
    stock: int | None
    per_learner: int | None


@dataclass
class Model:
    """A whole street in a few lists; every verb answers `ok` or the code of the refusal."""

    terms: list[Terms]
    posted: list[int]
    now: datetime
    shop: int = 0
    promised: list[Promised] = field(default_factory=list)

    def held(self, learner: int) -> int:
        """What is kept back of a learner's balance."""
        return sum(one.amount for one in self.promised if one.learner == learner and one.state(self.now) == "pending")

    def left(self, promotion: int) -> int | None:
        """What is left of a promotion."""
        stock = self.terms[promotion].stock
        return None if stock is None else stock - len(self._taken(promotion))

    def reserve(self, learner: int, promotion: int) -> str:
        """A learner reserves."""
        terms, taken = self.terms[promotion], self._taken(promotion)
        own = [one for one in taken if one.learner == learner]
        pending = [one for one in self.promised if one.learner == learner and one.state(self.now) == "pending"]
        if terms.stock is not None and len(taken) >= terms.stock:
            return "out_of_stock"
        if terms.per_learner is not None and len(own) >= terms.per_learner:
            return "limit_reached"
        if len(pending) >= PENDING_LIMIT:
            return "limit_reached"
        if self.posted[learner] - self.held(learner) < terms.price:
            return "insufficient_funds"
        self.promised.append(Promised(learner, promotion, terms.price, self.now + HOLD))
        return "ok"

    def confirm(self, which: int, amount: int | None) -> str:
        """The shop confirms, in part if `amount` says so."""
        one = self.promised[which]
        amount = one.amount if amount is None else amount
        if refusal := self._unless(one, "pending"):
            return refusal
        if amount > one.amount:
            return "validation_failed"
        one.ended, one.moved = "confirmed", amount
        self._move(one.learner, amount)
        return "ok"

    def cancel(self, which: int) -> str:
        """The learner cancels."""
        one = self.promised[which]
        if refusal := self._unless(one, "pending"):
            return refusal
        one.ended = "cancelled"
        return "ok"

    def refund(self, which: int, amount: int | None) -> str:
        """The shop refunds, in part if `amount` says so."""
        one = self.promised[which]
        if one.state(self.now) == "pending":
            return "not_reversible"
        if refusal := self._unless(one, "confirmed"):
            return refusal
        amount = one.moved - one.refunded if amount is None else amount
        if amount > one.moved - one.refunded:
            return "validation_failed"
        if amount > self.shop:
            return "insufficient_funds"
        one.refunded += amount
        self._move(one.learner, -amount)
        return "ok"

    def spend(self, amount: int) -> str:
        """The shop passes tokens on."""
        if amount > self.shop:
            return "insufficient_funds"
        self.shop -= amount
        return "ok"

    def _taken(self, promotion: int) -> list[Promised]:
        return [one for one in self.promised if one.promotion == promotion and one.taken(self.now)]

    def _move(self, learner: int, amount: int) -> None:
        self.posted[learner] -= amount
        self.shop += amount

    def _unless(self, one: Promised, wanted: str) -> str | None:
        state = one.state(self.now)
        if state == wanted:
            return None
        return "redemption_expired" if state == "expired" else "redemption_ended"


class Play:
    """One random day: every step is taken in the model and on the street, and must come out alike."""

    def __init__(self, street: Street, terms: list[Terms], balances: list[int]) -> None:
        name = short_id()
        self.street = street
        self.till = street.shop(name)
        self.learners = [street.learner(balance) for balance in balances]
        self.promotions = [self._offer(name, each) for each in terms]
        self.model = Model(terms, list(balances), street.clock.now)
        self.ids: list[str] = []

    def step(self, verb: str, first: int, second: int, amount: int | None) -> None:
        """Take one step, and compare what it says and what it leaves."""
        if verb == "wait":
            self.model.now = self.street.clock.advance(minutes=first * 2 + 1)
        elif verb == "reserve":
            learner, promotion = first % LEARNERS, second % len(self.promotions)
            said = self._try(self._reserve, self.learners[learner], self.promotions[promotion])
            self._agree(said, self.model.reserve(learner, promotion))
        elif verb == "spend":
            said = self._try(self.street.take_from, self.till, amount or 1)
            self._agree(said, self.model.spend(amount or 1))
        elif self.ids:
            which = first % len(self.ids)
            self._agree(*self._act(verb, which, amount))
        self._compare()

    def _act(self, verb: str, which: int, amount: int | None) -> tuple[str, str]:
        known, redemption = self.model, self.ids[which]
        if verb == "confirm":
            said = self._try(self.street.confirm, self.till, redemption, amount)
            return said, known.confirm(which, amount)
        if verb == "refund":
            said = self._try(self.street.refund, self.till, redemption, amount)
            return said, known.refund(which, amount)
        learner = self.learners[known.promised[which].learner]
        return self._try(self.street.cancel, learner, redemption), known.cancel(which)

    def _reserve(self, learner: Principal, promotion: PromotionView) -> None:
        self.ids.append(self.street.reserve(learner, promotion).id)

    def _offer(self, shop: str, terms: Terms) -> PromotionView:
        return self.street.promotion(shop, terms.price, stock=terms.stock, per_learner=terms.per_learner)

    def _try(self, act: Callable[..., object], *args: Any) -> str:
        try:
            act(*args)
        except LedgerError as refusal:
            return refusal.code
        return "ok"

    def _agree(self, said: str, expected: str) -> None:
        note(f"{expected}")
        assert said == expected

    def _compare(self) -> None:
        known, street = self.model, self.street
        for index, learner in enumerate(self.learners):
            # A hold that has run out stays in the projection until the next batch writes its end.
            posted, held = street.balance(learner)
            assert posted == known.posted[index]
            assert posted >= held >= known.held(index)
        assert street.balance(self.till) == (known.shop, 0)
        for redemption, one in zip(self.ids, known.promised, strict=True):
            seen = street.get(self.till, redemption)
            assert (seen.state, seen.moved_minor, seen.refunded_minor) == (
                one.state(known.now),
                one.moved,
                one.refunded,
            )
        for number, promotion in enumerate(self.promotions):
            left = street.show(promotion).left
            assert left == known.left(number)
            assert left is None or left >= 0


TERMS = st.builds(
    Terms,
    price=st.sampled_from([100, 250, 400]),
    stock=st.sampled_from([None, 1, 2, 3]),
    per_learner=st.sampled_from([None, 1, 2]),
)
STEPS = st.tuples(
    st.sampled_from(["reserve"] * 5 + ["confirm"] * 3 + ["refund"] * 3 + ["cancel", "spend", "wait"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([None] * 6 + [50, 100, 250, 401]),
)


@settings(
    max_examples=scale(12, 500),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    terms=st.lists(TERMS, min_size=1, max_size=2),
    balances=st.lists(st.sampled_from([3_000, 3_000, 800, 350, 0]), min_size=LEARNERS, max_size=LEARNERS),
    steps=st.lists(STEPS, min_size=8, max_size=40),
)
def test_the_street_does_what_the_model_says(
    street: Street, terms: list[Terms], balances: list[int], steps: list[tuple[str, int, int, int | None]]
) -> None:
    """Any sequence of verbs gives the model's answers, balances, states and stock; the book's audit holds."""
    play = Play(street, terms, balances)
    for step in steps:
        play.step(*step)
    assert street.installation.audit().ok
