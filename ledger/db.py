"""The database: engines, column types and the two kinds of transaction. SQLite and PostgreSQL behave alike here.

* `Database.read()` is a read-only snapshot for answering questions.
* `Database.write()` is a transaction that will write. On SQLite it begins IMMEDIATE, so that two processes
  queue for the file instead of failing half-way; on PostgreSQL it runs under READ COMMITTED, and whoever needs
  an order takes the city's head row `FOR UPDATE`.

Both commit durably: SQLite in WAL mode with `synchronous=FULL`, PostgreSQL with `synchronous_commit=on`.
Nothing is opened at import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Dialect,
    Engine,
    Insert,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from ledger.values import from_milliseconds, to_milliseconds

MIGRATIONS = Path(__file__).parent.parent / "migrations"
"""The numbered migrations; they come with the checkout."""

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process's transaction on a SQLite file."""

_READS, _WRITES = "kgo_reads", "kgo_writes"


class Base(DeclarativeBase):
    """The declarative base of every table."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole milliseconds since 1970 in an integer."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To milliseconds."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To an aware datetime."""
        return None if value is None else from_milliseconds(value)


class Json(TypeDecorator[Any]):
    """A JSON value stored as text with sorted keys; replaced whole, never changed in place."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """To text."""
        return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """To lists, dicts and scalars."""
        return None if value is None else json.loads(value)


Ordered = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by its bytes on every database, whatever language it was set up for: for ranges of keys."""


class Database:
    """One database and its pool of connections; made once per process.

    Args:
        url: an SQLAlchemy URL, `sqlite:///file` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _sqlite_engine(url) if url.startswith("sqlite") else _postgresql_engine(url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session on one consistent snapshot; it cannot write."""
        with self.engine.connect() as connection:
            connection.execution_options(**{_READS: True})
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with Session(connection, autoflush=False) as session:
                yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in a transaction that will write. It commits where `session.commit()` is called, or not at all."""
        with self.engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with Session(connection, expire_on_commit=False) as session:
                yield session

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def insert_rows(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows without the ORM's bookkeeping, which would cost more than the statement."""
    session.connection().execute(_insert(table), rows)


@cache
def _insert(table: type[Base]) -> Insert:
    return insert(cast("Table", table.__table__))


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA recursive_triggers=ON")  # so that REPLACE meets the triggers that guard the journal
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if options.get(_READS) else 'OFF'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=16,
        max_overflow=16,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={"options": "-c synchronous_commit=on"},
    )


def upgrade(url: str) -> None:
    """Bring a database to the newest schema; does nothing to one that is there already."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


def is_newest(session: Session) -> bool:
    """Whether the database has the newest schema: the one with the highest number among the migrations."""
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).split("_")[0]
    if not inspect(session.connection()).has_table("alembic_version"):
        return False
    return bool(session.scalar(text("SELECT version_num FROM alembic_version")) == newest)
