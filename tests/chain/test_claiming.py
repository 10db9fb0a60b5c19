"""`KgoToken.claim`: each account receives what the active list gives it, once, whoever sends."""

from __future__ import annotations

import pytest

from tests.chain.acts import activate, anchor, claim, claiming, claims_of, propose
from tests.chain.evm import Contract, Evm, History, Refused


@pytest.fixture
def token(token: Contract, history: History) -> Contract:
    """A token whose log is anchored at 100 entries."""
    anchor(token, history, 100)
    return token


def test_a_claim_pays_the_account_whoever_sends_it(token: Contract) -> None:
    """The tokens come to the account of the list, and the sender has nothing of it."""
    tree = claims_of(token, {"alice": 500, "bob": 700, "carol": 1})
    activate(token, tree, 100)
    alice = token.evm.who["alice"]
    receipt = claim(token, tree, "alice", sender="mallory")
    assert receipt.events == [
        ("Transfer", {"from": "0x" + "0" * 40, "to": alice, "value": 500}),
        ("Claimed", {"account": alice, "amount": 500, "cumulative": 500}),
    ]
    assert token.read("balanceOf", alice) == 500
    assert token.read("balanceOf", token.evm.who["mallory"]) == 0
    assert token.read("totalSupply") == 500
    assert token.read("totals") == (500, 0, 0)
    assert token.read("claimed", alice) == 500


def test_a_later_list_pays_the_difference(token: Contract) -> None:
    """Lists are cumulative: what was claimed before is not paid again, and what was missed is not lost."""
    first = claims_of(token, {"alice": 500, "bob": 700})
    activate(token, first, 100)
    claim(token, first, "alice")
    second = claims_of(token, {"alice": 800, "bob": 900})
    activate(token, second, 100)
    assert claim(token, second, "alice").events[1][1]["amount"] == 300
    assert claim(token, second, "bob").events[1][1]["amount"] == 900
    assert token.read("totals") == (1700, 0, 0)
    assert token.read("claimed", token.evm.who["alice"]) == 800
    third = claims_of(token, {"alice": 850, "bob": 950})
    activate(token, third, 100)
    assert claim(token, third, "alice").events[1][1]["amount"] == 50
    assert token.refusal("mallory", "claim", *claiming(token, third, "alice")) == "NothingToClaim"


def test_nothing_is_claimed_twice(token: Contract) -> None:
    """The same claim again is refused, also when the tokens have left the account, and a smaller one too."""
    tree = claims_of(token, {"alice": 500, "bob": 700})
    activate(token, tree, 100)
    claim(token, tree, "alice")
    token.send("alice", "transfer", token.evm.who["bob"], 500)
    assert token.refusal("mallory", "claim", *claiming(token, tree, "alice")) == "NothingToClaim"
    fallen = claims_of(token, {"alice": 499, "bob": 800})
    activate(token, fallen, 100)
    assert token.refusal("mallory", "claim", *claiming(token, fallen, "alice")) == "NothingToClaim"


def test_a_claim_names_the_root_that_it_is_for(token: Contract) -> None:
    """With the root of an earlier list, of one that still waits, or of a vetoed one, it is refused, and told which."""
    first = claims_of(token, {"alice": 500, "bob": 700})
    second = claims_of(token, {"alice": 500, "bob": 900})
    activate(token, first, 100)
    propose(token, second, 100)
    assert token.refusal("bob", "claim", *claiming(token, second, "bob")) == "RootNotActive"
    token.send("guardian", "veto", 2)
    assert token.refusal("bob", "claim", *claiming(token, second, "bob")) == "RootNotActive"
    activate(token, second, 100)
    with pytest.raises(Refused) as refused:
        claim(token, first, "bob")
    assert (refused.value.name, refused.value.arguments) == ("RootNotActive", (second.root,))
    claim(token, second, "bob")


def test_a_claim_must_be_in_the_list(token: Contract) -> None:
    """Another amount, another account, a shortened, lengthened or exchanged proof are refused."""
    tree = claims_of(token, {"alice": 500, "bob": 700, "carol": 1})
    activate(token, tree, 100)
    account, amount, root, proof = claiming(token, tree, "alice")
    for forged in (
        (account, amount + 1, root, proof),
        (account, amount - 1, root, proof),
        (token.evm.who["mallory"], amount, root, proof),
        (account, amount, root, proof[:-1]),
        (account, amount, root, proof[1:]),
        (account, amount, root, [*proof, root]),
        (account, amount, root, []),
        (account, amount, root, tree.proof(token.evm.who["carol"])),
    ):
        assert token.refusal("mallory", "claim", *forged) == "InvalidClaim"
    token.send("mallory", "claim", account, amount, root, proof)


def test_no_more_is_claimed_than_the_declared_total(token: Contract) -> None:
    """A list whose amounts exceed its total pays up to the total and no further."""
    tree = claims_of(token, {"alice": 500, "bob": 700})
    activate(token, tree, 100, total=1000)
    claim(token, tree, "bob")
    assert token.refusal("alice", "claim", *claiming(token, tree, "alice")) == "AboveActiveTotal"
    assert token.read("totals")[0] == 700


def test_a_list_of_one_needs_no_proof(token: Contract) -> None:
    """The root of a single claim is its leaf."""
    tree = claims_of(token, {"alice": 500})
    activate(token, tree, 100)
    assert tree.proof(token.evm.who["alice"]) == []
    claim(token, tree, "alice")


def test_the_largest_amount_is_claimed_whole(evm: Evm, history: History) -> None:
    """96 bits are enough for whatever limits a contract can be given."""
    most = 2**96 - 1
    token = evm.token(supplyCap=most, increaseLimit=most)
    anchor(token, history, 100)
    tree = claims_of(token, {"alice": most - 1, "bob": 1})
    activate(token, tree, 100)
    claim(token, tree, "alice")
    claim(token, tree, "bob")
    assert token.read("totalSupply") == most
    assert token.refusal("mallory", "propose", bytes(32), most, 100) == "AccessControlUnauthorizedAccount"
