"""How a person's account is kept out of the public log: a key of its own, and a handle per case.

The nonce of a case is HMAC-SHA256(the account's blinding key, the id of the case's first entry), and the handle a
hash over account and nonce. Whoever lacks the key cannot tell whether two cases belong to one person; deleting
the key and the openings makes that true for everybody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.book.unit import Unit
from ledger.db import Base
from ledger.errors import NotFound
from ledger.proof import handles
from ledger.rows import Look, Rows, Where


class BlindingKey(Base):
    """The blinding key of one personal account. Ordinary backups leave this table out."""

    __tablename__ = "blinding_keys"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary)


class _Keys:
    """The projection of blinding keys, keyed by account; written once."""

    def ask(self, where: Where, city: str, keys: Sequence[str]) -> Callable[[], dict[str, bytes]]:
        found = _LOOK.ask(where, [(key,) for key in keys], city)
        return lambda: dict(found())

    def save(self, where: Where, city: str, changed: list[tuple[str, bytes]]) -> None:
        _ROWS.write(where, [(city, account, key) for account, key in changed])


KEYS = _Keys()

_ROWS = Rows(BlindingKey)
_LOOK = Look(
    "account, blinding_keys.key", "blinding_keys WHERE city = ? AND account = keys.sought", "sought", unique=True
)


def create_key(unit: Unit, account: str) -> None:
    """Give a new personal account its blinding key."""
    unit.put(KEYS, account, secrets.token_bytes(32))


def blind(unit: Unit, account: str, case_entry_id: str) -> tuple[str, bytes]:
    """The handle of an account in a case, and the nonce that opens it.

    Raises:
        NotFound: the account has not been opened.
    """
    key = unit.get(KEYS, account)
    if key is None:
        raise NotFound("account", account)
    nonce = handles.nonce(key, case_entry_id)
    return handles.handle(account, nonce), nonce


def shown(unit: Unit, account: str, kind: str, case_entry_id: str) -> tuple[str, bytes | None]:
    """How the log names an account of a type in a case, and the nonce that opens that where it is a person's.

    Raises:
        NotFound: a person's account has not been opened.
    """
    return blind(unit, account, case_entry_id) if kind == "learner" else (account, None)
