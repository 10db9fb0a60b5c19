"""The tree of claims against OpenZeppelin's JavaScript library, and what it refuses."""

from __future__ import annotations

import json
import random

import pytest
from eth_utils.crypto import keccak

from ledger.chain.claims import Claim, ClaimsError, claims_tree, is_proof, keccak256, leaf_hash, node_hash
from tests.chain import javascript
from tests.counts import scale
from tests.servers import ROOT

CHAIN, CONTRACT = 11_155_111, "0x" + "c0" * 20


def _address(number: int) -> str:
    return f"0x{number:040x}"


def _random_claims(chance: random.Random, count: int) -> list[Claim]:
    numbers = chance.sample(range(1, 2**40), count)
    return [Claim(_address(number << chance.randrange(120)), chance.randrange(1, 2**53)) for number in numbers]


def test_root_and_proofs_are_those_of_the_javascript_library() -> None:
    """For lists of 1 to some hundred random claims, both libraries give the same root and the same proofs."""
    chance = random.Random(5192)  # noqa: S311
    sizes = [*range(1, scale(34, 130)), *(chance.randrange(35, 700) for _ in range(scale(3, 30)))]
    lists = [_random_claims(chance, size) for size in sizes]
    asked = [[[str(CHAIN), CONTRACT, claim.account, str(claim.cumulative)] for claim in claims] for claims in lists]
    answers = json.loads(javascript.run(ROOT / "tests/chain/js/claims.mjs", given=asked))
    assert len(answers) == len(lists)
    for claims, answer in zip(lists, answers, strict=True):
        tree = claims_tree(CHAIN, CONTRACT, claims)
        assert "0x" + tree.root.hex() == answer["root"]
        proofs = [["0x" + node.hex() for node in tree.proof(claim.account)] for claim in claims]
        assert proofs == answer["proofs"]


def test_every_claim_proves_itself_and_no_other() -> None:
    """A proof leads from its own leaf to the root, from no other leaf, and to no other root."""
    claims = _random_claims(random.Random(1), 50)  # noqa: S311
    tree = claims_tree(CHAIN, CONTRACT, claims)
    for claim, other in zip(claims, [*claims[1:], claims[0]], strict=True):
        leaf = leaf_hash(CHAIN, CONTRACT, claim)
        assert is_proof(tree.root, leaf, tree.proof(claim.account))
        assert not is_proof(tree.root, leaf, tree.proof(other.account))
        assert not is_proof(keccak256(b""), leaf, tree.proof(claim.account))
    assert tree.total == sum(claim.cumulative for claim in claims)


def test_the_order_of_the_claims_does_not_matter() -> None:
    """One list has one root, however it is ordered."""
    claims = _random_claims(random.Random(2), 30)  # noqa: S311
    assert claims_tree(CHAIN, CONTRACT, claims).root == claims_tree(CHAIN, CONTRACT, claims[::-1]).root


def test_the_hash_is_keccak_and_nodes_are_sorted() -> None:
    """The hash of nothing is Ethereum's, and a node is the same whichever child comes first."""
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    left, right = keccak(text="left"), keccak(text="right")
    assert node_hash(left, right) == node_hash(right, left) == keccak(min(left, right) + max(left, right))


@pytest.mark.parametrize("account", ["", "0x12", "0x" + "0" * 40, "0x" + "AB" * 20, "ab" * 20, "0x" + "ab" * 20 + "\n"])
def test_only_an_address_can_claim(account: str) -> None:
    """Addresses are written in one way, and the address zero is nobody's."""
    with pytest.raises(ClaimsError):
        Claim(account, 1)
    assert Claim("0x" + "ab" * 20, 1).cumulative == 1


@pytest.mark.parametrize("cumulative", [0, -1, 2**96])
def test_only_an_amount_can_be_claimed(cumulative: int) -> None:
    """More than nothing, and within the 96 bits of the contract."""
    with pytest.raises(ClaimsError):
        Claim(_address(1), cumulative)
    assert Claim(_address(1), 2**96 - 1).cumulative == 2**96 - 1


def test_a_list_names_each_account_once() -> None:
    """Two claims of one account, an empty list and a wrong contract make no tree; a stranger has no proof."""
    twice = [Claim(_address(1), 5), Claim(_address(2), 5), Claim(_address(1), 6)]
    with pytest.raises(ClaimsError, match="two claims"):
        claims_tree(CHAIN, CONTRACT, twice)
    with pytest.raises(ClaimsError, match="nothing to claim"):
        claims_tree(CHAIN, CONTRACT, [])
    with pytest.raises(ClaimsError, match="no address"):
        claims_tree(CHAIN, "0xKGO", twice[:2])
    with pytest.raises(ClaimsError, match="has no claim"):
        claims_tree(CHAIN, CONTRACT, twice[:2]).proof(_address(3))
