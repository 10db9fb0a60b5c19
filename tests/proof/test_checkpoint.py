"""Checkpoints and signed notes: published examples, and everything that must be refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.checkpoint import (
    Checkpoint,
    CheckpointError,
    parse,
    parse_vkey,
    verify,
    verify_note,
    vkey,
)
from ledger.proof.merkle import EMPTY_ROOT
from ledger.signing import sign, sign_note
from tests.proof.logs import KEY, ORIGIN, VKEY

# The example of Go's sumdb/note package, key and note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
QUOTE = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    QUOTE
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example of the C2SP tlog-checkpoint specification.
SEA = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""

HEAD = Checkpoint(ORIGIN, 8, bytes(range(32)))
SIGNED = sign(HEAD, ORIGIN, KEY)
OTHER = Ed25519PrivateKey.from_private_bytes(b"other" * 6 + b"!!")


def signature_line(note: str) -> str:
    """Return the last signature line of a note."""
    return note.splitlines(keepends=True)[-1]


def test_the_published_note_verifies() -> None:
    """Go's example note is signed by Go's example key, and by our signer with the same bytes."""
    assert verify_note(NOTE, parse_vkey(PETER)) == QUOTE
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(PETER_SEED)[1:])
    assert vkey("PeterNeumann", key.public_key()) == PETER
    assert sign_note(QUOTE, "PeterNeumann", key) == NOTE
    with pytest.raises(CheckpointError):
        verify_note(NOTE.replace("answer", "Answer"), parse_vkey(PETER))


def test_the_published_checkpoint_reads() -> None:
    """The specification's example has its origin, size and root."""
    head = parse(SEA)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert SEA.startswith(head.body() + "\n")


def test_a_checkpoint_is_signed_and_verified() -> None:
    """What a log signs verifies with its key and with no other."""
    assert verify(SIGNED, VKEY) == HEAD == parse(SIGNED)
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert verify(sign(empty, ORIGIN, KEY), VKEY) == empty
    with pytest.raises(CheckpointError):
        verify(SIGNED, vkey(ORIGIN, OTHER.public_key()))
    with pytest.raises(CheckpointError):
        verify(SIGNED, vkey("another.example/log", KEY.public_key()))


def test_signatures_of_unknown_keys_are_ignored() -> None:
    """Witnesses may add theirs before or after; a key that shares only the name or only the id is unknown."""
    body = HEAD.body()
    same_name = signature_line(sign_note(body, ORIGIN, OTHER))
    other_name = signature_line(sign_note(body, "witness.example", KEY))
    other_type = "— witness.example " + base64.b64encode(b"\x00\x01\x02\x03" + bytes(72)).decode() + "\n"
    own = signature_line(SIGNED)
    for lines in ([same_name, own], [own, other_name, other_type], [other_type] * 15 + [own]):
        assert verify(body + "\n" + "".join(lines), VKEY) == HEAD
    with pytest.raises(CheckpointError, match="0 signatures"):
        verify(body + "\n" + same_name + other_name, VKEY)


def test_a_known_key_signs_once_and_validly() -> None:
    """A wrong signature of the known key refuses the note even beside a right one; so does a second."""
    own = signature_line(SIGNED)
    name, encoded = own.removeprefix("— ").split()
    raw = base64.b64decode(encoded)
    wrong = f"— {name} {base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()}\n"
    for lines in (wrong, own + wrong, wrong + own, own + own):
        with pytest.raises(CheckpointError):
            verify(HEAD.body() + "\n" + lines, VKEY)


def test_every_flipped_bit_is_refused() -> None:
    """No single bit of a signed checkpoint can change."""
    data = SIGNED.encode()
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(CheckpointError):
                verify(changed.decode(errors="replace"), VKEY)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        f"{ORIGIN}\n08\n{ROOT}\n",
        f"{ORIGIN}\n+8\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n 8\n{ROOT}\n",
        f"{ORIGIN}\n๘\n{ROOT}\n",
        f"{ORIGIN}\n0x8\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n8\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n8\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n8\nAAAA\n",
        f"{ORIGIN}\n8\n",
        f"{ORIGIN}\n8\n{ROOT}\nextension\n",
        f"\n8\n{ROOT}\n",
        f"another.example/log\n8\n{ROOT}\n",
    ],
)
def test_malformed_checkpoints_are_refused_though_signed(body: str) -> None:
    """One spelling of size and root, three lines, the log's own origin: the signature excuses nothing."""
    good = sign_note(f"{ORIGIN}\n8\n{ROOT}\n", ORIGIN, KEY)
    assert verify(good, VKEY).size == 8
    with pytest.raises(CheckpointError):
        verify(sign_note(body, ORIGIN, KEY), VKEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n",
        HEAD.body(),
        HEAD.body() + "\n",
        SIGNED[:-1],
        SIGNED + "\n",
        SIGNED.replace("—", "-"),
        SIGNED.replace("— ", "—"),
        SIGNED.replace("\n", "\r\n"),
        SIGNED.replace("\n\n", "\n"),
        SIGNED + "— name\n",
        SIGNED + "— na+me AAAAAAAA\n",
        SIGNED + "— na\u00a0me AAAAAAAA\n",
        SIGNED + "— name AAAA\n",
        SIGNED + "— name AAAAAAAA=\n",
        SIGNED + "— name AAAAAAAA\n" * 100,
        SIGNED + "x" * 100_000,
    ],
)
def test_malformed_notes_are_refused(text: str) -> None:
    """Every line has its form, and a note has at most a hundred signatures."""
    with pytest.raises(CheckpointError):
        verify(text, VKEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        ORIGIN,
        VKEY + "\n",
        VKEY.replace("example", "exampel"),
        VKEY[:-1],
        "+" + VKEY.split("+", 1)[1],
        VKEY.upper(),
        "a b+" + VKEY.split("+", 1)[1],
        f"{ORIGIN}+00000000+{VKEY.split('+', 2)[2]}",
        "\udcff+" + VKEY.split("+", 1)[1],
    ],
)
def test_malformed_keys_are_refused(text: str) -> None:
    """Name, id and key must belong together and be spelt one way."""
    with pytest.raises(CheckpointError):
        parse_vkey(text)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (HEAD, "another.example/log"),
        (Checkpoint("", 0, EMPTY_ROOT), ""),
        (Checkpoint("two\nlines", 0, EMPTY_ROOT), "two\nlines"),
        (Checkpoint("a b", 0, EMPTY_ROOT), "a b"),
        (Checkpoint(ORIGIN, -1, EMPTY_ROOT), ORIGIN),
        (Checkpoint(ORIGIN, 1, b"short"), ORIGIN),
    ],
)
def test_a_log_signs_only_its_own_well_formed_checkpoints(head: Checkpoint, name: str) -> None:
    """What no verifier would accept is not signed in the first place."""
    with pytest.raises(CheckpointError):
        sign(head, name, KEY)
    with pytest.raises(CheckpointError):
        sign_note("no newline at the end", ORIGIN, KEY)
