"""How a person's account is kept out of the public log: a key of its own, and a handle per case.

The nonce of a case is HMAC-SHA256(the account's blinding key, the id of the case's first entry), and the handle a
hash over account and nonce. Whoever lacks the key cannot tell whether two cases belong to one person; deleting
the key and the openings makes that true for everybody.
"""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import LargeBinary, Text, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.db import Base, insert_rows
from ledger.errors import NotFound
from ledger.proof import handles


class BlindingKey(Base):
    """The blinding key of one personal account. Ordinary backups leave this table out."""

    __tablename__ = "blinding_keys"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary)


class _Keys:
    """The projection of blinding keys, keyed by account; written once."""

    def load(self, session: Session, city: str, key: str) -> bytes | None:
        return session.connection().scalar(_LOAD, {"city": city, "account": key})

    def save(self, session: Session, city: str, changed: list[tuple[Any, bytes, bool]]) -> None:
        insert_rows(
            session, BlindingKey, [{"city": city, "account": account, "key": key} for account, key, _ in changed]
        )


KEYS = _Keys()

_LOAD = select(BlindingKey.__table__.c.key).where(
    BlindingKey.__table__.c.city == bindparam("city"), BlindingKey.__table__.c.account == bindparam("account")
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
