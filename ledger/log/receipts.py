"""Receipts: the C2SP tlog-proof of one entry, complete in itself, as `docs/format.md` section 10 has it.

It rests on the checkpoint of `checkpoints.covering`, and costs three statements of index look-ups, however large the
log is. Once that checkpoint has the quorum of the policy, the receipt of an entry never changes.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from ledger.book import entries, tree
from ledger.log import checkpoints
from ledger.log.policies import Rule
from ledger.proof import receipt
from ledger.proof.checkpoint import parse

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
    return receipt.write(seq, path, note, entries.leaf(session, city, seq))
