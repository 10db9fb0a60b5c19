"""Idempotency keys: the same request twice is carried out once, and answered the same.

Scope: (city, principal, route, key). The answer is stored in the transaction of what it reports. Refusals are not
stored. Neither the key nor the answer stands in the database in clear: the key as an HMAC, the answer encrypted
under a key that is derived from the client's own idempotency key (some answers hold a sign-in token).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.book.cities import CityKeys
from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import Refused
from ledger.lookup import Lookups
from ledger.rows import Look, Rows, Where

NONCE_BYTES = 12


class StoredAnswer(Base):
    """The answer that was given under an idempotency key."""

    __tablename__ = "idempotency"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True)
class Scope:
    """One use of an idempotency key. `request` is the SHA-256 of the body."""

    principal: str
    route: str
    key: str
    request: bytes

    def key_hash(self, keys: CityKeys) -> str:
        """The key as the database and the log know it: 64 hexadecimal digits."""
        return hmac.digest(keys.derive("idempotency-key"), self._text(), hashlib.sha256).hex()

    def cipher(self, keys: CityKeys) -> ChaCha20Poly1305:
        """The cipher of the stored answer; nobody has its key without the client's idempotency key."""
        return ChaCha20Poly1305(hmac.digest(keys.derive("idempotency-answer"), self._text(), hashlib.sha256))

    def _text(self) -> bytes:
        return f"{self.principal}\n{self.route}\n{self.key}".encode()


class _Answer(NamedTuple):
    """What stands under a key: the SHA-256 of the request, the encrypted answer, and when it was given (ms)."""

    request: bytes
    answer: bytes
    at: int


class _Answers:
    """The projection of stored answers, keyed by the key's hash; written once."""

    def ask(self, where: Where, city: str, keys: Sequence[str]) -> Callable[[], dict[str, _Answer]]:
        found = _LOOK.ask(where, [(key,) for key in keys], city)
        return lambda: {row[0]: _Answer(*row[1:]) for row in found()}

    def save(self, where: Where, city: str, changed: list[tuple[str, _Answer]]) -> None:
        _ROWS.write(where, [(city, key, *answer) for key, answer in changed])


ANSWERS = _Answers()

_FIND = "SELECT request, answer, at FROM idempotency WHERE city = ? AND key = ?"

_ROWS = Rows(StoredAnswer)
_LOOK = Look(
    "idempotency.key, request, answer, at",
    "idempotency WHERE city = ? AND idempotency.key = keys.sought",
    "sought",
    unique=True,
)


def find(lookups: Lookups, city: str, keys: CityKeys, scope: Scope) -> bytes | None:
    """The answer that was given before, or None; outside any transaction.

    Raises:
        Refused: `idempotency_conflict`: the key was used with another body.
    """
    row = lookups.one(_FIND, city, scope.key_hash(keys))
    return None if row is None else _opened(_Answer(*row), keys, scope)


def recall(unit: Unit, scope: Scope, key: str) -> bytes | None:
    """The answer that was given before the running command, or None. `key` is `scope.key_hash`, which the caller has.

    Raises:
        Refused: `idempotency_conflict`: the key was used with another body.
    """
    return _opened(unit.get(ANSWERS, key), unit.keys, scope)


def store(unit: Unit, scope: Scope, key: str, answer: bytes) -> None:
    """Stage the answer of the running command under `key`, as for `recall`."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + scope.cipher(unit.keys).encrypt(nonce, answer, None)
    unit.put(ANSWERS, key, _Answer(scope.request, sealed, unit.now_ms))


def _opened(stored: _Answer | None, keys: CityKeys, scope: Scope) -> bytes | None:
    if stored is None:
        return None
    if not hmac.compare_digest(stored.request, scope.request):
        raise Refused("idempotency_conflict")
    nonce, sealed = stored.answer[:NONCE_BYTES], stored.answer[NONCE_BYTES:]
    return scope.cipher(keys).decrypt(nonce, sealed, None)
