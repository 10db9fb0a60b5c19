"""Reads a log from static tiles (C2SP tlog-tiles), in a directory or at a URL, and checks the tiles themselves.

Entries come from the bundles. The hash tiles are not needed for that, but whoever has a receipt made relies on
them: so each must hold the hashes that the entries make. A partial file may be gone once the full one is there,
whose beginning is then taken. Memory: AHEAD bundles, and up to 256 hashes for each level of tiles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ledger.proof.merkle import HASH_BYTES, ProofError, root_of
from ledger.proof.openings import Line
from ledger.proof.replay import Sink
from ledger.proof.tiles import (
    MAX_BUNDLE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    decode_bundle,
    entries_path,
    tile_path,
)
from ledger.verifier.source import MAX_LIST_BYTES, SMALL_FILE_BYTES, DamagedError, Source, SourceError
from ledger.verifier.web import Website

THREADS = 8
AHEAD = 24
"""How many bundles are asked for before they are needed; each may take 16 MiB, and takes some 100 KiB."""


class _Tiles:
    """Tiles wherever they are; `_fetch(path, limit)` gets a file of at most `limit` bytes, or None."""

    _pool: ThreadPoolExecutor | None = None

    def __init__(self) -> None:
        self._asked = dict[int, Future[bytes | None]]()  # hash tiles of level 0 that go with bundles asked for

    def _fetch(self, path: str, limit: int) -> bytes | None:
        raise NotImplementedError

    def text(self, name: str) -> str | None:
        """Return a small file as text."""
        data = self._fetch(name, SMALL_FILE_BYTES)
        return None if data is None else data.decode(errors="replace")

    def claims(self, name: str) -> bytes | None:
        """Return a list of claims."""
        return self._fetch(f"claims/{name}", MAX_LIST_BYTES)

    def openings(self) -> Iterator[Line] | None:
        """Return None: what is public names nobody."""
        return None

    def has_tiles(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _partly(self, path: Callable[[int], str], width: int, limit: int) -> tuple[str, bytes | None]:
        """Return the file of just this width, or the full one, with its path."""
        data = self._fetch(path(width), limit)
        if data is not None or width == TILE_WIDTH:
            return path(width), data
        return path(TILE_WIDTH), self._fetch(path(TILE_WIDTH), limit)

    def _bundle(self, index: int, width: int) -> list[bytes]:
        path, data = self._partly(lambda width: entries_path(index, width), width, MAX_BUNDLE_BYTES)
        if data is None:
            raise SourceError(f"{path} is missing")
        try:
            entries = decode_bundle(data)
        except ProofError as error:
            raise DamagedError(f"{path}: {error}") from error
        if len(entries) < width or (path == entries_path(index, width) and len(entries) > width):
            raise DamagedError(f"{path} holds {len(entries)} entries, not {width}")
        return entries[:width]

    def batches(self, start: int, size: int | None) -> Iterator[Sequence[Line]]:
        """Yield the entries from `start`, a multiple of 256, to the signed size, a bundle at a time."""
        if size is None:
            raise SourceError("without a readable checkpoint there is no saying which tiles there are")
        waiting: deque[Future[list[bytes]] | list[bytes]] = deque()
        for low in range(start, size, TILE_WIDTH):
            index, width = low // TILE_WIDTH, min(TILE_WIDTH, size - low)
            if self._pool:
                waiting.append(self._pool.submit(self._bundle, index, width))
                self._asked[index] = self._pool.submit(self._tile, 0, index, width)
            else:
                waiting.append(self._bundle(index, width))
            if len(waiting) > (AHEAD if self._pool else 0):
                yield _lines(waiting.popleft())
        while waiting:
            yield _lines(waiting.popleft())

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """Return the first `width` hashes of a tile; those of level 0 have been asked for with their bundle."""
        asked = self._asked.pop(index, None) if level == 0 else None
        return asked.result() if asked else self._tile(level, index, width)

    def _tile(self, level: int, index: int, width: int) -> bytes | None:
        path, data = self._partly(lambda width: tile_path(level, index, width), width, TILE_WIDTH * HASH_BYTES)
        exact = path == tile_path(level, index, width)
        return data if data is None or exact else data[: width * HASH_BYTES]


def _lines(bundle: Future[list[bytes]] | list[bytes]) -> list[Line]:
    entries = bundle.result() if isinstance(bundle, Future) else bundle
    return [(entry, None) for entry in entries]


class TileFolder(_Tiles):
    """The tiles in a directory, as `kgo log publish` writes them."""

    local = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _fetch(self, path: str, limit: int) -> bytes | None:
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error}") from error
        if len(data) > limit:
            raise DamagedError(f"{path} has more than {limit} bytes")
        return data


class TileSite(_Tiles):
    """The tiles below a URL."""

    local = False

    def __init__(self, url: str) -> None:
        super().__init__()
        self._site = Website(url.removesuffix("/checkpoint"))
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")

    def _fetch(self, path: str, limit: int) -> bytes | None:
        return self._site.fetch(path, limit)

    def close(self) -> None:
        """End the threads, without waiting for what they ask for."""
        self._site.close()
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)


class TileCheck:
    """Compares the tiles of a source with the hashes of its entries, as these come."""

    def __init__(self, source: Source, report: Sink) -> None:
        self._source, self._report = source, report
        self._pending: list[list[bytes]] = [[]]
        self._done = [0]
        self.checked = 0

    def state(self) -> dict[str, Any]:
        """Return where it stands, as plain values."""
        return {"pending": [b"".join(hashes).hex() for hashes in self._pending], "done": self._done}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where the check with this `state` stood."""
        rows = [bytes.fromhex(row) for row in state["pending"]]
        self._pending = [[row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)] for row in rows]
        self._done = list(state["done"])

    def add(self, leaf_hashes: Sequence[bytes]) -> None:
        """Take in the hashes of the next entries and compare each tile that they fill."""
        level, rising = 0, list(leaf_hashes)
        while rising:
            if level == len(self._pending):
                self._pending.append([])
                self._done.append(0)
            row = self._pending[level]
            row.extend(rising)
            rising = []
            while len(row) >= TILE_WIDTH:
                full, row[:TILE_WIDTH] = row[:TILE_WIDTH], []
                self._compare(level, full)
                self._done[level] += 1
                rising.append(root_of(full))
            level += 1

    def finish(self) -> None:
        """Compare the partial tiles at the end of each level."""
        for level, row in enumerate(self._pending):
            if row:
                self._compare(level, row)

    def _compare(self, level: int, hashes: Sequence[bytes]) -> None:
        path = tile_path(level, self._done[level], len(hashes))
        seq = self._done[level] << TILE_HEIGHT * (level + 1)
        try:
            data = self._source.tile(level, self._done[level], len(hashes))
        except DamagedError as error:
            self._report("HASH_MISMATCH", seq, str(error))
            return
        if data is None:
            self._report("VERIFICATION_INCOMPLETE", seq, f"{path} is missing")
        elif data != b"".join(hashes):
            self._report("HASH_MISMATCH", seq, f"{path} does not hold the hashes that the entries make")
        else:
            self.checked += 1
