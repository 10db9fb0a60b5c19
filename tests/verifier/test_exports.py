"""Reading exports: both forms alike, nothing extracted, no line too long for memory."""

import io
import zipfile
from pathlib import Path

import pytest

from ledger.proof.rules import MAX_LEAF_BYTES
from ledger.verifier.exports import Export, lines
from ledger.verifier.source import SourceError
from tests.proof.logs import day, write, zipped


def test_a_directory_and_its_zip_read_alike(tmp_path: Path) -> None:
    """The same bytes come from both; a file that is not there is None."""
    folder = write(tmp_path / "export", day().lines())
    for path in (folder, zipped(folder)):
        export = Export(path)
        read = [line for batch in export.batches(0, None) for line, _ in batch]
        assert read == day().lines()
        assert [line for batch in export.batches(5, None) for line, _ in batch] == read[5:]
        assert export.text("checkpoint") == (folder / "checkpoint").read_text("utf-8")
        assert export.openings() is None
        assert export.text("tile") is None
        assert export.tile(0, 0, 1) is None
        export.close()


@pytest.mark.parametrize("name", ["../entries.ndjson", "/etc/passwd", "a/../../b", "..", "a\\..\\b"])
def test_archives_with_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is ever extracted, and yet such an archive is not one of ours."""
    for member, fits in ((name, False), ("a..b/c", True)):
        path = tmp_path / f"{fits}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"")
        if fits:
            Export(path).close()
        else:
            with pytest.raises(SourceError, match="unsafe"):
                Export(path)


def test_archives_that_two_readers_read_differently_are_refused(tmp_path: Path) -> None:
    """One name twice, or a compression that not every reader knows."""
    twice, odd = tmp_path / "twice.zip", tmp_path / "odd.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("entries.ndjson", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("entries.ndjson", b"two")
    with zipfile.ZipFile(odd, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("entries.ndjson", b"one")
    for path in (twice, odd):
        with pytest.raises(SourceError):
            Export(path)


def test_lines_say_what_is_wrong_with_them() -> None:
    """The longest leaf is read; a longer line is cut and skipped to its end, the last needs its newline."""
    longest = b"x" * MAX_LEAF_BYTES
    stream = io.BytesIO(longest + b"\n" + longest + b"xyz" * 99_999 + b"\n" + b"\n" + b"tail")
    read = list(lines(stream))
    assert [problem and problem[:18] for _, problem in read] == [
        None,
        "the line is longer",
        None,
        "the line is cut of",
    ]
    assert read[0][0] == longest
    assert len(read[1][0]) <= MAX_LEAF_BYTES + 1
    assert read[2:] == [(b"", None), (b"tail", "the line is cut off before its end")]
    exactly = list(lines(io.BytesIO(longest + b"x")))
    assert [problem and problem[:18] for _, problem in exactly] == ["the line is longer"]
