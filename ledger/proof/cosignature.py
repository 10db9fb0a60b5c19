"""What a witness says of a log: C2SP tlog-cosignature, Ed25519 (signature type 0x04).

A cosignature covers the whole text of a checkpoint and a time: "of this log, this is the largest tree that I
have seen by then, and it extends all that I saw before". It stands as one more signature below the note.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.proof import checkpoint
from ledger.proof.checkpoint import CheckpointError, VerifierKey, signatures_of

COSIGNATURE = b"\x04"
MAX_TIME = 2**63 - 1
TIME_BYTES, _SIGNATURE_BYTES = 8, 64


def vkey(name: str, public_key: Ed25519PublicKey) -> str:
    """Return the verifier key of a witness, `name+hex(key id)+base64(0x04 || public key)`."""
    return checkpoint.vkey(name, public_key, COSIGNATURE)


def parse_vkey(text: str) -> VerifierKey:
    """Read the verifier key of a witness; CheckpointError for one of another type."""
    return checkpoint.parse_vkey(text, COSIGNATURE)


def cosigned_message(body: str, timestamp: int) -> bytes:
    """Return what a witness signs: the text of a checkpoint and a time in seconds since 1970."""
    return f"cosignature/v1\ntime {timestamp}\n{body}".encode()


def cosigned_at(note: str, witness: VerifierKey) -> int | None:
    """Return when `witness` last cosigned `note`, in seconds since 1970, or None if it did not.

    CheckpointError if the note is malformed, or if any cosignature of this witness does not verify.
    """
    body, signatures = signatures_of(note, witness)
    times = []
    for signature in signatures:
        timestamp = int.from_bytes(signature[:TIME_BYTES], "big")
        if len(signature) != TIME_BYTES + _SIGNATURE_BYTES or timestamp > MAX_TIME:
            raise CheckpointError(f"a cosignature of {witness.name} is malformed")
        try:
            witness.public_key.verify(signature[TIME_BYTES:], cosigned_message(body, timestamp))
        except (InvalidSignature, UnicodeEncodeError) as error:
            raise CheckpointError(f"the cosignature of {witness.name} does not verify") from error
        times.append(timestamp)
    return max(times, default=None)
