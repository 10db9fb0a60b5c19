"""Somebody changes an export: the verifier names it, whatever it is."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.book import tree
from ledger.db import upgrade
from ledger.verifier.run import verify_export
from tests.counts import scale
from tests.factories import install, live_through


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with openings that holds."""
    folder = tmp_path_factory.mktemp("tamper")
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    upgrade(url)
    made = install(url, folder)
    live_through(made)
    path = made.export(folder / "export", openings=True)
    made.close()
    assert verify_export(path).ok
    return path


def _copy(export: Path, to: Path) -> Path:
    shutil.copytree(export, to)
    return to


def _reordered(line: bytes) -> bytes:
    """The same entry as other bytes."""
    members = reversed(json.loads(line).items())
    return json.dumps(dict(members), separators=(",", ":")).encode() + b"\n"


LINES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], set[str]]] = {
    "a deleted line": (lambda lines: lines[:50] + lines[51:], {"SEQUENCE_GAP"}),
    "two swapped lines": (lambda lines: [*lines[:50], lines[51], lines[50], *lines[52:]], {"SEQUENCE_GAP"}),
    "a doubled line": (lambda lines: [*lines[:51], *lines[50:]], {"SEQUENCE_GAP"}),
    "a truncated tail": (lambda lines: lines[:-1], {"SEQUENCE_GAP"}),
    "an empty log": (lambda lines: [], {"SEQUENCE_GAP"}),
    "a line too many": (lambda lines: [*lines, lines[-1]], {"VERIFICATION_INCOMPLETE"}),
    "a changed amount": (
        lambda lines: [line.replace(b'"amount":30,', b'"amount":31,') for line in lines],
        {"HASH_MISMATCH"},
    ),
    "another order of members": (lambda lines: [*lines[:9], _reordered(lines[9]), *lines[10:]], {"HASH_MISMATCH"}),
    "an empty line": (lambda lines: [*lines[:9], b"\n", *lines[9:]], {"HASH_MISMATCH"}),
}


@pytest.mark.parametrize("what", LINES)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_verifier_finds_changed_lines(export: Path, tmp_path: Path, what: str, zipped: bool) -> None:
    """In a directory and in a zip, whatever was done to the lines is named."""
    change, codes = LINES[what]
    path = _copy(export, tmp_path / "export")
    file = path / "entries.ndjson"
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    if zipped:
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            for member in path.iterdir():
                archive.write(member, member.name)
        path = tmp_path / "export.zip"
    found = set(verify_export(path).counts)
    assert codes <= found


@pytest.mark.parametrize("name", ["entries.ndjson", "checkpoint", "vkey", "openings.ndjson"])
def test_no_flipped_bit_goes_unnoticed(export: Path, tmp_path: Path, name: str) -> None:
    """Whatever single bit of whatever file is wrong, the export does not verify."""
    path = _copy(export, tmp_path / "export")
    file = path / name
    content = file.read_bytes()
    chance = random.Random(name)  # noqa: S311 - a sample, the same each time
    for _ in range(scale(12, 2_000)):
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        file.write_bytes(flipped)
        report = verify_export(path)
        assert not report.ok, f"bit {bit} of byte {at}"
    file.write_bytes(content)
    assert verify_export(path).ok


def test_openings_of_somebody_else_do_not_fit(export: Path, tmp_path: Path) -> None:
    """Naming another account for a handle, or leaving one out, is found."""
    path = _copy(export, tmp_path / "export")
    file = path / "openings.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    opened = [json.loads(line) for line in lines]
    other = next(line["account"] for line in opened if line["account"] != opened[0]["account"])
    file.write_bytes(lines[0].replace(opened[0]["account"].encode(), other.encode()) + b"".join(lines[1:]))
    assert "HASH_MISMATCH" in verify_export(path).counts
    file.write_bytes(b"".join(lines[1:]))
    assert "BALANCE_MISMATCH" in verify_export(path).counts


def test_the_history_is_longer_than_a_tile(export: Path) -> None:
    """These tests reach into a full tile and into one that is not."""
    lines = (export / "entries.ndjson").read_bytes().count(b"\n")
    assert tree.WIDTH < lines < 2 * tree.WIDTH
