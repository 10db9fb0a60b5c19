"""Makes the signatures that `ledger.proof` reads: a log's checkpoints and a witness's cosignatures.

What is signed is checked for its form first: a key never signs what the judge would refuse to read.
The judge itself holds no private key.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import cosignature
from ledger.proof.checkpoint import SIGNED, Checkpoint, CheckpointError, find_control, parse_body, vkey
from ledger.proof.cosignature import MAX_TIME, TIME_BYTES, cosigned_message


def signature_line(vkey: str, signature: bytes) -> str:
    """Return the line that carries `signature`, made by the key `vkey`, below a note."""
    name, key_id, _ = vkey.split("+", 2)
    return f"{SIGNED}{name} {base64.b64encode(bytes.fromhex(key_id) + signature).decode()}\n"


def sign_note(body: str, name: str, private_key: Ed25519PrivateKey) -> str:
    """Return `body` (which ends in a newline) as a note signed by `name`."""
    if not body.endswith("\n") or find_control(body):
        raise CheckpointError("a note ends in a newline and holds no control character")
    return f"{body}\n{signature_line(vkey(name, private_key.public_key()), private_key.sign(body.encode()))}"


def sign(checkpoint: Checkpoint, name: str, private_key: Ed25519PrivateKey) -> str:
    """Return the signed note of `checkpoint`; `name` must be its origin."""
    if name != checkpoint.origin or parse_body(checkpoint.body()) != checkpoint:
        raise CheckpointError("a log signs its own well-formed checkpoints, under its origin")
    return sign_note(checkpoint.body(), name, private_key)


def cosign(body: str, name: str, private_key: Ed25519PrivateKey, timestamp: int) -> str:
    """Return the signature line, newline included, of the witness `name` below a checkpoint with the text `body`.

    `timestamp` is in seconds since 1970. To be appended to the note as it is.
    """
    if not 0 <= timestamp <= MAX_TIME or not body.endswith("\n"):
        raise CheckpointError("a cosignature takes a whole text and a time from 0 to 2**63 - 1")
    signature = private_key.sign(cosigned_message(body, timestamp))
    key = cosignature.vkey(name, private_key.public_key())
    return signature_line(key, timestamp.to_bytes(TIME_BYTES, "big") + signature)
