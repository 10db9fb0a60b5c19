"""Legs: what an entry did to an account, with the balances after it. Written once, never changed.

Legs of institutional accounts are public and stand in `legs`. Legs of personal accounts stand apart, in
`openings`, with the nonce that opens the handle which the journal shows in their place; erasure may delete them.
A leg's `version` counts an account's changes from 1 without a gap, in the order of the log. Both tables are kept in the
order (account, seq, line, side), so that a statement's page and a balance at any time lie side by side.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db import Base

SIDES = ("from", "to")
"""The sides of a posting, by the number that stands in `side`."""


class _LegColumns:
    """What both tables share; amounts in minor units."""

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    line: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    side: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    posted_change: Mapped[int] = mapped_column(BigInteger)
    held_change: Mapped[int] = mapped_column(BigInteger)
    posted_after: Mapped[int] = mapped_column(BigInteger)
    held_after: Mapped[int] = mapped_column(BigInteger)


class Leg(_LegColumns, Base):
    """A leg of an institutional account."""

    __tablename__ = "legs"
    __table_args__ = ({"sqlite_with_rowid": False},)


class Opening(_LegColumns, Base):
    """A leg of a personal account, and the 32-byte nonce that opens its handle."""

    __tablename__ = "openings"
    __table_args__ = (Index("openings_by_seq", "city", "seq"), {"sqlite_with_rowid": False})

    nonce: Mapped[bytes] = mapped_column(LargeBinary, sort_order=1)
