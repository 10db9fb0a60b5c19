"""Where tokens went: from the city to activities, through the learners, to shops. No person is looked at.

What an institution exchanged with persons is what its balance does not owe to other institutions, so that it follows
from the balances and from the few entries that move between institutions (an index holds them). What that costs
depends on the number of institutions and of those entries, not on check-ins, purchases or persons.

A log only grows, so a process remembers what those entries came to, and reads the later ones alone. It remembers it
with the checkpoint of the log that it read, which is a signature over all leaves: a log that does not bear that, being
an older copy or another history, is read from its beginning. Whether the stored leaves are still those is what the
audit finds out, which reads every one of them and takes nothing from here.

The figures are those of the verifier: an activity's rewards net of what was reversed, a shop's sales net of refunds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Select, or_, select, text
from sqlalchemy.orm import Session

from ledger.book import entries
from ledger.book.accounts import Account
from ledger.book.entries import BETWEEN_INSTITUTIONS, PAGE
from ledger.book.seal import SignedCheckpoint

Pair = tuple[str, str]

LEAVES = text(f"SELECT leaf FROM entries WHERE city = :city AND {BETWEEN_INSTITUTIONS} AND seq >= :start")  # noqa: S608
"""What tells of each movement between institutions: the public leaves name both sides of a posting."""

MOST_CITIES = 64
"""Of how many cities it is remembered what was read: some kilobytes of each, by the number of its institutions."""


@dataclass(frozen=True)
class Flows:
    """What moved since the first entry, in minor units.

    Attributes:
        between: from one type of institution to another, as moved: `("treasury", "budget")`.
        earned: by activity, what its budget gave to learners, net of what was reversed.
        taken: by shop, what it took from learners, net of refunds and reversals.
        given: what the treasury gave to learners directly.
        expired, bridged: what lapsed, and what left learners for a chain, net of what came back.
        settled: what was paid out to shops.
    """

    between: Mapping[Pair, int]
    earned: Mapping[str, int]
    taken: Mapping[str, int]
    given: int
    expired: int
    bridged: int

    @property
    def settled(self) -> int:
        """What was paid out to shops outside the ledger, net of what was reversed."""
        return self.between.get(("shop", "settled"), 0) - self.between.get(("settled", "shop"), 0)

    @property
    def funded(self) -> int:
        """What activities were given by treasury and sponsors, net of what they gave back."""
        into = sum(self.between.get((kind, "budget"), 0) for kind in ("treasury", "sponsor"))
        return into - sum(self.between.get(("budget", kind), 0) for kind in ("treasury", "sponsor"))

    @property
    def received(self) -> int:
        """What learners received."""
        return sum(self.earned.values()) + self.given

    @property
    def spent(self) -> int:
        """What learners spent at shops."""
        return sum(self.taken.values())

    @property
    def with_learners(self) -> int:
        """What learners hold."""
        return self.received - self.spent - self.expired - self.bridged


@dataclass(frozen=True)
class Holding:
    """What an institutional account holds, minor units."""

    account: str
    posted_minor: int


@dataclass(frozen=True)
class _Read:
    """What the movements between institutions come to in a log of `size` entries that bears the checkpoint `note`.

    Attributes:
        owed: by account, what it has of other institutions, less what it gave them.
    """

    size: int = 0
    note: str = ""
    between: Mapping[Pair, int] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)


_READ: dict[str, _Read] = {}
"""What this process read last, by city."""


def flows(session: Session, city: str) -> Flows:
    """What moved in a city so far: out of its institutions' balances, and of the entries between them."""
    read = _so_far(session, city)
    by_type: dict[str, dict[str, int]] = defaultdict(dict)
    for account, posted in session.execute(_institutions(city)):
        kind, _, identifier = account.partition(":")
        by_type[kind][identifier] = posted - read.owed.get(account, 0)
    total = {kind: sum(found.values()) for kind, found in by_type.items()}
    return Flows(
        between=read.between,
        earned={name: -amount for name, amount in by_type["budget"].items() if amount},
        taken={name: amount for name, amount in by_type["shop"].items() if amount},
        given=-total.get("treasury", 0),
        expired=total.get("expired", 0),
        bridged=total.get("bridge", 0) + total.get("suspense", 0),
    )


def _so_far(session: Session, city: str) -> _Read:
    """What moved between institutions up to now, by what was read before and the entries since."""
    size, before = entries.size(session, city), _READ.get(city, _Read())
    signed = select(SignedCheckpoint.size, SignedCheckpoint.note).where(SignedCheckpoint.city == city)
    notes = dict(session.execute(signed.where(SignedCheckpoint.size.in_((before.size, size)))).all())
    if before.size > size or notes.get(before.size) != before.note:
        before = _Read()
    elif before.size == size:
        return before
    between, owed, is_whole = defaultdict(int, before.between), defaultdict(int, before.owed), True
    asked = {"city": city, "start": before.size}
    for leaf in session.scalars(LEAVES, asked, execution_options={"yield_per": PAGE}):
        moved = _movements(leaf)
        is_whole = is_whole and moved is not None
        for giver, taker, amount in moved or ():
            between[giver.partition(":")[0], taker.partition(":")[0]] += amount
            owed[giver] -= amount
            owed[taker] += amount
    read = _Read(size, notes.get(size, ""), dict(between), dict(owed))
    if is_whole and read.note:
        _READ[city] = read
        for earlier in list(_READ)[:-MOST_CITIES]:  # of a copy: other requests are at work here, too
            _READ.pop(earlier, None)
    return read


def _movements(leaf: bytes) -> list[tuple[str, str, int]] | None:
    """The postings of a leaf between institutions; None where it was made unreadable, which the audit finds."""
    try:
        told = [(str(one["from"]), str(one["to"]), int(one["amount"])) for one in json.loads(leaf)["postings"]]
    except (ValueError, LookupError, TypeError):
        return None
    return [one for one in told if not (one[0].startswith("learner:") or one[1].startswith("learner:"))]


def largest(session: Session, city: str, limit: int) -> list[Holding]:
    """The institutional accounts that hold most, largest first."""
    query = _institutions(city).where(Account.path != "issuance", Account.posted > 0)
    rows = session.execute(query.order_by(Account.posted.desc(), Account.path).limit(limit))
    return [Holding(account, posted) for account, posted in rows]


def _institutions(city: str) -> Select[str, int]:
    """Every institutional account with its balance, found by two ranges of the key."""
    elsewhere = or_(Account.path < "learner:", Account.path >= "learner;")
    return select(Account.path, Account.posted).where(Account.city == city, elsewhere)
