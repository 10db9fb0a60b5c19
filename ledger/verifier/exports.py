"""Reads an export, a directory or a zip, as streams: nothing is extracted and no line is held but those of a batch.

entries.ndjson  line i is the leaf of entry i       checkpoint  the signed head of the log
openings.ndjson optional, for appointed auditors    vkey        the log's verifier key
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from ledger.proof.openings import Line
from ledger.proof.rules import MAX_LEAF_BYTES
from ledger.verifier.source import MAX_LIST_BYTES, SMALL_FILE_BYTES, DamagedError, SourceError, batched

_BUFFER_BYTES = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)


class Export:
    """The files of an export.

    Raises:
        SourceError: a path that is no export, or an archive that no two readers would read alike.
    """

    local = True

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        self._folder, self._archive = path, None
        if path.is_dir():
            return
        if not zipfile.is_zipfile(path):
            raise SourceError("neither a directory nor a zip archive")
        try:
            self._archive = self._stack.enter_context(zipfile.ZipFile(path))
            _check_members(self._archive.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self.close()
            raise SourceError(f"the archive cannot be read: {error}") from error
        except SourceError:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _open(self, name: str) -> BinaryIO | None:
        try:
            if self._archive:
                if name not in self._archive.namelist():
                    return None
                member = cast("io.RawIOBase", self._archive.open(name))
                return self._stack.enter_context(io.BufferedReader(member, _BUFFER_BYTES))
            file = self._folder / name
            return self._stack.enter_context(file.open("rb", _BUFFER_BYTES)) if file.is_file() else None
        except (OSError, RuntimeError, NotImplementedError, *_DAMAGE) as error:  # RuntimeError: it is encrypted
            raise SourceError(f"{name} cannot be read: {error}") from error

    def text(self, name: str) -> str | None:
        """Return a small file as text."""
        stream = self._open(name)
        try:
            return None if stream is None else stream.read(SMALL_FILE_BYTES).decode(errors="replace")
        except (OSError, *_DAMAGE) as error:
            raise SourceError(f"{name} cannot be read: {error}") from error

    def batches(self, start: int, size: int | None) -> Iterator[Sequence[Line]]:
        """Yield the lines of entries.ndjson, past `size` too: there must be none."""
        stream = self._open("entries.ndjson")
        if stream is None:
            raise SourceError("entries.ndjson is missing")
        read = self._guarded("entries.ndjson", stream)
        for _ in range(start):
            next(read, None)
        yield from batched(read, start, size)

    def openings(self) -> Iterator[Line] | None:
        """Return the lines of openings.ndjson."""
        stream = self._open("openings.ndjson")
        return None if stream is None else self._guarded("openings.ndjson", stream)

    def _guarded(self, name: str, stream: BinaryIO) -> Iterator[Line]:
        try:
            yield from lines(stream)
        except _DAMAGE as error:
            raise DamagedError(f"the archive is damaged in {name}: {error}") from error
        except OSError as error:
            raise SourceError(f"{name} cannot be read: {error}") from error

    def claims(self, name: str) -> bytes | None:
        """Return a list of claims, where somebody has put them beside the export."""
        stream = self._open(f"claims/{name}")
        try:
            return None if stream is None else stream.read(MAX_LIST_BYTES + 1)
        except (OSError, *_DAMAGE) as error:
            raise SourceError(f"claims/{name} cannot be read: {error}") from error

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """Return None: an export has no tiles."""
        return None

    def has_tiles(self) -> bool:
        """Return False."""
        return False


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise SourceError(f"the archive holds the unsafe path {name[:80]!r}")
    if len(set(names)) < len(names):
        raise SourceError("the archive holds one name twice")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise SourceError("the archive uses a compression that not every reader knows")


def lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield each line without its newline, and why it cannot be a leaf if so; overlong ones are cut."""
    limit = MAX_LEAF_BYTES + 1
    while line := stream.readline(limit):
        if line.endswith(b"\n"):
            yield line[:-1], None
        elif len(line) < limit:
            yield line, "the line is cut off before its end"
        else:
            while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
                pass
            yield line, f"the line is longer than {MAX_LEAF_BYTES} bytes"
