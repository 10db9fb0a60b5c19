"""One entry with the proof that a log holds it: C2SP tlog-proof, its extra data the bytes of the leaf.

    c2sp.org/tlog-proof@v1
    extra <base64 of the leaf>
    index <seq>
    <base64 of each hash of the inclusion proof, the leaf's sibling first, a line each>

    <the signed checkpoint, as it is>

The extra data proves nothing by itself. Here it is what is hashed: it must be the entry that stands at the index.
"""

import re
from dataclasses import dataclass
from typing import Any

from ledger.proof import checkpoint
from ledger.proof.checkpoint import Checkpoint
from ledger.proof.encoding import EncodingError, base64_strict, parse_strict
from ledger.proof.merkle import ProofError, leaf_hash, verify_inclusion
from ledger.proof.rules import check_entry_shape

HEADER = "c2sp.org/tlog-proof@v1"
MAX_RECEIPT_CHARS = 1 << 20

_text = re.compile(
    rf"{re.escape(HEADER)}\n(?:extra ([A-Za-z0-9+/=]*)\n)?index (0|[1-9][0-9]{{0,18}})\n"
    r"((?:[A-Za-z0-9+/]{43}=\n){0,63})\n(.+)",
    re.DOTALL,
).fullmatch


@dataclass(frozen=True, slots=True)
class Receipt:
    """A proof as read, nothing of it verified: `leaf` is the extra data, `note` the signed checkpoint."""

    index: int
    path: tuple[bytes, ...]
    note: str
    leaf: bytes | None = None


def parse(text: str) -> Receipt:
    """Read the text of a proof; ProofError if it is not one, spelt in the one way there is."""
    found = _text(text) if len(text) <= MAX_RECEIPT_CHARS else None
    if not found:
        raise ProofError("not a tlog-proof")
    extra, index, hashes, note = found.groups()
    try:
        path = tuple(base64_strict(line) for line in hashes.split())
        leaf = None if extra is None else base64_strict(extra)
    except EncodingError as error:
        raise ProofError(f"a line of the proof is {error}") from error
    return Receipt(int(index), path, note, leaf)


def verify(receipt: Receipt, vkey: str | None, leaf: bytes | None = None) -> tuple[Checkpoint, dict[str, Any]]:
    """Return the checkpoint and the entry that the receipt proves to stand in the log of `vkey`.

    `leaf` is the entry if it comes from elsewhere; it must be the one in the receipt, if that carries one.
    Without `vkey` nothing is said about who signed. CheckpointError for the signature, EncodingError for an
    entry that is none, ProofError for all else that does not hold.
    """
    leaf = receipt.leaf if leaf is None else leaf
    if leaf is None:
        raise ProofError("the receipt carries no entry, and none was given")
    if receipt.leaf not in (None, leaf):
        raise ProofError("the receipt is of another entry than the one given")
    head = checkpoint.parse(receipt.note) if vkey is None else checkpoint.verify(receipt.note, vkey)
    verify_inclusion(leaf_hash(leaf), receipt.index, head.size, receipt.path, head.root)
    entry: dict[str, Any] = parse_strict(leaf)
    if problem := check_entry_shape(entry):
        raise EncodingError(f"the log holds these bytes, and they are no entry: {problem}")
    if entry["seq"] != receipt.index:
        raise ProofError(f"entry {entry['seq']} stands at {receipt.index}")
    return head, entry
