"""Badges: for which activities there is one, and whose wallet has which.

A badge is public for good: it says that the owner of a wallet took part. So it is made only when the learner asks for
it, after having linked a wallet, and never by itself. One command appends the `badge` entry, keeps the row and stages
the transaction that mints it; the token's id is the seq of the entry and its content the entry's leaf hash, so that one
entry is one badge at most, whatever is sent how often. The entry names the activity and nobody.

Who took part in what is known to others (`ledger.city.badging` puts it together) and is not judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Text, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import journal
from ledger.book.unit import Unit
from ledger.chain import wallets
from ledger.chain.artifacts import artifact
from ledger.chain.lists import Outbox
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused

PURPOSE = "badge"


class BadgeOffer(Base):
    """An activity that awards a badge."""

    __tablename__ = "badge_offers"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    activity: Mapped[str] = mapped_column(Text, primary_key=True)
    offered_at: Mapped[datetime] = mapped_column(Instant)


class Badge(Base):
    """A badge that was awarded by entry `seq`; `learner` is empty for somebody who was erased."""

    __tablename__ = "badges"
    __table_args__ = (UniqueConstraint("city", "activity", "learner", name="badges_once"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    activity: Mapped[str] = mapped_column(Text)
    learner: Mapped[str | None] = mapped_column(Text)
    wallet: Mapped[str] = mapped_column(Text)
    awarded_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True)
class BadgeView:
    """A badge as its owner sees it; it is named by `seq`."""

    seq: int
    activity: str
    wallet: str
    awarded_at: datetime


def offer(unit: Unit, activity: str) -> None:
    """Let an activity award a badge from now on, also to those who have taken part already."""
    unit.session.merge(BadgeOffer(city=unit.city.id, activity=activity, offered_at=unit.now))


def withdraw(unit: Unit, activity: str) -> None:
    """Award no more badges for an activity; those that were awarded stay."""
    found = unit.session.get(BadgeOffer, (unit.city.id, activity))
    if found is not None:
        unit.session.delete(found)


def offered(session: Session, city: str) -> set[str]:
    """The activities that award a badge."""
    return set(session.scalars(select(BadgeOffer.activity).where(BadgeOffer.city == city)))


def award(unit: Unit, learner: str, activity: str, contract: str, outbox: Outbox) -> BadgeView:
    """Award the badge of an activity to the linked wallet of a learner who took part; once.

    Raises:
        NotFound: the activity awards none.
        Refused: `wallet_missing`; `limit_reached` (`badge`): the learner has it already.
    """
    session, city = unit.session, unit.city.id
    if session.get(BadgeOffer, (city, activity)) is None:
        raise NotFound("badge", activity)
    wallet = wallets.linked(session, city, learner)
    own = (Badge.city == city, Badge.activity == activity, Badge.learner == learner)
    if session.scalar(select(Badge.seq).where(*own)) is not None:
        raise Refused("limit_reached", "badge", limit=1)
    posted = journal.append(unit, "badge", actor="learner", ref={"activity": activity})
    leaf_hash = unit.leaf_hashes[posted.seq - unit.base_size]
    made = Badge(
        city=city, seq=posted.seq, activity=activity, learner=learner, wallet=wallet, awarded_at=posted.at
    )  # fmt: skip
    session.add(made)
    data = artifact("KgoBadge").call_data("award", wallet, posted.seq, leaf_hash)
    outbox(unit, key=key(posted.seq), role="proposer", to=contract, data=data)
    return _view(made)


def key(seq: int) -> str:
    """By what the outbox knows the minting of the badge that entry `seq` awarded."""
    return f"award {seq}"


def of_learner(session: Session, city: str, learner: str) -> list[BadgeView]:
    """A learner's badges, the newest first."""
    query = select(Badge).where(Badge.city == city, Badge.learner == learner).order_by(Badge.seq.desc())
    return [_view(one) for one in session.scalars(query)]


def activity_of(session: Session, city: str, seq: int) -> str:
    """The activity whose badge entry `seq` awarded.

    Raises:
        NotFound: it awarded none.
    """
    found = session.get(Badge, (city, seq))
    if found is None:
        raise NotFound("badge", seq)
    return found.activity


def forget(unit: Unit, learner: str) -> None:
    """Forget whose badges some were, as part of an erasure; what stands on the chain stays there."""
    unit.session.execute(
        update(Badge).where(Badge.city == unit.city.id, Badge.learner == learner).values(learner=None)
    )  # fmt: skip


def _view(row: Badge) -> BadgeView:
    return BadgeView(row.seq, row.activity, row.wallet, row.awarded_at)
