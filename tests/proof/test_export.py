"""Reading exports: both forms alike, nothing extracted, no line too long for memory."""

import io
import zipfile
from pathlib import Path

import pytest

from ledger.proof.export import Export, ExportError, Openings, lines
from ledger.proof.rules import MAX_LEAF_BYTES
from tests.proof.logs import Log, day, write, zipped


def test_a_directory_and_its_zip_read_alike(tmp_path: Path) -> None:
    """The same bytes come from both; a file that is not there is None."""
    folder = write(tmp_path / "export", day().lines())
    for path in (folder, zipped(folder)):
        with Export(path) as export:
            stream = export.open("entries.ndjson")
            assert stream
            assert [line for line, _ in lines(stream)] == day().lines()
            assert export.text("checkpoint") == (folder / "checkpoint").read_text("utf-8")
            assert export.open("openings.ndjson") is None
            assert export.text("tile") is None


@pytest.mark.parametrize("name", ["../entries.ndjson", "/etc/passwd", "a/../../b", "..", "a\\..\\b"])
def test_archives_with_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is ever extracted, and yet such an archive is not one of ours."""
    for member, fits in ((name, False), ("a..b/c", True)):
        path = tmp_path / f"{fits}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"")
        if fits:
            Export(path).__exit__()
        else:
            with pytest.raises(ExportError, match="unsafe"):
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
        with pytest.raises(ExportError):
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


def openings_of(log: Log, rows: list[bytes]) -> tuple[list[str], list[dict[tuple[int, str], str]]]:
    """Hand out `rows` along `log`; return the codes found and what each entry got."""
    found: list[str] = []
    openings = Openings(io.BytesIO(b"".join(row + b"\n" for row in rows)), lambda code, *_: found.append(code))
    named = [openings.accounts(leaf) for leaf in log.leaves]
    openings.accounts(None)
    return found, named


def test_openings_name_the_learner_behind_each_handle() -> None:
    """Every personal posting of the sample day gets its account, entry by entry."""
    log = day()
    found, named = openings_of(log, log.opening_lines())
    assert found == []
    assert sum(map(len, named)) == len(log.openings)
    for row in log.openings:
        assert named[row["seq"]][row["line"], row["side"]] == row["account"]


def test_openings_that_open_nothing_are_found() -> None:
    """Another account, another nonce, an institution's posting, an entry that is not there, a doubled row."""
    log = day()
    rows = log.opening_lines()
    other = log.openings[1]["account"].encode()
    wrong = [
        rows[0].replace(log.openings[0]["account"].encode(), other),
        rows[0].replace(log.openings[0]["nonce"].encode(), log.openings[1]["nonce"].encode()),
        rows[0].replace(b'"side":"to"', b'"side":"from"'),
        rows[0].replace(b'"line":0', b'"line":1'),
    ]
    for row in wrong:
        found, named = openings_of(log, [row, *rows[1:]])
        assert found == ["HASH_MISMATCH"]
        assert named[3] == {}
    assert openings_of(log, [*rows, rows[-1].replace(b'"seq":14', b'"seq":99')])[0] == ["HASH_MISMATCH"]
    for disorder in ([rows[0], rows[0], *rows[1:]], [rows[1], rows[0], *rows[2:]]):
        assert openings_of(log, disorder)[0] == ["SEQUENCE_GAP"]


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 50_000,
        b"x" * 70_000,
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"","seq":3,"side":"to"}',
        b'{"account":"shop:cafe","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account": "learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 42 + b'B=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":00,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"to"}',
        b'{"account":"learner:' + b"a" * 26 + b'","line":0,"nonce":"' + b"A" * 43 + b'=","seq":3,"side":"up"}',
    ],
    ids=range(11),
)
def test_malformed_openings_are_found_and_passed_over(row: bytes) -> None:
    """One canonical form; a row that has another is named, and the rest still counts."""
    log = day()
    found, named = openings_of(log, [row, *log.opening_lines()])
    assert found == ["HASH_MISMATCH"]
    assert sum(map(len, named)) == len(log.openings)
