"""`KgoBadge`: a badge for a log entry, bound to whom it was awarded."""

from __future__ import annotations

from hashlib import sha256

from tests.chain.evm import ORIGIN_HASH, Contract

LEAF = sha256(b"\x00leaf").digest()
NOBODY = "0x" + "0" * 40


def test_a_badge_is_awarded_once(badge: Contract) -> None:
    """Its id is the entry's number in the log; the same entry gives no second one, to nobody."""
    alice = badge.evm.who["alice"]
    receipt = badge.send("proposer", "award", alice, 42, LEAF)
    assert receipt.events == [
        ("Transfer", {"from": NOBODY, "to": alice, "tokenId": 42}),
        ("Locked", {"tokenId": 42}),
        ("Awarded", {"account": alice, "tokenId": 42, "leafHash": LEAF}),
    ]
    for account in (alice, badge.evm.who["bob"]):
        assert badge.refusal("proposer", "award", account, 42, LEAF) == "AlreadyAwarded"
    assert (badge.read("ownerOf", 42), badge.read("balanceOf", alice)) == (alice, 1)
    assert badge.read("tokenURI", 42) == "https://city.example/badges/42"
    assert badge.read("originHash") == ORIGIN_HASH


def test_only_the_issuer_awards(badge: Contract) -> None:
    """Nobody else may, the admin included; and nobody receives a badge at the address zero."""
    for name in ("admin", "alice", "mallory"):
        refusal = badge.refusal(name, "award", badge.evm.who["alice"], 1, LEAF)
        assert refusal == "AccessControlUnauthorizedAccount"
    assert badge.refusal("proposer", "award", NOBODY, 1, LEAF) == "ERC721InvalidReceiver"


def test_a_badge_never_changes_hands(badge: Contract) -> None:
    """No transfer and no approval, by its owner or anybody else."""
    alice, bob = badge.evm.who["alice"], badge.evm.who["bob"]
    badge.send("proposer", "award", alice, 1, LEAF)
    for sender in ("alice", "mallory"):
        assert badge.refusal(sender, "transferFrom", alice, bob, 1) == "Soulbound"
        assert badge.refusal(sender, "safeTransferFrom", alice, bob, 1) == "Soulbound"
        assert badge.refusal(sender, "safeTransferFrom", alice, bob, 1, b"") == "Soulbound"
        assert badge.refusal(sender, "approve", bob, 1) == "Soulbound"
        assert badge.refusal(sender, "setApprovalForAll", bob, True) == "Soulbound"
    assert badge.read("locked", 1) is True
    assert badge.read("ownerOf", 1) == alice


def test_its_owner_may_renounce_a_badge_for_ever(badge: Contract) -> None:
    """The owner alone gives it back, and then nobody can award it again."""
    alice = badge.evm.who["alice"]
    badge.send("proposer", "award", alice, 1, LEAF)
    for name in ("bob", "proposer", "admin"):
        assert badge.refusal(name, "renounce", 1) == "NotOwner"
    receipt = badge.send("alice", "renounce", 1)
    assert receipt.events == [
        ("Transfer", {"from": alice, "to": NOBODY, "tokenId": 1}),
        ("Renounced", {"account": alice, "tokenId": 1}),
    ]
    assert badge.read("balanceOf", alice) == 0
    assert badge.refusal("proposer", "award", alice, 1, LEAF) == "AlreadyAwarded"
    for function in ("renounce", "locked", "ownerOf", "tokenURI"):
        assert badge.refusal("alice", function, 1) == "ERC721NonexistentToken"


def test_the_badges_say_what_they_are(badge: Contract) -> None:
    """ERC-165 names ERC-165, ERC-721 with metadata, ERC-5192 and the access control, and nothing else."""
    known = ("01ffc9a7", "80ac58cd", "5b5e139f", "b45a3c0e", "7965db0b", "31498786")
    assert [badge.read("supportsInterface", bytes.fromhex(known_id)) for known_id in known] == [True] * 6
    for other in ("ffffffff", "780e9d63", "12345678"):
        assert badge.read("supportsInterface", bytes.fromhex(other)) is False


def test_the_metadata_can_move(badge: Contract) -> None:
    """When the city's address changes, the admin says where the metadata are."""
    badge.send("proposer", "award", badge.evm.who["alice"], 7, LEAF)
    receipt = badge.send("admin", "setBaseUri", "https://new.example/b/")
    assert receipt.events == [("BaseUriChanged", {"baseUri": "https://new.example/b/"})]
    assert badge.read("tokenURI", 7) == "https://new.example/b/7"
    assert badge.refusal("proposer", "setBaseUri", "x") == "AccessControlUnauthorizedAccount"
