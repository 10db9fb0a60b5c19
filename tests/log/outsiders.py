"""A log that is no city of any installation: its key, its tree, its checkpoints, its proofs, and its forks."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import proving
from ledger.log.submission import request_body
from ledger.proof import checkpoint, merkle
from ledger.proof.checkpoint import Checkpoint
from ledger.signing import sign_note


@dataclass
class Outsider:
    """A log under construction. `word` goes into its leaves: two that differ in it are two histories."""

    origin: str = "outsider.example/log"
    word: str = "leaf"
    key: Ed25519PrivateKey = field(default_factory=lambda: Ed25519PrivateKey.from_private_bytes(bytes(32)))

    @property
    def vkey(self) -> str:
        """The verifier key."""
        return checkpoint.vkey(self.origin, self.key.public_key())

    def _node(self, level: int, index: int) -> bytes:
        leaves = range(index << level, (index + 1) << level)
        return merkle.root_of([merkle.leaf_hash(f"{self.word} {seq}".encode()) for seq in leaves])

    def root(self, size: int) -> bytes:
        """The root at a size."""
        return merkle.fold([self._node(*node) for node in proving.range_nodes(0, size)])

    def note(self, size: int, *, more: str = "", key: Ed25519PrivateKey | None = None) -> str:
        """The signed checkpoint at a size, with extension lines if given, by another key if given."""
        return sign_note(Checkpoint(self.origin, size, self.root(size)).body() + more, self.origin, key or self.key)

    def proof(self, old: int, new: int) -> list[bytes]:
        """The consistency proof."""
        return proving.consistency_proof(old, new, self._node)

    def request(self, old: int, new: int) -> bytes:
        """The body of a request that is as it should be."""
        return request_body(old, self.proof(old, new), self.note(new))
