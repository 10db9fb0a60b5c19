"""Small values that the whole ledger shares: identifiers, slugs, instants.

Nothing here reads a clock or a database; randomness comes from the operating system (`secrets`).
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime, timedelta

from ledger.errors import ValidationFailed
from ledger.proof.encoding import BASE32, base32_lower

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
AMOUNT_LIMIT = 2**53
_AMOUNT = re.compile(r"(\d{1,13}|\d{1,3}(?:,\d{3}){1,3})(?:\.(\d{1,20}))?")
"""A comma parts thousands and nothing else: `12,5` might mean two amounts, and is refused."""

WHOLE_LIMIT = 2**63
"""Whole numbers from here on have no place in a column of the database."""

_ID_LENGTH = 26
_LETTERS = BASE32.encode() * 8
_LAST_LETTERS = BASE32[::4].encode() * 32


def random_id() -> str:
    """128 random bits as 26 characters of unpadded lower-case base32."""
    return random_ids(1)[0]


def random_ids(count: int) -> list[str]:
    """As many of them, drawn at once. Every octet drawn chooses a letter: of 32, or of the 8 that end 128 bits."""
    drawn = os.urandom(count * _ID_LENGTH)
    letters, last = drawn.translate(_LETTERS).decode(), drawn.translate(_LAST_LETTERS).decode()
    ends = range(_ID_LENGTH - 1, count * _ID_LENGTH, _ID_LENGTH)
    return [letters[end - _ID_LENGTH + 1 : end] + last[end] for end in ends]


def short_id() -> str:
    """50 random bits as 10 characters: an identifier inside one city for what a person creates."""
    return base32_lower(secrets.token_bytes(7))[:10]


def check_slug(field: str, value: str) -> str:
    """Return `value` if it is a slug (`a-z 0-9 -`, 1 to 40 characters), else refuse it under the field's name."""
    if not SLUG.fullmatch(value):
        raise ValidationFailed({field: "Use 1 to 40 of a-z, 0-9 and '-', not beginning or ending with '-'."})
    return value


def check_amount(field: str, value: int) -> int:
    """Return `value` if it is a positive amount in minor units below 2**53, else refuse it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < AMOUNT_LIMIT:
        raise ValidationFailed({field: "Give a whole number of minor units, greater than 0."})
    return value


def written_amount(text: str, scale: int) -> int | None:
    """An amount as people write it (`5`, `12.50`, `1,250`), in minor units; None where it cannot be read.

    What is finer than the scale cannot be read; zeros at the end make nothing finer. Whether so much, or nothing at
    all, may be given is for others to say.
    """
    match = _AMOUNT.fullmatch(text)
    fraction = (match[2] or "").rstrip("0") if match else ""
    if match is None or len(fraction) > scale:
        return None
    return int(match[1].replace(",", "") + fraction.ljust(scale, "0"))


def to_milliseconds(at: datetime) -> int:
    """Milliseconds since 1970-01-01Z of an aware datetime, finer parts cut off."""
    return (at - _EPOCH) // _MILLISECOND


def from_milliseconds(value: int) -> datetime:
    """The aware UTC datetime of a number of milliseconds since 1970-01-01Z."""
    return _EPOCH + value * _MILLISECOND


def whole_milliseconds(at: datetime) -> datetime:
    """`at` in UTC, cut to whole milliseconds: the resolution of every stored instant."""
    return from_milliseconds(to_milliseconds(at))


def utc_now() -> datetime:
    """The system clock; handed to those who need a clock, never called by domain code."""
    return whole_milliseconds(datetime.now(UTC))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
