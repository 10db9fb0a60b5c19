"""What a server keeps beside the data: the directory of its figures."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ledger import serving

ROOT = Path(__file__).parent.parent

HOLD = """
import sys
from ledger import serving
with serving.figures() as directory:
    print(directory, flush=True)
    sys.stdin.read()
"""
"""A server, as far as its figures go, that lives until its input ends."""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files go to a place of the test's own, also those of processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def _start() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_each_server_has_an_empty_directory_of_its_own(tmp_path: Path) -> None:
    """It is there while the server runs, for its user alone, and gone afterwards."""
    with serving.figures() as one, serving.figures() as other:
        assert one != other
        for directory in (one, other):
            assert directory.parent == tmp_path
            assert list(directory.iterdir()) == []
            assert directory.stat().st_mode & 0o077 == 0
        (one / "counter_1.db").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """The next start clears it away, but touches neither a server that lives nor what is not of this kind."""
    living, lived_in = _start()
    killed, abandoned = _start()
    stranger = tmp_path / f"{serving.FIGURES_PREFIX}file"
    stranger.write_text("not a directory")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{serving.FIGURES_PREFIX}link").symlink_to(elsewhere)
    try:
        killed.kill()
        killed.wait()
        assert abandoned.exists()
        with serving.figures():
            assert not abandoned.exists()
            assert lived_in.exists()
            assert elsewhere.exists()
    finally:
        living.communicate("")
        killed.communicate()
    assert not lived_in.exists()
