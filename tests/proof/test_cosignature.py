"""Cosignatures: those that real witnesses published, ours, those of an independent signer, and everything refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint as TheirCheckpoint

from ledger.proof import checkpoint
from ledger.proof.checkpoint import CheckpointError
from ledger.proof.cosignature import MAX_TIME, cosigned_at, parse_vkey, vkey
from ledger.signing import cosign, signature_line
from tests.proof.logs import KEY, VKEY, day, signed
from tests.proof.vectors import ABSENT_WITNESS, ARCHE, ARCHE_COSIGNED_AT, ARCHE_VKEY, WITNESSES

NAME = "witness.example/w1"
WITNESS = Ed25519PrivateKey.from_private_bytes(b"witness!" * 4)
PUBLIC = vkey(NAME, WITNESS.public_key())
NOTE = signed(day().lines())
BODY = checkpoint.parse(NOTE).body()
AT = 1_800_000_000
COSIGNED = NOTE + cosign(BODY, NAME, WITNESS, AT)


@pytest.mark.parametrize("witness", WITNESSES)
def test_published_cosignatures_verify(witness: str) -> None:
    """Four witnesses cosigned a staging log at the same second; the published keys say so, for this text alone."""
    assert cosigned_at(ARCHE, parse_vkey(witness)) == ARCHE_COSIGNED_AT
    assert checkpoint.verify(ARCHE, ARCHE_VKEY).size == 1_432_088_532
    with pytest.raises(CheckpointError):
        cosigned_at(ARCHE.replace("1432088532", "1432088533"), parse_vkey(witness))
    assert cosigned_at(ARCHE, parse_vkey(ABSENT_WITNESS)) is None


def test_what_we_cosign_verifies_here_and_elsewhere() -> None:
    """By our own reading and by an independent one; the log's own signature stays what it was."""
    assert cosigned_at(COSIGNED, parse_vkey(PUBLIC)) == AT
    assert cosigned_at(NOTE, parse_vkey(PUBLIC)) is None
    assert checkpoint.verify(COSIGNED, VKEY).body() == BODY
    TheirCheckpoint.from_text(COSIGNED.removesuffix("\n")).verify(Vkey.from_string(PUBLIC))
    TheirCheckpoint.from_text(COSIGNED.removesuffix("\n")).verify(Vkey.from_string(VKEY))
    theirs = Vkey(NAME, None, 4, WITNESS.public_key().public_bytes_raw())
    assert theirs.key_id == int.from_bytes(parse_vkey(PUBLIC).key_id, "big")


def test_the_latest_of_several_cosignatures_counts() -> None:
    """A witness may cosign one checkpoint again; each must verify."""
    again = COSIGNED + cosign(BODY, NAME, WITNESS, AT + 60) + cosign(BODY, NAME, WITNESS, AT + 30)
    assert cosigned_at(again, parse_vkey(PUBLIC)) == AT + 60
    forged = again + signature_line(PUBLIC, (AT + 90).to_bytes(8, "big") + bytes(64))
    with pytest.raises(CheckpointError):
        cosigned_at(forged, parse_vkey(PUBLIC))


def test_every_flipped_bit_is_refused() -> None:
    """No bit of text, time or signature may change, unless the line becomes that of somebody unknown."""
    key, data = parse_vkey(PUBLIC), COSIGNED.encode()
    start = data.index(b" ", data.index(NAME.encode())) + 7  # past the key id
    log_line = range(len(BODY) + 1, data.index("— ".encode() + NAME.encode()))
    for at in [at for at in range(len(data)) if at not in log_line]:
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            try:
                found = cosigned_at(changed.decode(errors="replace"), key)
            except CheckpointError:
                continue
            assert found is None
            assert len(BODY) < at < start


@pytest.mark.parametrize(
    "signature",
    [
        b"x",
        WITNESS.sign(BODY.encode()),
        bytes(8) + WITNESS.sign(BODY.encode()),
        bytes(8) + WITNESS.sign(f"cosignature/v1\ntime 0\n{BODY}".encode()) + b"x",
        bytes([128, 0, 0, 0, 0, 0, 0, 0]) + WITNESS.sign(f"cosignature/v1\ntime {2**63}\n{BODY}".encode()),
        bytes(8) + WITNESS.sign(f"cosignature/v1\ntime 00\n{BODY}".encode()),
        bytes(8) + WITNESS.sign(f"cosignature/v1\ntime 0\n{BODY}\n".encode()),
    ],
)
def test_malformed_cosignatures_are_refused(signature: bytes) -> None:
    """Other lengths, a time beyond 2**63 - 1, another message."""
    right = bytes(8) + WITNESS.sign(f"cosignature/v1\ntime 0\n{BODY}".encode())
    assert cosigned_at(NOTE + signature_line(PUBLIC, right), parse_vkey(PUBLIC)) == 0
    with pytest.raises(CheckpointError):
        cosigned_at(NOTE + signature_line(PUBLIC, signature), parse_vkey(PUBLIC))


def test_keys_of_another_type_are_refused() -> None:
    """A log's key is no witness's, nor the other way round; times outside the range are not signed."""
    with pytest.raises(CheckpointError):
        parse_vkey(VKEY)
    with pytest.raises(CheckpointError):
        checkpoint.parse_vkey(PUBLIC)
    raw = base64.b64encode(b"\x04" + WITNESS.public_key().public_bytes_raw()).decode()
    for text in (f"{NAME}+00000000+{raw}", PUBLIC.replace("w1", "w2"), f"{PUBLIC}=", f"{NAME}+{raw}", ""):
        with pytest.raises(CheckpointError):
            parse_vkey(text)
    for body, timestamp in ((BODY, -1), (BODY, MAX_TIME + 1), (BODY[:-1], 0)):
        with pytest.raises(CheckpointError):
            cosign(body, NAME, WITNESS, timestamp)
    with pytest.raises(CheckpointError):
        cosign(BODY, "two words", KEY, 0)
