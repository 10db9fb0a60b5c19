"""Sign-ins: tokens that are carried with every request, and one-time links that hand a token out.

A secret is `kgo_`, the city's two-character prefix and 128 random bits in base32, so that `/l/<secret>` finds its
city. The database keeps only its SHA-256: a copy of the tables signs nobody in, and since the secret has full
entropy neither a salt nor a slow hash would add anything. Finding a token is one index look-up.

Invariants: a bound role (learner, shop, kiosk) is held alone and has a subject (`roles.check_roles`); a link is
opened at most once; nothing expired or revoked signs in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import cities
from ledger.book.unit import Place, Unit
from ledger.db import Base, Instant
from ledger.errors import NotFound, Refused
from ledger.lookup import Lookups
from ledger.people.roles import Principal, check_roles
from ledger.rows import Look, Row, Where, ask
from ledger.values import random_id, to_milliseconds

LINK_LIFETIME = timedelta(days=7)
SIGN_IN_LIFETIME = timedelta(days=30)
_SECRET = re.compile(r"kgo_([a-z2-7]{2})[a-z2-7]{26}")


class Token(Base):
    """A sign-in. `roles` is a sorted, comma-separated list; `hash` the SHA-256 of the secret in hexadecimal."""

    __tablename__ = "tokens"
    __table_args__ = (
        UniqueConstraint("city", "hash", name="tokens_hash"),
        CheckConstraint("length(hash) = 64", name="tokens_hash_length"),
        CheckConstraint("expires_at IS NULL OR expires_at > created_at", name="tokens_lifetime"),
        Index("tokens_subject", "city", "subject"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class Link(Base):
    """A one-time link; whoever opens it first gets a token of these roles."""

    __tablename__ = "links"
    __table_args__ = (
        UniqueConstraint("city", "hash", name="links_hash"),
        CheckConstraint("length(hash) = 64", name="links_hash_length"),
        CheckConstraint("expires_at > created_at", name="links_lifetime"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True)
class TokenView:
    """A token as its city's operator sees it: everything but the secret."""

    id: str
    roles: frozenset[str]
    subject: str | None
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class LinkView:
    """What a one-time link would open."""

    city: str
    roles: frozenset[str]
    subject: str | None
    expires_at: datetime


def issue(
    unit: Unit,
    roles: Collection[str],
    subject: str | None = None,
    label: str = "",
    lifetime: timedelta | None = None,
) -> str:
    """Make a token and return its secret, which is not kept. Without a lifetime it holds until it is revoked.

    Raises:
        ValidationFailed: nobody can hold these roles together, or the subject is missing or out of place.
    """
    check_roles(frozenset(roles), subject)
    secret = _new_secret(unit)
    unit.session.add(
        Token(
            city=unit.city.id,
            id=random_id(),
            hash=_hash(secret),
            roles=_join(roles),
            subject=subject,
            label=label,
            created_at=unit.now,
            expires_at=unit.now + lifetime if lifetime else None,
        )
    )
    return secret


def find(session: Session, city: str, secret: str, now: datetime) -> Principal | None:
    """Whom a secret signs in at `now`, or None for one that is unknown, expired or revoked."""
    if not _SECRET.fullmatch(secret):
        return None
    found = ask(session, _FIND, city, _hash(secret))
    return _principal(city, found[0], now) if found else None


def look_up(lookups: Lookups, city: str, secret: str, now: datetime) -> Principal | None:
    """The same as `find`, without a transaction: as of this moment, whatever was committed and by whom."""
    if not _SECRET.fullmatch(secret):
        return None
    row = lookups.one(_FIND, city, _hash(secret))
    return None if row is None else _principal(city, row, now)


def place(secret: str) -> Place | None:
    """Where a unit finds whom a secret signs in; None for what cannot be one."""
    return (SIGN_INS, _hash(secret)) if _SECRET.fullmatch(secret) else None


def signed_in(unit: Unit, at: Place) -> Principal | None:
    """The same as `find`, within a unit of work, out of what was read for the whole batch."""
    row = unit.get(*at)
    return None if row is None else _principal(unit.city.id, row, unit.now)


class _SignIns:
    """The rows of `_FIND`, keyed by the hash of the secret."""

    def ask(self, where: Where, city: str, keys: Sequence[str]) -> Callable[[], dict[str, Row]]:
        found = _LOOK.ask(where, [(key,) for key in keys], city)
        return lambda: {row[0]: row[1:] for row in found()}


SIGN_INS = _SignIns()

_LOOK = Look(
    "hash, id, roles, subject, expires_at, revoked_at",
    "tokens WHERE city = ? AND hash = keys.sought",
    "sought",
    unique=True,
)

_FIND = "SELECT id, roles, subject, expires_at, revoked_at FROM tokens WHERE city = ? AND hash = ?"


def _principal(city: str, row: Row, now: datetime) -> Principal | None:
    """Whom a row of `_FIND` signs in."""
    token_id, roles, subject, expires_at_ms, revoked_at_ms = row
    if revoked_at_ms is not None or (expires_at_ms is not None and expires_at_ms <= to_milliseconds(now)):
        return None
    return Principal(city, _split(roles), subject, token_id)


def city_of(session: Session, secret: str) -> str:
    """The id of the city that a secret names.

    Raises:
        NotFound: it is no secret of this installation.
    """
    match = _SECRET.fullmatch(secret)
    city = cities.by_code_prefix(session, match[1]) if match else None
    if city is None:
        raise NotFound("link", "unknown")
    return city.id


def revoke(unit: Unit, token_id: str) -> None:
    """End a sign-in now; does nothing to one that has ended.

    Raises:
        NotFound: the city has no such token.
    """
    token = unit.session.get(Token, (unit.city.id, token_id))
    if token is None:
        raise NotFound("token", token_id)
    if token.revoked_at is None:
        token.revoked_at = unit.now


def revoke_all(unit: Unit, role: str, subject: str) -> int:
    """End every sign-in of a bound role's subject and return how many there were."""
    ended = unit.session.execute(
        update(Token)
        .where(
            Token.city == unit.city.id,
            Token.subject == subject,
            Token.roles == role,
            Token.revoked_at.is_(None),
        )
        .values(revoked_at=unit.now)
        .returning(Token.id)
    )
    return len(ended.all())


def list_(session: Session, city: str) -> list[TokenView]:
    """The city's staff tokens, newest first; those of learners, shops and kiosks are not listed."""
    rows = session.scalars(
        select(Token).where(Token.city == city, Token.subject.is_(None)).order_by(Token.created_at.desc(), Token.id)
    )
    return [
        TokenView(row.id, _split(row.roles), None, row.label, row.created_at, row.expires_at, row.revoked_at)
        for row in rows
    ]


def create_link(
    unit: Unit, roles: Collection[str], subject: str | None = None, lifetime: timedelta = LINK_LIFETIME
) -> str:
    """Make a one-time link and return its secret, which is not kept. A kiosk's subject is its activity.

    Raises:
        ValidationFailed: as for `issue`.
    """
    check_roles(frozenset(roles), subject)
    secret = _new_secret(unit)
    unit.session.add(
        Link(
            city=unit.city.id,
            id=random_id(),
            hash=_hash(secret),
            roles=_join(roles),
            subject=subject,
            created_at=unit.now,
            expires_at=unit.now + lifetime,
        )
    )
    return secret


def peek_link(session: Session, secret: str, now: datetime) -> LinkView:
    """What a link would open, without opening it: for the page that a chat preview fetches too.

    Raises:
        NotFound: no such link.
        Refused: `link_used` (with `at`) or `link_expired` (with `at`).
    """
    link = _usable(session, city_of(session, secret), secret, now)
    return LinkView(link.city, _split(link.roles), link.subject, link.expires_at)


def open_link(unit: Unit, secret: str) -> str:
    """Consume a link and return the secret of a 30-day sign-in.

    Raises:
        NotFound: no such link in this city.
        Refused: `link_used` or `link_expired`; each with `at`.
    """
    link = _usable(unit.session, unit.city.id, secret, unit.now)
    link.used_at = unit.now
    return issue(unit, _split(link.roles), link.subject, label="link", lifetime=SIGN_IN_LIFETIME)


def _usable(session: Session, city: str, secret: str, now: datetime) -> Link:
    link = session.scalar(select(Link).where(Link.city == city, Link.hash == _hash(secret)))
    if link is None:
        raise NotFound("link", "unknown")
    if link.used_at is not None:
        raise Refused("link_used", at=link.used_at)
    if link.expires_at <= now:
        raise Refused("link_expired", at=link.expires_at)
    return link


def _new_secret(unit: Unit) -> str:
    return f"kgo_{unit.city.code_prefix}{random_id()}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _join(roles: Collection[str]) -> str:
    return ",".join(sorted(roles))


@lru_cache(maxsize=256)
def _split(roles: str) -> frozenset[str]:
    return frozenset(roles.split(","))
