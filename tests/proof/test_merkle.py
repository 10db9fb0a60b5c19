"""The tree against published vectors, a naive definition and an independent library."""

import hashlib
import random
from collections.abc import Callable, Sequence

import pymerkle
import pytest

from ledger.proof.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.proving import consistency_proof, inclusion_proof
from tests.counts import scale

# The eight leaves of the certificate-transparency reference tree, and its root after each of them.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# From the same source: (index, size) and (old, new) with the proofs' hashes.
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
ALL_SIZES = scale(130, 300)


class Tree:
    """Every perfect subtree of a tree, kept as the frontier reports them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.hashes = [leaf_hash(leaf) for leaf in leaves]
        self.asked: list[tuple[int, int]] = []
        frontier = Frontier()
        self.roots = [frontier.root()]
        for leaf in self.hashes:
            frontier = frontier.append([leaf], self._note)
            self.roots.append(frontier.root())

    def _note(self, level: int, first: int, hashes: list[bytes]) -> None:
        self.nodes |= {(level, index): node for index, node in enumerate(hashes, first)}

    def node(self, level: int, index: int) -> bytes:
        """Serve the proofs, noting what they ask for."""
        self.asked.append((level, index))
        return self.nodes[level, index]


@pytest.fixture(scope="module")
def tree() -> Tree:
    """A tree of 700 different leaves."""
    return Tree([number.to_bytes(3, "big") for number in range(700)])


@pytest.fixture(scope="module")
def oracle(tree: Tree) -> pymerkle.InmemoryTree:
    """The same tree in an independent library."""
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(len(tree.hashes)):
        other.append_entry(number.to_bytes(3, "big"))
    return other


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, over leaf hashes, as it is written there."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


def naive_consistency(old: int, hashes: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2, as it is written there."""
    if old == len(hashes):
        return [] if whole else [naive_root(hashes)]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if old <= split:
        return [*naive_consistency(old, hashes[:split], whole=whole), naive_root(hashes[split:])]
    return [*naive_consistency(old - split, hashes[split:], whole=False), naive_root(hashes[:split])]


def test_published_roots() -> None:
    """The reference tree has the published root at every size, and the empty one the hash of nothing."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([]) == EMPTY_ROOT
    for size, root in enumerate(ROOTS, 1):
        assert root_of(map(leaf_hash, LEAVES[:size])).hex() == root


def test_published_proofs() -> None:
    """The published paths are what we make and what we accept."""
    tree = Tree(LEAVES)
    for (index, size), path in INCLUSION.items():
        proof = inclusion_proof(index, size, tree.node)
        assert [item.hex() for item in proof] == path
        verify_inclusion(tree.hashes[index], index, size, proof, bytes.fromhex(ROOTS[size - 1]))
    for (old, new), path in CONSISTENCY.items():
        proof = consistency_proof(old, new, tree.node)
        assert [item.hex() for item in proof] == path
        verify_consistency(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), proof)


def test_roots_agree_with_the_definition_and_the_oracle(tree: Tree, oracle: pymerkle.InmemoryTree) -> None:
    """At every size, one leaf at a time or in one batch."""
    for size in range(1, len(tree.hashes) + 1):
        assert tree.roots[size] == oracle.get_root(size)
    for size in range(ALL_SIZES):
        assert tree.roots[size] == naive_root(tree.hashes[:size]) == root_of(tree.hashes[:size])


def test_every_inclusion_proof(tree: Tree, oracle: pymerkle.InmemoryTree) -> None:
    """For every leaf of every size: the oracle's path, accepted here, and only at its own place."""
    for size in range(1, ALL_SIZES + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, tree.node)
            if size % 7 == 0:
                assert proof == oracle.prove_inclusion(index + 1, size).path[1:]
            verify_inclusion(tree.hashes[index], index, size, proof, tree.roots[size])
            with pytest.raises(ProofError):
                verify_inclusion(tree.hashes[index], (index + 1) % (size + 1), size, proof, tree.roots[size])


def test_every_consistency_proof(tree: Tree) -> None:
    """For every pair of sizes: the definition's path, accepted here, and not for a neighbouring old size."""
    for new in range(1, ALL_SIZES + 1):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, tree.node)
            if new % 5 == 0:
                assert proof == naive_consistency(old, tree.hashes[:new])
            verify_consistency(old, new, tree.roots[old], tree.roots[new], proof)
            with pytest.raises(ProofError):
                verify_consistency(old, new, tree.roots[old - 1], tree.roots[new], proof)


def test_random_larger_proofs_ask_few_nodes(tree: Tree) -> None:
    """Proofs of larger trees verify and ask for at most two nodes a level."""
    chance = random.Random(6962)  # noqa: S311
    for _ in range(scale(300, 3000)):
        size = chance.randint(2, 700)
        index, old = chance.randrange(size), chance.randint(1, size)
        tree.asked.clear()
        path = inclusion_proof(index, size, tree.node)
        assert len(tree.asked) <= 2 * size.bit_length()
        tree.asked.clear()
        chain = consistency_proof(old, size, tree.node)
        assert len(tree.asked) <= 2 * size.bit_length()
        verify_inclusion(tree.hashes[index], index, size, path, tree.roots[size])
        verify_consistency(old, size, tree.roots[old], tree.roots[size], chain)


def _mutations(proof: list[bytes], chance: random.Random) -> list[list[bytes]]:
    """Proofs that are nearly `proof`: a bit flipped, one hash less, one more, two swapped, one doubled."""
    at = chance.randrange(len(proof))
    bit = bytearray(proof[at])
    bit[chance.randrange(32)] ^= 1 << chance.randrange(8)
    rubbish = chance.randbytes(32)
    mutated = [
        [*proof[:at], bytes(bit), *proof[at + 1 :]],
        [*proof[:at], *proof[at + 1 :]],
        [*proof[:at], rubbish, *proof[at:]],
        [*proof, rubbish],
        [*proof[: at + 1], *proof[at:]],
        [*proof[:-1], proof[-1] + b"\x00"],
        [*proof[:-1], proof[-1][:31]],
    ]
    if len(proof) > 1:
        mutated.append([proof[1], proof[0], *proof[2:]])
    return mutated


def test_mutated_proofs_are_refused(tree: Tree) -> None:
    """No change to a proof, a root, a leaf or a position is accepted."""
    chance = random.Random(9162)  # noqa: S311
    for _ in range(scale(150, 2000)):
        size = chance.randint(3, 700)
        index, old = chance.randrange(size), chance.randint(1, size - 1)
        path, chain = inclusion_proof(index, size, tree.node), consistency_proof(old, size, tree.node)
        for proof in _mutations(path, chance):
            with pytest.raises(ProofError):
                verify_inclusion(tree.hashes[index], index, size, proof, tree.roots[size])
        for proof in _mutations(chain, chance):
            with pytest.raises(ProofError):
                verify_consistency(old, size, tree.roots[old], tree.roots[size], proof)
        with pytest.raises(ProofError):
            verify_inclusion(chance.randbytes(32), index, size, path, tree.roots[size])
        with pytest.raises(ProofError):
            verify_consistency(old, size, tree.roots[old], chance.randbytes(32), chain)


def _refused(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return True
    return False


def test_no_neighbour_of_any_proof_is_accepted(tree: Tree) -> None:
    """For every pair up to a size: cut at either end, longer, a bit or a hash changed, another root, another index."""
    pairs = 0
    for size in range(1, scale(72, 200) + 1):
        root, wrong = tree.roots[size], tree.roots[size - 1]
        for at in range(size):
            pairs += 2
            path = inclusion_proof(at, size, tree.node)
            leaf, old, old_root = tree.hashes[at], at + 1, tree.roots[at + 1]
            chain = consistency_proof(old, size, tree.node)
            bit = pairs % 256
            for proof in _neighbours(path, bit):
                assert _refused(verify_inclusion, leaf, at, size, proof, root), (at, size, proof)
            for proof in _neighbours(chain, bit):
                assert _refused(verify_consistency, old, size, old_root, root, proof), (old, size, proof)
            assert _refused(verify_inclusion, leaf, at, size, path, wrong)
            assert _refused(verify_inclusion, tree.hashes[at + 1], at, size, path, root)
            for other in {at - 1, at + 1, at ^ 1, size - 1 - at, size} - {at}:
                assert _refused(verify_inclusion, leaf, other, size, path, root), (at, other, size)
            assert _refused(verify_consistency, old, size, old_root, wrong, chain)
            assert _refused(verify_consistency, old, size, tree.roots[at], root, chain)
    assert pairs > 5_000


def _neighbours(proof: list[bytes], bit: int) -> list[list[bytes]]:
    """Proofs that differ from `proof` in one place."""
    found = [[*proof, proof[-1] if proof else bytes(32)], [proof[0] if proof else bytes(32), *proof]]
    for place, item in enumerate(proof):
        flipped = (int.from_bytes(item, "big") ^ 1 << bit).to_bytes(32, "big")
        found += [[*proof[:place], *proof[place + 1 :]], [*proof[:place], flipped, *proof[place + 1 :]]]
        found.append([*proof[:place], item[:-1], *proof[place + 1 :]])
    return found


def test_a_node_does_not_pass_for_a_leaf(tree: Tree) -> None:
    """64 bytes that are two hashes, logged as a leaf, are not the node over them, and the node is no leaf."""
    left, right = tree.hashes[0], tree.hashes[1]
    node = node_hash(left, right)
    assert leaf_hash(left + right) != node
    proof = inclusion_proof(0, 4, tree.node)
    with pytest.raises(ProofError):
        verify_inclusion(node, 0, 4, proof[1:], tree.roots[4])
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(left + right), 0, 2, [tree.hashes[2]], tree.roots[3])


def test_a_forged_size_is_refused_where_the_path_shows_it(tree: Tree) -> None:
    """A proof for one size is refused for sizes of another shape; a root alone would not tell."""
    proof = inclusion_proof(5, 8, tree.node)
    for size in (*range(7), 9, 16, 17, 300):
        with pytest.raises(ProofError):
            verify_inclusion(tree.hashes[5], 5, size, proof, tree.roots[8])
    # Sizes 7 and 8 give leaf 5 a path of one shape: this is why the size is taken from the signature.
    verify_inclusion(tree.hashes[5], 5, 7, proof, tree.roots[8])


def test_trivial_consistency(tree: Tree) -> None:
    """Nothing is a prefix of everything, a tree of itself; neither takes a proof or another root."""
    root = tree.roots[9]
    verify_consistency(0, 9, EMPTY_ROOT, root, [])
    verify_consistency(9, 9, root, root, [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    zero = bytes(32)
    for old, new, old_root, new_root, proof in (
        (0, 9, zero, root, []),
        (0, 9, EMPTY_ROOT, root, [root]),
        (9, 9, root, tree.roots[8], []),
        (9, 9, root, root, [root]),
        (0, 0, zero, zero, []),
        (0, 0, EMPTY_ROOT, zero, []),
        (8, 9, tree.roots[8], root, []),
        (9, 8, root, tree.roots[8], []),
        (-1, 9, EMPTY_ROOT, root, []),
    ):
        with pytest.raises(ProofError):
            verify_consistency(old, new, old_root, new_root, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_for_what_is_not_there(tree: Tree, index: int, size: int) -> None:
    """Asking for a leaf outside the tree raises, as does a larger old size."""
    with pytest.raises(ProofError):
        inclusion_proof(index, size, tree.node)
    with pytest.raises(ProofError):
        consistency_proof(size + 1, size, tree.node)
    assert consistency_proof(0, size, tree.node) == []


def test_a_frontier_survives_storage_and_stays_as_it_was(tree: Tree) -> None:
    """Serialised at any size it goes on as before; appending leaves the old frontier alone."""
    for size in (0, 1, 2, 3, 64, 127, 128, 699):
        frontier = Frontier().append(tree.hashes[:size])
        stored = Frontier.from_bytes(frontier.to_bytes())
        assert stored == frontier
        assert len(frontier.to_bytes()) == 8 + 32 * size.bit_count()
        assert stored.append(tree.hashes[size:]).root() == tree.roots[700]
        assert stored.root() == tree.roots[size]


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"\x00" * 9, (3).to_bytes(8, "big") + bytes(32)])
def test_other_bytes_are_no_frontier(data: bytes) -> None:
    """The number of peaks follows from the size."""
    with pytest.raises(ProofError):
        Frontier.from_bytes(data)
