"""What learners asked to have sent to their wallets: one row for each `bridge_out`, beside the book.

The book knows the amount and a handle, the chain knows wallets; only this table knows both and the learner. It is
personal data: erasure forgets the learner, and what remains is what the published lists say anyway.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, transfers
from ledger.book.unit import Unit
from ledger.chain import bridges
from ledger.chain.bridges import Bridge
from ledger.chain.claims import Claim, check_address
from ledger.db import Base, Instant
from ledger.errors import Refused
from ledger.values import check_amount


class Withdrawal(Base):
    """One withdrawal: entry `seq` moved it, `cancelled_by` is the entry that moved it back."""

    __tablename__ = "withdrawals"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="withdrawals_amount"),
        CheckConstraint("cancelled_by IS NULL OR cancelled_by > seq", name="withdrawals_cancelled"),
        Index("withdrawals_by_wallet", "city", "chain_id", "wallet", "seq"),
        Index("withdrawals_by_learner", "city", "learner", "seq"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[str] = mapped_column(Text)
    learner: Mapped[str | None] = mapped_column(Text)
    wallet: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    requested_at: Mapped[datetime] = mapped_column(Instant)
    cancelled_by: Mapped[int | None] = mapped_column(BigInteger)


def request(unit: Unit, chain_id: int, learner: str, wallet: str, amount_minor: int, *, listed_minor: int) -> int:
    """Move tokens of a learner to the bridge, for a wallet of theirs; the seq of the entry.

    Args:
        unit: the running command's.
        chain_id: of the bridge.
        learner: the learner's id.
        wallet: the address that is to be paid.
        amount_minor: minor units.
        listed_minor: the total of the list that can be claimed from.

    Raises:
        Refused: `bridge_paused`, `insufficient_funds`; `bridge_limit`: the contract would never take a list with this
            in it (`cap`: too much would circulate there; `increase`: too much at once, and less is possible).
        ValidationFailed: the amount is not positive.
        ClaimsError: the wallet is no address.
    """
    check_amount("amount_minor", amount_minor)
    bridge = bridges.working(unit, chain_id)
    check_address(wallet)
    room = bridge.supply_cap_minor - accounts.current(unit, bridge.account).posted_minor
    if amount_minor > room:
        raise Refused("bridge_limit", "cap", amount_minor=max(room, 0))
    room = bridge.increase_limit_minor - (total(unit.session, bridge) - listed_minor)
    if amount_minor > room:
        raise Refused("bridge_limit", "increase", amount_minor=max(room, 0))
    posted = transfers.post(unit, "bridge_out", f"learner:{learner}", bridge.account, amount_minor, actor="learner")
    unit.session.add(
        Withdrawal(
            city=unit.city.id, chain_id=chain_id, seq=posted.seq, entry_id=posted.id, learner=learner, wallet=wallet,
            amount_minor=amount_minor, requested_at=unit.now,
        )
    )  # fmt: skip
    return posted.seq


def total(session: Session, bridge: Bridge) -> int:
    """All that was withdrawn over a bridge and not cancelled, in minor units."""
    query = select(func.coalesce(func.sum(Withdrawal.amount_minor), 0)).where(
        Withdrawal.city == bridge.city, Withdrawal.chain_id == bridge.chain_id, Withdrawal.cancelled_by.is_(None)
    )
    return int(session.scalar(query) or 0)


def claims(session: Session, bridge: Bridge, size: int) -> list[Claim] | None:
    """What each wallet has from the first `size` entries, in ascending order of the wallets.

    None where something of them was cancelled after them: a list would either pay it or not add up.
    """
    below = (Withdrawal.city == bridge.city, Withdrawal.chain_id == bridge.chain_id, Withdrawal.seq < size)
    if session.scalar(select(Withdrawal.seq).where(*below, Withdrawal.cancelled_by >= size).limit(1)) is not None:
        return None
    rows = session.execute(
        select(Withdrawal.wallet, func.sum(Withdrawal.amount_minor))
        .where(*below, Withdrawal.cancelled_by.is_(None))
        .group_by(Withdrawal.wallet)
    )
    return sorted((Claim(wallet, int(amount)) for wallet, amount in rows), key=lambda claim: claim.account)


def forget(unit: Unit, learner: str) -> None:
    """Forget whose withdrawals some were, as part of an erasure."""
    unit.session.execute(
        update(Withdrawal).where(Withdrawal.city == unit.city.id, Withdrawal.learner == learner).values(learner=None)
    )
