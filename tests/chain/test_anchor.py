"""`KgoToken.anchor`: one history, which only ever grows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.proof.merkle import ProofError, verify_consistency
from tests.chain.acts import anchor
from tests.chain.evm import Contract, Evm, History
from tests.counts import scale


def test_the_first_anchor_is_taken_once(token: Contract, history: History) -> None:
    """An empty contract takes any first checkpoint, and tells what it took; a second first one is refused."""
    assert token.read("anchored") == (0, bytes(32))
    receipt = anchor(token, history, 5)
    assert receipt.events == [("Anchored", {"oldSize": 0, "size": 5, "root": history.root(5)})]
    assert token.read("anchored") == (5, history.root(5))
    assert token.refusal("anchorer", "anchor", 0, 9, history.root(9), []) == "StaleAnchor"


def test_an_anchor_extends_the_one_before(token: Contract, history: History) -> None:
    """Each anchor names the one before and proves that it contains it."""
    receipt = anchor(token, history, 5, 64, 65, 700)
    assert receipt.events == [("Anchored", {"oldSize": 65, "size": 700, "root": history.root(700)})]
    assert token.read("anchored") == (700, history.root(700))


def test_an_anchor_from_an_older_size_is_stale(token: Contract, history: History) -> None:
    """Whoever knows an older anchor than the newest is told the newest, and nothing changes."""
    anchor(token, history, 5, 8)
    assert token.refusal("anchorer", "anchor", *history.step(5, 9)) == "StaleAnchor"
    assert token.read("anchored") == (8, history.root(8))


@pytest.mark.parametrize(("old", "new"), [(8, 8), (8, 7), (8, 0)])
def test_an_anchor_that_does_not_grow_is_refused(token: Contract, history: History, old: int, new: int) -> None:
    """The same size again and a smaller one are refused, whatever the root and the proof."""
    anchor(token, history, old)
    for proof in ([], [history.root(4)], [history.root(8), history.root(7)]):
        assert token.refusal("anchorer", "anchor", old, new, history.root(max(new, 1)), proof) == "NotAnExtension"


def test_a_proof_of_the_old_root_alone_is_no_growth(token: Contract, history: History) -> None:
    """The peaks of the old tree lead to its own root; under the same or a smaller size that is refused all the same."""
    anchor(token, history, 6)
    peaks = [history.peak(1, 2), history.peak(2, 0)]
    for size in (6, 5):
        assert token.refusal("anchorer", "anchor", 6, size, history.root(6), peaks) == "NotAnExtension"


def test_the_first_anchor_needs_entries_and_no_proof(token: Contract, history: History) -> None:
    """Nothing is not anchored, and a proof from nothing is refused."""
    assert token.refusal("anchorer", "anchor", 0, 0, history.root(1), []) == "NotAnExtension"
    assert token.refusal("anchorer", "anchor", 0, 5, history.root(5), [history.root(1)]) == "NotAnExtension"


def test_only_the_anchorer_anchors(token: Contract, history: History) -> None:
    """Nobody else may, the admin included."""
    for name in ("admin", "proposer", "guardian", "pauser", "mallory"):
        refused = token.refusal(name, "anchor", *history.step(0, 5))
        assert refused == "AccessControlUnauthorizedAccount"
    assert anchor(token, history, 5).events


def test_every_step_between_small_sizes_is_accepted(evm: Evm, history: History) -> None:
    """All growth within the first entries proves itself, and only with its own proof."""
    most = scale(13, 40)
    for old in range(1, most):
        with evm.fresh():
            token = evm.token()
            anchor(token, history, old)
            for new in range(old + 1, most + 1):
                assert _accepted(token, history.step(old, new))
                assert not _accepted(token, (old, new, history.root(new), history.proof(old, new)[1:]))
                assert not _accepted(token, (old, new, history.root(new), [*history.proof(old, new), bytes(32)]))


def _accepted(token: Contract, step: tuple[int, int, bytes, list[bytes]]) -> bool:
    try:
        refusal = token.refusal("anchorer", "anchor", *step)
    except AssertionError:
        return True
    assert refusal == "NotAnExtension"
    return False


@settings(max_examples=scale(10, 150))
@given(data=st.data())
def test_the_contract_judges_as_the_python_verifier(chain: Evm, history: History, data: st.DataObject) -> None:
    """On random sizes and damaged proofs, contract and `ledger.proof.merkle` accept and refuse the same."""
    old = data.draw(st.integers(1, 699))
    seed = data.draw(st.integers(0, 2**32))
    with chain.fresh():
        token = chain.token()
        anchor(token, history, old)
        chance = random.Random(seed)  # noqa: S311
        for _ in range(scale(10, 40)):
            new = chance.randint(old + 1, 700)
            proof, root = _damage(history.proof(old, new), history.root(new), chance)
            claimed = new if chance.random() < 0.8 else chance.randint(old + 1, 2**20)
            assert _accepted(token, (old, claimed, root, proof)) is _proves(history, old, claimed, root, proof)


def _damage(proof: list[bytes], root: bytes, chance: random.Random) -> tuple[list[bytes], bytes]:
    """The same, or with a hash changed, left out, put in, exchanged, or another root."""
    at, kind = chance.randrange(max(len(proof), 1)), chance.randrange(7)
    match kind:
        case 0:
            return [*proof[:at], chance.randbytes(32), *proof[at + 1 :]], root
        case 1:
            return [*proof[:at], *proof[at + 1 :]], root
        case 2:
            return [*proof[:at], chance.randbytes(32), *proof[at:]], root
        case 3:
            return proof[::-1], root
        case 4:
            return proof, chance.randbytes(32)
    return proof, root


def _proves(history: History, old: int, new: int, root: bytes, proof: list[bytes]) -> bool:
    try:
        verify_consistency(old, new, history.root(old), root, proof)
    except ProofError:
        return False
    return True
