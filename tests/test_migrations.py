"""The numbered migrations build exactly the tables of the models, up and down, on both databases."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, delete, event, inspect, select, update
from sqlalchemy.exc import DBAPIError

import ledger
from ledger import db
from ledger.book import transfers
from ledger.book.commands import Command
from ledger.db import Base, Database, is_newest, upgrade
from ledger.programme import sheets
from tests import postgres
from tests.factories import CITY, Installation, install
from tests.programme.town import STEWARD, Town

ROOT = Path(__file__).parent.parent
LEARNER = "learner:" + "a" * 26
JOURNAL = ("entries", "legs", "openings", "tiles", "checkpoints")


def _load_every_model() -> None:
    for package in ("book", "log", "people", "programme", "commerce", "chain"):
        for module in pkgutil.iter_modules([f"{ledger.__path__[0]}/{package}"]):
            importlib.import_module(f"ledger.{package}.{module.name}")


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def test_the_head_is_what_the_models_say(database_url: str) -> None:
    """No table, column, index or constraint that Alembic compares differs between the migrations and the models."""
    _load_every_model()
    database = Database(database_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences: list[Any] = compare_metadata(context, Base.metadata)
    database.close()
    assert differences == []


def test_the_way_down_leaves_nothing_and_the_way_up_works_again(database_url: str) -> None:
    """Down to nothing, and up to the same tables as before."""
    database = Database(database_url)
    before = set(inspect(database.engine).get_table_names())
    command.downgrade(_config(database_url), "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    upgrade(database_url)
    assert set(inspect(database.engine).get_table_names()) == before
    database.close()


def test_of_two_upgrades_at_once_the_second_finds_the_work_done(postgresql: postgres.PostgreSQL) -> None:
    """Servers that start together on an empty database: both succeed."""
    name = postgresql.create()
    url, call = postgresql.url(name), "import sys; from ledger.db import upgrade; upgrade(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", call, url], cwd=ROOT) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    database = Database(url)
    with database.read() as session:
        assert is_newest(session)
    database.close()
    postgresql.drop(name)


def test_a_migration_may_think_for_longer_than_a_writer(
    postgresql: postgres.PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that says nothing for long is cut off by PostgreSQL; an upgrade that does is not."""
    name = postgresql.create()
    monkeypatch.setattr(db, "ABANDONED_MS", 500)
    thought: list[float] = []

    def think(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "CREATE TABLE settlements" in statement:
            time.sleep(1)
            thought.append(1)

    event.listen(Engine, "before_cursor_execute", think)
    try:
        upgrade(postgresql.url(name))
    finally:
        event.remove(Engine, "before_cursor_execute", think)
    assert thought == [1]
    postgresql.drop(name)


def test_an_upgrade_keeps_what_is_there(database_url: str, tmp_path: Path) -> None:
    """Upgrading a database that is at the head changes nothing in it."""
    installation = install(database_url, tmp_path)
    installation.grant(500)
    upgrade(database_url)
    assert installation.balance("treasury").posted_minor == 500


def test_the_database_itself_refuses_to_change_the_journal(database_url: str, tmp_path: Path) -> None:
    """UPDATE, DELETE and TRUNCATE fail on every journal table, while INSERT works."""
    installation = install(database_url, tmp_path)
    installation.open(LEARNER)
    installation.grant(1_000)
    gift = Command(lambda unit: transfers.post(unit, "transfer", "treasury", LEARNER, 1, actor="treasurer"))
    installation.writer.execute(CITY, [gift] * 256)
    verbs = ["UPDATE {} SET city = city", "DELETE FROM {}"]
    if not database_url.startswith("sqlite"):  # which has no TRUNCATE
        verbs.append("TRUNCATE {}")
    for table in JOURNAL:
        for verb in verbs:
            with (
                installation.database.writing.connect() as connection,
                pytest.raises(DBAPIError, match="append-only"),
            ):
                connection.exec_driver_sql(verb.format(table))


def test_the_new_keys_keep_every_row_and_every_guard(database_url: str, tmp_path: Path) -> None:
    """Down to the keys of 0005 and up again with a book that has lived: the same rows, audit and refusals as before."""
    installation = install(database_url, tmp_path)
    installation.open(LEARNER)
    installation.grant(1_000)
    gift = Command(lambda unit: transfers.post(unit, "transfer", "treasury", LEARNER, 3, actor="treasurer"))
    installation.writer.execute(CITY, [gift] * 5)
    installation.run(lambda unit: transfers.reverse(unit, 3, actor="treasurer"))
    before = _rows(installation)
    config = _config(database_url)
    command.downgrade(config, "0005")
    assert _rows(installation) == before
    command.upgrade(config, "head")
    assert _rows(installation) == before
    assert installation.audit().findings == []
    for table in JOURNAL[:3]:
        with installation.database.writing.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(delete(Base.metadata.tables[table]))


def _rows(installation: Installation) -> dict[str, set[tuple[Any, ...]]]:
    with installation.read() as session:
        tables = {name: Base.metadata.tables[name] for name in JOURNAL[:3]}
        return {name: {tuple(row) for row in session.execute(select(table))} for name, table in tables.items()}


def test_a_new_way_of_checking_in_keeps_every_activity(database_url: str, tmp_path: Path) -> None:
    """Down to 0008 and up again around an activity that others refer to; only then does the check admit `code`."""
    town = Town(install(database_url, tmp_path))
    town.activity()
    town.check_in(town.learner(), town.code().text)
    config = _config(database_url)
    command.downgrade(config, "0008")
    change = update(Base.metadata.tables["activities"]).values(mode="code")
    with town.installation.database.writing.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(change)
    command.upgrade(config, "head")
    town.change("library", mode="code")
    town.run(lambda unit: sheets.make(unit, STEWARD, "library", 1))
    town.activity("museum")
    town.check_in(town.learner(), town.code("museum").text)
    with pytest.raises(RuntimeError, match="mode 'code'"):
        command.downgrade(config, "0008")
    if database_url.startswith("sqlite"):
        with town.installation.database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    command.upgrade(config, "head")  # SQLite keeps each step of the way down that was taken
    assert town.installation.audit().findings == []
