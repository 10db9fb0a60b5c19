"""Look-ups outside any transaction: what they see, that they cannot write, how they get over a broken connection."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger.db import Database
from ledger.errors import Overloaded
from ledger.lookup import CONNECTIONS, Lookups

FIND = "SELECT name, size, data, missing FROM things WHERE name = ? AND place = ?"
HERE = "here"
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def things(database: Database) -> Database:
    """A database with one more table and a row in it."""
    data = "BLOB" if database.url.startswith("sqlite") else "BYTEA"
    _run(database, f"CREATE TABLE things (name TEXT, place TEXT, size BIGINT, data {data}, missing BIGINT)")
    _add(database, "ร่ม", 5)
    return database


def _run(database: Database, statement: str, **values: object) -> None:
    with database.write() as session:
        session.execute(text(statement), values)
        session.commit()


def _add(database: Database, name: str, size: int) -> None:
    statement = "INSERT INTO things VALUES (:name, :place, :size, :data, NULL)"
    _run(database, statement, name=name, place=HERE, size=size, data=b"\x00\xff")


def _open_files(database: Database) -> int:
    """How often this process has a SQLite file open."""
    path = database.url.removeprefix("sqlite:///")
    return sum(str(one.readlink()) == path for one in Path("/proc/self/fd").iterdir() if one.is_symlink())


def _connections(database: Database) -> int:
    """How many connections there are to a PostgreSQL database, beside the one that asks."""
    with database.engine.connect() as connection:
        return int(connection.exec_driver_sql(_OTHERS).scalar_one())


def _comes_to(count: Callable[[Database], int], database: Database, wanted: range) -> bool:
    """Whether there are soon so many; PostgreSQL takes a moment to notice that a client has left."""
    deadline = time.monotonic() + 10
    while count(database) not in wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_row_is_found_by_its_key(things: Database) -> None:
    """Texts, integers, bytes and NULL come back as they are; another key finds nothing, however it is spelled."""
    assert things.lookups.one(FIND, "ร่ม", HERE) == ("ร่ม", 5, b"\x00\xff", None)
    assert things.lookups.one("SELECT size FROM things WHERE name = ?", "ร่ม") == (5,)
    for name in ("other", "", "' OR '1' = '1", "%"):
        assert things.lookups.one(FIND, name, HERE) is None


def test_it_sees_what_was_committed_and_nothing_else(things: Database) -> None:
    """Between two look-ups another connection adds and removes; what it has not committed is not there."""
    with things.write() as session:
        session.execute(text("INSERT INTO things VALUES ('new', 'here', 1, NULL, NULL)"))
        assert things.lookups.one(FIND, "new", HERE) is None
        session.commit()
    assert things.lookups.one(FIND, "new", HERE) == ("new", 1, None, None)
    _run(things, "DELETE FROM things WHERE name = 'new'")
    assert things.lookups.one(FIND, "new", HERE) is None


def test_it_cannot_write(things: Database) -> None:
    """A statement that would change something is refused, and nothing is changed."""
    with pytest.raises(Overloaded):
        things.lookups.one("DELETE FROM things WHERE name = ? RETURNING size", "ร่ม")
    assert things.lookups.one(FIND, "ร่ม", HERE) is not None


def test_a_wrong_query_is_an_error_of_its_own(things: Database) -> None:
    """It is not taken for a database that is gone."""
    with pytest.raises((RuntimeError, sqlite3.OperationalError), match="nowhere"):
        things.lookups.one("SELECT name FROM nowhere WHERE name = ?", "x")
    assert things.lookups.one(FIND, "ร่ม", HERE) is not None


def test_a_statement_survives_a_change_of_its_table(things: Database) -> None:
    """A migration may run while the server does."""
    assert things.lookups.one("SELECT * FROM things WHERE name = ?", "ร่ม") is not None
    _run(things, "ALTER TABLE things ADD COLUMN more BIGINT")
    assert things.lookups.one("SELECT * FROM things WHERE name = ?", "ร่ม") == ("ร่ม", HERE, 5, b"\x00\xff", None, None)


def test_a_broken_connection_is_replaced(postgresql_url: str) -> None:
    """PostgreSQL ends every connection; the next look-up does not notice."""
    database = Database(postgresql_url)
    query = "SELECT pg_backend_pid()::bigint, ?::text"
    first = [database.lookups.one(query, "x") for _ in range(CONNECTIONS)]
    with database.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    later = [database.lookups.one(query, "x") for _ in range(CONNECTIONS)]
    assert None not in later
    assert not set(later) & set(first)
    database.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nowhere/at/all.sqlite", "postgresql+psycopg://kgo@127.0.0.1:1/kgo"],
    ids=["sqlite", "postgresql"],
)
def test_a_database_that_does_not_answer(url: str) -> None:
    """Whoever asks is told to try again; no place for a connection is lost by that."""
    lookups = Lookups(url)
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(Overloaded):
            lookups.one("SELECT 1 WHERE '' = ?", "")


def test_connections_are_few_and_end(things: Database) -> None:
    """Sixteen threads share them; after `close` none is left, and a later look-up opens one again."""
    things.close()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: things.lookups.one(FIND, "ร่ม", HERE), range(200)))
    assert set(found) == {("ร่ม", 5, b"\x00\xff", None)}
    count = _open_files if things.url.startswith("sqlite") else _connections
    assert _comes_to(count, things, range(1, CONNECTIONS + 1))
    things.close()
    assert _comes_to(count, things, range(1))
    assert things.lookups.one(FIND, "ร่ม", HERE) is not None
