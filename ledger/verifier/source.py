"""Where the bytes of a log come from: what every source offers, and how one is told from the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from ledger.proof.openings import Line
from ledger.proof.tiles import TILE_WIDTH

BATCH = 4096
"""How many lines are handed on at a time, at most."""
MAX_LIST_BYTES = 1 << 26
"""What a list of claims may have: some 800,000 wallets."""
SMALL_FILE_BYTES = 1 << 20
"""What a checkpoint or a key may have."""


class SourceError(Exception):
    """Bytes that cannot be had; the message says which."""


class DamagedError(SourceError):
    """Bytes that are there and are not what they should be."""


class Source(Protocol):
    """A log to read."""

    local: bool
    """Whether reading all of it again is cheap, and asked for: a file that somebody hands over may be any file."""

    def text(self, name: str) -> str | None:
        """Return `checkpoint` or `vkey`, or None; what is not UTF-8 stays visible as U+FFFD."""

    def batches(self, start: int, size: int | None) -> Iterator[Sequence[Line]]:
        """Yield the lines from `start` on in order, and up to `size` where the source goes by it.

        No batch reaches over `boundary(size)`. Raises SourceError when it cannot go on.
        """

    def openings(self) -> Iterator[Line] | None:
        """Return the lines of openings.ndjson, if there is one."""

    def claims(self, name: str) -> bytes | None:
        """Return the list of claims of this hash, or None if it is not there."""

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """Return the first `width` hashes of a tile, or None if it is not there."""

    def has_tiles(self) -> bool:
        """Whether hash tiles belong to what is to be checked."""

    def close(self) -> None:
        """Let go of what was opened."""


def boundary(size: int) -> int:
    """Return where the last full tile of a tree of `size` ends: a good place to go on from, another time."""
    return size - size % TILE_WIDTH


def batched(lines: Iterator[Line], start: int, size: int | None) -> Iterator[list[Line]]:
    """Yield the lines, of which the first is `start`, in batches that keep to `boundary(size)`."""
    place = start
    while True:
        count = BATCH - place % BATCH
        if size is not None and place < boundary(size):
            count = min(count, boundary(size) - place)
        batch = list(islice(lines, count))
        if not batch:
            return
        place += len(batch)
        yield batch


def open_source(where: str | Path) -> Source:
    """Return the source at a path (an export as directory or zip, tiles as a directory) or an http(s) URL.

    Raises:
        SourceError: there is nothing of that kind.
    """
    from ledger.verifier.exports import Export
    from ledger.verifier.tiles import TileFolder, TileSite

    if is_url(where):
        return TileSite(str(where))
    path = Path(where)
    if path.is_dir() and not (path / "entries.ndjson").exists() and (path / "tile").is_dir():
        return TileFolder(path)
    return Export(path)


def is_url(where: str | Path) -> bool:
    """Tell a URL from a path."""
    return isinstance(where, str) and where.startswith(("http://", "https://"))
