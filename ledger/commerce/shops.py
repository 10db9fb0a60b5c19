"""Shops: who may offer promotions in a city, and whether they may just now.

    applied ──approve──▶ approved ◀──approve── suspended
       └────────suspend (declines it)──────────────▲

Anybody may apply; a steward decides. Approval opens the account `shop:<id>`, which stays open through a suspension:
a suspended shop keeps its tokens and can refund, but reserves and confirms nothing. Only approved shops show in
public, since nobody has read the words of the others yet.

The table holds what a shop publishes about itself and nothing of a person. Bounds: a city keeps at most
`WAITING_LIMIT` undecided applications, a name has at most `NAME_LIMIT` characters, a description `ABOUT_LIMIT`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts
from ledger.book.unit import Unit
from ledger.commerce import phones
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people.roles import SHOP, STEWARD, Principal, require
from ledger.values import check_slug, short_id

APPLIED, APPROVED, SUSPENDED = "applied", "approved", "suspended"
WAITING_LIMIT = 500
NAME_LIMIT = 80
ABOUT_LIMIT = 600
_FORBIDDEN_CATEGORIES = {"Cc", "Cs"}
_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Shop(Base):
    """One shop. `district` and `category` are slugs that the pages group by."""

    __tablename__ = "shops"
    __table_args__ = (
        CheckConstraint("state IN ('applied', 'approved', 'suspended')", name="shops_state"),
        Index("shops_by_state", "city", "state", "id"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name_th: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    about_th: Mapped[str] = mapped_column(Text)
    about_en: Mapped[str] = mapped_column(Text)
    district: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    sample: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(Instant)
    phone: Mapped[str] = mapped_column(Text, server_default="")

    @property
    def account(self) -> str:
        """The path of its account in the book."""
        return f"shop:{self.id}"


@dataclass(frozen=True)
class NewShop:
    """An application. Without an English name the Thai one stands for both; `id` is a slug, made up if not given."""

    name_th: str
    name_en: str = ""
    about_th: str = ""
    about_en: str = ""
    district: str = ""
    category: str = "other"
    id: str | None = None
    sample: bool = False


@dataclass(frozen=True)
class ShopView:
    """What is shown of a shop. `sample` marks one that is made up for trying out."""

    id: str
    name_th: str
    name_en: str
    about_th: str
    about_en: str
    district: str
    category: str
    state: str
    sample: bool
    account: str
    created_at: datetime
    phone: str


@dataclass(frozen=True)
class ShopChange:
    """What a shop says about itself, all of it anew. Its names are the city's to change, for they were approved."""

    about_th: str
    about_en: str
    district: str
    category: str
    phone: str


def apply(unit: Unit, principal: Principal, new: NewShop) -> ShopView:
    """Ask for a shop to be admitted. Anybody may, signed in or not.

    Raises:
        ValidationFailed: a field is empty or too long, or the id is taken.
        Refused: `limit_reached` (`applications`): too many wait for a decision already.
    """
    city = unit.city.id
    name_th = words("name_th", new.name_th, NAME_LIMIT, required=True)
    shop = Shop(
        city=city,
        id=short_id() if new.id is None else check_slug("id", new.id),
        name_th=name_th,
        name_en=words("name_en", new.name_en, NAME_LIMIT) or name_th,
        about_th=words("about_th", new.about_th, ABOUT_LIMIT),
        about_en=words("about_en", new.about_en, ABOUT_LIMIT),
        district=check_slug("district", new.district) if new.district else "",
        category=check_slug("category", new.category),
        state=APPLIED,
        sample=new.sample,
        created_at=unit.now,
        phone="",
    )
    if unit.session.get(Shop, (city, shop.id)) is not None:
        raise ValidationFailed({"id": "Another shop has this id; choose another one."})
    if _waiting(unit.session, city) >= WAITING_LIMIT:
        raise Refused("limit_reached", "applications", limit=WAITING_LIMIT)
    unit.session.add(shop)
    unit.session.flush()
    return _view(shop)


def approve(unit: Unit, principal: Principal, shop_id: str) -> ShopView:
    """Admit a shop, or admit it again after a suspension; its account opens. Does nothing to an approved one.

    Raises:
        Forbidden: the principal is no steward.
        NotFound: there is no such shop.
    """
    require(principal, "shop.approve")
    shop = find(unit.session, unit.city.id, shop_id)
    shop.state = APPROVED
    unit.session.flush()
    accounts.open_account(unit, shop.account)
    return _view(shop)


def suspend(unit: Unit, principal: Principal, shop_id: str) -> ShopView:
    """Take a shop's promotions off the street, or decline its application. Does nothing to a suspended one.

    Raises:
        Forbidden: the principal is no steward.
        NotFound: there is no such shop.
    """
    require(principal, "shop.approve")
    shop = find(unit.session, unit.city.id, shop_id)
    shop.state = SUSPENDED
    unit.session.flush()
    return _view(shop)


def change(unit: Unit, principal: Principal, shop_id: str, wanted: ShopChange) -> ShopView:
    """Change what a shop says about itself; the shop or a steward.

    Raises:
        Forbidden: the principal is another shop, or no shop.
        NotFound: there is no such shop.
        ValidationFailed: a field is too long or malformed.
    """
    require(principal, "shop.write", shop_id)
    shop = find(unit.session, unit.city.id, shop_id)
    about_th = words("about_th", wanted.about_th, ABOUT_LIMIT)
    about_en = words("about_en", wanted.about_en, ABOUT_LIMIT)
    district = check_slug("district", wanted.district) if wanted.district else ""
    category, phone = check_slug("category", wanted.category), phones.national("phone", wanted.phone)
    shop.about_th, shop.about_en, shop.district = about_th, about_en, district
    shop.category, shop.phone = category, phone
    unit.session.flush()
    return _view(shop)


def get(session: Session, city: str, shop_id: str, principal: Principal | None = None) -> ShopView:
    """One shop: an approved one for anybody, another for stewards and for itself.

    Raises:
        NotFound: there is no such shop, or none that the principal may see.
    """
    shop = find(session, city, shop_id)
    if shop.state != APPROVED and not (principal and may_manage(principal, shop_id)):
        raise NotFound("shop", shop_id)
    return _view(shop)


def list_(
    session: Session,
    city: str,
    *,
    state: str | None = APPROVED,
    district: str | None = None,
    category: str | None = None,
    after: str | None = None,
    limit: int = 1_000,
) -> list[ShopView]:
    """At most `limit` shops in the order of their ids, beginning behind the id `after`.

    `state` None lists every state; whoever asks for another than `approved` has checked that the reader may know.
    """
    query = select(Shop).where(Shop.city == city)
    if state is not None:
        query = query.where(Shop.state == state)
    if district is not None:
        query = query.where(Shop.district == district)
    if category is not None:
        query = query.where(Shop.category == category)
    if after is not None:
        query = query.where(Shop.id > after)
    return [_view(shop) for shop in session.scalars(query.order_by(Shop.id).limit(limit))]


def find(session: Session, city: str, shop_id: str) -> Shop:
    """The row of a shop, whatever its state; for the modules of this package.

    Raises:
        NotFound: there is no such shop.
    """
    shop = session.get(Shop, (city, shop_id))
    if shop is None:
        raise NotFound("shop", shop_id)
    return shop


def may_manage(principal: Principal, shop_id: str) -> bool:
    """Whether the principal is this very shop, or a steward."""
    own = principal.holds(SHOP) and principal.subject == shop_id
    return own or principal.holds(STEWARD)


def words(field: str, value: str, longest: int, *, required: bool = False) -> str:
    """Text that people will read: white space joined, no control characters, at most `longest` characters.

    Raises:
        ValidationFailed: under the field's name.
    """
    text = " ".join(value.split())
    if required and not text:
        raise ValidationFailed({field: "Fill this in."})
    if len(text) > longest:
        raise ValidationFailed({field: f"Use at most {longest} characters."})
    if any(unicodedata.category(sign) in _FORBIDDEN_CATEGORIES or sign in _DIRECTION_OVERRIDES for sign in text):
        raise ValidationFailed({field: "Use letters, digits and punctuation only."})
    return text


def _waiting(session: Session, city: str) -> int:
    query = select(func.count()).select_from(Shop).where(Shop.city == city, Shop.state == APPLIED)
    return session.scalar(query) or 0


def _view(shop: Shop) -> ShopView:
    return ShopView(
        id=shop.id,
        name_th=shop.name_th,
        name_en=shop.name_en,
        about_th=shop.about_th,
        about_en=shop.about_en,
        district=shop.district,
        category=shop.category,
        state=shop.state,
        sample=shop.sample,
        account=shop.account,
        created_at=shop.created_at,
        phone=shop.phone,
    )
