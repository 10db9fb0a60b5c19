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
from sqlalchemy import Engine, delete, event, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

import ledger
from ledger import db
from ledger.book import accounts, seal, transfers
from ledger.book.commands import Command
from ledger.db import Base, Database, is_newest, upgrade
from ledger.programme import sheets
from ledger.values import from_milliseconds
from tests import postgres
from tests.factories import CITY, Installation, add_city, install
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
    _fill(installation)
    _refuses_to_change_the_journal(installation)


def _fill(installation: Installation) -> None:
    """Something in every journal table."""
    installation.open(LEARNER)
    installation.grant(1_000)
    gift = Command(lambda unit: transfers.post(unit, "transfer", "treasury", LEARNER, 1, actor="treasurer"))
    installation.writer.execute(CITY, [gift] * 256)


def _refuses_to_change_the_journal(installation: Installation) -> None:
    verbs = ["UPDATE {} SET city = city", "DELETE FROM {}"]
    if not installation.database.url.startswith("sqlite"):  # which has no TRUNCATE
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


def test_a_moment_is_found_by_its_batch_as_it_was_by_its_entries(database_url: str, tmp_path: Path) -> None:
    """A book of 0016 with batches of several entries, some of one time: after the upgrade each moment tells the same.

    So it does after the way down and up again; and what the tables refuse, and what they hold, is as before.
    """
    installation = install(database_url, tmp_path)
    _fill(installation)
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    for minutes in (1, 0, 5):
        installation.clock.advance(minutes=minutes)
        gift = Command(lambda unit: transfers.post(unit, "transfer", "treasury", LEARNER, 7, actor="treasurer"))
        installation.writer.execute(CITY, [gift] * 3)
    config = _config(database_url)
    command.downgrade(config, "0016")
    _has_old_shape(installation)
    with installation.read() as session:
        times = session.scalars(text("SELECT at FROM entries ORDER BY seq")).all()
        sizes = session.scalars(text("SELECT size FROM checkpoints WHERE city = 'khon-kaen' ORDER BY size")).all()
        stood = {name: _all(session, name) for name in ("accounts", "blinding_keys", *JOURNAL)}
    assert sizes == [0, 1, 257, 260, 263, 266]
    for _ in range(2):
        command.upgrade(config, "0017")
        with installation.read() as session:
            batches: dict[int, int] = dict(
                session.execute(text("SELECT size, at FROM checkpoints WHERE city = 'khon-kaen'")).all()
            )
            assert batches == {size: times[size - 1] if size else 0 for size in sizes}
            assert session.scalar(text("SELECT at FROM checkpoints WHERE city = 'phayao'")) == 0
            for at in sorted({moment + by for moment in times for by in (-1, 0, 1)}):
                before = [seq for seq, time in enumerate(times) if time <= at]
                moment = from_milliseconds(at)
                assert seal.last_seq_at(session, CITY, moment) == (before[-1] if before else -1)
                gifts = sum(1 if seq < 257 else 7 for seq in before if seq)
                assert accounts.balance(session, CITY, LEARNER, moment).posted_minor == gifts
                left = 1_000 - gifts if before else 0
                assert accounts.balance(session, CITY, "treasury", moment).posted_minor == left
            told = {name: _all(session, name) for name in stood}
        told["checkpoints"] = {row[:-1] for row in told["checkpoints"]}  # without the time
        assert told == stood
        assert installation.audit().findings == []
        _refuses_to_change_the_journal(installation)
        command.downgrade(config, "0016")
        _has_old_shape(installation)
        _refuses_to_change_the_journal(installation)
        with installation.read() as session:
            assert {name: _all(session, name) for name in stood} == stood
    command.upgrade(config, "head")
    installation.grant()
    assert installation.audit().findings == []


def test_what_opens_a_check_in_moves_with_it(database_url: str, tmp_path: Path) -> None:
    """Down to 0017 it stands in the row of its check-in, and up again beside it; a row cannot come twice."""
    town = Town(install(database_url, tmp_path))
    town.activity()
    for _ in range(3):
        town.check_in(town.learner(), town.code().text)
    before = _kept(town, "check_ins"), _kept(town, "check_in_evidence")
    command.downgrade(_config(database_url), "0017")
    old = _kept(town, "check_ins")
    assert [(row["entry"], row["salt"], row["evidence"]) for row in old] == [
        (row["entry"], row["salt"], row["evidence"]) for row in before[1]
    ]
    command.upgrade(_config(database_url), "head")
    assert (_kept(town, "check_ins"), _kept(town, "check_in_evidence")) == before
    assert len(before[0]) == 3
    for table in ("check_ins", "check_in_evidence"):
        with town.installation.database.writing.connect() as connection, pytest.raises(IntegrityError):
            connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM {table}")  # noqa: S608
    if database_url.startswith("sqlite"):
        with town.installation.database.engine.connect() as connection:
            tables = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE wr").scalars().all()
        assert {"check_ins", "check_in_evidence", "legs", "openings"} <= set(tables)


def _kept(town: Town, table: str) -> list[dict[str, Any]]:
    with town.installation.read() as session:
        return [dict(row) for row in session.execute(text(f"SELECT * FROM {table} ORDER BY entry")).mappings()]  # noqa: S608


def _has_old_shape(installation: Installation) -> None:
    """The indexes of 0016 are there, and the checkpoints tell no time."""
    found = inspect(installation.database.engine)
    names = {index["name"] for table in JOURNAL for index in found.get_indexes(table)}
    assert names >= {"entries_by_time", "legs_by_seq", "openings_by_seq"}
    assert "checkpoints_by_time" not in names
    assert "at" not in {column["name"] for column in found.get_columns("checkpoints")}


def _all(session: Session, table: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in session.execute(text(f"SELECT * FROM {table}"))}  # noqa: S608


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
