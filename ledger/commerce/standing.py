"""How redemptions stand: their table, the state that follows from the book, and what they take from a promotion.

A redemption is a promise bound to one learner, one shop and one amount. What has become of it is written once, in
the case that its hold began; here it is only read off, together with the clock:

    case held      → pending, or expired from `expires_at` on
    case captured  → confirmed, or refunded once all that moved has gone back
    case released  → cancelled
    case expired   → expired

A unit of stock is taken while a redemption is pending or confirmed; cancellation, expiry and a full refund give it
back. The same count serves the limit per learner.

`offer` keeps the words that the learner agreed to, so that a receipt never changes with the promotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    and_,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import seal
from ledger.book.cases import CAPTURED, HELD, RELEASED, Case, CaseState
from ledger.db import Base, Instant, Json

PENDING, CONFIRMED, CANCELLED, REFUNDED, EXPIRED = "pending", "confirmed", "cancelled", "refunded", "expired"
"""The states of a redemption."""

MAX_HOLD = timedelta(days=1)
"""No reservation lasts longer, whatever the city's settings say; hence the pending ones are all recent."""


class Redemption(Base):
    """One reservation of a promotion. `case_seq` is the seq of its hold; `code` is what the learner tells the shop."""

    __tablename__ = "redemptions"
    __table_args__ = (
        ForeignKeyConstraint(["city", "promotion"], ["promotions.city", "promotions.id"]),
        ForeignKeyConstraint(["city", "shop"], ["shops.city", "shops.id"]),
        UniqueConstraint("city", "case_seq", name="redemptions_case"),
        UniqueConstraint("city", "secret", name="redemptions_secret"),
        CheckConstraint("amount_minor > 0", name="redemptions_amount"),
        CheckConstraint("expires_at > created_at", name="redemptions_times"),
        CheckConstraint("length(code) = 6", name="redemptions_code"),
        Index("redemptions_by_code", "city", "shop", "code", "case_seq"),
        Index("redemptions_by_shop", "city", "shop", "case_seq"),
        Index("redemptions_by_learner", "city", "learner", "case_seq"),
        Index("redemptions_by_promotion", "city", "promotion", "learner"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    promotion: Mapped[str] = mapped_column(Text)
    shop: Mapped[str] = mapped_column(Text)
    learner: Mapped[str] = mapped_column(Text)
    case_seq: Mapped[int] = mapped_column(BigInteger)
    code: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    offer: Mapped[dict[str, str]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


def state_of(case: CaseState | Case, now: datetime) -> str:
    """The state of a redemption whose case stands like this at the instant `now`."""
    if case.state == HELD:
        return EXPIRED if case.expires_at is not None and case.expires_at <= now else PENDING
    if case.state == CAPTURED:
        return REFUNDED if case.refunded_minor == case.moved_minor else CONFIRMED
    return CANCELLED if case.state == RELEASED else EXPIRED


def with_case() -> ColumnElement[bool]:
    """The condition that joins a redemption to its case."""
    return and_(Case.city == Redemption.city, Case.seq == Redemption.case_seq)


def is_pending(now: datetime) -> ColumnElement[bool]:
    """The condition under which a case is that of a pending redemption."""
    return and_(Case.state == HELD, Case.expires_at > now)


def takes_stock(now: datetime) -> ColumnElement[bool]:
    """The condition under which a case is that of a redemption that takes a unit of stock."""
    return or_(is_pending(now), and_(Case.state == CAPTURED, Case.refunded_minor < Case.moved_minor))


def taken(
    session: Session, city: str, promotions: Sequence[str], now: datetime, learner: str | None = None
) -> dict[str, int]:
    """How many units of each promotion are taken, by everybody or by one learner; absent means none."""
    if not promotions:
        return {}
    query = (
        select(Redemption.promotion, func.count())
        .join(Case, with_case())
        .where(Redemption.city == city, Redemption.promotion.in_(promotions), takes_stock(now))
        .group_by(Redemption.promotion)
    )
    if learner is not None:
        query = query.where(Redemption.learner == learner)
    return {row[0]: row[1] for row in session.execute(query)}


def pending_count(session: Session, city: str, learner: str, now: datetime) -> int:
    """How many redemptions of a learner are pending; reads only those of the last `MAX_HOLD`."""
    query = (
        select(func.count())
        .select_from(Redemption)
        .join(Case, with_case())
        .where(
            Redemption.city == city,
            Redemption.learner == learner,
            Redemption.case_seq > oldest_pending_seq(session, city, now),
            is_pending(now),
        )
    )
    return session.scalar(query) or 0


def oldest_pending_seq(session: Session, city: str, now: datetime) -> int:
    """Every hold that may still be open has a greater seq than this one."""
    return seal.last_seq_at(session, city, now - MAX_HOLD)
