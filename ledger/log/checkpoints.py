"""Which checkpoint the world is shown, with the cosignatures it has.

Where the installation has a policy, `shown` is the newest checkpoint that satisfies it, for a verifier who demands the
quorum can use no other; it trails behind the log by as long as witnesses take, and stands still while too few of them
answer. Where there is no policy, or nothing has satisfied it yet, it is the newest one. `covering` is the first that
satisfies the policy and covers an entry, else the first that covers it at all, which every acknowledged entry has.

Each is one statement of index look-ups. That a size satisfied a policy was noted when it came to (`quorums`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.db import Base, Instant
from ledger.errors import NotFound
from ledger.log.policies import Rule
from ledger.rows import Row, ask


class Cosignature(Base):
    """A witness's signature line under the checkpoint of a size, verified before it was stored; written once.

    `witness` is the name and the id of the witness's key, `at` the time that the witness states.
    """

    __tablename__ = "cosignatures"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    witness: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)


class Quorum(Base):
    """That the cosigned checkpoint of a size satisfies a policy, named by its hash; written once."""

    __tablename__ = "quorums"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    policy: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)


def shown(session: Session, city: str, rule: Rule | None) -> str:
    """The checkpoint to show, a signed note with its cosignatures.

    Args:
        session: reads.
        city: whose log.
        rule: the policy that concerns it, if any.

    Raises:
        NotFound: there is no such city.
    """
    found = _cosigned(ask(session, _SHOWN, city, _name(rule), city, city))
    if found is None:
        raise NotFound("city", city)
    return found


def newest(session: Session, city: str) -> str:
    """The newest checkpoint, cosigned or not.

    Raises:
        NotFound: there is no such city.
    """
    return shown(session, city, None)


def covering(session: Session, city: str, seq: int, rule: Rule | None) -> str:
    """The checkpoint for a receipt of entry `seq`.

    Raises:
        NotFound: the log has no such entry.
    """
    found = _cosigned(ask(session, _COVERING, city, _name(rule), seq, city, seq, city))
    if found is None:
        raise NotFound("entry", seq)
    return found


def _name(rule: Rule | None) -> str:
    """What the quorums of a policy are filed under; one that wants no witnesses has none."""
    return "" if rule is None or rule.policy.satisfied(()) else rule.name


def _cosigned(rows: list[Row]) -> str | None:
    return rows[0][0] + "".join(line for _, line in rows if line) if rows else None


_WITH_LINES = """
SELECT note, line FROM checkpoints LEFT JOIN cosignatures
ON cosignatures.city = checkpoints.city AND cosignatures.size = checkpoints.size
WHERE checkpoints.size = COALESCE({quorum}, {signed}) AND checkpoints.city = ? ORDER BY witness
"""
_SHOWN = _WITH_LINES.format(
    quorum="(SELECT MAX(size) FROM quorums WHERE city = ? AND policy = ?)",
    signed="(SELECT MAX(size) FROM checkpoints WHERE city = ?)",
)
_COVERING = _WITH_LINES.format(
    quorum="(SELECT MIN(size) FROM quorums WHERE city = ? AND policy = ? AND size > ?)",
    signed="(SELECT MIN(size) FROM checkpoints WHERE city = ? AND size > ?)",
)
