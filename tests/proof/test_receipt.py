"""Receipts: C2SP tlog-proof with the leaf as extra data, verified from the text alone, and everything refused."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.tlog import InclusionProof

from ledger.proof import checkpoint, receipt
from ledger.proof.checkpoint import CheckpointError
from ledger.proof.encoding import EncodingError, canonical
from ledger.proof.merkle import ProofError, leaf_hash, root_of
from ledger.proving import inclusion_proof, write_receipt
from ledger.signing import sign
from tests.counts import scale
from tests.proof.logs import KEY, ORIGIN, VKEY, Log, day, edited, signed

REFUSED = (ProofError, CheckpointError, EncodingError)
LINES = day().lines()
HASHES = [leaf_hash(line) for line in LINES]
NOTE = signed(LINES)


def proof(index: int, size: int = len(LINES)) -> list[bytes]:
    """Return the inclusion proof of an entry of the day."""
    return inclusion_proof(index, size, lambda level, at: root_of(HASHES[at << level : (at + 1) << level]))


def text_of(index: int, size: int = len(LINES)) -> str:
    """Return the receipt of an entry of the day."""
    return write_receipt(index, proof(index, size), signed(LINES, size), LINES[index])


@pytest.mark.parametrize("size", [1, 2, 8, len(LINES)])
def test_a_receipt_proves_its_entry(size: int) -> None:
    """From the text and the key alone; the path is what an independent implementation accepts."""
    for index in range(size):
        read = receipt.parse(text_of(index, size))
        head, entry = receipt.verify(read, VKEY)
        assert (head.size, entry["seq"], canonical(entry)) == (size, index, LINES[index])
        assert write_receipt(read.index, read.path, read.note, read.leaf) == text_of(index, size)
        InclusionProof(index, size, list(read.path)).check(leaf_hash(LINES[index]), head.root)


def test_the_form_is_that_of_the_specification() -> None:
    """Header, extra, index, a hash a line, a blank line, the checkpoint as it is; without extra, no such line."""
    lines = text_of(5).split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 5"
    assert len(lines[3]) == 44
    assert text_of(5).endswith("\n\n" + NOTE)
    bare = write_receipt(5, proof(5), NOTE)
    assert bare == text_of(5).replace(lines[1] + "\n", "")
    published = (
        "c2sp.org/tlog-proof@v1\nextra YWdl\nindex 73894\ngSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\nnote\n"
    )
    read = receipt.parse(published)
    assert (read.index, read.leaf, len(read.path), read.note) == (73_894, b"age", 1, "note\n")


def test_an_entry_may_come_from_elsewhere() -> None:
    """A receipt without extra data needs it; one with extra data must carry the same."""
    bare = receipt.parse(write_receipt(5, proof(5), NOTE))
    assert receipt.verify(bare, VKEY, LINES[5])[1]["seq"] == 5
    with pytest.raises(ProofError, match="carries no entry"):
        receipt.verify(bare, VKEY)
    with pytest.raises(ProofError):
        receipt.verify(bare, VKEY, LINES[4])
    full = receipt.parse(text_of(5))
    assert receipt.verify(full, VKEY, LINES[5])[1]["seq"] == 5
    with pytest.raises(ProofError, match="another entry"):
        receipt.verify(full, VKEY, LINES[4])


def test_a_receipt_of_another_log_or_signer_is_refused() -> None:
    """A stranger's key, another origin; without a key nothing is said about who signed."""
    stranger = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)
    foreign = receipt.parse(write_receipt(5, proof(5), signed(LINES, key=stranger), LINES[5]))
    assert receipt.verify(foreign, None)[0].origin == ORIGIN
    with pytest.raises(CheckpointError):
        receipt.verify(foreign, VKEY)
    other = checkpoint.Checkpoint("other.example/log", len(LINES), root_of(HASHES))
    with pytest.raises(CheckpointError):
        receipt.verify(receipt.parse(write_receipt(5, proof(5), sign(other, other.origin, KEY), LINES[5])), VKEY)


def test_what_is_proven_must_be_an_entry_in_its_place() -> None:
    """A log that signs other bytes, or an entry out of its place, gives no receipt."""
    log = Log()
    log.add("grant", ("issuance", "treasury", 5))
    entry = log.lines()[0]
    for line, why in (
        (b"rubbish", EncodingError),
        (edited(entry, kind="gift"), EncodingError),
        (edited(entry, seq=1), ProofError),
    ):
        with pytest.raises(why):
            receipt.verify(receipt.parse(write_receipt(0, [], signed([line]), line)), VKEY)
    assert receipt.verify(receipt.parse(write_receipt(0, [], signed([entry]), entry)), VKEY)[1] == log.leaves[0]


def test_no_changed_receipt_is_accepted() -> None:
    """Bits flipped, characters cut, doubled and swapped, lines left out: refused, or it says what it said before."""
    chance = random.Random(4)  # noqa: S311
    for _ in range(scale(1_500, 30_000)):
        index = chance.randrange(len(LINES))
        text = text_of(index)
        at = chance.randrange(len(text))
        changed = chance.choice(
            [
                text[:at] + chr(ord(text[at]) ^ 1 << chance.randrange(7)) + text[at + 1 :],
                text[:at] + text[at + 1 :],
                text[:at] + text[at] + text[at:],
                text[:at],
                "".join(line for line in text.splitlines(keepends=True) if chance.random() < 0.8),
                text + text[at:],
            ]
        )
        if changed == text:
            continue
        with pytest.raises(REFUSED):
            receipt.verify(receipt.parse(changed), VKEY)


MALFORMED = [
    ("index 5", "index 05"),
    ("index 5", "index +5"),
    ("index 5", "index ๕"),
    ("index 5", f"index {'9' * 5000}"),
    ("index 5", "index 5 "),
    ("index 5\n", ""),
    ("\n", "\r\n"),
    ("@v1", "@v2"),
    ("c2sp", "\nc2sp"),
    ("extra ", "extra  "),
    ("extra ", "Extra "),
    ("index 5\n", "index 5\n" + "A" * 43 + "=\n"),
    ("index 5\n", "index 5\n" + ("A" * 43 + "=\n") * 64),
    ("\n\n", "\n"),
]


@pytest.mark.parametrize(("old", "new"), MALFORMED)
def test_malformed_receipts_are_refused(old: str, new: str) -> None:
    """One spelling of each part, and no line too many."""
    assert old in text_of(5)
    with pytest.raises(REFUSED):
        receipt.verify(receipt.parse(text_of(5).replace(old, new)), VKEY)


def test_an_endless_receipt_is_refused() -> None:
    """Before anything in it is decoded."""
    with pytest.raises(ProofError, match="not a tlog-proof"):
        receipt.parse(text_of(5) + " " * (1 << 20))
