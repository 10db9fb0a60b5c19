"""The export of a city's log: what an auditor takes home, as a directory or a zip.

    entries.ndjson     line i holds the stored bytes of entry i
    checkpoint         the signed note that covers exactly these entries
    vkey               the verifier key; an auditor compares it with the one that was pinned
    openings.ndjson    on request: which account each handle stands for (personal data; for appointed auditors)

Everything comes out of one snapshot and streams in constant memory. Format: `docs/format.md`.
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import cities, entries, seal
from ledger.book.cities import KeyRing
from ledger.book.legs import SIDES, Opening
from ledger.db import Database
from ledger.proof.checkpoint import parse
from ledger.proof.encoding import canonical

PAGE = 5_000
CHUNK_BYTES = 256 * 1024

Progress = Callable[[int, int], None]
"""Told how many entries of how many are done."""


def write_directory(
    database: Database,
    keys: KeyRing,
    city: str,
    directory: Path,
    *,
    openings: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the export into an empty or new directory; how many entries it holds.

    Raises:
        NotFound: there is no such city.
        FileExistsError: the directory holds something already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty; give a new directory")
    size = 0
    for name, chunks in _files(database, keys, city, openings=openings, progress=progress):
        with (directory / name).open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                size += chunk.count(b"\n") if name == "entries.ndjson" else 0
    return size


def stream_zip(database: Database, keys: KeyRing, city: str, *, openings: bool = False) -> Iterator[bytes]:
    """The export as the bytes of a zip, a chunk at a time.

    Raises:
        NotFound: there is no such city.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:  # type: ignore[call-overload]
        for name, chunks in _files(database, keys, city, openings=openings, progress=None):
            with archive.open(name, "w", force_zip64=True) as member:
                for chunk in chunks:
                    member.write(chunk)
                    yield pipe.take()
            yield pipe.take()
    yield pipe.take()


class _Pipe:
    """A file that can only be written to; `take` hands on what has been."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _files(
    database: Database, keys: KeyRing, city_id: str, *, openings: bool, progress: Progress | None
) -> Iterator[tuple[str, Iterator[bytes]]]:
    with database.read() as session:
        city = cities.get(session, city_id)
        note = seal.latest(session, city_id).note
        size = parse(note).size
        yield "vkey", iter([keys.get(city).vkey.encode() + b"\n"])
        yield "checkpoint", iter([note.encode()])
        yield "entries.ndjson", _joined(_leaves(session, city_id, size, progress))
        if openings:
            yield "openings.ndjson", _joined(_openings(session, city_id, size))


def _leaves(session: Session, city: str, size: int, progress: Progress | None) -> Iterator[bytes]:
    for done, leaf in enumerate(entries.leaves(session, city, 0, size), start=1):
        yield leaf
        if progress and (done % PAGE == 0 or done == size):
            progress(done, size)


def _openings(session: Session, city: str, size: int) -> Iterator[bytes]:
    for low in range(0, size, PAGE):
        rows = session.execute(
            select(Opening.seq, Opening.line, Opening.side, Opening.account, Opening.nonce)
            .where(Opening.city == city, Opening.seq >= low, Opening.seq < min(low + PAGE, size))
            .order_by(Opening.seq, Opening.line, Opening.side)
        )
        for seq, line, side, account, nonce in rows:
            shown = base64.b64encode(nonce).decode()
            opening = {"seq": seq, "line": line, "side": SIDES[side], "account": account, "nonce": shown}
            yield canonical(opening)


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their ends, put together into chunks."""
    parts: list[bytes] = []
    length = 0
    for line in lines:
        parts.append(line + b"\n")
        length += len(line) + 1
        if length >= CHUNK_BYTES:
            yield b"".join(parts)
            parts, length = [], 0
    if parts:
        yield b"".join(parts)
