"""Sealing: every batch under a signed checkpoint, and no signature that would split the log's history."""

import multiprocessing
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.orm import Session

from ledger.book import entries, seal, transfers, tree
from ledger.book.seal import LogBehindPublished, LogUnjudged, Published, SignedCheckpoint
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.proof.checkpoint import CheckpointError, parse, verify
from ledger.proof.merkle import EMPTY_ROOT, leaf_hash, root_of
from tests.factories import CITY, START, Installation, add_city, install, reopen
from tests.statements import asked


def _leaves(installation: Installation) -> list[bytes]:
    """The stored bytes of every leaf."""
    with installation.read() as session:
        return list(entries.leaves(session, CITY, 0, entries.size(session, CITY)))


def test_an_empty_log_has_a_signed_checkpoint(installation: Installation) -> None:
    """From the first moment on there is something to verify: size 0 and the empty root."""
    with installation.read() as session:
        head = verify(seal.latest(session, CITY).note, installation.city_keys().vkey)
    assert (head.size, head.root, head.origin) == (0, EMPTY_ROOT, f"{CITY}.kgo-ledger.example/log")


def test_each_batch_is_signed_over_all_leaves_so_far(installation: Installation) -> None:
    """Every checkpoint verifies under the city's key, and its root is that of the leaves it covers."""
    for amount in (1, 2, 3):
        installation.grant(amount)
    with installation.read() as session:
        notes = session.scalars(select(SignedCheckpoint).order_by(SignedCheckpoint.size)).all()
        hashes = [leaf_hash(leaf) for leaf in _leaves(installation)]
    assert [note.size for note in notes] == [0, 1, 2, 3]
    for note in notes:
        head = verify(note.note, installation.city_keys().vkey)
        assert (head.size, head.root) == (note.size, root_of(hashes[: note.size]))


def test_the_last_entry_at_a_moment_is_found_by_its_batch(installation: Installation) -> None:
    """To the millisecond; of two batches of one time the later counts. The empty log's checkpoint is no entry's."""
    moment = timedelta(milliseconds=1)
    installation.clock.advance(minutes=1)
    start = installation.clock.now
    installation.run(
        lambda unit: [transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer") for _ in range(3)]
    )
    later = installation.clock.advance(minutes=1)
    installation.grant()
    installation.grant()
    last = {later - moment: 2, later: 4, later + moment: 4, start - moment: -1, start: 2}
    last |= {datetime(1969, 12, 31, tzinfo=UTC): -1, START: -1}
    with installation.read() as session:
        assert {at: seal.last_seq_at(session, CITY, at) for at in last} == last
        assert seal.last_seq_at(session, "phayao", later) == -1


def test_a_moment_in_the_log_is_one_look_up(installation: Installation) -> None:
    """By the index of the batches' times, in its order."""
    with asked(installation.database) as found, installation.read() as session:
        seal.last_seq_at(session, CITY, START)
        (statement,) = found
        if session.connection().dialect.name == "sqlite":
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (CITY, 0, 1, 0)).all()
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # as if the table were long
            values = {"city_1": CITY, "at_1": 0, "param_1": 1}
            plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", values).all()
    steps = " ".join(str(row[-1]) for row in plan)
    assert "checkpoints_by_time" in steps
    assert not re.search("SCAN|SORT|TEMP|Seq Scan|Sort", steps), steps


def test_a_checkpoint_of_one_city_does_not_pass_for_another(installation: Installation) -> None:
    """Each city signs under its own name with its own key."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    with installation.read() as session:
        note = seal.latest(session, "phayao").note
    verify(note, installation.city_keys("phayao").vkey)
    with pytest.raises(CheckpointError):
        verify(note, installation.city_keys().vkey)


def test_the_first_checkpoint_that_covers_an_entry_is_found(installation: Installation) -> None:
    """A receipt needs the checkpoint of the batch; the one before does not cover the entry."""
    for amount in (1, 2, 3):
        installation.grant(amount)
    with installation.read() as session:
        assert [seal.covering(session, CITY, seq).size for seq in range(3)] == [1, 2, 3]


def _writer(installation: Installation) -> Writer:
    """A writer as a process has it that was started again."""
    return reopen(installation.database.url, installation.keys.directory.parent, installation.clock).writer


def test_what_was_shown_is_noted_beside_the_database(installation: Installation) -> None:
    """The note is the newest checkpoint, and a restart that finds it goes on."""
    installation.grant()
    shown = installation.writer.published.directory / CITY
    with installation.read() as session:
        assert shown.read_text() == seal.latest(session, CITY).note
    again = _writer(installation)
    installation.writer = again
    installation.grant()
    assert parse(shown.read_text()).size == 2


def test_an_earlier_checkpoint_does_not_replace_a_later_one(installation: Installation, tmp_path: Path) -> None:
    """Two processes may finish in either order; what is remembered is the later one."""
    installation.grant()
    installation.grant()
    with installation.read() as session:
        notes = {row.size: row.note for row in session.scalars(select(SignedCheckpoint))}
    published = Published(tmp_path / "elsewhere")
    for size in (1, 2, 1, 0):
        published.record(CITY, notes[size], size)
    assert (tmp_path / "elsewhere" / CITY).read_text() == notes[2]


def _record(directory: Path, numbers: range) -> None:
    for size in numbers:
        Published(directory).record(CITY, f"origin\n{size}\n{'A' * 43}=\n\n— origin AAAAAAA=\n", size)


def test_processes_that_note_checkpoints_never_go_back(tmp_path: Path) -> None:
    """However they interleave, at the end the latest stands, and nothing else lies about."""
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_record, args=(tmp_path, range(start, 200, 2))) for start in (0, 1)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert parse((tmp_path / CITY).read_text()).size == 199
    assert {path.name for path in tmp_path.iterdir()} == {CITY, f"{CITY}.lock"}


def test_a_database_restored_from_an_older_copy_signs_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """Its log ends before what was shown; with the newer copy back in place all goes on."""
    made = install(sqlite_url, tmp_path)
    made.grant()
    file = Path(make_url(sqlite_url).database or "")
    made.close()
    shutil.copytree(file.parent, tmp_path / "backup")
    later = reopen(sqlite_url, tmp_path)
    later.grant()
    later.close()
    shutil.copytree(file.parent, tmp_path / "newest")
    shutil.rmtree(file.parent)
    shutil.copytree(tmp_path / "backup", file.parent)
    restored = reopen(sqlite_url, tmp_path)
    for _ in range(2):
        with pytest.raises(LogBehindPublished) as refusal:
            restored.grant()
    assert (refusal.value.params["shown_size"], refusal.value.params["size"]) == (2, 1)
    assert len(restored.leaves()) == 1
    restored.close()
    shutil.rmtree(file.parent)
    shutil.copytree(tmp_path / "newest", file.parent)
    mended = reopen(sqlite_url, tmp_path)
    mended.grant()
    assert len(mended.leaves()) == 3
    mended.close()


def test_another_history_of_the_same_length_signs_nothing(
    installation: Installation, new_sqlite_url: Callable[[], str], tmp_path: Path
) -> None:
    """A log of the right size with other entries is not the one that was shown."""
    installation.grant()
    url = new_sqlite_url()
    other = install(url, tmp_path / "other")
    other.clock.now = START + timedelta(seconds=1)
    other.grant()
    other.close()
    for name in ("keys", "published"):
        shutil.rmtree(tmp_path / "other" / name)
        shutil.copytree(tmp_path / name, tmp_path / "other" / name)
    changed = reopen(url, tmp_path / "other")
    with pytest.raises(LogBehindPublished):
        changed.grant()
    changed.close()


def test_a_doubt_that_comes_while_another_is_settled_is_not_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain's newer word, by another process, is heard by the next batch."""
    installation.grant()
    published, root_at = installation.writer.published, tree.root_at
    with installation.read() as session:
        published.doubt(CITY, 1, root_at(session, CITY, 1))
    newer = [9]

    def meanwhile(session: Session, city: str, size: int) -> bytes:
        if newer:
            Published(published.directory).doubt(CITY, newer.pop(), b"\3" * 32)
        return root_at(session, city, size)

    with monkeypatch.context() as patched:
        patched.setattr(tree, "root_at", meanwhile)
        installation.grant()
    with pytest.raises(LogBehindPublished) as refusal:
        installation.grant()
    assert refusal.value.params["shown_size"] == 9


def test_a_log_that_does_not_lead_to_what_is_anchored_signs_nothing(installation: Installation) -> None:
    """Though the writer has worked before; with the newer copy back it goes on by itself."""
    installation.grant()
    published = installation.writer.published
    published.doubt(CITY, 3, b"\3" * 32)
    with pytest.raises(LogBehindPublished) as refusal:
        installation.grant()
    assert refusal.value.reason == "anchor"
    assert (refusal.value.params["shown_size"], refusal.value.params["size"]) == (3, 1)
    published.doubt(CITY, 1, b"\3" * 32)
    with pytest.raises(LogBehindPublished):
        installation.grant()
    with installation.read() as session:
        published.doubt(CITY, 1, tree.root_at(session, CITY, 1))
    installation.grant()
    assert not published.is_doubted(CITY, 2)
    assert len(installation.leaves()) == 2


def test_a_copied_directory_signs_nothing_before_the_chain_was_asked(tmp_path: Path) -> None:
    """Where a city has a chain: its own files are trusted from one start to the next, and no copy of them is."""
    place = tmp_path / "published"

    def opened(directory: Path) -> Published:
        return Published(directory, has_chain=lambda city: city == CITY)

    assert not opened(place).is_trusted(CITY)
    opened(place).trust(CITY)
    opened(place).trust(CITY)
    assert opened(place).is_trusted(CITY)
    shutil.move(place, tmp_path / "moved")
    assert opened(tmp_path / "moved").is_trusted(CITY)
    for copier in (shutil.copytree, _hard_copy):
        copier(tmp_path / "moved", place)
        assert not opened(place).is_trusted(CITY)
        opened(place).trust(CITY)
        assert opened(place).is_trusted(CITY)
        shutil.rmtree(place)


@pytest.mark.parametrize("whole", [False, True], ids=["differing", "all"])
def test_a_directory_that_was_copied_over_signs_nothing_before_the_chain_was_asked(
    sqlite_url: str, tmp_path: Path, whole: bool
) -> None:
    """An old copy was put over the files in use, also by a program that leaves alone what does not differ."""
    made = install(sqlite_url, tmp_path)
    place = made.writer.published.directory
    made.grant()
    Published(place).trust(CITY)
    an_hour_ago = time.time() - 3_600
    for path in place.iterdir():
        os.utime(path, (an_hour_ago, an_hour_ago))
    Published(place).trust(CITY)
    shutil.copytree(place, tmp_path / "old")
    os.utime(tmp_path / "old" / CITY, (an_hour_ago, an_hour_ago))
    _copy_database(sqlite_url, tmp_path / "old.sqlite")
    made.grant()
    assert Published(place).is_trusted(CITY)
    made.close()
    _copy_database(f"sqlite:///{tmp_path / 'old.sqlite'}", Path(make_url(sqlite_url).database or ""))
    _put_over(tmp_path / "old", place, whole=whole)
    restored = reopen(sqlite_url, tmp_path, made.clock)
    published = Published(place, has_chain=lambda city: True)
    writer = Writer(restored.database, restored.keys, published, made.clock)
    for act in (_grant, _promise):
        with pytest.raises(LogUnjudged):
            writer.run(CITY, act)
    published.trust(CITY)
    for act in (_promise, _grant):
        writer.run(CITY, act)
    assert len(restored.leaves()) == 2
    assert Published(place).is_trusted(CITY)
    writer.close()
    restored.close()


def test_a_directory_elsewhere_outlives_a_roll_back(sqlite_url: str, tmp_path: Path) -> None:
    """`published` may be a link to another disk: then a rolled-back database is known without asking anybody."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "published").symlink_to(tmp_path / "elsewhere")
    made = install(sqlite_url, tmp_path / "data")
    made.grant()
    _copy_database(sqlite_url, tmp_path / "old.sqlite")
    made.grant()
    made.close()
    _copy_database(f"sqlite:///{tmp_path / 'old.sqlite'}", Path(make_url(sqlite_url).database or ""))
    restored = reopen(sqlite_url, tmp_path / "data", made.clock)
    with pytest.raises(LogBehindPublished):
        restored.grant()
    restored.close()


def test_a_process_knows_a_log_that_became_shorter(sqlite_url: str, tmp_path: Path) -> None:
    """Database and directory were put back under it: it signs nothing until the newer copy is there again."""
    made = install(sqlite_url, tmp_path)
    place, file = made.writer.published.directory, Path(make_url(sqlite_url).database or "")
    idle = Writer(made.database, made.keys, Published(place), made.clock)
    idle.run(CITY, _grant)
    made.grant()
    shutil.copy2(place / CITY, tmp_path / "shown")
    _copy_database(sqlite_url, tmp_path / "old.sqlite")
    made.grant()
    _copy_database(sqlite_url, tmp_path / "newest.sqlite")
    _copy_database(f"sqlite:///{tmp_path / 'old.sqlite'}", file)
    with pytest.raises(LogBehindPublished) as refusal:  # the file tells it what others have done
        idle.run(CITY, _grant)
    assert (refusal.value.params["shown_size"], refusal.value.params["size"]) == (3, 2)
    shutil.copy2(tmp_path / "shown", place / CITY)
    for writer in (idle, made.writer):
        for act in (_grant, _promise):
            with pytest.raises(LogBehindPublished):
                writer.run(CITY, act)
    _copy_database(f"sqlite:///{tmp_path / 'newest.sqlite'}", file)
    idle.run(CITY, _grant)
    made.grant()
    assert len(made.leaves()) == 5
    idle.close()
    made.close()


def _copy_database(url: str, to: Path) -> None:
    """Copy a SQLite database, also over one that is in use."""
    with closing(sqlite3.connect(make_url(url).database or "")) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


def _put_over(source: Path, target: Path, *, whole: bool) -> None:
    """Copy files over others, with their times: each of them, or what differs in size or time (as rsync does)."""
    for path in source.iterdir():
        there = target / path.name
        if whole:
            shutil.copy2(path, there)
        elif not there.exists() or _looks(path) != _looks(there):
            draft = shutil.copy2(path, target / f".{path.name}.new")
            Path(draft).replace(there)


def _looks(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _promise(unit: Unit) -> None:
    unit.promises = True


def _grant(unit: Unit) -> object:
    return transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer")


def _hard_copy(source: Path, target: Path) -> None:
    """Copy with all attributes, as a restore of a backup does."""
    subprocess.run(["cp", "-a", source, target], check=True)


def test_the_writer_waits_for_the_chain(installation: Installation) -> None:
    """Refused with an error that names the remedy; once the chain has spoken it goes on by itself."""
    published = Published(installation.writer.published.directory, has_chain=lambda city: True)
    writer = Writer(installation.database, installation.keys, published, installation.clock)
    with pytest.raises(LogUnjudged, match="kgo chain watch"):
        writer.run(CITY, _grant)
    writer.run(CITY, lambda unit: None)  # which signs nothing
    published.trust(CITY)
    writer.run(CITY, _grant)
    writer.close()


def test_a_note_that_is_no_checkpoint_of_this_city_stops_the_writer(installation: Installation) -> None:
    """Nobody signs on without knowing what was shown; the operator is told by the error."""
    installation.grant()
    (installation.writer.published.directory / CITY).write_text("spoilt")
    again = _writer(installation)
    installation.writer = again
    with pytest.raises(CheckpointError):
        installation.grant()
    assert len(installation.leaves()) == 1
