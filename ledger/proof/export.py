"""Reads an export, a directory or a zip, as streams: nothing is extracted and no line is held but one.

entries.ndjson  line i is the leaf of entry i       checkpoint  the signed head of the log
openings.ndjson optional, for appointed auditors    vkey        the log's verifier key
"""

import io
import re
import zipfile
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

from ledger.proof import handles
from ledger.proof.replay import Sink
from ledger.proof.rules import MAX_LEAF_BYTES, is_handle

_BUFFER_BYTES = 1 << 20
_opening = re.compile(
    r'\{"account":"(learner:[a-z2-7]{26})","line":(0|[1-9][0-9]{0,4}),"nonce":"([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)",'
    r'"seq":(0|[1-9][0-9]{0,15}),"side":"(from|to)"\}'
).fullmatch  # canonical JSON of exactly these members


class ExportError(ValueError):
    """A path that is no export, or an archive that no two readers would read alike."""


class Export:
    """The files of an export; a context manager that closes what it opened."""

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        self._folder, self._archive = path, None
        if not path.is_dir():
            if not zipfile.is_zipfile(path):
                raise ExportError("neither a directory nor a zip archive")
            self._archive = self._stack.enter_context(zipfile.ZipFile(path))
            _check_members(self._archive.infolist())

    def __enter__(self) -> "Export":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, name: str) -> BinaryIO | None:
        """Return a stream of the file `name`, or None if the export has none."""
        if self._archive:
            if name not in self._archive.namelist():
                return None
            member = cast("io.RawIOBase", self._archive.open(name))
            return self._stack.enter_context(io.BufferedReader(member, _BUFFER_BYTES))
        file = self._folder / name
        return self._stack.enter_context(file.open("rb", _BUFFER_BYTES)) if file.is_file() else None

    def text(self, name: str) -> str | None:
        """Return a small file as text, or None; what is not UTF-8 stays visible as U+FFFD."""
        stream = self.open(name)
        return None if stream is None else stream.read(_BUFFER_BYTES).decode(errors="replace")


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise ExportError(f"the archive holds the unsafe path {name[:80]!r}")
    if len(set(names)) < len(names):
        raise ExportError("the archive holds one name twice")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ExportError("the archive uses a compression that not every reader knows")


def lines(stream: BinaryIO) -> Iterator[tuple[bytes, str | None]]:
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


class Openings:
    """Hands out, entry by entry, the accounts that openings.ndjson names, each checked against its handle."""

    def __init__(self, stream: BinaryIO, report: Sink) -> None:
        self._report = report
        self._rows = self._read(stream)
        self._next = next(self._rows, None)

    def _read(self, stream: BinaryIO) -> Iterator[tuple[int, int, str, str, bytes]]:
        last = (-1, -1, "")
        for number, (data, problem) in enumerate(lines(stream), 1):
            found = _opening(data.decode("ascii", "replace"))
            if problem or not found:
                self._report("HASH_MISMATCH", None, f"line {number} of the openings is no opening")
                continue
            account, line, nonce, seq, side = found.groups()
            place = (int(seq), int(line), side)
            if place <= last:
                self._report("SEQUENCE_GAP", place[0], f"line {number} of the openings is out of order")
            else:
                last = place
                yield *place, account, a2b_base64(nonce)

    def accounts(self, leaf: dict[str, Any] | None) -> dict[tuple[int, str], str]:
        """Return the learners named for (line, side) of the next entry's postings; None: after the last."""
        named: dict[tuple[int, str], str] = {}
        while self._next and (leaf is None or self._next[0] <= leaf["seq"]):
            seq, line, side, account, nonce = self._next
            postings = leaf["postings"] if leaf and leaf["seq"] == seq else []
            expected = postings[line][side] if line < len(postings) else ""
            if is_handle(expected) and handles.handle(account, nonce) == expected:
                named[line, side] = account
            else:
                self._report("HASH_MISMATCH", seq, f"the opening of line {line}, {side}, does not fit the entry")
            self._next = next(self._rows, None)
        return named
