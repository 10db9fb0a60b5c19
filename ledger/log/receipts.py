"""Receipts: the C2SP tlog-proof of one entry, complete in itself, as `docs/format.md` section 10 has it.

It rests on the checkpoint of `checkpoints.covering`, and costs three statements of index look-ups, however large the
log is. Once that checkpoint has the quorum of the policy, the receipt of an entry never changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import entries, tree
from ledger.book.legs import SIDES, Opening
from ledger.log import checkpoints
from ledger.log.policies import Rule
from ledger.proof.checkpoint import parse
from ledger.proving import write_receipt

MEDIA_TYPE = "text/plain"
SUFFIX = ".tlog-proof"


def text(session: Session, city: str, seq: int, rule: Rule | None) -> str:
    """The receipt of entry `seq`.

    Args:
        session: reads.
        city: whose log.
        seq: which entry.
        rule: the policy that concerns the log, if any.

    Raises:
        NotFound: the log has no such entry.
    """
    note = checkpoints.covering(session, city, seq, rule)
    path = tree.inclusion(session, city, seq, parse(note).size)
    return write_receipt(seq, path, note, entries.leaf(session, city, seq))


@dataclass(frozen=True)
class OwnLine:
    """Where a person's handle stands in an entry, and the 32-byte nonce that opens it.

    `line` counts the entry's postings from 0, `side` is `from` or `to`.
    """

    line: int
    side: str
    nonce: bytes


def own_lines(session: Session, city: str, seq: int, account: str) -> list[OwnLine]:
    """What opens an entry to the person whom it concerns, by the key of their openings; empty for everybody else.

    Args:
        session: reads.
        city: whose log.
        seq: which entry.
        account: the person's account. It is theirs to give: whoever has it and a nonce knows whose line it is.
    """
    query = select(Opening.line, Opening.side, Opening.nonce).where(
        Opening.city == city, Opening.account == account, Opening.seq == seq
    )
    rows = session.execute(query.order_by(Opening.line, Opening.side))
    return [OwnLine(line, SIDES[side], nonce) for line, side, nonce in rows]
