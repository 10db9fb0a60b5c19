"""Learners: random ids that earn and spend, and the one key that each of them holds.

A learner starts in one tap: an id, an account, a sign-in for this device, a recovery code. The book knows the id
only through its account `learner:<id>`; no name, number or address is asked for.

The recovery code is 80 random bits as 16 characters without look-alikes (Crockford's alphabet), shown once in
groups of four and read back forgivingly. The database keeps an HMAC of it under a key of the city, so that a copy
of the tables does not let anyone test guesses, and looking it up is one index look-up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts
from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import NotFound, ValidationFailed
from ledger.people import tokens
from ledger.people.roles import LEARNER
from ledger.proof.encoding import base32_lower
from ledger.values import random_id

RECOVERY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RECOVERY_LENGTH = 16
JOINING = timedelta(minutes=10)
"""For this long after a learner began does the same ticket lead to them."""

_AS_READ = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})


class Learner(Base):
    """A person who learns. `secured_at` is when they showed that they have kept their recovery code."""

    __tablename__ = "learners"
    __table_args__ = (
        UniqueConstraint("city", "recovery_hash", name="learners_recovery_hash"),
        CheckConstraint("length(id) = 26", name="learners_id"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    secured_at: Mapped[datetime | None] = mapped_column(Instant)
    recovery_hash: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class Joined:
    """A fresh sign-in. `token` and `recovery_code` are secrets in clear: show them, never store them."""

    learner: str
    account: str
    token: str
    recovery_code: str


def account_of(learner_id: str) -> str:
    """The path of a learner's account."""
    return f"learner:{learner_id}"


def join(unit: Unit, ticket: str | None = None) -> Joined:
    """Begin a learner: id, account, recovery code, and a sign-in for the device that asks.

    Args:
        unit: the unit of work.
        ticket: a secret of the browser that asks. Id and recovery code are drawn from it under a key of the city, so
            that a browser which asks twice at once, from two tabs, gets one learner and two sign-ins of theirs. It
            finds nobody whose code is kept already, or who began longer than `JOINING` ago.
    """
    learner_id, code = _drawn(unit, ticket) if ticket else _random()
    begun = unit.session.get(Learner, (unit.city.id, learner_id)) if ticket else None
    if begun is not None:
        if begun.secured_at is None and unit.now - begun.created_at < JOINING:
            return _signed_in(unit, learner_id, code)
        learner_id, code = _random()
    unit.session.add(
        Learner(
            city=unit.city.id,
            id=learner_id,
            created_at=unit.now,
            recovery_hash=_recovery_hash(unit, code),
        )
    )
    accounts.open_account(unit, account_of(learner_id))
    return _signed_in(unit, learner_id, code)


def _random() -> tuple[str, str]:
    return random_id(), "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(RECOVERY_LENGTH))


def _drawn(unit: Unit, ticket: str) -> tuple[str, str]:
    """The id and the recovery code of whoever begins with a ticket: 128 and 80 bits that only the city can draw."""
    drawn = hmac.digest(unit.keys.derive("joining"), ticket.encode(), hashlib.sha256)
    number = int.from_bytes(drawn[16:26])
    code = "".join(RECOVERY_ALPHABET[number >> 5 * place & 31] for place in range(RECOVERY_LENGTH))
    return base32_lower(drawn[:16]), code


def recover(unit: Unit, recovery_code: str) -> Joined:
    """Move an account to the device that asks: a new sign-in, and the end of all earlier ones.

    Having typed the code shows that it was kept, so the account counts as secured. The code stays valid: it is
    the only key that the learner has.

    Raises:
        ValidationFailed: what was typed cannot be a recovery code.
        NotFound: it is nobody's.
    """
    code = read_recovery_code(recovery_code)
    learner = unit.session.scalar(
        select(Learner).where(Learner.city == unit.city.id, Learner.recovery_hash == _recovery_hash(unit, code))
    )
    if learner is None:
        raise NotFound("recovery_code", "unknown")
    learner.secured_at = learner.secured_at or unit.now
    tokens.revoke_all(unit, LEARNER, learner.id)
    return _signed_in(unit, learner.id, code)


def secure(unit: Unit, learner_id: str) -> None:
    """Note that the learner has kept the recovery code; the first time counts.

    Raises:
        NotFound: the city has no such learner.
    """
    learner = unit.session.get(Learner, (unit.city.id, learner_id))
    if learner is None:
        raise NotFound("learner", learner_id)
    learner.secured_at = learner.secured_at or unit.now


def is_secured(session: Session, city: str, learner_id: str) -> bool:
    """Whether the learner has shown that the recovery code is kept.

    Raises:
        NotFound: the city has no such learner.
    """
    row = session.execute(
        select(Learner.secured_at).where(Learner.city == city, Learner.id == learner_id)
    ).one_or_none()
    if row is None:
        raise NotFound("learner", learner_id)
    return row.secured_at is not None


def read_recovery_code(text: str) -> str:
    """The 16 characters of a recovery code as a person types it: any case, spaces, hyphens, O for 0, I or L for 1.

    Raises:
        ValidationFailed: it cannot be one.
    """
    code = text.strip().upper().translate(_AS_READ)
    if len(code) != RECOVERY_LENGTH or not set(code) <= set(RECOVERY_ALPHABET):
        raise ValidationFailed({"recovery_code": "Type all 16 letters and digits of the recovery code."})
    return code


def show_recovery_code(code: str) -> str:
    """A recovery code in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, RECOVERY_LENGTH, 4))


def _signed_in(unit: Unit, learner_id: str, code: str) -> Joined:
    token = tokens.issue(unit, {LEARNER}, learner_id, label="device")
    return Joined(learner_id, account_of(learner_id), token, show_recovery_code(code))


def _recovery_hash(unit: Unit, code: str) -> str:
    return hmac.digest(unit.keys.derive("recovery"), code.encode(), hashlib.sha256).hex()
