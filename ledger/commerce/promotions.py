"""Promotions: what a shop gives for tokens, how many of them, to whom how often, and when.

A promotion has a price in minor units, a benefit in words, and up to four bounds: `stock` (units in all),
`per_learner` (units for one learner), `starts_at` and `ends_at`. None means no bound. A unit is taken while a
redemption of it is pending or confirmed, see `standing`. `refusal` is the one place that says whether a promotion
can be had, and why not; the pages show what it says and `redemptions.reserve` obeys it.

A change of price or words concerns later redemptions only. The stock never falls below what is taken already.
Bounds: `SHOP_LIMIT` promotions that are not paused in one shop, `TITLE_LIMIT` and `BENEFIT_LIMIT` characters,
`COUNT_LIMIT` units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Literal, TypeAlias, TypeVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Row, Text, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.commerce import shops, standing
from ledger.commerce.shops import APPROVED, Shop, words
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people.roles import Principal, require
from ledger.values import check_amount, check_slug, short_id

ACTIVE, PAUSED = "active", "paused"
SHOP_LIMIT = 100
TITLE_LIMIT = 120
BENEFIT_LIMIT = 400
COUNT_LIMIT = 1_000_000
LIST_LIMIT = 1_000
ENDING_LIMIT = 5


class Promotion(Base):
    """One offer of one shop."""

    __tablename__ = "promotions"
    __table_args__ = (
        ForeignKeyConstraint(["city", "shop"], ["shops.city", "shops.id"]),
        CheckConstraint("price_minor > 0", name="promotions_price"),
        CheckConstraint("stock >= 0", name="promotions_stock"),
        CheckConstraint("per_learner > 0", name="promotions_per_learner"),
        CheckConstraint("starts_at < ends_at", name="promotions_times"),
        CheckConstraint("state IN ('active', 'paused')", name="promotions_state"),
        Index("promotions_by_shop", "city", "shop", "state", "id"),
        Index("promotions_by_price", "city", "state", "price_minor", "id"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    shop: Mapped[str] = mapped_column(Text)
    title_th: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    benefit_th: Mapped[str] = mapped_column(Text)
    benefit_en: Mapped[str] = mapped_column(Text)
    price_minor: Mapped[int] = mapped_column(BigInteger)
    stock: Mapped[int | None] = mapped_column(BigInteger)
    per_learner: Mapped[int | None] = mapped_column(BigInteger)
    starts_at: Mapped[datetime | None] = mapped_column(Instant)
    ends_at: Mapped[datetime | None] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text)
    sample: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(Instant)


class _Kept(Enum):
    KEPT = "kept"


Kept: TypeAlias = Literal[_Kept.KEPT]
KEPT: Kept = _Kept.KEPT
"""Stands in a change for a field that stays as it is, since None has a meaning of its own."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class NewPromotion:
    """A promotion to be. Without English words the Thai ones stand for both; `id` is made up if not given."""

    shop: str
    title_th: str
    price_minor: int
    title_en: str = ""
    benefit_th: str = ""
    benefit_en: str = ""
    stock: int | None = None
    per_learner: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    id: str | None = None
    sample: bool = False


@dataclass(frozen=True)
class PromotionChange:
    """What is to change; everything else is `KEPT`. `state` is `active` or `paused`."""

    title_th: str | Kept = KEPT
    title_en: str | Kept = KEPT
    benefit_th: str | Kept = KEPT
    benefit_en: str | Kept = KEPT
    price_minor: int | Kept = KEPT
    stock: int | Kept | None = KEPT
    per_learner: int | Kept | None = KEPT
    starts_at: datetime | Kept | None = KEPT
    ends_at: datetime | Kept | None = KEPT
    state: str | Kept = KEPT


@dataclass(frozen=True)
class PromotionView:
    """What is shown of a promotion. `left` is None where the stock has no bound.

    `status` is `open`, or why it cannot be had: `not_yet`, `sold_out`, `paused`, `over`, `shop_closed`.
    """

    id: str
    shop: str
    shop_name_th: str
    shop_name_en: str
    shop_district: str
    shop_category: str
    title_th: str
    title_en: str
    benefit_th: str
    benefit_en: str
    price_minor: int
    stock: int | None
    left: int | None
    per_learner: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    state: str
    status: str
    sample: bool

    @property
    def open(self) -> bool:
        """Whether a learner can have it now."""
        return self.status == "open"


_ORDER = ("open", "not_yet", "sold_out", "paused", "over", "shop_closed")


def create(unit: Unit, principal: Principal, new: NewPromotion) -> PromotionView:
    """Offer something; the shop itself or a steward. Before its approval a shop may prepare, but nothing shows.

    Raises:
        Forbidden: the principal is another shop, or no shop.
        NotFound: there is no such shop.
        ValidationFailed: a field is empty, too long or out of bounds, or the id is taken.
        Refused: `limit_reached` (`promotions`): the shop has as many as a shop may have.
    """
    city = unit.city.id
    shop = shops.find(unit.session, city, new.shop)
    require(principal, "promotion.write", shop.id)
    promotion = Promotion(
        city=city,
        id=short_id() if new.id is None else check_slug("id", new.id),
        shop=shop.id,
        title_th=new.title_th,
        title_en=new.title_en,
        benefit_th=new.benefit_th,
        benefit_en=new.benefit_en,
        price_minor=new.price_minor,
        stock=new.stock,
        per_learner=new.per_learner,
        starts_at=new.starts_at,
        ends_at=new.ends_at,
        state=ACTIVE,
        sample=new.sample,
        created_at=unit.now,
    )
    _check(promotion)
    if new.ends_at is not None and new.ends_at <= unit.now:
        raise ValidationFailed({"ends_at": "Give an instant in the future."})
    if unit.session.get(Promotion, (city, promotion.id)) is not None:
        raise ValidationFailed({"id": "Another promotion has this id; choose another one."})
    _check_room(unit, shop.id)
    unit.session.add(promotion)
    unit.session.flush()
    return _view(promotion, shop, 0, unit.now)


def change(unit: Unit, principal: Principal, promotion_id: str, wanted: PromotionChange) -> PromotionView:
    """Change, pause or resume a promotion; the shop itself or a steward. Pending redemptions keep price and words.

    Raises:
        Forbidden: the principal is another shop, or no shop.
        NotFound: there is no such promotion.
        ValidationFailed: a field is out of bounds, or the stock would fall below what is taken.
        Refused: `limit_reached` (`promotions`), when resuming.
    """
    promotion = find(unit.session, unit.city.id, promotion_id)
    require(principal, "promotion.write", promotion.shop)
    if wanted.state == ACTIVE and promotion.state == PAUSED:
        _check_room(unit, promotion.shop)
    before = {column.name: getattr(promotion, column.name) for column in fields(wanted)}
    changed = {name: _or_kept(getattr(wanted, name), value) for name, value in before.items()}
    draft = Promotion(**changed)
    _check(draft)
    count = standing.taken(unit.session, unit.city.id, [promotion.id], unit.now).get(promotion.id, 0)
    if draft.stock is not None and draft.stock < count:
        raise ValidationFailed({"stock": f"Give at least {count}: so many are reserved or redeemed already."})
    for name in before:
        setattr(promotion, name, getattr(draft, name))
    unit.session.flush()
    return _view(promotion, shops.find(unit.session, unit.city.id, promotion.shop), count, unit.now)


def get(
    session: Session, city: str, promotion_id: str, now: datetime, principal: Principal | None = None
) -> PromotionView:
    """One promotion: that of an approved shop for anybody, another for stewards and the shop itself.

    Raises:
        NotFound: there is no such promotion, or none that the principal may see.
    """
    promotion = find(session, city, promotion_id)
    shop = shops.find(session, city, promotion.shop)
    if shop.state != APPROVED and not (principal and shops.may_manage(principal, shop.id)):
        raise NotFound("promotion", promotion_id)
    count = standing.taken(session, city, [promotion.id], now).get(promotion.id, 0)
    return _view(promotion, shop, count, now)


def list_(
    session: Session,
    city: str,
    now: datetime,
    *,
    shop: str | None = None,
    affordable_minor: int | None = None,
    everything: bool = False,
) -> list[PromotionView]:
    """At most `LIST_LIMIT` promotions: the open ones first, within each status the cheapest first.

    What the public sees leaves out the paused, the over and those of shops that are not approved; `everything`
    puts them in, and whoever asks for it has checked that the reader is the shop itself or a steward.
    """
    query = (
        select(Promotion, Shop)
        .join(Shop, (Shop.city == Promotion.city) & (Shop.id == Promotion.shop))
        .where(Promotion.city == city)
    )
    if shop is not None:
        query = query.where(Promotion.shop == shop)
    if affordable_minor is not None:
        query = query.where(Promotion.price_minor <= affordable_minor)
    if not everything:
        current = or_(Promotion.ends_at.is_(None), Promotion.ends_at > now)
        query = query.where(Shop.state == APPROVED, Promotion.state == ACTIVE, current)
    rows = session.execute(query.order_by(Promotion.price_minor, Promotion.id).limit(LIST_LIMIT)).all()
    return sorted(_views(session, city, rows, now), key=lambda view: _ORDER.index(view.status))


def ending(
    session: Session, city: str, now: datetime, before: datetime, *, learner: str, affordable_minor: int
) -> list[PromotionView]:
    """What a learner could have now and no more at the instant `before`: the first to end first, a handful.

    Left out is what costs more than `affordable_minor`, what is gone, and what the learner has had as often as one may.
    """
    query = (
        select(Promotion, Shop)
        .join(Shop, (Shop.city == Promotion.city) & (Shop.id == Promotion.shop))
        .where(Promotion.city == city, Promotion.state == ACTIVE, Promotion.price_minor <= affordable_minor)
        .where(Shop.state == APPROVED, Promotion.ends_at > now, Promotion.ends_at <= before)
        .order_by(Promotion.ends_at, Promotion.id)
        .limit(LIST_LIMIT)
    )
    views = [view for view in _views(session, city, session.execute(query).all(), now) if view.open]
    limited = [view.id for view in views if view.per_learner is not None]
    had = standing.taken(session, city, limited, now, learner)
    within = [view for view in views if view.per_learner is None or had.get(view.id, 0) < view.per_learner]
    return within[:ENDING_LIMIT]


def find(session: Session, city: str, promotion_id: str) -> Promotion:
    """The row of a promotion; for the modules of this package.

    Raises:
        NotFound: there is no such promotion.
    """
    promotion = session.get(Promotion, (city, promotion_id))
    if promotion is None:
        raise NotFound("promotion", promotion_id)
    return promotion


def refusal(promotion: Promotion, shop_state: str, taken: int, now: datetime) -> Refused | None:
    """Why the promotion cannot be had at the instant `now` with `taken` units gone, or None. Pure.

    Where several reasons hold, the first of this order is given: the shop, the pause, the times, the stock.
    """
    if shop_state != APPROVED:
        return Refused("shop_not_open", shop_state, shop=promotion.shop)
    if promotion.state == PAUSED:
        return Refused("promotion_closed", "paused", promotion=promotion.id)
    if promotion.starts_at is not None and now < promotion.starts_at:
        return Refused("promotion_closed", "not_yet", promotion=promotion.id, opens_at=promotion.starts_at)
    if promotion.ends_at is not None and now >= promotion.ends_at:
        return Refused("promotion_closed", "over", promotion=promotion.id, closed_at=promotion.ends_at)
    if promotion.stock is not None and taken >= promotion.stock:
        return Refused("out_of_stock", promotion=promotion.id)
    return None


def _or_kept(wanted: Value | Kept, before: Value) -> Value:
    return before if wanted is KEPT else wanted


def _check(promotion: Promotion) -> None:
    """Put the words in order, and refuse what is out of bounds under the field's name."""
    promotion.title_th = words("title_th", promotion.title_th, TITLE_LIMIT, required=True)
    promotion.title_en = words("title_en", promotion.title_en, TITLE_LIMIT) or promotion.title_th
    promotion.benefit_th = words("benefit_th", promotion.benefit_th, BENEFIT_LIMIT)
    promotion.benefit_en = words("benefit_en", promotion.benefit_en, BENEFIT_LIMIT) or promotion.benefit_th
    check_amount("price_minor", promotion.price_minor)
    for name, least in (("stock", 0), ("per_learner", 1)):
        count = getattr(promotion, name)
        if count is not None and not least <= count <= COUNT_LIMIT:
            raise ValidationFailed({name: f"Give a whole number from {least} to {COUNT_LIMIT}, or nothing."})
    if promotion.starts_at and promotion.ends_at and promotion.starts_at >= promotion.ends_at:
        raise ValidationFailed({"ends_at": "Give an instant after the beginning."})
    if promotion.state not in (ACTIVE, PAUSED):
        raise ValidationFailed({"state": f"Use '{ACTIVE}' or '{PAUSED}'."})


def _check_room(unit: Unit, shop: str) -> None:
    query = (
        select(func.count())
        .select_from(Promotion)
        .where(Promotion.city == unit.city.id, Promotion.shop == shop, Promotion.state == ACTIVE)
    )
    if (unit.session.scalar(query) or 0) >= SHOP_LIMIT:
        raise Refused("limit_reached", "promotions", limit=SHOP_LIMIT)


def _views(session: Session, city: str, rows: Iterable[Row[Promotion, Shop]], now: datetime) -> list[PromotionView]:
    rows = list(rows)
    bounded = [promotion.id for promotion, _ in rows if promotion.stock is not None]
    counts = standing.taken(session, city, bounded, now)
    return [_view(promotion, shop, counts.get(promotion.id, 0), now) for promotion, shop in rows]


def _view(promotion: Promotion, shop: Shop, taken: int, now: datetime) -> PromotionView:
    why_not = refusal(promotion, shop.state, taken, now)
    return PromotionView(
        id=promotion.id,
        shop=shop.id,
        shop_name_th=shop.name_th,
        shop_name_en=shop.name_en,
        shop_district=shop.district,
        shop_category=shop.category,
        title_th=promotion.title_th,
        title_en=promotion.title_en,
        benefit_th=promotion.benefit_th,
        benefit_en=promotion.benefit_en,
        price_minor=promotion.price_minor,
        stock=promotion.stock,
        left=None if promotion.stock is None else max(promotion.stock - taken, 0),
        per_learner=promotion.per_learner,
        starts_at=promotion.starts_at,
        ends_at=promotion.ends_at,
        state=promotion.state,
        status=_status(why_not),
        sample=promotion.sample,
    )


def _status(why_not: Refused | None) -> str:
    if why_not is None:
        return "open"
    return {"shop_not_open": "shop_closed", "out_of_stock": "sold_out"}.get(why_not.code) or str(why_not.reason)
