"""Noting checkpoints in a thread of its own: the newest, at once or soon, whatever becomes of the one before."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ledger.book import noting
from ledger.book.noting import Noter
from ledger.book.seal import Published
from tests.waiting import until

CITY, OTHER = "khon-kaen", "phayao"
SOON = 30
"""Seconds in which what is awaited comes on any machine."""


class Gate(Published):
    """Notes sizes in place of checkpoints; the first record waits in it until it is let go."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, int)
        self.entered, self.open = threading.Event(), threading.Event()
        self.records: list[tuple[str, int]] = []
        self.threads: set[str] = set()

    def record(self, city: str, note: str, size: int) -> None:
        """Note it, and that it was."""
        self.entered.set()
        assert self.open.wait(SOON)
        self.records.append((city, size))
        self.threads.add(threading.current_thread().name)
        super().record(city, note, size)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for a note."""
    monkeypatch.setattr(noting, "EVERY_SECONDS", 0)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where checkpoints are noted; let go at the end."""
    gate = Gate(tmp_path / "published")
    yield gate
    gate.open.set()


def _noted(published: Published, city: str = CITY) -> int:
    return int((published.directory / city).read_text())


def _soon(noter: Noter, *sizes: int, city: str = CITY) -> None:
    for size in sizes:
        noter.soon(city, str(size), size)


def test_of_several_the_newest_is_noted(gate: Gate) -> None:
    """While one is being noted others come: the last of each city is the next, and those between never are."""
    noter = Noter(gate)
    _soon(noter, 1)
    assert gate.entered.wait(SOON)
    _soon(noter, 2, 3, 4)
    _soon(noter, 7, 8, city=OTHER)
    gate.open.set()
    noter.close()
    assert gate.records == [(CITY, 1), (CITY, 4), (OTHER, 8)]
    assert (_noted(gate), _noted(gate, OTHER)) == (4, 8)
    assert gate.threads == {"noter"}


def test_an_older_one_is_never_noted_after_a_newer_one(gate: Gate) -> None:
    """Whichever way the two come: what stands is the newer."""
    noter = Noter(gate)
    _soon(noter, 5)
    assert gate.entered.wait(SOON)
    now = threading.Thread(target=noter.now, args=(CITY, "6", 6))
    now.start()
    gate.open.set()
    now.join(SOON)
    noter.close()
    assert _noted(gate) == 6
    noter.now(CITY, "4", 4)
    assert _noted(gate) == 6
    noter.now(CITY, "7", 7)
    assert _noted(gate) == 7


def test_one_that_comes_later_is_noted_too(gate: Gate) -> None:
    """The thread goes on after a note, and nobody has to close anything for it."""
    gate.open.set()
    noter = Noter(gate)
    for size in (1, 2, 3):
        _soon(noter, size)
        until(lambda: gate.records[-1:] == [(CITY, size)])
    assert gate.records == [(CITY, 1), (CITY, 2), (CITY, 3)]
    noter.close()


def test_the_end_notes_what_is_due_and_ends_the_thread(gate: Gate) -> None:
    """What came before the end is noted at the end, though one is being noted at that moment."""
    noter = Noter(gate)
    _soon(noter, 1)
    assert gate.entered.wait(SOON)
    closing = threading.Thread(target=noter.close)
    closing.start()
    _soon(noter, 2)
    gate.open.set()
    closing.join(SOON)
    assert not closing.is_alive()
    assert _noted(gate) == 2
    assert noter._thread is not None
    assert not noter._thread.is_alive()


def test_who_never_noted_anything_has_nothing_to_end(gate: Gate) -> None:
    """No thread was started; to end twice does no harm either."""
    gate.open.set()
    noter = Noter(gate)
    noter.close()
    noter.now(CITY, "1", 1)
    noter.close()
    assert gate.threads == {threading.current_thread().name}
    assert noter._thread is None


@pytest.mark.parametrize("failure", [OSError("the disk is full"), ValueError("no checkpoint")], ids=["os", "value"])
def test_a_note_that_fails_is_told_and_the_next_is_noted(
    gate: Gate, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    """Neither the batch nor the other city suffers; `now` raises nothing either."""
    noter = Noter(gate)
    real = gate.record

    def record(city: str, note: str, size: int) -> None:
        real(city, note, size)
        if city == CITY and size < 3:
            raise failure

    with mock.patch.object(gate, "record", record):
        _soon(noter, 1)
        _soon(noter, 1, city=OTHER)
        gate.open.set()
        noter.now(CITY, "2", 2)
        noter.close()
    assert (CITY, 1) in gate.records
    assert _noted(gate, OTHER) == 1
    told = [record.message for record in caplog.records]
    assert sorted(told) == [
        f"the checkpoint of {CITY} at {size} could not be noted in {gate.directory}" for size in (1, 2)
    ]
    assert all(record.exc_info and record.exc_info[1] is failure for record in caplog.records)
    caplog.clear()
    noter.now(CITY, "3", 3)
    assert (_noted(gate), caplog.records) == (3, [])


class Asked:
    """A lock that says when somebody beside its owner asks for it."""

    def __init__(self, asked: threading.Event) -> None:
        self._lock = threading.Lock()
        self._asked = asked

    def __enter__(self) -> None:
        """Take it."""
        if not self._lock.acquire(blocking=False):
            self._asked.set()
            self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        """Let it go."""
        self._lock.release()


def test_what_is_noted_while_a_writer_looks_is_not_forgotten(tmp_path: Path) -> None:
    """The writer reads the file while the noter remembers a longer log: afterwards both know the longer one."""
    Published(tmp_path).record(CITY, "5", 5)
    moved = threading.Event()  # the noter can do no more before the writer has looked
    noting: list[threading.Thread] = []

    def record() -> None:
        published.record(CITY, "9", 9)
        moved.set()

    def size_of(note: str) -> int:
        if not noting:
            noting.append(threading.Thread(target=record))
            noting[0].start()
            assert moved.wait(SOON)
        return int(note)

    published = Published(tmp_path, size_of)
    published._guard = Asked(moved)  # type: ignore[assignment]
    assert not published.is_doubted(CITY, 5)
    noting[0].join(SOON)
    (tmp_path / CITY).write_text("5")  # put back under it
    assert published.is_doubted(CITY, 8)
    assert not published.is_doubted(CITY, 9)


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    """Else the power could go between the two, and leave an empty file, which says nothing of what was shown."""
    happened: list[tuple[str, int]] = []
    sync, replace = os.fsync, Path.replace

    def synced(file: int) -> None:
        sync(file)
        happened.append(("synced", os.fstat(file).st_ino))

    def replaced(path: Path, target: Path) -> Path:
        happened.append(("named", path.stat().st_ino))
        return replace(path, target)

    with mock.patch("os.fsync", synced), mock.patch.object(Path, "replace", replaced):
        Published(tmp_path, len).record("khon-kaen", "note", 4)
    inode = (tmp_path / "khon-kaen").stat().st_ino
    assert happened == [("synced", inode), ("named", inode)]
