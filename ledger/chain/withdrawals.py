"""A withdrawal from its request to the wallet, as the learner follows it, and the one way back.

    REQUESTED → ROOTED → PROPOSED → ACTIVE → CLAIMED          REQUESTED | vetoed → CANCELLED

Nobody sets these states: they follow from the lists (`lists`) and from what the contract paid (`Paid`). A withdrawal
is ROOTED once a list holds it, and can be cancelled while no list does, or only lists whose veto is finalized.
Claims are cumulative, so that payments count towards a wallet's oldest withdrawals first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import journal
from ledger.book.journal import Origin, Posted
from ledger.book.unit import Unit
from ledger.chain import bridges, lists, requests, wallets
from ledger.chain.bridges import Bridge
from ledger.chain.lists import ClaimList
from ledger.chain.requests import Withdrawal
from ledger.db import Base
from ledger.errors import NotFound, Refused

REQUESTED, ROOTED, PROPOSED, ACTIVE, CLAIMED, CANCELLED = STATES = (
    "requested", "rooted", "proposed", "active", "claimed", "cancelled",
)  # fmt: skip
_OF_LIST = {lists.COMMITTED: ROOTED, lists.FAILED: ROOTED, lists.PROPOSED: PROPOSED, lists.ACTIVE: ACTIVE}


class Paid(Base):
    """What the contract has paid to a wallet in all, by its finalized events; minor units."""

    __tablename__ = "claims_paid"
    __table_args__ = (CheckConstraint("cumulative_minor > 0", name="claims_paid_cumulative"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    wallet: Mapped[str] = mapped_column(Text, primary_key=True)
    cumulative_minor: Mapped[int] = mapped_column(BigInteger)
    transaction: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class WithdrawalView:
    """A withdrawal as its learner sees it.

    Attributes:
        seq: of its entry, by which it is named.
        state: one of `STATES`.
        can_cancel: whether it can be called off now.
        active_at: from when it can be claimed, where that is known already.
        transaction: of the wallet's last payment, once it is claimed.
    """

    seq: int
    chain_id: int
    wallet: str
    amount_minor: int
    requested_at: datetime
    state: str
    can_cancel: bool
    active_at: datetime | None
    transaction: str | None


def request(unit: Unit, chain_id: int, learner: str, amount_minor: int) -> int:
    """Withdraw to the learner's linked wallet; the seq of the entry.

    Raises:
        Refused: `wallet_missing`; and as `requests.request`.
    """
    wallet = wallets.linked(unit.session, unit.city.id, learner)
    listed = lists.current(unit.session, bridges.get(unit.session, unit.city.id, chain_id))
    listed_minor = listed.total_minor if listed is not None else 0
    return requests.request(unit, chain_id, learner, wallet, amount_minor, listed_minor=listed_minor)


def cancel(unit: Unit, chain_id: int, learner: str, seq: int) -> Posted:
    """Move a withdrawal back to its learner while no list holds it; works while bridging is paused.

    Raises:
        NotFound: the learner has no such withdrawal.
        Refused: `case_closed`: it is `cancelled` already, or a list holds it (`listed`).
    """
    bridge = bridges.get(unit.session, unit.city.id, chain_id)
    found = unit.session.get(Withdrawal, (unit.city.id, chain_id, seq))
    if found is None or found.learner != learner:
        raise NotFound("withdrawal", seq)
    if found.cancelled_by is not None:
        raise Refused("case_closed", "cancelled", entry=seq)
    if any(one.size > seq for one in _holding(unit.session, bridge)):
        raise Refused("case_closed", "listed", entry=seq)
    posting = journal.moving(bridge.account, f"learner:{learner}", found.amount_minor)
    posted = journal.append(unit, "bridge_cancel", [posting], actor="learner", origin=Origin(seq, found.entry_id))
    found.cancelled_by = posted.seq
    return posted


def of_learner(session: Session, bridge: Bridge, learner: str) -> list[WithdrawalView]:
    """A learner's withdrawals over a bridge, the newest first."""
    own = session.scalars(
        select(Withdrawal)
        .where(
            Withdrawal.city == bridge.city, Withdrawal.chain_id == bridge.chain_id, Withdrawal.learner == learner
        )
        .order_by(Withdrawal.seq.desc())
    ).all()  # fmt: skip
    holding = _holding(session, bridge)
    reached: dict[int, tuple[bool, str]] = {}
    for wallet in {one.wallet for one in own}:
        reached |= _paid(session, bridge, wallet)
    return [_view(one, holding, *reached.get(one.seq, (False, ""))) for one in own]


def view(session: Session, bridge: Bridge, learner: str, seq: int) -> WithdrawalView:
    """One withdrawal of a learner.

    Raises:
        NotFound: the learner has no such withdrawal.
    """
    session.flush()
    found = session.get(Withdrawal, (bridge.city, bridge.chain_id, seq))
    if found is None or found.learner != learner:
        raise NotFound("withdrawal", seq)
    reached = _paid(session, bridge, found.wallet)
    return _view(found, _holding(session, bridge), *reached.get(seq, (False, "")))


def paid(unit: Unit, bridge: Bridge, wallet: str, cumulative_minor: int, transaction: str) -> None:
    """Note what the contract has paid to a wallet for good."""
    unit.session.merge(
        Paid(
            city=bridge.city, chain_id=bridge.chain_id, wallet=wallet, cumulative_minor=cumulative_minor,
            transaction=transaction,
        )
    )  # fmt: skip


def _holding(session: Session, bridge: Bridge) -> list[ClaimList]:
    """The lists that hold withdrawals fast, the oldest first: the newest of each state is all that matters."""
    found = [lists.newest(session, bridge, (state,)) for state in lists.LOCKING]
    return sorted((one for one in found if one is not None), key=lambda one: one.seq)


def _paid(session: Session, bridge: Bridge, wallet: str) -> dict[int, tuple[bool, str]]:
    """Which withdrawals to a wallet the contract has paid, and by which transaction at the latest."""
    paid = session.get(Paid, (bridge.city, bridge.chain_id, wallet))
    if paid is None:
        return {}
    reached, sum_minor = {}, 0
    rows = session.execute(
        select(Withdrawal.seq, Withdrawal.amount_minor)
        .where(
            Withdrawal.city == bridge.city,
            Withdrawal.chain_id == bridge.chain_id,
            Withdrawal.wallet == wallet,
            Withdrawal.cancelled_by.is_(None),
        )
        .order_by(Withdrawal.seq)
    )
    for seq, amount_minor in rows:
        sum_minor += amount_minor
        if sum_minor > paid.cumulative_minor:
            break
        reached[seq] = (True, paid.transaction)
    return reached


def _view(one: Withdrawal, holding: Sequence[ClaimList], is_paid: bool, transaction: str) -> WithdrawalView:
    within = [listed for listed in holding if listed.size > one.seq]
    # An active list is final, whatever comes after it; before that the newest says how far it has come.
    listed = next((found for found in within if found.state == lists.ACTIVE), within[-1] if within else None)
    state = REQUESTED if listed is None else _OF_LIST[listed.state]
    if one.cancelled_by is not None:
        state = CANCELLED
    elif is_paid:
        state = CLAIMED
    return WithdrawalView(
        one.seq, one.chain_id, one.wallet, one.amount_minor, one.requested_at, state,
        can_cancel=state == REQUESTED,
        active_at=listed.active_at if listed is not None else None,
        transaction=transaction or None,
    )  # fmt: skip
