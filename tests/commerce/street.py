"""A street to test on: shops, promotions and learners of one city, on a real writer and a real database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from ledger.book import transfers
from ledger.commerce import promotions, redemptions, shops
from ledger.commerce.promotions import NewPromotion, PromotionChange, PromotionView
from ledger.commerce.receipts import RedemptionView
from ledger.commerce.shops import NewShop, ShopView
from ledger.errors import LedgerError
from ledger.people.roles import Principal
from ledger.values import random_id
from tests.factories import CITY, Installation

Value = TypeVar("Value")

STEWARD = Principal(CITY, frozenset({"steward"}), None, "steward's token")
ANONYMOUS = Principal.anonymous(CITY)


class Street:
    """The verbs of commerce on one installation, each in a batch of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.clock = installation.clock
        installation.grant()

    def shop(self, name: str = "noodles", *, approved: bool = True) -> Principal:
        """A shop that has applied, and was approved unless said otherwise; whoever stands at its till."""
        self.installation.run(lambda unit: shops.apply(unit, ANONYMOUS, NewShop(f"ร้าน {name}", name, id=name)))
        if approved:
            self.approve(name)
        return Principal(CITY, frozenset({"shop"}), name, f"token of {name}")

    def approve(self, name: str, who: Principal = STEWARD) -> ShopView:
        """Approve a shop."""
        return self.installation.run(lambda unit: shops.approve(unit, who, name))

    def suspend(self, name: str, who: Principal = STEWARD) -> ShopView:
        """Suspend a shop."""
        return self.installation.run(lambda unit: shops.suspend(unit, who, name))

    def learner(self, amount_minor: int = 10_000) -> Principal:
        """A learner with that much."""
        learner = random_id()
        self.installation.open(f"learner:{learner}")
        if amount_minor:
            self.installation.give(f"learner:{learner}", amount_minor)
        return Principal(CITY, frozenset({"learner"}), learner, f"token of {learner}")

    def promotion(self, shop: str = "noodles", price_minor: int = 500, **bounds: Any) -> PromotionView:
        """A promotion of a shop, made by the steward."""
        new = NewPromotion(**{"shop": shop, "title_th": "ก๋วยเตี๋ยว", "price_minor": price_minor, **bounds})
        return self.offer(STEWARD, new)

    def offer(self, who: Principal, new: NewPromotion) -> PromotionView:
        """Create a promotion as somebody."""
        return self.installation.run(lambda unit: promotions.create(unit, who, new))

    def change(self, promotion: PromotionView, principal: Principal = STEWARD, **changes: Any) -> PromotionView:
        """Change a promotion."""
        wanted = PromotionChange(**changes)
        return self.installation.run(lambda unit: promotions.change(unit, principal, promotion.id, wanted))

    def reserve(self, learner: Principal, promotion: PromotionView) -> RedemptionView:
        """Reserve."""
        return self.installation.run(lambda unit: redemptions.reserve(unit, learner, promotion.id))

    def reserve_with_code(self, learner: Principal, promotion: PromotionView, code: str) -> RedemptionView:
        """Reserve where chance draws this code."""
        return self.installation.run(lambda unit: redemptions.reserve(unit, learner, promotion.id, draw=lambda: code))

    def take_from(self, shop: Principal, amount_minor: int) -> None:
        """Let a shop pass tokens on to the treasury."""
        source, actor = f"shop:{shop.subject}", shop.actor()
        self.installation.run(
            lambda unit: transfers.post(unit, "transfer", source, "treasury", amount_minor, actor=actor)
        )

    def look_up(self, shop: Principal, code: str) -> redemptions.Lookup:
        """Look a code up at a till."""
        return self.installation.run(lambda unit: redemptions.find_by_code(unit, shop, code))

    def confirm(self, shop: Principal, redemption: str, amount_minor: int | None = None) -> RedemptionView:
        """Confirm."""
        return self.installation.run(lambda unit: redemptions.confirm(unit, shop, redemption, amount_minor))

    def cancel(self, who: Principal, redemption: str) -> RedemptionView:
        """Cancel."""
        return self.installation.run(lambda unit: redemptions.cancel(unit, who, redemption))

    def refund(self, who: Principal, redemption: str, amount_minor: int | None = None) -> RedemptionView:
        """Refund."""
        return self.installation.run(lambda unit: redemptions.refund(unit, who, redemption, amount_minor))

    def get(self, who: Principal, redemption: str) -> RedemptionView:
        """See one redemption."""
        with self.installation.read() as session:
            return redemptions.get(session, who, redemption, self.clock.now)

    def show(self, promotion: PromotionView) -> PromotionView:
        """A promotion as the public sees it now."""
        with self.installation.read() as session:
            return promotions.get(session, CITY, promotion.id, self.clock.now)

    def balance(self, who: Principal) -> tuple[int, int]:
        """(posted, held) of a learner or a shop, minor units."""
        kind = next(iter(who.roles))
        found = self.installation.balance(f"{kind}:{who.subject}")
        return found.posted_minor, found.held_minor


def refused(expected: str, act: Callable[..., object], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Check that an act is refused as `code` or `code[reason]`; what the refusal tells besides."""
    with pytest.raises(LedgerError) as caught:
        act(*args, **kwargs)
    told = caught.value
    assert (f"{told.code}[{told.reason}]" if told.reason else told.code) == expected
    return told.params
