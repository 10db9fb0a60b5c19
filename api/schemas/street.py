"""Check-ins, shops, promotions and redemptions, in and out."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from api.schemas.base import (
    AMOUNT_MESSAGE,
    Choice,
    Flag,
    In,
    Instant,
    Link,
    Money,
    Out,
    Text,
    Whole,
    amount,
    money_text,
    plain_instant,
    quoted,
)
from api.schemas.money import BalanceOut, balance_text, plain_balance
from api.services import CityFacts
from ledger.commerce import promotions, shops
from ledger.commerce.promotions import COUNT_LIMIT, NewPromotion, PromotionChange
from ledger.commerce.shops import NewShop
from ledger.errors import ValidationFailed
from ledger.programme.checkins import Recorded

STOCK = f"Give a whole number from 0 to {COUNT_LIMIT}, or nothing."
PER_LEARNER = f"Give a whole number from 1 to {COUNT_LIMIT}, or nothing."
SHOP_STATES = (shops.APPLIED, shops.APPROVED, shops.SUSPENDED)


class CheckedInOut(Money):
    """A check-in that stands, and what it earned."""

    entry = fields.Integer(metadata={"description": "The seq of the reward in the log."})
    at = Instant()
    amount_minor = fields.Integer(metadata={"example": 500})
    balance = fields.Nested(BalanceOut)
    activity = fields.String()
    name_th = fields.String()
    name_en = fields.String()
    session = fields.String()

    def plain(self, value: Recorded, city: CityFacts) -> dict[str, Any]:
        """As declared above."""
        return {
            "symbol": city.symbol,
            "scale": city.scale,
            "entry": value.entry,
            "at": plain_instant(value.at),
            "amount_minor": value.amount_minor,
            "balance": plain_balance(value.balance, city),
            "activity": value.activity,
            "name_th": value.name_th,
            "name_en": value.name_en,
            "session": value.session,
        }

    def text(self, value: Recorded, city: CityFacts) -> str:
        """The same as JSON."""
        entry, at, amount, balance, activity, name_th, name_en, session = value
        return (
            f'{money_text(city)},"entry":{entry},"at":"{plain_instant(at)}","amount_minor":{amount},'
            f'"balance":{balance_text(balance, city)},"activity":{quoted(activity)},"name_th":{quoted(name_th)},'
            f'"name_en":{quoted(name_en)},"session":{quoted(session)}}}'
        )


class ShopIn(In):
    """An application; a steward decides on it."""

    id = Text(longest=40, metadata={"description": "A slug; made up if not given.", "example": "somtam-corner"})
    name_th = Text(required=True, longest=200, metadata={"example": "ส้มตำหัวมุม"})
    name_en = Text(longest=200, metadata={"example": "Corner Som Tam"})
    about_th = Text(longest=2_000)
    about_en = Text(longest=2_000)
    district = Text(longest=40)
    category = Text(longest=40, metadata={"example": "food"})

    command = NewShop


class ShopOut(Out):
    """A shop."""

    id = fields.String()
    name_th = fields.String()
    name_en = fields.String()
    about_th = fields.String()
    about_en = fields.String()
    district = fields.String()
    category = fields.String()
    state = fields.String(metadata={"enum": list(SHOP_STATES)})
    account = fields.String(metadata={"example": "shop:somtam-corner"})
    sample = fields.Boolean()
    created_at = Instant()


class ShopsQuery(In):
    """Which shops."""

    state = Choice(*SHOP_STATES, "any", metadata={"description": "Other than `approved`: for stewards."})
    district = Text(longest=40)
    category = Text(longest=40)


class PromotionIn(In):
    """A promotion. `shop` may be left out by a shop that speaks for itself."""

    id = Text(longest=40)
    shop = Text(longest=40)
    title_th = Text(required=True, longest=400, metadata={"example": "ส่วนลดกาแฟ 20 บาท"})
    title_en = Text(longest=400, metadata={"example": "20 baht off a coffee"})
    benefit_th = Text(longest=1_000)
    benefit_en = Text(longest=1_000)
    price_minor = amount(required=True)
    stock = Whole(most=COUNT_LIMIT, message=STOCK, allow_none=True)
    per_learner = Whole(least=1, most=COUNT_LIMIT, message=PER_LEARNER, allow_none=True)
    starts_at = Instant(allow_none=True)
    ends_at = Instant(allow_none=True)

    def build(self, data: dict[str, Any]) -> dict[str, Any]:
        """The fields; the shop is filled in from whoever asks."""
        return data


def new_promotion(data: dict[str, Any], own_shop: str | None) -> NewPromotion:
    """The command, for the shop that it names or else the shop that asks.

    Raises:
        ValidationFailed: neither is one.
    """
    if not own_shop and not data.get("shop"):
        raise ValidationFailed({"shop": "Fill this in."})
    return NewPromotion(**{"shop": own_shop or "", **data})


class PromotionChangeIn(In):
    """What is to change; everything else stays."""

    title_th = Text(longest=400)
    title_en = Text(longest=400)
    benefit_th = Text(longest=1_000)
    benefit_en = Text(longest=1_000)
    price_minor = amount()
    stock = Whole(most=COUNT_LIMIT, message=STOCK, allow_none=True)
    per_learner = Whole(least=1, most=COUNT_LIMIT, message=PER_LEARNER, allow_none=True)
    starts_at = Instant(allow_none=True)
    ends_at = Instant(allow_none=True)
    state = Choice(promotions.ACTIVE, promotions.PAUSED)

    command = PromotionChange


class PromotionOut(Money):
    """A promotion as it stands now."""

    id = fields.String()
    shop = fields.String()
    shop_name_th = fields.String()
    shop_name_en = fields.String()
    title_th = fields.String()
    title_en = fields.String()
    benefit_th = fields.String()
    benefit_en = fields.String()
    price_minor = fields.Integer(metadata={"example": 500})
    stock = fields.Integer(allow_none=True)
    left = fields.Integer(allow_none=True, metadata={"description": "null where the stock has no bound"})
    per_learner = fields.Integer(allow_none=True)
    starts_at = Instant(allow_none=True)
    ends_at = Instant(allow_none=True)
    state = fields.String(metadata={"enum": [promotions.ACTIVE, promotions.PAUSED]})
    status = fields.String(metadata={"description": "`open`, or why it cannot be had now."})
    open = fields.Boolean()
    sample = fields.Boolean()


class PromotionsQuery(In):
    """Which promotions."""

    shop = Text(longest=40)
    affordable_minor = Whole(query=True, message=AMOUNT_MESSAGE, metadata={"description": "At most this price."})
    everything = Flag(load_default=False, metadata={"description": "Paused and past ones too; for the shop itself."})


class ReserveIn(In):
    """The promotion to reserve."""

    promotion = Text(required=True, longest=40)


class AmountIn(In):
    """How much; all of it if not given."""

    amount_minor = amount(allow_none=True)


class CodeQuery(In):
    """The six digits on the customer's screen."""

    code = Text(required=True, longest=40, metadata={"example": "048213"})


class RedemptionOut(Money):
    """A redemption. `code` and `url` are what the learner shows; both end with the redemption."""

    id = fields.String()
    code = fields.String(metadata={"example": "048213"})
    url = Link("/r/", "secret", metadata={"description": "What the learner's QR symbol says."})
    promotion = fields.String()
    title_th = fields.String()
    title_en = fields.String()
    benefit_th = fields.String()
    benefit_en = fields.String()
    shop = fields.String()
    shop_name_th = fields.String()
    shop_name_en = fields.String()
    amount_minor = fields.Integer(metadata={"example": 500})
    moved_minor = fields.Integer(metadata={"description": "What the shop took of it."})
    refunded_minor = fields.Integer()
    state = fields.String(metadata={"enum": ["pending", "confirmed", "cancelled", "expired", "refunded"]})
    created_at = Instant()
    expires_at = Instant()
    ended_at = Instant(allow_none=True)
    entry = fields.Integer(metadata={"description": "The seq of the hold."})
    ended_entry = fields.Integer(allow_none=True)
    refund_entries = fields.List(fields.Integer())
