"""Wallets that learners linked: an address, and the signature that showed whose it is.

A learner asks with an address and gets a message (EIP-4361) that names this installation, the chain, a one-time nonce
and an end; the wallet signs it (EIP-191), and the address that the signature gives must be the one asked for. The
message is kept here and compared whole, so that nothing of what comes back is parsed. Wallets that are contracts
(EIP-1271) cannot sign like this and cannot be linked.

All of it is personal data and stands outside the book, in tables of its own: erasure deletes the rows.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, Index, Text, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.chain import keys
from ledger.chain.claims import ClaimsError, check_address, checksummed
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.proof.encoding import timestamp

LIFETIME = timedelta(minutes=10)
NONCE_BYTES = 16
STATEMENT = "Link this wallet to my learner account. This costs nothing and moves nothing."


class Wallet(Base):
    """The wallet of a learner."""

    __tablename__ = "wallets"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    learner: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[str] = mapped_column(Text)
    linked_at: Mapped[datetime] = mapped_column(Instant)


class WalletChallenge(Base):
    """A message that waits for its signature."""

    __tablename__ = "wallet_challenges"
    __table_args__ = (
        CheckConstraint("expires_at > created_at", name="wallet_challenges_lifetime"),
        Index("wallet_challenges_by_learner", "city", "learner", "created_at"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    learner: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True)
class Challenge:
    """What a wallet is to sign, as UTF-8, and until when."""

    nonce: str
    address: str
    message: str
    expires_at: datetime


def challenge(unit: Unit, learner: str, address: str, *, public_url: str, chain_id: int) -> Challenge:
    """Give a learner a message for a wallet to sign; what waited before is forgotten.

    Args:
        unit: the running command's.
        learner: the learner's id.
        address: of the wallet, as people write it.
        public_url: of this installation.
        chain_id: of the chain that the wallet is wanted for.

    Raises:
        ValidationFailed: the address is none.
    """
    own = (WalletChallenge.city == unit.city.id, WalletChallenge.learner == learner)
    unit.session.execute(delete(WalletChallenge).where(*own))
    address = read_address(address)
    nonce, until = secrets.token_hex(NONCE_BYTES), unit.now + LIFETIME
    message = "\n".join(
        (
            f"{public_url.split('://', 1)[-1].split('/', 1)[0]} wants you to sign in with your Ethereum account:",
            checksummed(address),
            "",
            STATEMENT,
            "",
            f"URI: {public_url}/c/{unit.city.id}/chain",
            "Version: 1",
            f"Chain ID: {chain_id}",
            f"Nonce: {nonce}",
            f"Issued At: {timestamp(unit.now)}",
            f"Expiration Time: {timestamp(until)}",
        )
    )
    unit.session.add(
        WalletChallenge(
            city=unit.city.id, nonce=nonce, learner=learner, address=address, message=message, created_at=unit.now,
            expires_at=until,
        )
    )  # fmt: skip
    return Challenge(nonce, address, message, until)


def link(unit: Unit, learner: str, nonce: str, signature: str) -> str:
    """Link the wallet that signed a message, in the place of an earlier one; its address.

    Raises:
        NotFound: the learner was given no such message.
        Refused: `wallet_refused`: it was `used`, it is `expired`, or another wallet signed (`other`).
        ValidationFailed: the signature is none.
    """
    found = unit.session.get(WalletChallenge, (unit.city.id, nonce))
    if found is None or found.learner != learner:
        raise NotFound("wallet_challenge", nonce)
    if found.used_at is not None:
        raise Refused("wallet_refused", "used")
    if found.expires_at <= unit.now:
        raise Refused("wallet_refused", "expired")
    try:
        signer = keys.signer_of(found.message, bytes.fromhex(signature.strip().removeprefix("0x")))
    except ValueError as fault:
        raise ValidationFailed({"signature": "Paste the whole signature: 0x and 130 letters and digits."}) from fault
    if signer != found.address:
        raise Refused("wallet_refused", "other")
    found.used_at = unit.now
    unit.session.merge(Wallet(city=unit.city.id, learner=learner, address=found.address, linked_at=unit.now))
    return found.address


def unlink(unit: Unit, learner: str) -> None:
    """Forget a learner's wallet and messages, also as part of an erasure; what was withdrawn to it stays its own."""
    for table in (Wallet, WalletChallenge):
        unit.session.execute(delete(table).where(table.city == unit.city.id, table.learner == learner))


def waiting(session: Session, city: str, learner: str, now: datetime) -> Challenge | None:
    """The message that a learner may still have signed."""
    query = select(WalletChallenge).where(
        WalletChallenge.city == city,
        WalletChallenge.learner == learner,
        WalletChallenge.used_at.is_(None),
        WalletChallenge.expires_at > now,
    )
    found = session.scalar(query.order_by(WalletChallenge.created_at.desc()).limit(1))
    return None if found is None else Challenge(found.nonce, found.address, found.message, found.expires_at)


def of(session: Session, city: str, learner: str) -> Wallet | None:
    """The wallet of a learner, if one is linked."""
    return session.get(Wallet, (city, learner))


def owners(session: Session, city: str, address: str) -> list[str]:
    """The learners who have linked a wallet."""
    query = select(Wallet.learner).where(Wallet.city == city, Wallet.address == address)
    return list(session.scalars(query.order_by(Wallet.learner)))


def linked(session: Session, city: str, learner: str) -> str:
    """The address of a learner's wallet.

    Raises:
        Refused: `wallet_missing`: none is linked.
    """
    found = of(session, city, learner)
    if found is None:
        raise Refused("wallet_missing")
    return found.address


def read_address(text: str) -> str:
    """An address as people write it, in lower case; a mixed-case one must have the right checksum (EIP-55).

    Raises:
        ValidationFailed: it is none.
    """
    text = text.strip()
    lower = text.lower()
    try:
        check_address(lower)
        right = text[2:] in (lower[2:], lower[2:].upper()) or text == checksummed(lower)
    except ClaimsError:
        right = False
    if not right:
        raise ValidationFailed({"address": "Paste the whole address of the wallet: 0x and 40 letters and digits."})
    return lower
