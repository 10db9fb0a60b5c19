"""Makes what `ledger.proof` reads: proofs of RFC 9162 (sections 2.1.3.1 and 2.1.4.1), their texts, entry bundles.

A node (level, index) is the perfect subtree over the leaves [index << level, (index + 1) << level). Each step of a
proof is the fold of some nodes, O(log n) in all, every one within the tree of that size. `node(level, index)` is a
store of their hashes; whoever wants to read them at once asks first which they are.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence

from ledger.proof.merkle import ProofError, fold
from ledger.proof.receipt import HEADER

Node = tuple[int, int]
NodeReader = Callable[[int, int], bytes]


def range_nodes(start: int, end: int) -> list[Node]:
    """Return the nodes whose fold is the root over [start, end), start a multiple of a power of two >= end - start."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _split(start: int, end: int) -> int:
    """Return where the left subtree of [start, end) ends: the largest power of two below the width."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def inclusion_nodes(index: int, size: int) -> list[list[Node]]:
    """Return, for each step from leaf `index` to the root of the tree of `size` leaves, the nodes whose fold it is."""
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} holds no leaf {index}")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            path.append(range_nodes(middle, end))
            end = middle
        else:
            path.append(range_nodes(start, middle))
            start = middle
    return path[::-1]


def consistency_nodes(old: int, new: int) -> list[list[Node]]:
    """Return the same for the proof that the tree of `old` leaves is a prefix of that of `new`; empty for 0 and new."""
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} is no prefix of a tree of {new}")
    path, start, end = [], 0, new
    while 0 < old < end:
        middle = _split(start, end)
        if old <= middle:
            path.append(range_nodes(middle, end))
            end = middle
        else:
            path.append(range_nodes(start, middle))
            start = middle
    if start:
        path.append(range_nodes(start, end))
    return path[::-1]


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the path from leaf `index` to the root of the tree of `size` leaves, leaf end first."""
    return [fold([node(*one) for one in step]) for step in inclusion_nodes(index, size)]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new`; empty for 0 and new."""
    return [fold([node(*one) for one in step]) for step in consistency_nodes(old, new)]


def write_receipt(index: int, path: Sequence[bytes], note: str, leaf: bytes | None = None) -> str:
    """Return the text of the proof that `leaf` stands at `index` in the tree of the signed checkpoint `note`."""
    extra = [] if leaf is None else [f"extra {base64.b64encode(leaf).decode()}"]
    hashes = [base64.b64encode(item).decode() for item in path]
    return "\n".join([HEADER, *extra, f"index {index}", *hashes, "", note])


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return the entry bundle of `entries`: each behind its length as two big-endian bytes."""
    parts = []
    for entry in entries:
        if len(entry) > 0xFFFF:
            raise ProofError("an entry is longer than 65535 bytes")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)
