"""How a log and a city's supply grew: as they stood at some moments since the first entry.

Everything comes out of institutional accounts, by look-ups of balances in the past: one for each shop and moment, and
for a handful of other accounts. What that costs depends on neither the length of the log nor the number of persons;
`LOOK_UPS` bounds it, for a city with very many shops is shown at fewer moments.

Moments are midnights of the city, or full hours while the log is young, and the present at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ledger.book.accounts import Account
from ledger.book.entries import Entry
from ledger.rows import Look
from ledger.values import to_milliseconds

MOMENTS, FEWEST = 60, 12
"""The most moments that are shown, and how many there may be at least however many shops there are."""

LOOK_UPS = 12_000
"""About how many balances are looked up at most."""

_STEPS_H = (1, 6, 24, 7 * 24, 28 * 24, 13 * 7 * 24, 364 * 24)
_MONDAY = datetime(2001, 1, 1)  # noqa: DTZ001 - steps are counted on the clock of each city
_TYPES = {"issuance": "issued", "shop": "redeemed", "settled": "redeemed", "expired": "expired"}
_TYPES |= {"bridge": "bridged", "suspense": "bridged"}
_NAMED = ("shop", "bridge", "suspense")

_SIZES = Look(
    "keys.moment, (SELECT size FROM checkpoints WHERE city = one.city AND at <= CAST(keys.moment AS BIGINT)"
    " ORDER BY at DESC, size DESC LIMIT 1) AS size",
    "(SELECT CAST(? AS TEXT) AS city) AS one",
    "moment",
)
_BALANCES = Look(
    "keys.account, CAST(keys.seq AS BIGINT) AS seq, (SELECT posted_after FROM legs WHERE city = one.city"
    " AND account = keys.account AND seq <= CAST(keys.seq AS BIGINT)"
    " ORDER BY seq DESC, line DESC, side DESC LIMIT 1) AS posted",
    "(SELECT CAST(? AS TEXT) AS city) AS one",
    "account",
    "seq",
)


@dataclass(frozen=True)
class Sample:
    """How things stood at a moment: the size of the log, and the supply in minor units."""

    at: datetime
    size: int
    issued: int
    redeemed: int
    expired: int
    bridged: int

    @property
    def circulating(self) -> int:
        """What may still be earned or spent."""
        return self.issued - self.redeemed - self.expired - self.bridged


def samples(session: Session, city: str, now: datetime, zone: ZoneInfo) -> list[Sample]:
    """How the log stood from the first entry until now, oldest first; none while it is empty.

    Args:
        session: reads.
        city: whose log.
        now: the present.
        zone: the city's.
    """
    first = session.scalar(select(Entry.at).where(Entry.city == city).order_by(Entry.seq).limit(1))
    if first is None:
        return []
    accounts = _accounts(session, city)
    most = min(MOMENTS, max(FEWEST, LOOK_UPS // (len(accounts) or 1)))
    moments = {to_milliseconds(at): at for at in _moments(first, max(now, first), zone, most)}
    found = _SIZES.find(session, [(at,) for at in moments], city)
    sizes = {int(at): int(size or 0) for at, size in found}
    sums = _sums(session, city, accounts, sorted({size - 1 for size in sizes.values()}))
    return [Sample(at, sizes[key], **sums[sizes[key] - 1]) for key, at in moments.items()]


def _moments(first: datetime, now: datetime, zone: ZoneInfo, most: int) -> Iterator[datetime]:
    """Moments of one step on the city's clock, the first of them before `first`, and `now`."""
    begin, end = (at.astimezone(zone).replace(tzinfo=None) for at in (first, now))
    hours = (end - begin) / timedelta(hours=1)
    step = timedelta(hours=next((step for step in _STEPS_H if hours / step <= most - 2), _STEPS_H[-1]))
    at = begin - ((begin - _MONDAY) % step or step)
    while at < end:
        yield at.replace(tzinfo=zone).astimezone(now.tzinfo)
        at += step
    yield now


def _accounts(session: Session, city: str) -> list[str]:
    """The accounts that the supply is made of, those that anything ever happened to."""
    named = [(Account.path > f"{kind}:") & (Account.path < f"{kind};") for kind in _NAMED]
    single = Account.path.in_([kind for kind in _TYPES if kind not in _NAMED])
    query = select(Account.path).where(Account.city == city, or_(single, *named), Account.version > 0)
    return list(session.scalars(query))


def _sums(session: Session, city: str, accounts: Sequence[str], seqs: Sequence[int]) -> dict[int, dict[str, int]]:
    """The supply after each of some entries."""
    sums = {seq: dict.fromkeys(("issued", "redeemed", "expired", "bridged"), 0) for seq in seqs}
    keys = [(account, seq) for account in accounts for seq in seqs]
    for account, seq, posted in _BALANCES.find(session, keys, city):
        kind = account.partition(":")[0]
        sums[int(seq)][_TYPES[kind]] += int(posted or 0) * (-1 if kind == "issuance" else 1)
    return sums
