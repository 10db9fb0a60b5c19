"""The Merkle tree of RFC 6962 with the proofs of RFC 9162 (sections 2.1.3 and 2.1.4), SHA-256.

Leaves hash as SHA256(0x00 || data) and nodes as SHA256(0x01 || left || right), so a node never passes for a
leaf. A root does not authenticate the size of its tree: take the size from a signed checkpoint. Proofs are made
in `ledger.proving`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

LevelSink = Callable[[int, int, list[bytes]], None]


class ProofError(ValueError):
    """A proof that does not prove, or a request for a proof that cannot exist."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def fold(peaks: Sequence[bytes]) -> bytes:
    """Join the roots of perfect subtrees, largest first, into the root over all of them."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that appending needs, 32 bytes for each one bit of the size.

    Immutable: `append` returns another frontier, so a refused batch leaves nothing to undo.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf_hashes: Iterable[bytes], on_level: LevelSink | None = None) -> "Frontier":
        """Return the frontier after `leaf_hashes`: one node hash per leaf on average.

        `on_level(level, index, hashes)` sees the new perfect subtrees of each level, beginning with the leaves (level
        0), and the index of the first of them.
        """
        peaks, width, level = list(self.peaks), self.size, 0
        row, odd = list(leaf_hashes), list[bytes]()
        size = self.size + len(row)
        while row:
            if on_level:
                on_level(level, width, row)
            if width & 1:
                row = [peaks.pop(), *row]
            if len(row) & 1:
                odd.append(row[-1])
            row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
            level, width = level + 1, width >> 1
        return Frontier(size, (*peaks, *reversed(odd)))

    def root(self) -> bytes:
        """Return the root of the tree."""
        return fold(self.peaks)

    def to_bytes(self) -> bytes:
        """Return the size (8 bytes, big-endian) and the peaks, largest subtree first."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Read what `to_bytes` wrote; ProofError if the length does not fit the size."""
        size, rest = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) < 8 or len(rest) != HASH_BYTES * size.bit_count():
            raise ProofError("these bytes are no frontier")
        return cls(size, tuple(rest[at : at + HASH_BYTES] for at in range(0, len(rest), HASH_BYTES)))


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over `leaf_hashes`."""
    return Frontier().append(leaf_hashes).root()


def _require_hashes(*hashes: bytes) -> None:
    """Refuse other lengths: 0x01 || short || long could spell the bytes of another node."""
    if any(len(item) != HASH_BYTES for item in hashes):
        raise ProofError("a hash is not 32 bytes long")


def _climb(position: int, last: int, seed: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Hash from `seed` up a tree whose last leaf is `last`; return the roots left of the path and over all.

    This is the loop that RFC 9162 sections 2.1.3.2 and 2.1.4.2 share.
    """
    old = new = seed
    for sibling in path:
        if last == 0:
            raise ProofError("the proof is too long")
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    return old, new


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless leaf hash `leaf` stands at `index` in the tree (RFC 9162 section 2.1.3.2)."""
    _require_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} holds no leaf {index}")
    if _climb(index, size - 1, leaf, proof)[1] != root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless the old tree is a prefix of the new one (RFC 9162 section 2.1.4.2)."""
    _require_hashes(old_root, new_root, *proof)
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} is no prefix of a tree of {new}")
    if 0 in (old, new - old):
        if proof or (old == 0 and old_root != EMPTY_ROOT) or (old == new and old_root != new_root):
            raise ProofError("trees of these sizes need no proof, and the roots do not agree")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not path:
        raise ProofError("the proof is too short")
    # The old tree's last perfect subtree is the seed: skip the levels below it.
    skipped = (old & -old).bit_length() - 1
    if _climb((old - 1) >> skipped, (new - 1) >> skipped, path[0], path[1:]) != (old_root, new_root):
        raise ProofError("the consistency proof leads to other roots")
