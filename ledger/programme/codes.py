"""Codes: the 20 characters that stand in an activity's QR symbol. Pure; keys and times are arguments.

    city prefix 2 | activity tag 4 | moment 6 | MAC 8      alphabet a-z2-7, five bits a character

The moment is 0 for a poster, which does not expire (the sessions decide); else seconds since 2024-01-01Z for a rotating
code, which is shown for 30 seconds and taken for 15 more; from `FIRST_SERIAL` on it is the serial number of a code that
serves one person once, printed on a sheet to be cut up. Seconds reach that number in 2056, so the two never meet.
The MAC is the first 40 bits of an HMAC-SHA256 over city, activity, code version and moment: raising an activity's
version withdraws everything that was printed before.

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
from ledger.proof.encoding import BASE32, base32_lower
from ledger.values import from_milliseconds, random_id, to_milliseconds

ROTATION = timedelta(seconds=30)
MARGIN = timedelta(seconds=15)
TURN_LIFETIME = timedelta(minutes=5)
PREFIX_LENGTH, TAG_LENGTH, TIME_LENGTH, MAC_LENGTH = 2, 4, 6, 8
LENGTH = PREFIX_LENGTH + TAG_LENGTH + TIME_LENGTH + MAC_LENGTH
ALPHABET = BASE32
FIRST_SERIAL = 31 << 25
"""Moments from here on are serial numbers; codes that bear one begin their third part with "7"."""

SERIALS = 1 << 25
"""How many serial numbers an activity has: 1 to `SERIALS` - 1."""

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
        """Whether it is of a kiosk, neither of a poster nor of a sheet."""
        return 0 < self.seconds < FIRST_SERIAL

    @property
    def serial(self) -> int | None:
        """The number of a code that serves once; None for a poster and a kiosk."""
        return self.seconds - FIRST_SERIAL if self.seconds >= FIRST_SERIAL else None

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


def issue_serial(issuer: Issuer, public_url: str, serial: int) -> Code:
    """The one-time code with this serial number.

    Raises:
        ValueError: there is no such serial number.
    """
    if not 0 < serial < SERIALS:
        raise ValueError(f"{serial} is no serial number")
    seconds = FIRST_SERIAL + serial
    text = issuer.prefix + issuer.tag + _in_base32(seconds) + _mac(issuer, seconds)
    return Code(text, f"{public_url}/q/{text}", None)


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
    """Refuse a rotating code that is past its time, unless a turn speaks for it, and what the activity has no longer.

    An activity that was a poster's and is a kiosk's takes no poster; one that has no one-time codes takes none.

    Raises:
        Refused: `code_expired`.
    """
    if not parts.rotating:
        if mode != ("poster" if parts.serial is None else "code"):
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
