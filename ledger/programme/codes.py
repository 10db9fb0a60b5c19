"""Codes: the 20 characters that stand in an activity's QR symbol. Pure; keys and times are arguments.

    city prefix 2 | activity tag 4 | time 6 | MAC 8        alphabet a-z2-7, five bits a character

The time is in seconds since 2024-01-01Z; 0 marks a poster, which does not expire (the sessions decide). A rotating
code is shown for 30 seconds and taken for 15 more. The MAC is the first 40 bits of an HMAC-SHA256 over city,
activity, code version and time: raising an activity's version withdraws every poster printed before.

A *turn* is a signed note that somebody opened a rotating code in time: it holds for five minutes, once, so that a
slow sign-in costs nobody their reward. Its nonce is stored with the check-in that uses it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ledger.errors import Refused
from ledger.proof.encoding import base32_lower
from ledger.values import from_milliseconds, random_id, to_milliseconds

ROTATION = timedelta(seconds=30)
MARGIN = timedelta(seconds=15)
TURN_LIFETIME = timedelta(minutes=5)
PREFIX_LENGTH, TAG_LENGTH, TIME_LENGTH, MAC_LENGTH = 2, 4, 6, 8
LENGTH = PREFIX_LENGTH + TAG_LENGTH + TIME_LENGTH + MAC_LENGTH
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_IN_URL = re.compile(r"/q/([^/?#]*)", re.IGNORECASE)
_TURN = re.compile(f"([{ALPHABET}]{{{LENGTH}}})\\.([0-9]{{1,15}})\\.([{ALPHABET}]{{26}})\\.([{ALPHABET}]{{26}})")


@dataclass(frozen=True)
class Issuer:
    """The activity that a code speaks for, and the key (`keys.derive("code")`) that signs it."""

    key: bytes
    city: str
    prefix: str
    activity: str
    tag: str
    version: int


@dataclass(frozen=True)
class Code:
    """A code to show: its text, the address in its QR symbol, and when it stops being shown (None: a poster)."""

    text: str
    url: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Parts:
    """A code as it was read. Nothing is known to be true of it until `check_mac`."""

    text: str
    prefix: str
    tag: str
    seconds: int
    mac: str

    @property
    def rotating(self) -> bool:
        """Whether it is of a kiosk, not of a poster."""
        return self.seconds != 0

    @property
    def issued_at(self) -> datetime:
        """When a rotating code was issued."""
        return _EPOCH + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Turn:
    """That `code` was opened at `opened_at`, in time; `nonce` makes it usable once."""

    code: str
    opened_at: datetime
    nonce: str


def issue(issuer: Issuer, public_url: str, at: datetime | None) -> Code:
    """The poster code of an activity, or with `at` the rotating code of that second."""
    seconds = 0 if at is None else int((at - _EPOCH).total_seconds())
    text = issuer.prefix + issuer.tag + _in_base32(seconds) + _mac(issuer, seconds)
    expires_at = None if at is None else _EPOCH + timedelta(seconds=seconds) + ROTATION
    return Code(text, f"{public_url}/q/{text}", expires_at)


def read(text: str) -> Parts:
    """The parts of a code as scanned or typed: in any case, with spaces or hyphens, or as a whole address.

    Raises:
        Refused: `code_invalid` (`unknown`): this is no code at all.
    """
    in_url = _IN_URL.search(text)
    bare = re.sub(r"[\s-]", "", in_url[1] if in_url else text).lower()
    if not _CODE.fullmatch(bare):
        raise Refused("code_invalid", "unknown")
    tag_end = PREFIX_LENGTH + TAG_LENGTH
    time_end = tag_end + TIME_LENGTH
    seconds = 0
    for character in bare[tag_end:time_end]:
        seconds = seconds * 32 + ALPHABET.index(character)
    return Parts(bare, bare[:PREFIX_LENGTH], bare[PREFIX_LENGTH:tag_end], seconds, bare[time_end:])


def check_mac(parts: Parts, issuer: Issuer) -> None:
    """Refuse a code that the issuer has not signed, or whose version was withdrawn.

    Raises:
        Refused: `code_invalid` (`forged`).
    """
    if not hmac.compare_digest(parts.mac, _mac(issuer, parts.seconds)):
        raise Refused("code_invalid", "forged")


def is_fresh(parts: Parts, now: datetime) -> bool:
    """Whether a rotating code may be opened now. Clocks of two servers may differ by the margin."""
    return -MARGIN <= now - parts.issued_at < ROTATION + MARGIN


def check_time(parts: Parts, mode: str, now: datetime, turn: Turn | None) -> None:
    """Refuse a rotating code that is past its time, unless a turn speaks for it, and a poster of a kiosk.

    Raises:
        Refused: `code_expired`.
    """
    if not parts.rotating:
        if mode != "poster":
            raise Refused("code_expired")
    elif turn is None and not is_fresh(parts, now):
        raise Refused("code_expired", at=parts.issued_at + ROTATION + MARGIN)


def sign_turn(key: bytes, city: str, code: str, opened_at: datetime) -> str:
    """A turn for somebody who opened this code now, under the key `keys.derive("turn")`."""
    payload = f"{code}.{to_milliseconds(opened_at)}.{random_id()}"
    return f"{payload}.{_turn_mac(key, city, payload)}"


def read_turn(key: bytes, city: str, text: str | None, parts: Parts, now: datetime) -> Turn | None:
    """The turn, or None unless it is signed, speaks for this code and is at most five minutes old."""
    match = _TURN.fullmatch(text or "")
    if match is None:
        return None
    code, opened, nonce, mac = match.groups()
    if not hmac.compare_digest(mac, _turn_mac(key, city, f"{code}.{opened}.{nonce}")) or code != parts.text:
        return None
    opened_at = from_milliseconds(int(opened))
    return Turn(code, opened_at, nonce) if -MARGIN <= now - opened_at <= TURN_LIFETIME else None


def _mac(issuer: Issuer, seconds: int) -> str:
    message = f"{issuer.city}|{issuer.activity}|{issuer.version}|{seconds}"
    return base32_lower(hmac.digest(issuer.key, message.encode(), hashlib.sha256)[:5])


def _turn_mac(key: bytes, city: str, payload: str) -> str:
    return base32_lower(hmac.digest(key, f"{city}|{payload}".encode(), hashlib.sha256)[:16])


def _in_base32(seconds: int) -> str:
    digits = [ALPHABET[(seconds >> shift) & 31] for shift in range(5 * (TIME_LENGTH - 1), -1, -5)]
    return "".join(digits)
