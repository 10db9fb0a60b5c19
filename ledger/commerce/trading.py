"""What a shop does with the tokens that it got: buy from another shop, or ask the city to settle.

    ask ──▶ asked ──settle──▶ settled ──its entry is reversed──▶ taken_back
              ├──decline──▶ declined      (the treasurer)
              └──withdraw──▶ withdrawn    (the shop)

Buying is one `transfer` from shop to shop and stands in the public log at once. Asking moves and reserves nothing:
the book knows no hold on a shop's tokens, so that whoever asks may still spend them. The request is judged again when
the treasurer settles, and refused as `insufficient_funds` if less is left by then. Settling is one `settle` entry; the
tokens leave circulation for good, and what the shop gets for them is paid outside of this ledger. Whether that entry
was reversed since is the book's to know and is asked of its case; the request's row keeps the answer it got.

Bounds: a shop has at most one open request, which is also a unique index.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Text, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, cases, transfers
from ledger.book.journal import Posted
from ledger.book.unit import Unit
from ledger.commerce import shops
from ledger.commerce.shops import APPROVED, Shop
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.people.roles import Principal, require
from ledger.values import check_amount, random_id

ASKED, SETTLED, DECLINED, WITHDRAWN = "asked", "settled", "declined", "withdrawn"
TAKEN_BACK = "taken_back"
"""Settled, and its entry was reversed since: the tokens are the shop's again. No row is in this state."""

RECENT_LIMIT = 20
WAITING_LIMIT = 500
"""How many open requests a treasurer's list shows, oldest first."""


class Settlement(Base):
    """One request of a shop to have tokens settled. `entry` is the seq of the `settle` that answered it."""

    __tablename__ = "settlements"
    __table_args__ = (
        ForeignKeyConstraint(["city", "shop"], ["shops.city", "shops.id"]),
        CheckConstraint("amount_minor > 0", name="settlements_amount"),
        CheckConstraint("state IN ('asked', 'settled', 'declined', 'withdrawn')", name="settlements_state"),
        CheckConstraint("(state = 'asked') = (ended_at IS NULL)", name="settlements_ended"),
        CheckConstraint("(state = 'settled') = (entry IS NOT NULL)", name="settlements_entry"),
        Index(
            "settlements_open",
            "city",
            "shop",
            unique=True,
            sqlite_where=text("state = 'asked'"),
            postgresql_where=text("state = 'asked'"),
        ),
        Index("settlements_by_shop", "city", "shop", "asked_at"),
        Index("settlements_by_state", "city", "state", "asked_at"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    shop: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    entry: Mapped[int | None] = mapped_column(BigInteger)


@dataclass(frozen=True)
class SettlementView:
    """A request as its shop and the treasurer see it. `amount_minor` in minor units."""

    id: str
    shop: str
    shop_name_th: str
    shop_name_en: str
    amount_minor: int
    state: str
    asked_at: datetime
    ended_at: datetime | None
    entry: int | None


def spend(unit: Unit, principal: Principal, taker: str, amount_minor: int) -> Posted:
    """Move tokens of the shop that asks to another approved shop.

    Raises:
        Forbidden: the principal is no shop.
        NotFound: there is no such shop.
        ValidationFailed: the taker is the shop itself, or the amount is not positive.
        Refused: `shop_not_open` (either is not approved), `insufficient_funds`.
    """
    require(principal, "shop.spend")
    giver = _approved(unit, principal.subject or "")
    if taker == giver.id:
        raise ValidationFailed({"shop": "Choose another shop than your own."})
    to = _approved(unit, taker)
    return transfers.post(unit, "transfer", giver.account, to.account, amount_minor, actor=principal.actor())


def ask(unit: Unit, principal: Principal, amount_minor: int) -> SettlementView:
    """Ask the treasurer to settle that much of the shop's tokens.

    Raises:
        Forbidden: the principal is no shop.
        ValidationFailed: the amount is not positive.
        Refused: `shop_not_open`, `limit_reached` (`settlements`: a request is open), `insufficient_funds`.
    """
    require(principal, "settlement.ask")
    shop = _approved(unit, principal.subject or "")
    check_amount("amount_minor", amount_minor)
    if open_request(unit.session, unit.city.id, shop.id) is not None:
        raise Refused("limit_reached", "settlements", limit=1)
    available = accounts.state(unit, shop.account).available
    if amount_minor > available:
        raise Refused("insufficient_funds", account=shop.account, available_minor=available, wanted_minor=amount_minor)
    row = Settlement(
        city=unit.city.id,
        id=random_id(),
        shop=shop.id,
        amount_minor=amount_minor,
        state=ASKED,
        asked_at=unit.now,
        ended_at=None,
        entry=None,
    )
    unit.session.add(row)
    unit.session.flush()
    return _view(row, shop)


def withdraw(unit: Unit, principal: Principal, settlement_id: str) -> SettlementView:
    """The shop takes its own request back.

    Raises:
        Forbidden: the principal is not the request's shop.
        NotFound: there is no such request.
        Refused: `case_closed`: it has been answered.
    """
    row = _find(unit.session, unit.city.id, settlement_id)
    require(principal, "settlement.ask", row.shop)
    return _end(unit, row, WITHDRAWN)


def decline(unit: Unit, principal: Principal, settlement_id: str) -> SettlementView:
    """The treasurer does not settle; the shop keeps its tokens and may ask again.

    Raises:
        Forbidden: the principal is no treasurer.
        NotFound: there is no such request.
        Refused: `case_closed`: it has ended already.
    """
    require(principal, "settlement.answer")
    return _end(unit, _find(unit.session, unit.city.id, settlement_id), DECLINED)


def settle(unit: Unit, principal: Principal, settlement_id: str) -> SettlementView:
    """The treasurer takes the tokens out of circulation; one `settle` entry.

    Raises:
        Forbidden: the principal is no treasurer.
        NotFound: there is no such request.
        Refused: `case_closed`: it has ended already; `insufficient_funds`: the shop has spent its tokens meanwhile.
    """
    require(principal, "settlement.answer")
    row = _find(unit.session, unit.city.id, settlement_id)
    _check_open(row)
    shop = shops.find(unit.session, unit.city.id, row.shop)
    accounts.open_account(unit, "settled")
    actor, ref = principal.actor("settlement.answer"), {"shop": shop.id}
    posted = transfers.post(unit, "settle", shop.account, "settled", row.amount_minor, actor=actor, ref=ref)
    return _end(unit, row, SETTLED, posted.seq)


def open_request(session: Session, city: str, shop: str) -> SettlementView | None:
    """The shop's request that waits for an answer, or None."""
    query = select(Settlement).where(Settlement.city == city, Settlement.shop == shop, Settlement.state == ASKED)
    row = session.scalar(query)
    return None if row is None else _view(row, shops.find(session, city, shop))


def of_shop(session: Session, city: str, shop: str) -> list[SettlementView]:
    """A shop's latest requests, newest first, at most `RECENT_LIMIT`."""
    query = (
        select(Settlement, Shop)
        .join(Shop, (Shop.city == Settlement.city) & (Shop.id == Settlement.shop))
        .where(Settlement.city == city, Settlement.shop == shop)
        .order_by(Settlement.asked_at.desc(), Settlement.id)
        .limit(RECENT_LIMIT)
    )
    rows = [(row, its_shop) for row, its_shop in session.execute(query)]
    reversed_ones = cases.reversed_among(session, city, [row.entry for row, _ in rows if row.entry is not None])
    return [_view(row, its_shop, reversed_ones) for row, its_shop in rows]


def waiting(session: Session, city: str) -> list[SettlementView]:
    """The city's open requests, oldest first, at most `WAITING_LIMIT`; for the treasurer's page."""
    query = (
        select(Settlement, Shop)
        .join(Shop, (Shop.city == Settlement.city) & (Shop.id == Settlement.shop))
        .where(Settlement.city == city, Settlement.state == ASKED)
        .order_by(Settlement.asked_at, Settlement.id)
        .limit(WAITING_LIMIT)
    )
    return [_view(row, its_shop) for row, its_shop in session.execute(query)]


def get(session: Session, city: str, settlement_id: str) -> SettlementView:
    """One request; whoever asks has checked that the reader is its shop or may answer it.

    Raises:
        NotFound: there is no such request.
    """
    row = _find(session, city, settlement_id)
    reversed_ones = cases.reversed_among(session, city, [] if row.entry is None else [row.entry])
    return _view(row, shops.find(session, city, row.shop), reversed_ones)


def _approved(unit: Unit, shop_id: str) -> Shop:
    shop = shops.find(unit.session, unit.city.id, shop_id)
    if shop.state != APPROVED:
        raise Refused("shop_not_open", shop.state, shop=shop.id)
    return shop


def _find(session: Session, city: str, settlement_id: str) -> Settlement:
    row = session.get(Settlement, (city, settlement_id))
    if row is None:
        raise NotFound("settlement", settlement_id)
    return row


def _check_open(row: Settlement) -> None:
    if row.state != ASKED:
        raise Refused("case_closed", row.state, at=row.ended_at)


def _end(unit: Unit, row: Settlement, state: str, entry: int | None = None) -> SettlementView:
    _check_open(row)
    row.state, row.ended_at, row.entry = state, unit.now, entry
    unit.session.flush()
    return _view(row, shops.find(unit.session, unit.city.id, row.shop))


def _view(row: Settlement, shop: Shop, reversed_ones: Collection[int] = ()) -> SettlementView:
    return SettlementView(
        id=row.id,
        shop=row.shop,
        shop_name_th=shop.name_th,
        shop_name_en=shop.name_en,
        amount_minor=row.amount_minor,
        state=TAKEN_BACK if row.entry in reversed_ones else row.state,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        entry=row.entry,
    )
