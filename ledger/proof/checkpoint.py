"""The signed head of a log: C2SP tlog-checkpoint in a C2SP signed note, Ed25519.

The text is three lines, origin, size and base64 of the root; there are no extension lines, and the origin is
the key's name. Reading is strict: one spelling of each number and each base64; the key asked for must have
signed validly and once; signatures of other keys are ignored, so that witnesses may add theirs.
Signing is in `ledger.signing`.
"""

import base64
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.proof.encoding import EncodingError, base64_strict
from ledger.proof.merkle import HASH_BYTES

MAX_SIGNATURES = 100
MAX_SIZE = 2**63 - 1
ED25519 = b"\x01"
SIGNED = "\u2014 "

find_control = re.compile("[\x00-\x09\x0b-\x1f]").search
_decimal = re.compile("0|[1-9][0-9]{0,18}").fullmatch


class CheckpointError(ValueError):
    """A checkpoint, note or key that is malformed or not signed by the key expected."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under and the id that says which algorithm it signs by."""

    name: str
    key_id: bytes
    public_key: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of the log named by `origin`. Not authenticated by itself: see `verify`."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def _check_name(name: str) -> None:
    if not name or "+" in name or " " in name or not name.isprintable():
        raise CheckpointError("a key name is empty or holds a space, a plus or an unprintable character")


def _decoded(what: str, text: str) -> bytes:
    try:
        return base64_strict(text)
    except EncodingError as error:
        raise CheckpointError(f"{what} is {error}") from error


def _key_id(name: str, algorithm: bytes, raw_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + algorithm + raw_key).digest()[:4]


def vkey(name: str, public_key: Ed25519PublicKey, algorithm: bytes = ED25519) -> str:
    """Return the verifier key `name+hex(key id)+base64(algorithm || public key)`."""
    _check_name(name)
    raw = public_key.public_bytes_raw()
    return f"{name}+{_key_id(name, algorithm, raw).hex()}+{base64.b64encode(algorithm + raw).decode()}"


def parse_vkey(text: str, algorithm: bytes = ED25519) -> VerifierKey:
    """Read a verifier key for `algorithm`, the one byte of it; its key id must be that of its name and key."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise CheckpointError("a verifier key is name+id+key")
    name, key_id, encoded = parts
    _check_name(name)
    key = _decoded("the verifier key", encoded)
    if len(key) != 33 or key[:1] != algorithm:
        raise CheckpointError(f"the verifier key is not one of type 0x{algorithm.hex()}")
    if _key_id(name, algorithm, key[1:]).hex() != key_id:
        raise CheckpointError("the verifier key's id does not belong to its name and key")
    return VerifierKey(name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(key[1:]))


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the note's text and its signatures as (name, key id || signature)."""
    body, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines.pop() or not 0 < len(lines) <= MAX_SIGNATURES or find_control(note):
        raise CheckpointError("not a signed note")
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix(SIGNED).partition(" ")
        if not line.startswith(SIGNED) or not space:
            raise CheckpointError("a signature line is malformed")
        _check_name(name)
        signature = _decoded("a signature", encoded)
        if len(signature) < 5:
            raise CheckpointError("a signature is too short")
        signatures.append((name, signature))
    return body + "\n", signatures


def signatures_of(note: str, key: VerifierKey) -> tuple[str, list[bytes]]:
    """Return the note's text and the signatures that claim to be of `key`, none of them verified."""
    body, signatures = _split_note(note)
    return body, [signature[4:] for name, signature in signatures if (name, signature[:4]) == (key.name, key.key_id)]


def verify_note(note: str, key: VerifierKey) -> str:
    """Return the text of a note that `key` signed, exactly once and validly; CheckpointError otherwise."""
    body, own = signatures_of(note, key)
    if len(own) != 1:
        raise CheckpointError(f"{len(own)} signatures are by the key {key.key_id.hex()} of {key.name}, not one")
    try:
        key.public_key.verify(own[0], body.encode())
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise CheckpointError(f"the signature of {key.name} does not verify") from error
    return body


def parse_body(body: str) -> Checkpoint:
    """Read the text of a checkpoint; CheckpointError unless it is spelt in the one way there is."""
    lines = body.split("\n")
    if len(lines) != 4:
        raise CheckpointError("a checkpoint is an origin, a size and a root")
    origin, size, encoded, _ = lines
    _check_name(origin)
    if not _decimal(size) or int(size) > MAX_SIZE:
        raise CheckpointError("the size is not a canonical decimal number")
    root = _decoded("the root", encoded)
    if len(root) != HASH_BYTES:
        raise CheckpointError("the root is not 32 bytes long")
    return Checkpoint(origin, int(size), root)


def parse(text: str) -> Checkpoint:
    """Read a signed checkpoint without checking who signed it."""
    return parse_body(_split_note(text)[0])


def verify(text: str, vkey: str) -> Checkpoint:
    """Return the checkpoint in `text` if the log `vkey` signed it and it is that log's own."""
    key = parse_vkey(vkey)
    checkpoint = parse_body(verify_note(text, key))
    if checkpoint.origin != key.name:
        raise CheckpointError("the checkpoint is of another origin than the key")
    return checkpoint
