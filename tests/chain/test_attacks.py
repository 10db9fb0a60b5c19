"""The known attacks on logs and bridges that concern the contracts, one test each."""

from __future__ import annotations

from hashlib import sha256

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from ledger.chain.claims import is_proof, leaf_hash, node_hash
from ledger.proof.merkle import ProofError, verify_consistency
from tests.chain.acts import activate, anchor, claim, claiming, claims_of, propose
from tests.chain.evm import SETTINGS, Contract, Evm, History, artifact


@pytest.fixture
def anchored(token: Contract, history: History) -> Contract:
    """A token whose log is anchored at 100 entries."""
    anchor(token, history, 100)
    return token


def test_zero_root_is_never_trusted(token: Contract, history: History) -> None:
    """A contract fresh from deployment holds zeros, and takes no claim for them (Nomad, 2022); none can be set."""
    account = token.evm.who["mallory"]
    for proof in ([], [bytes(32)]):
        assert token.refusal("mallory", "claim", account, 10**9, bytes(32), proof) == "ZeroRoot"
    assert token.refusal("anchorer", "anchor", 0, 5, bytes(32), []) == "ZeroRoot"
    anchor(token, history, 100)
    assert token.refusal("proposer", "propose", bytes(32), 10, 100) == "ZeroRoot"
    assert token.refusal("anchorer", "anchor", 100, 101, bytes(32), history.proof(100, 101)) == "ZeroRoot"


def test_leaf_replay_across_chains(history: History) -> None:
    """The same contract at the same address on another chain, under the same root, takes no claim of the first."""
    tokens = [Evm(chain_id).token() for chain_id in (31_337, 31_338)]
    assert tokens[0].address == tokens[1].address
    tree = claims_of(tokens[0], {"alice": 500, "bob": 700})
    for token in tokens:
        anchor(token, history, 100)
        activate(token, tree, 100)
    claim(tokens[0], tree, "alice")
    assert tokens[1].refusal("alice", "claim", *claiming(tokens[1], tree, "alice")) == "InvalidClaim"


def test_leaf_replay_across_contracts(anchored: Contract, history: History) -> None:
    """Another city's contract on the same chain, under the same root, takes no claim of the first."""
    other = anchored.evm.token()
    anchor(other, history, 100)
    tree = claims_of(anchored, {"alice": 500, "bob": 700})
    for token in (anchored, other):
        activate(token, tree, 100)
    claim(anchored, tree, "alice")
    assert other.refusal("alice", "claim", *claiming(other, tree, "alice")) == "InvalidClaim"


def test_node_taken_for_a_leaf_in_the_claims(anchored: Contract) -> None:
    """A 64-byte leaf that spells two nodes, and a leaf hashed once, are nobody's claim.

    Whoever could have a node taken for a leaf would claim what stands nowhere in the list. Leaves are hashed twice,
    over 128 bytes: a tree whose leaves are hashed once proves nothing to the contract.
    """
    evm, alice = anchored.evm, anchored.evm.who["alice"]
    packed = encode(["uint256", "address", "address", "uint256"], [evm.chain_id, anchored.address, alice, 500])
    once, sibling = keccak(packed), keccak(b"sibling")
    root = node_hash(once, sibling)
    anchored.send("proposer", "propose", root, 500, 100)
    evm.sleep(SETTINGS["delay"])
    anchored.send("mallory", "activate", 1)
    assert anchored.refusal("alice", "claim", alice, 500, root, [sibling]) == "InvalidClaim"
    tree = claims_of(anchored, {"alice": 500, "bob": 700, "carol": 100, "mallory": 1})
    leaves = [leaf_hash(evm.chain_id, anchored.address, made) for made in tree.claims.values()]
    proof = tree.proof(alice)
    node = node_hash(leaf_hash(evm.chain_id, anchored.address, tree.claims[alice]), proof[0])
    assert is_proof(tree.root, node, proof[1:])  # An inner node has a proof like a leaf …
    assert node not in leaves
    assert node == keccak(
        min(leaves[0], proof[0]) + max(leaves[0], proof[0])
    )  # … and is a hash of 64 bytes, hashed once.


def test_node_taken_for_a_leaf_in_the_log(anchored: Contract, history: History) -> None:
    """An entry of 64 bytes that spells two hashes is no node, so a history cannot be folded into fewer entries."""
    left, right = sha256(b"left").digest(), sha256(b"right").digest()
    assert sha256(b"\x00" + left + right).digest() != sha256(b"\x01" + left + right).digest()
    folded = History(b"history", 0)
    folded._frontier = folded._frontier.append([history.peak(1, place) for place in range(50)])
    # The 50 nodes over pairs of entries make the same root as the 100 entries: only the sizes tell them apart.
    assert folded._frontier.root() == history.root(100)
    assert anchored.refusal("anchorer", "anchor", 100, 50, folded._frontier.root(), []) == "NotAnExtension"
    assert anchored.refusal("anchorer", "anchor", 50, 100, history.root(100), []) == "StaleAnchor"


def test_forged_tree_size(anchored: Contract, history: History) -> None:
    """A root does not authenticate its size, so that verifiers must recount.

    The proof from 100 to 200 also fits the size 199 in shape: the contract takes a checkpoint that misstates it.
    Whoever recomputes the root at the anchored size sees it at once, and no honest checkpoint extends the forged one.
    """
    old, _, root, proof = history.step(100, 200)
    anchored.send("anchorer", "anchor", old, 199, root, proof)
    size, told = anchored.read("anchored")
    assert (size, told) == (199, root)
    assert history.root(size) != told
    assert anchored.refusal("anchorer", "anchor", *history.step(199, 300)) == "NotAnExtension"
    with pytest.raises(ProofError):
        verify_consistency(199, 300, told, history.root(300), history.proof(199, 300))


def test_proof_that_begins_below_the_old_peak(token: Contract, history: History) -> None:
    """A path of one hash too many would let an entry of the old tree be replaced by a subtree that holds it.

    From the last entry itself rather than from the peak over the last two, both roots can be reached, and the new one
    has the old entry one level deeper, beside anything. The length of the path gives it away.
    """
    anchor(token, history, 6)
    fourth, fifth, left = history.peak(0, 4), history.peak(0, 5), history.peak(2, 0)
    anything = sha256(b"anything").digest()
    assert _node(left, _node(fourth, fifth)) == history.root(6)
    root = _node(left, _node(fourth, _node(fifth, anything)))
    proof = [fifth, anything, fourth, left]
    assert token.refusal("anchorer", "anchor", 6, 7, root, proof) == "NotAnExtension"
    with pytest.raises(ProofError):
        verify_consistency(6, 7, history.root(6), root, proof)


def test_rewritten_history_is_not_anchored(anchored: Contract, history: History) -> None:
    """A log in which one old entry was changed has no proof, neither its own nor the honest one."""
    rewritten = History(b"history", 300, fork=42)
    for proof in (rewritten.proof(100, 300), history.proof(100, 300), []):
        assert anchored.refusal("anchorer", "anchor", 100, 300, rewritten.root(300), proof) == "NotAnExtension"
    assert rewritten.root(300) != history.root(300)
    anchored.send("anchorer", "anchor", *history.step(100, 300))


def test_split_view_after_an_anchor_is_not_anchored(anchored: Contract, history: History) -> None:
    """Two continuations of one history: the first that is anchored leaves no way for the other."""
    other = History(b"history", 300, fork=150)
    anchored.send("anchorer", "anchor", *history.step(100, 200))
    assert anchored.refusal("anchorer", "anchor", 200, 300, other.root(300), other.proof(200, 300)) == "NotAnExtension"


def test_wrong_root_meets_delay_and_veto(anchored: Contract) -> None:
    """A stolen proposer's key proposes a list of its own; for the whole delay the guardian can stop it, also paused."""
    wrong = claims_of(anchored, {"mallory": SETTINGS["increaseLimit"]})
    proposal = propose(anchored, wrong, 100)
    assert anchored.refusal("mallory", "activate", proposal) == "TooEarly"
    assert anchored.refusal("mallory", "claim", *claiming(anchored, wrong, "mallory")) == "RootNotActive"
    anchored.send("pauser", "pause")
    anchored.evm.sleep(SETTINGS["delay"])
    assert anchored.refusal("mallory", "activate", proposal) == "EnforcedPause"
    anchored.send("guardian", "veto", proposal)
    anchored.send("admin", "unpause")
    assert anchored.refusal("mallory", "activate", proposal) == "NotPending"


def test_wrong_root_that_nobody_stops_is_limited(anchored: Contract) -> None:
    """Even unseen, a stolen proposer's key mints no more than the limit in a period."""
    limit = SETTINGS["increaseLimit"]
    wrong = claims_of(anchored, {"mallory": limit})
    assert anchored.refusal("proposer", "propose", wrong.root, limit + 1, 100) == "AboveIncreaseLimit"
    activate(anchored, wrong, 100)
    claim(anchored, wrong, "mallory")
    assert anchored.refusal("proposer", "propose", wrong.root, limit + 1, 100) == "AboveIncreaseLimit"


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def test_no_multiproofs_on_chain() -> None:
    """One claim, one proof: multiproofs were forged once (CVE-2023-34459), and no function takes one."""
    functions = [item for item in artifact("KgoToken")["abi"] if item["type"] == "function"]
    proving = [item for item in functions if any(given["type"].endswith("[]") for given in item["inputs"])]
    assert sorted(item["name"] for item in proving) == ["anchor", "claim"]
    assert [given["type"] for item in functions for given in item["inputs"] if given["type"] == "bool[]"] == []


def test_no_permit_no_mint_no_upgrade() -> None:
    """Nothing that could be front-run with a signature, mints by privilege, or exchanges the code."""
    names = {item["name"] for item in artifact("KgoToken")["abi"] if item["type"] == "function"}
    forbidden = ("permit", "mint", "burn", "upgrade", "initialize", "proxi", "implementation", "multicall", "execute")
    assert [name for name in names if name.lower().startswith(forbidden)] == []
    # Neither delegatecall, callcode, selfdestruct, create nor create2 occurs as an instruction.
    assert _opcodes(bytes.fromhex(artifact("KgoToken")["runtime"])) & {0xF0, 0xF2, 0xF4, 0xF5, 0xFF} == set()


def _opcodes(code: bytes) -> set[int]:
    """The instructions of some code, without the constants that PUSH carries."""
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += code[at] - 0x5F + 1 if 0x60 <= code[at] <= 0x7F else 1
    return found
