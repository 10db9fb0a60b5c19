"""Whether the state of a process is told truly: each thing that can be wrong, and that it comes back."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger import health
from ledger.book.commands import Command
from ledger.book.seal import Published
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.config import Settings
from ledger.db import upgrade
from ledger.health import Health
from ledger.installation import Installation, assemble
from tests import factories, postgres
from tests.factories import CITY

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation with Khon Kaen in it, on each kind of database, as a server opens it."""
    factories.install(database_url, tmp_path).close()
    with assemble(Settings(tmp_path, database_url, ADDRESS)) as installation:
        yield installation


def _set_version(installation: Installation, version: str) -> str:
    with installation.database.write() as session:
        before = session.scalars(text("SELECT version_num FROM alembic_version")).one()
        session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        session.commit()
    return str(before)


def test_all_is_well(opened: Installation) -> None:
    """A fresh installation is alive and ready, again and again."""
    assert [opened.health.alive(), opened.health.ready(), opened.health.ready()] == [{}, {}, {}]


def test_an_old_schema(opened: Installation) -> None:
    """The remedy is named; once the schema is new again, so is the answer."""
    newest = _set_version(opened, "older")
    failures = opened.health.ready()
    assert list(failures) == ["schema"]
    assert "kgo db upgrade" in failures["schema"]
    _set_version(opened, newest)
    assert opened.health.ready() == {}


def test_a_missing_key_file(opened: Installation, tmp_path: Path) -> None:
    """The city is named, also when this process has read the key before, and when the file is no key file."""
    key, away = tmp_path / "keys" / f"{CITY}.key", tmp_path / "away"
    assert opened.health.ready() == {}
    key.rename(away)
    failures = opened.health.ready()
    assert list(failures) == ["keys"]
    assert CITY in failures["keys"]
    away.rename(key)
    assert opened.health.ready() == {}
    key.write_text("no key")
    with assemble(opened.settings) as other:
        assert list(other.health.ready()) == ["keys"]


def test_a_data_directory_that_cannot_be_written(opened: Installation, tmp_path: Path) -> None:
    """Whatever the cause, the check tries to write, names what failed, and leaves nothing behind."""
    published = tmp_path / "published"
    published.mkdir(exist_ok=True)
    kept = sorted(published.iterdir())
    away = published.rename(tmp_path / "away")
    published.write_text("in the way")
    failures = opened.health.ready()
    assert list(failures) == ["data"]
    assert "cannot be written" in failures["data"]
    published.unlink()
    away.rename(published)
    assert opened.health.ready() == {}
    assert sorted(published.iterdir()) == kept


def test_a_sqlite_file_that_is_gone(sqlite_url: str, tmp_path: Path) -> None:
    """It is told, and asking does not put an empty one in its place."""
    factories.install(sqlite_url, tmp_path).close()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with assemble(Settings(tmp_path, sqlite_url, ADDRESS)) as installation:
        assert installation.health.ready() == {}
        away = shutil.move(file, tmp_path / "away")
        assert "missing" in installation.health.ready()["database"]
        assert not file.exists()
        shutil.move(away, file)
        assert installation.health.ready() == {}


def test_a_postgresql_that_stops(tmp_path: Path) -> None:
    """While the server is down it is told so; once it is up again all is well, with nobody doing anything."""
    server = postgres.start()
    try:
        url = server.url(server.create())
        upgrade(url)
        factories.install(url, tmp_path).close()
        with assemble(Settings(tmp_path, url, ADDRESS)) as installation:
            assert installation.health.ready() == {}
            server.crash()
            failures = installation.health.ready()
            assert list(failures) == ["database"]
            assert "KGO_DATABASE_URL" in failures["database"]
            assert installation.health.alive() == {}
            server.resume()
            assert installation.health.ready() == {}
    finally:
        server.stop()


def test_a_postgresql_that_is_locked(postgresql_url: str, tmp_path: Path) -> None:
    """A migration that holds the schema is no reason to wait for ever; after it all is well."""
    factories.install(postgresql_url, tmp_path).close()
    with assemble(Settings(tmp_path, postgresql_url, ADDRESS)) as installation:
        with installation.database.write() as session:
            session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
            assert list(installation.health.ready()) == ["database"]
        assert installation.health.ready() == {}


def test_a_postgresql_that_only_lets_read(postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby answers questions, but nothing could be written there."""
    factories.install(postgresql_url, tmp_path).close()
    monkeypatch.setitem(health.POSTGRESQL, "options", "-c default_transaction_read_only=on")
    with assemble(Settings(tmp_path, postgresql_url, ADDRESS)) as installation:
        assert "standby" in installation.health.ready()["database"]


def test_a_database_that_hangs(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is answered in time, all who ask wait for one round of checks, and the next round may be well."""
    rounds: list[str] = []
    go_on = threading.Event()

    def hang(_: Health) -> dict[str, str]:
        rounds.append("begun")
        go_on.wait(60)
        return {}

    monkeypatch.setattr(health, "BOUND_SECONDS", 0.05)
    with monkeypatch.context() as hanging:
        hanging.setattr(Health, "_database", hang)
        answers = [opened.health.ready() for _ in range(3)]
    assert [list(failures) for failures in answers] == [["database"]] * 3
    assert "no answer" in answers[0]["database"]
    assert rounds == ["begun"]
    go_on.set()
    monkeypatch.setattr(health, "BOUND_SECONDS", 60)
    opened.health.ready()  # the round that hung, at its end
    assert opened.health.ready() == {}


def test_a_queue_that_grows(opened: Installation, tmp_path: Path) -> None:
    """From half of the queue's length on, requests had better go elsewhere; when it is worked off, they may come."""
    begun, go_on = threading.Event(), threading.Event()
    writer = Writer(opened.database, opened.keys, Published(tmp_path / "published"), max_queue=4)
    state = Health(opened.settings, opened.keys, writer)

    def take_time(_: Unit) -> None:
        begun.set()
        go_on.wait(60)

    threads = [threading.Thread(target=writer.submit, args=(CITY, Command(take_time))) for _ in range(3)]
    threads[0].start()
    assert begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    while writer.waiting() != {CITY: 2}:
        assert all(thread.is_alive() for thread in threads)
    failures = state.ready()
    assert list(failures) == ["writer"]
    assert f"2 for {CITY}" in failures["writer"]
    assert state.alive() == {}
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert state.ready() == {}
    writer.close()
    state.close()


def test_those_who_wait_for_another_process_count(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was sent to the scribe waits too, together with those who are here."""
    half = opened.writer.max_queue // 2
    elsewhere = {CITY: half - 2, "elsewhere": 2}
    monkeypatch.setattr(opened.writer, "waiting", lambda: {CITY: 1})
    opened.health.count(lambda: elsewhere)
    assert opened.health.ready() == {}
    elsewhere[CITY] += 1
    assert f"{half} for {CITY}." in opened.health.ready()["writer"]
    assert opened.health.alive() == {}


def test_a_writer_that_ended(opened: Installation) -> None:
    """Nothing but a restart mends it: neither alive nor ready."""
    opened.writer.close()
    assert list(opened.health.alive()) == ["writer"]
    assert list(opened.health.ready()) == ["writer"]


def test_the_log_tells_changes_alone(opened: Installation, caplog: pytest.LogCaptureFixture) -> None:
    """However often somebody asks, one line says that it is not ready, and one that it is again."""
    newest = _set_version(opened, "older")
    with caplog.at_level(logging.WARNING, "ledger.health"):
        for _ in range(3):
            opened.health.ready()
        _set_version(opened, newest)
        for _ in range(3):
            opened.health.ready()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("not ready: schema")
    assert told[1] == "ready again"
