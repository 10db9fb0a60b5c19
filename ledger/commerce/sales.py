"""What a shop has sold over a stretch of days, for its own eyes: sums by hour or by day, and by promotion.

A sale belongs to the hour and the day of the city's zone in which it was confirmed, and a refund, whenever it came,
is taken off the sale's own, as on the till (`receipts.till`). The database adds up quarters of an hour, which every
zone's days are made of; the calendar is applied here.

Bounds: `MAX_DAYS` days, hence at most `96 * MAX_DAYS` rows are read however much was sold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Select, func, select, type_coerce
from sqlalchemy.orm import Session

from ledger.book import cities, seal
from ledger.book.cases import CAPTURED, Case
from ledger.commerce.promotions import Promotion
from ledger.commerce.standing import MAX_HOLD, Redemption, with_case
from ledger.values import from_milliseconds

MAX_DAYS = 366
TOP = 10
_QUARTER_MS = 15 * 60 * 1000


@dataclass(frozen=True)
class Sum:
    """Sales of an hour, a day or longer. `total_minor` is what stays: moved less refunded."""

    count: int = 0
    moved_minor: int = 0
    refunded_minor: int = 0

    @property
    def total_minor(self) -> int:
        """What the shop has got of it."""
        return self.moved_minor - self.refunded_minor

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.count + other.count,
            self.moved_minor + other.moved_minor,
            self.refunded_minor + other.refunded_minor,
        )


@dataclass(frozen=True)
class PromotionSum:
    """What one promotion sold, with its words of today."""

    promotion: str
    title_th: str
    title_en: str
    sold: Sum


@dataclass(frozen=True)
class Sales:
    """A shop's sales from the day `first` to the day `last`, both included.

    Attributes:
        days: every day in order, those without a sale included.
        hours: the same sales by the hour of the day, 24 of them.
        promotions: the `TOP` that brought in most, largest first.
    """

    first: date
    last: date
    days: tuple[tuple[date, Sum], ...]
    hours: tuple[Sum, ...]
    promotions: tuple[PromotionSum, ...]

    @property
    def total(self) -> Sum:
        """Everything together."""
        return sum((one for _, one in self.days), Sum())


def of(session: Session, city: str, shop: str, first: date, last: date) -> Sales:
    """A shop's sales over some days of the city's calendar.

    Raises:
        ValueError: the days are in the wrong order, or more than `MAX_DAYS`.
    """
    count = (last - first).days + 1
    if not 1 <= count <= MAX_DAYS:
        raise ValueError("give 1 to MAX_DAYS days in order")
    zone = ZoneInfo(cities.get(session, city).zone)
    begin, end = _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    days = {first + timedelta(days=offset): Sum() for offset in range(count)}
    hours = [Sum()] * 24
    quarter = (type_coerce(Case.ended_at, BigInteger) // _QUARTER_MS).label("quarter")
    for row in session.execute(_sold(session, city, shop, begin, end, quarter).group_by(quarter)):
        at = from_milliseconds(int(row[0]) * _QUARTER_MS).astimezone(zone)
        days[at.date()] += _sum(row)
        hours[at.hour] += _sum(row)
    return Sales(first, last, tuple(days.items()), tuple(hours), _top(session, city, shop, begin, end))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _sold(session: Session, city: str, shop: str, begin: datetime, end: datetime, *by: Any) -> Select[Any]:
    """Confirmed redemptions of the span, summed up by some columns."""
    # A confirmation follows its hold by less than MAX_HOLD, so that the range of seqs below covers the span.
    first = seal.last_seq_at(session, city, begin - MAX_HOLD)
    return (
        select(*by, func.count(), func.sum(Case.moved_minor), func.sum(Case.refunded_minor))
        .select_from(Redemption)
        .join(Case, with_case())
        .where(Redemption.city == city, Redemption.shop == shop, Redemption.case_seq > first)
        .where(Case.state == CAPTURED, Case.ended_at >= begin, Case.ended_at < end)
    )


def _top(session: Session, city: str, shop: str, begin: datetime, end: datetime) -> tuple[PromotionSum, ...]:
    by = Promotion.id, Promotion.title_th, Promotion.title_en
    query = (
        _sold(session, city, shop, begin, end, *by)
        .join(Promotion, (Promotion.city == Redemption.city) & (Promotion.id == Redemption.promotion))
        .group_by(*by)
    )
    found = [PromotionSum(row[0], row[1], row[2], _sum(row)) for row in session.execute(query)]
    return tuple(sorted(found, key=lambda one: (-one.sold.total_minor, one.promotion))[:TOP])


def _sum(row: Sequence[Any]) -> Sum:
    count, moved, refunded = row[-3:]
    return Sum(int(count), int(moved), int(refunded))
