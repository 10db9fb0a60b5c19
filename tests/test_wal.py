"""The write-ahead log of a SQLite file gets into the file without a commit's doing."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ledger.db import Database
from ledger.wal import COMMITS, Mover

SOON = 30
"""Seconds in which a thread gets to its work on any machine."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """A database of one table."""
    made = Database(f"sqlite:///{tmp_path / 'file.sqlite'}")
    with made.transaction() as transaction:
        transaction.session.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
        transaction.commit()
    yield made
    made.close()


def _write(file: Database, commits: int) -> None:
    for _ in range(commits):
        with file.transaction() as transaction:
            transaction.session.execute(text("INSERT INTO numbers DEFAULT VALUES"))
            transaction.commit()


def _moved(file: Database) -> int:
    """How many rows the file has without its log."""
    path = make_url(file.url).database
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as alone:
        if not alone.execute("SELECT name FROM sqlite_master").fetchall():
            return 0
        return int(alone.execute("SELECT count(*) FROM numbers").fetchone()[0])


def _until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_was_committed_gets_into_the_file(file: Database) -> None:
    """Not before there is enough of it; then again and again."""
    _write(file, COMMITS - 2)  # the table was one
    assert _moved(file) == 0
    for times in (1, 2, 3):
        _write(file, COMMITS)
        _until(lambda count=times: _moved(file) >= COMMITS * count - 2)  # type: ignore[misc]


def test_what_cannot_be_moved_is_told_and_nobody_is_hindered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is not there for a while: the mover says so, goes on, and moves what is there later."""
    mover = Mover(str(tmp_path / "later" / "file.sqlite"))
    with caplog.at_level(logging.ERROR):
        for _ in range(COMMITS):
            mover.committed()
        _until(lambda: "could not be moved" in caplog.text)
    (tmp_path / "later").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'later' / 'file.sqlite'}")
    with database.transaction() as transaction:
        transaction.session.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
        transaction.commit()
    _write(database, 5)
    for _ in range(COMMITS):
        mover.committed()
    _until(lambda: _moved(database) == 5)
    mover.close()
    mover.close()
    database.close()


def test_its_thread_ends_with_the_database(file: Database) -> None:
    """Whoever closes a database waits for it; commits that come late start none."""
    _write(file, COMMITS)
    mover = file._mover
    assert mover is not None
    assert mover._thread is not None
    file.close()
    assert not mover._thread.is_alive()
