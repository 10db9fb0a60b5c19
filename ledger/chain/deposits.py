"""Tokens that come back: one-time tickets, and each deposit of the contract credited exactly once.

A learner draws a ticket, 32 random bytes, and deposits with it from the linked wallet. The ticket is bound to that
wallet: whoever sees it on its way to the chain and is quicker cannot use it up. A deposit that no ticket fits (unknown,
used, expired, sent by another wallet) goes to `suspense`, from where staff can move it on.

Exactly once: the row of a deposit, keyed by (chain, contract's number), stands in the transaction of its `bridge_in`
entry, and the numbers are taken in order without a gap. Only finalized deposits are ever handed in here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, CheckConstraint, Index, Select, Text, delete, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, transfers
from ledger.book.unit import Unit
from ledger.chain import bridges, wallets
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Bridge
from ledger.db import Base, Instant
from ledger.errors import LedgerError, NotFound, Refused
from ledger.values import check_amount

TICKET_LIFETIME = timedelta(days=7)
LATENESS = timedelta(days=2)
"""How much later than its ticket's end a deposit may be credited: finality takes its time, and nodes have bad days."""

TICKETS = 5
"""How many unused tickets a learner has at most."""

CREDITED, UNKNOWN, USED, EXPIRED, SENDER = OUTCOMES = ("credited", "unknown", "used", "expired", "sender")
"""What became of a deposit: credited to a learner, or why not."""


class DepositTicket(Base):
    """A ticket (`0x` and 64 hexadecimal digits); `used_by` is the number of the deposit that used it."""

    __tablename__ = "deposit_tickets"
    __table_args__ = (
        CheckConstraint("expires_at > created_at", name="deposit_tickets_lifetime"),
        Index("deposit_tickets_by_learner", "city", "learner", "created_at"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ticket: Mapped[str] = mapped_column(Text, primary_key=True)
    learner: Mapped[str] = mapped_column(Text)
    wallet: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_by: Mapped[int | None] = mapped_column(BigInteger)


class Deposit(Base):
    """A deposit of the contract, number `number`, and the `bridge_in` entry `seq` that answers it.

    `resolved_by` is the entry that moved it out of suspense.
    """

    __tablename__ = "deposits"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="deposits_amount"),
        CheckConstraint(f"outcome IN {OUTCOMES}", name="deposits_outcome"),
        Index("deposits_by_ticket", "city", "chain_id", "ticket"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    wallet: Mapped[str] = mapped_column(Text)
    ticket: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    transaction: Mapped[str] = mapped_column(Text)
    block: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(BigInteger)
    resolved_by: Mapped[int | None] = mapped_column(BigInteger)


@dataclass(frozen=True)
class Arrival:
    """A deposit as a finalized event of the contract tells it."""

    number: int
    wallet: str
    ticket: str
    amount_minor: int
    transaction: str
    block: int


@dataclass(frozen=True)
class Depositing:
    """What a learner sends to the contract to deposit `amount_minor`."""

    contract: str
    data: bytes


class NotInOrder(LedgerError):
    """A deposit came that is not the next one; `params["expected"]` is its number. Nothing was credited."""

    code = "deposit_not_in_order"


def draw(unit: Unit, chain_id: int, learner: str) -> DepositTicket:
    """Give a learner a ticket for one deposit from the linked wallet.

    Raises:
        NotFound: the city has no such bridge.
        Refused: `wallet_missing`; `bridge_paused`; `limit_reached` (`tickets`).
    """
    wallet = wallets.linked(unit.session, unit.city.id, learner)
    bridges.working(unit, chain_id)
    own = (DepositTicket.city == unit.city.id, DepositTicket.chain_id == chain_id, DepositTicket.learner == learner)
    live = unit.session.scalars(
        select(DepositTicket)
        .where(*own, DepositTicket.used_by.is_(None), DepositTicket.expires_at > unit.now)
        .order_by(DepositTicket.created_at, DepositTicket.ticket)
    ).all()
    if len(live) >= TICKETS:
        raise Refused("limit_reached", "tickets", limit=TICKETS)
    made = DepositTicket(
        city=unit.city.id, chain_id=chain_id, ticket="0x" + secrets.token_hex(32), learner=learner,
        wallet=wallet, created_at=unit.now, expires_at=unit.now + TICKET_LIFETIME,
    )  # fmt: skip
    unit.session.add(made)
    unit.promises = True
    return made


def depositing(bridge: Bridge, ticket: str, amount_minor: int) -> Depositing:
    """The call that deposits with a ticket.

    Raises:
        ValidationFailed: the amount is not positive.
    """
    check_amount("amount_minor", amount_minor)
    data = artifact("KgoToken").call_data("deposit", amount_minor, bytes.fromhex(ticket[2:]))
    return Depositing(bridge.contract, data)


def credit(unit: Unit, chain_id: int, arrivals: Sequence[Arrival]) -> int:
    """Credit finalized deposits, each once, in the order of their numbers; how many were new.

    Those that were credited before are passed over, but must be the same.

    Raises:
        Refused: `bridge_paused`; `insufficient_funds`: more came back than ever left.
        NotInOrder: one is missing in between, or was another when it was credited.
    """
    bridge = bridges.working(unit, chain_id)
    fresh = 0
    for arrival in arrivals:
        if arrival.number < bridge.deposits:
            _check_same(unit, bridge, arrival)
            continue
        if arrival.number > bridge.deposits:
            raise NotInOrder("gap", expected=bridge.deposits, found=arrival.number)
        _credit(unit, bridge, arrival)
        bridge.deposits += 1
        bridge.deposited_minor += arrival.amount_minor
        fresh += 1
    return fresh


def resolve(unit: Unit, chain_id: int, number: int, learner: str, *, actor: str) -> int:
    """Move a deposit out of suspense to the learner whose it is; the seq of the entry.

    Raises:
        NotFound: there is no such deposit or learner.
        Refused: `case_closed`: it was `credited`, or `resolved` before.
    """
    bridge = bridges.get(unit.session, unit.city.id, chain_id)
    found = unit.session.get(Deposit, (unit.city.id, chain_id, number))
    if found is None:
        raise NotFound("deposit", number)
    if found.outcome == CREDITED or found.resolved_by is not None:
        raise Refused("case_closed", "resolved" if found.resolved_by is not None else "credited", entry=found.seq)
    if unit.get(accounts.ACCOUNTS, f"learner:{learner}") is None:
        raise NotFound("learner", learner)
    posted = transfers.post(
        unit, "bridge_in", bridge.suspense, f"learner:{learner}", found.amount_minor, actor=actor,
        ref={"reason": found.outcome},
    )  # fmt: skip
    found.resolved_by = posted.seq
    return posted.seq


def tickets_of(session: Session, bridge: Bridge, learner: str, now: datetime) -> list[DepositTicket]:
    """A learner's tickets that can still be used, the newest first."""
    query = select(DepositTicket).where(
        DepositTicket.city == bridge.city,
        DepositTicket.chain_id == bridge.chain_id,
        DepositTicket.learner == learner,
        DepositTicket.used_by.is_(None),
        DepositTicket.expires_at > now,
    )
    return list(session.scalars(query.order_by(DepositTicket.created_at.desc(), DepositTicket.ticket)))


def of_learner(session: Session, bridge: Bridge, learner: str) -> list[Deposit]:
    """The deposits that were credited to a learner by ticket, the newest first."""
    query = (
        select(Deposit)
        .join(
            DepositTicket,
            (DepositTicket.city == Deposit.city)
            & (DepositTicket.chain_id == Deposit.chain_id)
            & (DepositTicket.used_by == Deposit.number),
        )
        .where(Deposit.city == bridge.city, Deposit.chain_id == bridge.chain_id, DepositTicket.learner == learner)
    )
    return list(session.scalars(query.order_by(Deposit.number.desc())))


def suspended_of(session: Session, bridge: Bridge, learner: str, wallet: str | None) -> list[Deposit]:
    """The deposits in suspense that a learner may ask about, the newest first: by their ticket or their wallet."""
    drawn = select(DepositTicket.ticket).where(
        DepositTicket.city == bridge.city, DepositTicket.chain_id == bridge.chain_id, DepositTicket.learner == learner
    )
    query = _suspended(bridge).where(or_(Deposit.ticket.in_(drawn), Deposit.wallet == wallet))
    return list(session.scalars(query.order_by(Deposit.number.desc())))


def in_suspense(session: Session, bridge: Bridge) -> list[Deposit]:
    """The deposits that wait in suspense, the oldest first."""
    return list(session.scalars(_suspended(bridge).order_by(Deposit.number)))


def _suspended(bridge: Bridge) -> Select[Deposit]:
    return select(Deposit).where(
        Deposit.city == bridge.city,
        Deposit.chain_id == bridge.chain_id,
        Deposit.outcome != CREDITED,
        Deposit.resolved_by.is_(None),
    )


def sums(session: Session, bridge: Bridge) -> tuple[int, int]:
    """How many deposits are credited or in suspense, and their sum in minor units, by their rows."""
    query = select(func.count(), func.coalesce(func.sum(Deposit.amount_minor), 0)).where(
        Deposit.city == bridge.city, Deposit.chain_id == bridge.chain_id
    )
    count, total = session.execute(query).one()
    return int(count), int(total)


def forget(unit: Unit, learner: str) -> None:
    """Delete a learner's tickets, as part of an erasure; a later deposit with one goes to suspense."""
    unit.session.execute(
        delete(DepositTicket).where(DepositTicket.city == unit.city.id, DepositTicket.learner == learner)
    )


def _credit(unit: Unit, bridge: Bridge, arrival: Arrival) -> None:
    ticket = unit.session.get(DepositTicket, (bridge.city, bridge.chain_id, arrival.ticket))
    outcome = _judge(unit, ticket, arrival)
    target = bridge.suspense
    if ticket is not None and outcome == CREDITED:
        target = f"learner:{ticket.learner}"
    posted = transfers.post(
        unit, "bridge_in", bridge.account, target, arrival.amount_minor, actor="system", ref={"reason": outcome}
    )
    unit.session.add(
        Deposit(
            city=bridge.city, chain_id=bridge.chain_id, number=arrival.number, wallet=arrival.wallet,
            ticket=arrival.ticket, amount_minor=arrival.amount_minor, transaction=arrival.transaction,
            block=arrival.block, outcome=outcome, seq=posted.seq,
        )
    )  # fmt: skip
    if ticket is not None and outcome == CREDITED:
        ticket.used_by = arrival.number
    unit.session.flush()


def _judge(unit: Unit, ticket: DepositTicket | None, arrival: Arrival) -> str:
    """What becomes of a deposit. A ticket is used up by a deposit that it fits, and by no other."""
    if ticket is None or unit.get(accounts.ACCOUNTS, f"learner:{ticket.learner}") is None:
        return UNKNOWN
    if ticket.wallet != arrival.wallet:
        return SENDER
    if ticket.used_by is not None:
        return USED
    return EXPIRED if ticket.expires_at + LATENESS <= unit.now else CREDITED


def _check_same(unit: Unit, bridge: Bridge, arrival: Arrival) -> None:
    found = unit.session.get(Deposit, (bridge.city, bridge.chain_id, arrival.number))
    stored = found and (found.wallet, found.ticket, found.amount_minor)
    if stored != (arrival.wallet, arrival.ticket, arrival.amount_minor):
        raise NotInOrder("other", expected=bridge.deposits, found=arrival.number)
