"""How often a shop may look up a code that is not there.

Six digits can be guessed by somebody patient, so a till may miss `MISSES` times within `WINDOW`; then every look-up
by code waits until the oldest of these misses is that old, the right code included. Learners wait for nothing: the
QR leads to the same page without a code. Success clears nothing, or a shop could clear its own record.

One row a shop, at most `MISSES` instants in it.
"""

from __future__ import annotations

import math
from datetime import timedelta

from sqlalchemy import ForeignKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.book.unit import Unit
from ledger.db import Base, Json
from ledger.errors import Refused
from ledger.values import from_milliseconds, to_milliseconds

MISSES = 10
WINDOW = timedelta(minutes=5)


class LookupMisses(Base):
    """When a shop's latest look-ups missed: milliseconds since 1970, oldest first."""

    __tablename__ = "lookup_misses"
    __table_args__ = (ForeignKeyConstraint(["city", "shop"], ["shops.city", "shops.id"]),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    shop: Mapped[str] = mapped_column(Text, primary_key=True)
    recent: Mapped[list[int]] = mapped_column(Json)


def judge(unit: Unit, shop: str) -> None:
    """Let the shop look up a code, or refuse.

    Raises:
        Refused: `too_many_attempts`, with `retry_after_seconds`.
    """
    recent = _recent(unit, shop)
    if len(recent) >= MISSES:
        free_at = from_milliseconds(recent[-MISSES]) + WINDOW
        seconds = math.ceil((free_at - unit.now).total_seconds())
        raise Refused("too_many_attempts", retry_after_seconds=seconds)


def note(unit: Unit, shop: str) -> int:
    """Count one miss; how many more the shop has before it must wait."""
    recent = [*_recent(unit, shop), to_milliseconds(unit.now)][-MISSES:]
    row = unit.session.get(LookupMisses, (unit.city.id, shop))
    if row is None:
        unit.session.add(LookupMisses(city=unit.city.id, shop=shop, recent=recent))
    else:
        row.recent = recent
    unit.session.flush()
    return MISSES - len(recent)


def _recent(unit: Unit, shop: str) -> list[int]:
    row = unit.session.get(LookupMisses, (unit.city.id, shop))
    since = to_milliseconds(unit.now - WINDOW)
    return [at for at in row.recent if at > since] if row else []
