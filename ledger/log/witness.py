"""The witness of an installation, C2SP tlog-witness: it cosigns checkpoints that extend what it has seen of a log.

It vouches for two things: that it never saw two histories of a log, and that the log grew. Of each log it keeps the
largest checkpoint that it cosigned. Comparing with that one and putting the new one in its place is one transaction
that holds the log's row, so that of requests that race each sees what the one before left; the database itself refuses
to go back. The cosignature is released after the commit.

Which logs: the installation's own cities, and those whose verifier keys stand in `logs`, one on a line. The witness's
directory also holds its key and, in `seen`, the last checkpoint of each log that it cosigned: a database that was
restored from an older copy does not lead it back.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import BigInteger, LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.cities import City, KeyRing
from ledger.book.seal import Published
from ledger.db import Base, Database, Instant
from ledger.errors import LedgerError
from ledger.proof.checkpoint import CheckpointError, parse_vkey, signatures_of, verify_note
from ledger.proof.cosignature import parse_vkey as parse_witness_vkey
from ledger.proof.cosignature import vkey
from ledger.proof.encoding import EncodingError, base64_strict
from ledger.proof.merkle import EMPTY_ROOT, HASH_BYTES, ProofError, verify_consistency
from ledger.rows import ask, run
from ledger.signing import cosign
from ledger.values import to_milliseconds

PLAIN, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = 65_536
"""More than any checkpoint with a proof needs."""

_request = re.compile(r"old (0|[1-9][0-9]{0,18})\n((?:[^\n]+\n)*?)\n(.+)", re.DOTALL).fullmatch
_head = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n(?:[^\n]+\n)*").fullmatch
log = logging.getLogger(__name__)


class Witnessed(Base):
    """The largest checkpoint of a log that the witness cosigned, as it was signed by the log."""

    __tablename__ = "witnessed"

    origin: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    note: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)


class WitnessExists(LedgerError):
    """The installation has a witness key; another one would be another witness."""

    code = "witness_exists"


class Reply(NamedTuple):
    """What a witness answers: an HTTP status, a content type and a body."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True)
class WitnessKey:
    """The witness's name and its Ed25519 key."""

    name: str
    signer: Ed25519PrivateKey = field(repr=False)

    @property
    def vkey(self) -> str:
        """The verifier key that policies name."""
        return vkey(self.name, self.signer.public_key())


class Head(NamedTuple):
    """The size and root that a checkpoint states. Its text may go on with lines that only its log understands."""

    size: int
    root: bytes


class _Refusal(Exception):
    """An answer other than a cosignature."""

    def __init__(self, status: int, body: str, content_type: str = PLAIN) -> None:
        super().__init__(status, body)
        self.reply = Reply(status, content_type, f"{body}\n")


class Witness:
    """The witness of an installation; it does nothing until it has a key.

    Args:
        database: where it keeps what it has seen.
        keys: the key files of the installation's cities.
        directory: where its key and the list of other logs are.
        clock: the current instant.
    """

    def __init__(self, database: Database, keys: KeyRing, directory: Path, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._seen = Published(directory / "seen", lambda note: _head_of(note).size)

    @property
    def key(self) -> WitnessKey | None:
        """The key, or None where the installation has none."""
        try:
            name, secret = (self._directory / "key").read_text("utf-8").split()
        except FileNotFoundError:
            return None
        return WitnessKey(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)))

    def create(self, name: str) -> WitnessKey:
        """Make the key, in a file that only the operator can read.

        Args:
            name: what the witness is called in cosignatures: an address without a scheme, of the operator's own.

        Raises:
            CheckpointError: a key cannot be called so.
            WitnessExists: there is a key.
        """
        secret = secrets.token_bytes(HASH_BYTES)
        made = WitnessKey(name, Ed25519PrivateKey.from_private_bytes(secret))
        parse_witness_vkey(made.vkey)
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            opened = os.open(self._directory / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise WitnessExists(file=str(self._directory / "key")) from None
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(f"{name}\n{secret.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        return made

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer a request of `add-checkpoint`, whoever sent it."""
        key = self.key
        if key is None:
            return Reply(404, PLAIN, "this installation is no witness\n")
        try:
            return Reply(200, PLAIN, self._add(key, *_parse(body)))
        except _Refusal as refusal:
            return refusal.reply

    def _add(self, key: WitnessKey, old: int, proof: Sequence[bytes], note: str) -> str:
        """The cosignature of a checkpoint that extends what was seen; what it refuses, it has not changed."""
        origin = note.partition("\n")[0]
        text = _signed(note, self._trusted(origin))
        try:
            head = _read_head(text)
        except CheckpointError as fault:
            raise _Refusal(400, str(fault)) from fault
        if old > head.size:
            raise _Refusal(400, "the old size is larger than that of the checkpoint")
        with self._database.write() as session:
            self._compare(origin, self._latest(session, origin), old, proof, head, note)
            at = self._clock()
            run(session, _PUT, head.size, head.root, note, to_milliseconds(at), origin)
            line = cosign(text, key.name, key.signer, int(at.timestamp()))
            session.commit()
        self._seen.record(_file_name(origin), note, head.size)
        return line

    def _trusted(self, origin: str) -> list[str]:
        """The verifier keys of a log; none where the witness does not know it."""
        with self._database.read() as session:
            city = session.scalar(select(City).where(City.origin == origin))
        if city is not None:
            return [self._keys.get(city).vkey]
        path = self._directory / "logs"
        lines = path.read_text("utf-8").split("\n") if path.exists() else []
        return [line.strip() for line in lines if line.strip().startswith(f"{origin}+")]

    def _latest(self, session: Session, origin: str) -> Head:
        """What was cosigned last; the log's row is held until the transaction ends."""
        held = " FOR UPDATE" if session.connection().dialect.name == "postgresql" else ""
        run(session, _FIRST, origin, EMPTY_ROOT)
        size, root = ask(session, _LATEST + held, origin)[0]
        path = self._seen.directory / _file_name(origin)
        noted = _head_of(path.read_text("utf-8")) if path.exists() else Head(0, EMPTY_ROOT)
        return noted if noted.size > size else Head(size, bytes(root))

    @staticmethod
    def _compare(origin: str, latest: Head, old: int, proof: Sequence[bytes], head: Head, note: str) -> None:
        if old != latest.size:
            raise _Refusal(409, str(latest.size), SIZE)
        if head.size == latest.size and head.root != latest.root:
            log.error("a log shows two histories of %s entries: %s; the other one is\n%s", head.size, origin, note)
            raise _Refusal(409, str(latest.size), SIZE)
        try:
            verify_consistency(old, head.size, latest.root, head.root, proof)
        except ProofError as fault:
            log.warning("a checkpoint of %s does not extend what was seen of it (%s):\n%s", origin, fault, note)
            raise _Refusal(422, str(fault)) from fault


def _parse(body: bytes) -> tuple[int, list[bytes], str]:
    """The old size, the proof and the checkpoint of a request."""
    try:
        match = _request(body.decode("utf-8"))
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise _Refusal(400, "the body is an old size, a proof, an empty line and a checkpoint")
    lines = match[2].split("\n")[:-1]
    if len(lines) > MAX_PROOF_LINES:
        raise _Refusal(400, f"a proof has at most {MAX_PROOF_LINES} lines")
    try:
        proof = [base64_strict(line) for line in lines]
    except EncodingError as fault:
        raise _Refusal(400, f"a line of the proof is {fault}") from fault
    if any(len(step) != HASH_BYTES for step in proof):
        raise _Refusal(400, "a line of the proof is no hash")
    return int(match[1]), proof, match[3]


def _signed(note: str, trusted: Sequence[str]) -> str:
    """The text of a note that one of the trusted keys signed."""
    if not trusted:
        raise _Refusal(404, "this log is not witnessed here")
    keys = [parse_vkey(one) for one in trusted]
    try:
        signatures_of(note, keys[0])
    except CheckpointError as fault:
        raise _Refusal(400, str(fault)) from fault
    for key in keys:
        try:
            return verify_note(note, key)
        except CheckpointError:
            continue
    raise _Refusal(403, "no trusted key of this log signed the checkpoint")


def _read_head(text: str) -> Head:
    """The size and root out of a checkpoint's text.

    Raises:
        CheckpointError: they do not stand there.
    """
    match = _head(text)
    if match is None or int(match[2]) >= 2**63:
        raise CheckpointError("a checkpoint begins with an origin, a size and a root")
    try:
        root = base64_strict(match[3])
    except EncodingError as fault:
        raise CheckpointError(f"the root is {fault}") from fault
    if len(root) != HASH_BYTES:
        raise CheckpointError("the root is not 32 bytes long")
    return Head(int(match[2]), root)


def _head_of(note: str) -> Head:
    return _read_head(note.rpartition("\n\n")[0] + "\n")


def _file_name(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


_FIRST = """
INSERT INTO witnessed (origin, size, root, note, "at") VALUES (?, 0, ?, '', 0) ON CONFLICT (origin) DO NOTHING
"""
_LATEST = "SELECT size, root FROM witnessed WHERE origin = ?"
_PUT = 'UPDATE witnessed SET size = ?, root = ?, note = ?, "at" = ? WHERE origin = ?'
