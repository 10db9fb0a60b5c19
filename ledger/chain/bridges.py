"""The bridges of a city: one contract on a chain each, how far it was read, and whether bridging is paused.

A bridge owns the accounts `bridge:<chain id>` and `suspense:<chain id>`. Its contract never changes: claims are
cumulative, so that a second contract on the same chain would pay everything once more.

A pause stays in the database until an operator lifts it: neither a restart nor another process resumes by itself.
While it lasts, nothing is withdrawn, listed or credited; what may be cancelled still is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, CheckConstraint, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts
from ledger.book.unit import Unit
from ledger.chain.claims import check_address
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused
from ledger.values import check_amount

SILENCE = timedelta(minutes=30)
"""After how long without a new final block people are told: chains make one final every few minutes."""

log = logging.getLogger(__name__)


class Bridge(Base):
    """A city's bridge to one chain.

    `block` is the last block that was followed, `deposits`, `deposited_minor`, `claimed_minor` and `proposals` what the
    ledger knows of the contract's so far, and `checked_at` when it last heard of a new final block and checked the
    identity there. `supply_cap_minor` and `increase_limit_minor` are the contract's for ever.
    """

    __tablename__ = "bridges"
    __table_args__ = (
        CheckConstraint("chain_id > 0", name="bridges_chain"),
        CheckConstraint("(paused_at IS NULL) = (pause_reason IS NULL)", name="bridges_pause"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    contract: Mapped[str] = mapped_column(Text)
    supply_cap_minor: Mapped[int] = mapped_column(BigInteger)
    increase_limit_minor: Mapped[int] = mapped_column(BigInteger)
    block: Mapped[int] = mapped_column(BigInteger)
    deposits: Mapped[int] = mapped_column(BigInteger, default=0)
    deposited_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    claimed_minor: Mapped[int] = mapped_column(BigInteger, default=0)
    proposals: Mapped[int] = mapped_column(BigInteger, default=0)
    paused_at: Mapped[datetime | None] = mapped_column(Instant)
    pause_reason: Mapped[str | None] = mapped_column(Text)
    checked_at: Mapped[datetime | None] = mapped_column(Instant)

    @property
    def account(self) -> str:
        """Where tokens are that left for the chain."""
        return f"bridge:{self.chain_id}"

    @property
    def suspense(self) -> str:
        """Where tokens are that came back for nobody known."""
        return f"suspense:{self.chain_id}"


@dataclass(frozen=True)
class Contract:
    """What a bridge is made of; amounts in minor units.

    Attributes:
        chain_id: of the chain.
        address: of the token, `0x` and 40 lower-case hexadecimal digits.
        block: where it was deployed; nothing before it is read.
        supply_cap_minor: most that the contract lets circulate.
        increase_limit_minor: most by which it lets the claimable total rise in one period.
    """

    chain_id: int
    address: str
    block: int
    supply_cap_minor: int
    increase_limit_minor: int


def open_bridge(unit: Unit, contract: Contract) -> Bridge:
    """Make a bridge and its accounts; the same contract again changes nothing.

    Raises:
        Refused: `bridge_exists`: the city has a bridge to that chain with another contract.
        ClaimsError: the address is none.
    """
    check_address(contract.address)
    found = unit.session.get(Bridge, (unit.city.id, contract.chain_id))
    if found is not None:
        if found.contract != contract.address:
            raise Refused("bridge_exists", chain_id=contract.chain_id, contract=found.contract)
        return found
    made = Bridge(
        city=unit.city.id,
        chain_id=contract.chain_id,
        contract=contract.address,
        supply_cap_minor=check_amount("supply_cap_minor", contract.supply_cap_minor),
        increase_limit_minor=check_amount("increase_limit_minor", contract.increase_limit_minor),
        block=max(contract.block - 1, 0),
    )
    unit.session.add(made)
    unit.session.flush()
    for path in (made.account, made.suspense):
        accounts.open_account(unit, path)
    return made


def all_(session: Session, city: str) -> list[Bridge]:
    """The bridges of a city, by chain."""
    return list(session.scalars(select(Bridge).where(Bridge.city == city).order_by(Bridge.chain_id)))


def everywhere(session: Session) -> list[Bridge]:
    """The bridges of all cities."""
    return list(session.scalars(select(Bridge).order_by(Bridge.city, Bridge.chain_id)))


def first(session: Session, city: str) -> Bridge:
    """The bridge that a city's learners use.

    Raises:
        NotFound: the city has none.
    """
    found = all_(session, city)
    if not found:
        raise NotFound("bridge", city)
    return found[0]


def get(session: Session, city: str, chain_id: int) -> Bridge:
    """The bridge of a city to a chain.

    Raises:
        NotFound: there is none.
    """
    found = session.get(Bridge, (city, chain_id))
    if found is None:
        raise NotFound("bridge", chain_id)
    return found


def working(unit: Unit, chain_id: int) -> Bridge:
    """The same, for something that a pause stops.

    Raises:
        NotFound: there is none.
        Refused: `bridge_paused`.
    """
    found = get(unit.session, unit.city.id, chain_id)
    if found.paused_at is not None:
        raise Refused("bridge_paused")
    return found


def silent_since(bridge: Bridge, now: datetime) -> datetime | None:
    """When a chain was last heard of, if that is long ago; None while it speaks, or while nobody listens.

    Whether its node is down, lags, or the whole chain makes nothing final: for who waits it is the same.
    """
    heard = bridge.checked_at
    return heard if heard is not None and bridge.paused_at is None and heard + SILENCE <= now else None


def pause(unit: Unit, chain_id: int, reason: str) -> None:
    """Stop bridging until `resume`; the first reason stands."""
    bridge = get(unit.session, unit.city.id, chain_id)
    if bridge.paused_at is None:
        bridge.paused_at, bridge.pause_reason = unit.now, reason
        log.error("the bridge of %s to chain %s is paused: %s", unit.city.id, chain_id, reason)


def resume(unit: Unit, chain_id: int) -> None:
    """Go on, because an operator says so."""
    bridge = get(unit.session, unit.city.id, chain_id)
    if bridge.paused_at is not None:
        log.warning("the bridge of %s to chain %s goes on", unit.city.id, chain_id)
    bridge.paused_at = bridge.pause_reason = None
