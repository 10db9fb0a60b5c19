"""The tree of claims: who may claim how much in all, as `KgoToken.claim` proves it.

The tree is OpenZeppelin's StandardMerkleTree over `(uint256 chain id, address contract, address account, uint256
cumulative)`: each leaf is the Keccak-256 of the Keccak-256 of its ABI encoding, nodes hash their children in ascending
order, leaves stand in ascending order of their hashes. Hashing a leaf twice, over 128 bytes, keeps a node (64 bytes)
from passing for a leaf; chain id and contract keep a proof from being used anywhere else. Only single proofs exist,
for multiproofs have been forged (CVE-2023-34459).

Pure: claims in, root and proofs out. Amounts are minor units, 0 < cumulative < 2**96. Keccak comes with the extra
`chain`, and is imported when it is first used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

AMOUNT_BOUND = 2**96
"""The contract's amounts have 96 bits."""

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_NOBODY = "0x" + "0" * 40


class ClaimsError(ValueError):
    """These claims make no tree, or the tree has no such claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one account may claim since the beginning.

    Attributes:
        account: its address, `0x` and 40 lower-case hexadecimal digits.
        cumulative: minor units, all that was ever withdrawn to it.
    """

    account: str
    cumulative: int

    def __post_init__(self) -> None:
        """Refuse what the contract would."""
        _address_bytes(self.account)
        if not 0 < self.cumulative < AMOUNT_BOUND:
            raise ClaimsError(f"{self.account} cannot claim {self.cumulative}")


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 of `data`, which is not the SHA3-256 of the standard library."""
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=data).digest()


def leaf_hash(chain_id: int, contract: str, claim: Claim) -> bytes:
    """Return the leaf of a claim on one contract of one chain."""
    words = (
        chain_id.to_bytes(32, "big"),
        _address_bytes(contract).rjust(32, b"\0"),
        _address_bytes(claim.account).rjust(32, b"\0"),
        claim.cumulative.to_bytes(32, "big"),
    )
    return keccak256(keccak256(b"".join(words)))


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two others, in whatever order they come."""
    return keccak256(left + right if left < right else right + left)


@dataclass(frozen=True)
class ClaimsTree:
    """A list of claims with its tree; make it with `claims_tree`.

    Attributes:
        claims: by account, each account once.
    """

    claims: dict[str, Claim]
    _nodes: list[bytes] = field(repr=False)
    _places: dict[str, int] = field(repr=False)

    @property
    def root(self) -> bytes:
        """The 32 bytes to propose."""
        return self._nodes[0]

    @property
    def total(self) -> int:
        """The sum of all cumulative amounts, in minor units."""
        return sum(claim.cumulative for claim in self.claims.values())

    def proof(self, account: str) -> list[bytes]:
        """Return the siblings from the account's leaf up to the root; ClaimsError if it has no claim."""
        if account not in self._places:
            raise ClaimsError(f"{account} has no claim")
        place, siblings = self._places[account], []
        while place:
            siblings.append(self._nodes[place - 1 if place % 2 == 0 else place + 1])
            place = (place - 1) // 2
        return siblings


def claims_tree(chain_id: int, contract: str, claims: Iterable[Claim]) -> ClaimsTree:
    """Return the tree over `claims`; ClaimsError if there are none, or two of one account."""
    by_account: dict[str, Claim] = {}
    for claim in claims:
        if claim.account in by_account:
            raise ClaimsError(f"{claim.account} has two claims")
        by_account[claim.account] = claim
    if not by_account:
        raise ClaimsError("there is nothing to claim")
    leaves = sorted((leaf_hash(chain_id, contract, claim), claim.account) for claim in by_account.values())
    # A complete binary tree in an array: the children of i are 2i + 1 and 2i + 2, the leaves stand last, backwards.
    inner = len(leaves) - 1
    nodes = [b""] * inner + [leaf for leaf, _ in reversed(leaves)]
    for place in reversed(range(inner)):
        nodes[place] = node_hash(nodes[2 * place + 1], nodes[2 * place + 2])
    places = {account: len(nodes) - 1 - order for order, (_, account) in enumerate(leaves)}
    return ClaimsTree(by_account, nodes, places)


def is_proof(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` leads from `leaf` to `root`, as the contract judges it."""
    for sibling in proof:
        leaf = node_hash(leaf, sibling)
    return leaf == root


def check_address(address: str) -> str:
    """Return `address` if it is one of somebody, in lower case; ClaimsError otherwise."""
    _address_bytes(address)
    return address


def checksummed(address: str) -> str:
    """Return an address as EIP-55 writes it: capitals that reveal a mistyped digit."""
    digits = check_address(address)[2:]
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, marks, strict=False)
    )


def _address_bytes(address: str) -> bytes:
    if not _ADDRESS.fullmatch(address) or address == _NOBODY:
        raise ClaimsError(f"{address!r} is no address of somebody: write 0x and 40 lower-case hexadecimal digits")
    return bytes.fromhex(address[2:])
