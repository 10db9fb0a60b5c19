"""What learner and shop see of redemptions: one at a time, a learner's own, a shop's day.

Lists run backwards by the seq of the hold, which is their cursor, so that every page costs one index range. A shop's
day is the calendar day of the city's zone in which it confirmed; what was refunded of that day's sales, whenever,
is taken off that day.

A shop's list of pending redemptions bears neither id nor code: either comes from the learner's phone, and
confirming without the learner there would be too easy otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ledger.book import cities, seal
from ledger.book.cases import CAPTURED, Case, CaseState
from ledger.book.entries import Entry
from ledger.commerce.shops import Shop
from ledger.commerce.standing import (
    MAX_HOLD,
    Redemption,
    is_pending,
    oldest_pending_seq,
    state_of,
    with_case,
)

RECENT_LIMIT = 50


@dataclass(frozen=True)
class RedemptionView:
    """A redemption as its learner, its shop and stewards see it. Amounts in minor units.

    Attributes:
        secret: names the redemption, and its city by the first two characters, in the path of the QR.
        amount_minor: what was reserved; `moved_minor` is what the shop took of it, `refunded_minor` what came back.
        state: pending, confirmed, cancelled, expired, or refunded where everything came back.
        ended_at: when the reservation ended, by confirmation, cancellation or expiry.
        entry: the seq of the hold; `ended_entry` that of the entry that ended it, `refund_entries` the refunds'.
    """

    id: str
    code: str
    secret: str
    promotion: str
    title_th: str
    title_en: str
    benefit_th: str
    benefit_en: str
    shop: str
    shop_name_th: str
    shop_name_en: str
    amount_minor: int
    moved_minor: int
    refunded_minor: int
    state: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    entry: int
    ended_entry: int | None
    refund_entries: tuple[int, ...]

    @property
    def confirmed_at(self) -> datetime | None:
        """When the shop confirmed, or None."""
        return self.ended_at if self.state in ("confirmed", "refunded") else None


@dataclass(frozen=True)
class PendingLine:
    """A redemption that a shop may expect to be shown before `expires_at`."""

    promotion: str
    title_th: str
    title_en: str
    amount_minor: int
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Till:
    """A shop's day. `total_minor` is what stays: moved less refunded."""

    day: date
    count: int
    moved_minor: int
    refunded_minor: int
    pending: tuple[PendingLine, ...]
    recent: tuple[RedemptionView, ...]

    @property
    def total_minor(self) -> int:
        """What the shop has got from the day's redemptions."""
        return self.moved_minor - self.refunded_minor


@dataclass(frozen=True)
class RedemptionPage:
    """Some redemptions, newest first, and the cursor of the next page, None on the last."""

    items: tuple[RedemptionView, ...]
    next: int | None


def view(
    session: Session,
    redemption: Redemption,
    case: CaseState | Case,
    now: datetime,
    *,
    refunded_by: Sequence[int] = (),
) -> RedemptionView:
    """One redemption. `refunded_by` are refunds that the running command has appended and SQL cannot see yet."""
    shop = session.get_one(Shop, (redemption.city, redemption.shop))
    before: Sequence[int] = ()
    if case.refunded_minor:
        before = _refunds(session, redemption.city, [redemption.case_seq]).get(redemption.case_seq, ())
    return _view(redemption, case, shop, (*before, *refunded_by), now)


def of_learner(
    session: Session, city: str, learner: str, now: datetime, *, cursor: int | None = None, limit: int = RECENT_LIMIT
) -> RedemptionPage:
    """A learner's redemptions, newest first."""
    return _page(session, city, _newest(city, cursor).where(Redemption.learner == learner), now, limit)


def of_shop(
    session: Session, city: str, shop: str, now: datetime, *, cursor: int | None = None, limit: int = RECENT_LIMIT
) -> RedemptionPage:
    """What a shop has confirmed, newest first, the refunded included."""
    query = _newest(city, cursor).where(Redemption.shop == shop, Case.state == CAPTURED)
    return _page(session, city, query, now, limit)


def till(session: Session, city: str, shop: str, now: datetime) -> Till:
    """A shop's day up to `now`: its sum, what is pending, and the latest confirmations."""
    zone = ZoneInfo(cities.get(session, city).zone)
    day = now.astimezone(zone).date()
    begin = datetime.combine(day, time(), zone)
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    # A confirmation follows its hold by less than MAX_HOLD, so that the range of seqs below covers the day.
    first = seal.last_seq_at(session, city, begin - MAX_HOLD)
    count, moved, refunded = session.execute(
        select(func.count(), func.sum(Case.moved_minor), func.sum(Case.refunded_minor))
        .select_from(Redemption)
        .join(Case, with_case())
        .where(Redemption.city == city, Redemption.shop == shop, Redemption.case_seq > first)
        .where(Case.state == CAPTURED, Case.ended_at >= begin, Case.ended_at < end)
    ).one()
    return Till(
        day=day,
        count=count,
        moved_minor=int(moved or 0),
        refunded_minor=int(refunded or 0),
        pending=_pending(session, city, shop, now),
        recent=of_shop(session, city, shop, now).items,
    )


def last_refund(session: Session, redemption: Redemption) -> tuple[int, datetime]:
    """The seq and the time of the latest refund of a redemption that has one."""
    query = (
        select(Entry.seq, Entry.at)
        .where(Entry.city == redemption.city, Entry.origin == redemption.case_seq, Entry.kind == "refund")
        .order_by(Entry.seq.desc())
        .limit(1)
    )
    seq, at = session.execute(query).one()
    return seq, at


def _pending(session: Session, city: str, shop: str, now: datetime) -> tuple[PendingLine, ...]:
    query = (
        select(Redemption)
        .join(Case, with_case())
        .where(Redemption.city == city, Redemption.shop == shop, is_pending(now))
        .where(Redemption.case_seq > oldest_pending_seq(session, city, now))
        .order_by(Redemption.case_seq.desc())
        .limit(RECENT_LIMIT)
    )
    return tuple(
        PendingLine(
            promotion=row.promotion,
            title_th=row.offer["title_th"],
            title_en=row.offer["title_en"],
            amount_minor=row.amount_minor,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
        for row in session.scalars(query)
    )


def _newest(city: str, cursor: int | None) -> Select[Redemption, Case, Shop]:
    query = (
        select(Redemption, Case, Shop)
        .join(Case, with_case())
        .join(Shop, (Shop.city == Redemption.city) & (Shop.id == Redemption.shop))
        .where(Redemption.city == city)
        .order_by(Redemption.case_seq.desc())
    )
    return query if cursor is None else query.where(Redemption.case_seq < cursor)


def _page(
    session: Session, city: str, query: Select[Redemption, Case, Shop], now: datetime, limit: int
) -> RedemptionPage:
    rows = session.execute(query.limit(limit + 1)).all()
    shown = rows[:limit]
    refunds = _refunds(session, city, [case.seq for _, case, _ in shown if case.refunded_minor])
    items = tuple(_view(redemption, case, shop, refunds.get(case.seq, ()), now) for redemption, case, shop in shown)
    return RedemptionPage(items, shown[-1][1].seq if len(rows) > limit else None)


def _refunds(session: Session, city: str, seqs: Sequence[int]) -> dict[int, list[int]]:
    """The refund entries of each case, in order."""
    found: dict[int, list[int]] = {}
    if seqs:
        query = (
            select(Entry.origin, Entry.seq)
            .where(Entry.city == city, Entry.origin.in_(seqs), Entry.kind == "refund")
            .order_by(Entry.seq)
        )
        for origin, seq in session.execute(query):
            found.setdefault(origin or 0, []).append(seq)
    return found


def _view(
    redemption: Redemption, case: CaseState | Case, shop: Shop, refunds: Sequence[int], now: datetime
) -> RedemptionView:
    state = state_of(case, now)
    return RedemptionView(
        id=redemption.id,
        code=redemption.code,
        secret=redemption.secret,
        promotion=redemption.promotion,
        title_th=redemption.offer["title_th"],
        title_en=redemption.offer["title_en"],
        benefit_th=redemption.offer["benefit_th"],
        benefit_en=redemption.offer["benefit_en"],
        shop=redemption.shop,
        shop_name_th=shop.name_th,
        shop_name_en=shop.name_en,
        amount_minor=redemption.amount_minor,
        moved_minor=case.moved_minor,
        refunded_minor=case.refunded_minor,
        state=state,
        created_at=redemption.created_at,
        expires_at=redemption.expires_at,
        ended_at=redemption.expires_at if state == "expired" else case.ended_at,
        entry=redemption.case_seq,
        ended_entry=case.ended_by,
        refund_entries=tuple(refunds),
    )
