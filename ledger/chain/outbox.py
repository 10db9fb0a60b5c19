"""Calls that the ledger wishes for, until the chain has settled them: what is asked, what was signed, what came of it.

    queued ── signed, nonce taken, stored ──▶ sent ── final, succeeded ──▶ done
      │  ▲                                     │ └──── final, failed ─────▶ reverted
      │  └── the nonce went to somebody else ──┘
      └── the contract refuses for good ──────────────────────────────────▶ reverted

Whoever wants something of a contract calls `wish` in the transaction in which the reason for it arises; nothing is
asked of a node there. A wish is known by city, purpose and key, and is queued once. `ledger.chain.sender` carries
wishes out. Since a chain can be told the same thing twice (by another process, or by an operator), a wish has to be
one that the contract itself does not obey twice.

A nonce is taken in the transaction that stores the signed bytes which use it: none is ever left without bytes to
send, and nothing is sent that is not stored. Attempts are never changed or removed; each of a nonce may be the one
that is mined. Keys are not kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.chain.artifacts import Name
from ledger.chain.errors import ChainError
from ledger.db import Base, Instant, Json

Role = Literal["admin", "proposer", "guardian", "anchorer", "pauser", "relayer"]
"""The roles of the contract, and who pays the gas for what anybody may send."""

State = Literal["queued", "sent", "done", "reverted"]

QUEUED: State = "queued"
SENT: State = "sent"
DONE: State = "done"
REVERTED: State = "reverted"

_OPEN = text("ended_at IS NULL")


class ChainCall(Base):
    """A wished call and what became of it.

    Attributes:
        city: whose wish it is.
        purpose: what it is for: `anchor`, `propose` …
        key: unique within the purpose.
        chain_id: of the chain that is to obey.
        role: whose key signs it.
        contract: the contract's name, by which its errors are understood.
        address: the contract's address; None to deploy it.
        data: call data or creation code.
        state: see the module.
        sender: address of who signed it.
        nonce: the sender's nonce that it uses, while it has one.
        lost_at: the final block at which its nonce was first seen used by no attempt that is known.
        refused_at: the block at which the contract was first seen to refuse it, while it does.
        reason: the name of the contract's error, or what keeps the call from being sent.
        params: the error's arguments, as text.
        transaction: the hash of the transaction that settled it.
        block_number: the block of that.
        deployed: the address of what it deployed.
        queued_at: when it was wished for.
        ended_at: when it was seen to be settled.
    """

    __tablename__ = "chain_calls"
    __table_args__ = (
        UniqueConstraint("city", "chain_id", "sender", "nonce", name="chain_calls_nonce"),
        CheckConstraint("state IN ('queued', 'sent', 'done', 'reverted')", name="chain_calls_state"),
        CheckConstraint("(state IN ('queued', 'sent')) = (ended_at IS NULL)", name="chain_calls_ended"),
        CheckConstraint("state <> 'queued' OR nonce IS NULL", name="chain_calls_queued"),
        CheckConstraint("state NOT IN ('sent', 'done') OR nonce IS NOT NULL", name="chain_calls_sent"),
        Index("chain_calls_open", "city", "queued_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str] = mapped_column(Text)
    contract: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text)
    sender: Mapped[str | None] = mapped_column(Text)
    nonce: Mapped[int | None] = mapped_column(BigInteger)
    lost_at: Mapped[int | None] = mapped_column(BigInteger)
    refused_at: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    params: Mapped[dict[str, Any] | None] = mapped_column(Json)
    transaction: Mapped[str | None] = mapped_column(Text)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    deployed: Mapped[str | None] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class ChainAttempt(Base):
    """A signed transaction, stored before anybody heard of it; written once.

    `number` counts the attempts with one nonce; `most` and `tip` are what it offers, in wei per unit of gas.
    """

    __tablename__ = "chain_attempts"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sender: Mapped[str] = mapped_column(Text, primary_key=True)
    nonce: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hash: Mapped[str] = mapped_column(Text)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    gas: Mapped[int] = mapped_column(BigInteger)
    most: Mapped[int] = mapped_column(BigInteger)
    tip: Mapped[int | None] = mapped_column(BigInteger)
    signed_at: Mapped[datetime] = mapped_column(Instant)


class ChainNonce(Base):
    """The nonce that a sender uses next. Whoever holds the row allots it; one sender serves one city."""

    __tablename__ = "chain_nonces"
    __table_args__ = (CheckConstraint("next >= 0", name="chain_nonces_next"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sender: Mapped[str] = mapped_column(Text, primary_key=True)
    next: Mapped[int] = mapped_column(BigInteger)


class WishConflict(ChainError):
    """Something else was wished for under the same purpose and key."""

    code = "chain_wish_conflict"


@dataclass(frozen=True)
class Wish:
    """A call that somebody wishes for; the members are those of `ChainCall`."""

    purpose: str
    key: str
    chain_id: int
    role: Role
    contract: Name
    address: str | None
    data: bytes


@dataclass(frozen=True)
class Call:
    """A wish and what became of it; the members are those of `ChainCall`."""

    wish: Wish
    state: State
    reason: str | None
    params: dict[str, Any] | None
    transaction: str | None
    block_number: int | None
    deployed: str | None
    queued_at: datetime
    ended_at: datetime | None
    sender: str | None
    nonce: int | None
    lost_at: int | None
    refused_at: int | None


def wish(session: Session, city: str, wanted: Wish, now: datetime) -> bool:
    """Queue a call, once; whether it was not queued before. Does not commit.

    Raises:
        WishConflict: another call was wished for under this purpose and key.
        sqlalchemy.exc.IntegrityError: somebody else wishes for it at this very moment, in another transaction.
    """
    known = find(session, city, wanted.purpose, wanted.key)
    if known is None:
        session.add(ChainCall(city=city, **vars(wanted), state=QUEUED, queued_at=now))
        session.flush()
        return True
    if known.wish != wanted:
        raise WishConflict(city=city, purpose=wanted.purpose, key=wanted.key)
    return False


@dataclass(frozen=True)
class Staging:
    """Queues calls of one purpose out of a command of the city's writer, in its transaction.

    Attributes:
        purpose: what the calls are for.
        chain_id: of the chain.
        contract: whose calls they are.
    """

    purpose: str
    chain_id: int
    contract: Name = "KgoToken"

    def __call__(self, unit: Unit, *, key: str, role: str, to: str, data: bytes) -> None:
        """Queue a call, once; see `wish`."""
        wanted = Wish(self.purpose, key, self.chain_id, cast("Role", role), self.contract, to, data)
        wish(unit.session, unit.city.id, wanted, unit.now)


def find(session: Session, city: str, purpose: str, key: str) -> Call | None:
    """A wish and what became of it; None if nobody wished for it."""
    row = session.get(ChainCall, (city, purpose, key))
    return view(row) if row else None


def get(session: Session, city: str, purpose: str, key: str) -> Call:
    """A wish that there is, and what became of it; sqlalchemy.exc.NoResultFound if there is none."""
    return view(session.get_one(ChainCall, (city, purpose, key)))


def open_(session: Session, city: str, purpose: str | None = None) -> list[Call]:
    """The wishes of a city that are not settled yet, of one purpose or all, the oldest first."""
    query = select(ChainCall).where(ChainCall.city == city, ChainCall.ended_at.is_(None))
    if purpose is not None:
        query = query.where(ChainCall.purpose == purpose)
    return [view(row) for row in session.scalars(query.order_by(ChainCall.queued_at, ChainCall.purpose, ChainCall.key))]


def settled(session: Session, city: str, purpose: str, limit: int = 100) -> list[Call]:
    """The wishes of one purpose that are settled, the newest first."""
    query = select(ChainCall).where(
        ChainCall.city == city, ChainCall.purpose == purpose, ChainCall.ended_at.is_not(None)
    )
    rows = session.scalars(query.order_by(ChainCall.ended_at.desc(), ChainCall.key).limit(limit))
    return [view(row) for row in rows]


def count(session: Session, city: str, purpose: str, state: State) -> int:
    """How many wishes of one purpose are in a state."""
    wanted = (ChainCall.city == city, ChainCall.purpose == purpose, ChainCall.state == state)
    return session.scalar(select(func.count()).where(*wanted)) or 0


def open_counts(session: Session) -> dict[str, dict[State, int]]:
    """How many wishes wait and are on their way, for every city that ever had one."""
    query = select(ChainCall.city, ChainCall.state, func.count()).group_by(ChainCall.city, ChainCall.state)
    found: dict[str, dict[State, int]] = {}
    for city, state, number in session.execute(query):
        states = found.setdefault(city, {QUEUED: 0, SENT: 0})
        if state in states:
            states[state] = number
    return found


def attempts(session: Session, city: str, call: Call) -> list[ChainAttempt]:
    """What was signed for a call with its present nonce, the oldest first."""
    query = select(ChainAttempt).where(
        ChainAttempt.city == city,
        ChainAttempt.chain_id == call.wish.chain_id,
        ChainAttempt.sender == call.sender,
        ChainAttempt.nonce == call.nonce,
    )
    return list(session.scalars(query.order_by(ChainAttempt.number)))


def newest(session: Session, city: str, chain_id: int, sender: str, between: range) -> dict[int, ChainAttempt]:
    """By nonce, for those in a range with which anything was ever signed for a sender: what was signed last."""
    query = select(ChainAttempt).where(
        ChainAttempt.city == city,
        ChainAttempt.chain_id == chain_id,
        ChainAttempt.sender == sender,
        ChainAttempt.nonce >= between.start,
        ChainAttempt.nonce < between.stop,
    )
    return {one.nonce: one for one in session.scalars(query.order_by(ChainAttempt.number))}


def view(row: ChainCall) -> Call:
    """A row as it is handed out."""
    wanted = Wish(
        row.purpose, row.key, row.chain_id, cast("Role", row.role), cast("Name", row.contract), row.address, row.data
    )
    return Call(
        wanted,
        cast("State", row.state),
        row.reason,
        row.params,
        row.transaction,
        row.block_number,
        row.deployed,
        row.queued_at,
        row.ended_at,
        row.sender,
        row.nonce,
        row.lost_at,
        row.refused_at,
    )
