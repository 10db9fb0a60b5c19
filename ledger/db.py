"""The database: engines, column types and the two kinds of transaction. SQLite and PostgreSQL behave alike here.

* `Database.read()` is a read-only snapshot for answering questions.
* `Database.write()` is a transaction that will write. On SQLite writers, whatever their process, take turns by a
  lock on a file beside the database, and begin IMMEDIATE; on PostgreSQL it runs under READ COMMITTED, and whoever
  needs an order takes the city's head row `FOR UPDATE`.

Both commit durably: SQLite in WAL mode with `synchronous=FULL`, PostgreSQL with `synchronous_commit=on`.
Nothing is opened at import.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from ledger import arrays
from ledger.lookup import VANISHED, Lookups
from ledger.rows import Driver
from ledger.values import from_milliseconds, to_milliseconds
from ledger.wal import MOST_PAGES, Mover

MIGRATIONS = Path(__file__).parent.parent / "migrations"
"""The numbered migrations; they come with the checkout."""

ABANDONED_MS = 5_000
"""How long PostgreSQL lets a writer's transaction stand with nothing asked of it: a process that was cut off without a
word would otherwise keep the city's head, and everybody waiting, for as long as TCP hopes."""

BY_INDEX = "-c enable_seqscan=off"
"""How PostgreSQL plans what the writers look up: by an index, however small a table is yet. A plan that is kept for a
connection's life would else read all of a table that was young once."""

CONNECTIONS = 6
"""How many connections to PostgreSQL a process may have for reading, and as many for writing. Threads of one process
take turns anyway, and a server of four workers stays below the hundred that PostgreSQL lets in by itself."""

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process's transaction on a SQLite file."""

CACHE_KIB = 8_192
"""How much of a SQLite file a writer keeps at hand: learners come in no order, each on pages of their own."""

_WRITING = f"PRAGMA wal_autocheckpoint={MOST_PAGES}", f"PRAGMA cache_size=-{CACHE_KIB}"


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


def present(column: str) -> dict[str, Any]:
    """For an `Index` over a column that is mostly NULL: it holds the rows where there is something."""
    where = text(f"{column} IS NOT NULL")
    return {"sqlite_where": where, "postgresql_where": where}


class Database:
    """One database and its pool of connections; made once per process.

    Args:
        url: an SQLAlchemy URL, `sqlite:///file` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        if url.startswith("sqlite"):
            self.engine = _sqlite_engine(url, "BEGIN", "PRAGMA query_only=ON")
            self.writing = _sqlite_engine(url, "BEGIN IMMEDIATE", "PRAGMA query_only=OFF", *_WRITING)
            path = str(make_url(url).database)
            self._turn: AbstractContextManager[Any] = _Turn(Path(f"{path}.turn"))
            self._mover: Mover | None = Mover(path)
        else:
            self.engine = _postgresql_engine(url, probed=True)
            # Whoever takes a head finds out by that whether the connection is still there.
            self.writing = _postgresql_engine(
                url,
                f"-c idle_in_transaction_session_timeout={ABANDONED_MS} {BY_INDEX}",
                probed=False,
            )
            self._turn = nullcontext()
            self._mover = None
        self.lookups = Lookups(url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session on one consistent snapshot; it cannot write."""
        with self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with Session(connection, autoflush=False) as session:
                yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in a transaction that will write. It commits where `session.commit()` is called, or not at all."""
        with self.transaction() as transaction:
            yield transaction.session

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The same, for whoever may do without a session. It commits where its `commit()` is called, or not at all."""
        with self._turn, self.writing.connect() as connection, Transaction(connection) as transaction:
            yield transaction
            if self._mover is not None:
                self._mover.committed()

    def close(self) -> None:
        """Close every pooled connection."""
        self.lookups.close()
        if self._mover is not None:
            self._mover.close()
        self.engine.dispose()
        self.writing.dispose()


class Transaction:
    """A transaction that will write: on the driver's connection, and in a session if anybody asks for one.

    Attributes:
        driver: the driver's own connection.
    """

    def __init__(self, connection: Connection) -> None:
        connection.begin()
        self._connection = connection
        self._session: Session | None = None
        self.driver = Driver(connection)

    @property
    def session(self) -> Session:
        """A session inside the transaction; made when first needed."""
        if self._session is None:
            self._session = Session(self._connection, expire_on_commit=False, join_transaction_mode="control_fully")
        return self._session

    def commit(self) -> None:
        """Make it stand, or raise: then it may stand or not."""
        if self._session is not None:
            self._session.flush()
        self._connection.commit()  # and not the session, which commits nothing where nobody has asked it anything

    def invalidate(self) -> None:
        """Give the connection up: it may still be inside the transaction, and nobody is to get it again."""
        self._connection.invalidate()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *_: object) -> None:
        if self._session is not None:
            self._session.close()


class _Turn:
    """A lock between the writers of a SQLite file, threads as well as processes.

    SQLite's own way of waiting for another writer is to sleep and try again, longer each time: the file then idles
    while somebody sleeps, and whoever is unlucky waits for long. This lock wakes the next one at once, and ends with
    the process that holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.Lock()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        self._own.acquire()
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._own.release()
            raise

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._own.release()


def _sqlite_engine(url: str, begin: str, *pragmas: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={
            "isolation_level": None,
            "timeout": BUSY_TIMEOUT_MS / 1000,
            "check_same_thread": False,
            "cached_statements": 512,  # of each length of a list of rows one
        },
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA recursive_triggers=ON")  # so that REPLACE meets the triggers that guard the journal
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: str, options: str = "", *, probed: bool) -> Engine:
    arrays.register()
    return create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=probed,
        isolation_level="READ COMMITTED",
        connect_args={"options": f"-c synchronous_commit=on {options}", **VANISHED},
    )


def upgrade(url: str) -> None:
    """Bring a database to the newest schema; does nothing to one that is there already."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


def rebuild(connection: Connection, table: str, *changes: tuple[str, str], more: str = "") -> None:
    """Change the text that a table of SQLite was made by, for a migration.

    SQLite keeps a table's constraints for ever: another one is made by the changed text, and everything moved over.

    Args:
        connection: to the database, in the migration's transaction.
        table: its name.
        changes: each an old part of the text, and the new one.
        more: what a column that is new, and the last, has in each row, as SQL; "" where there is none.

    Raises:
        RuntimeError: the text is not as it should be.
    """
    kept = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type = 'table' DESC", (table,)
    )
    made, *others = kept.scalars().all()
    for old, new in changes:
        if old not in made:
            raise RuntimeError(f"the table {table} is not as the migrations before this one left it: {made}")
        made = made.replace(old, new)
    _, rest = made.split("(", 1)
    for statement in (
        f"CREATE TABLE {table}_anew ({rest}",
        f"INSERT INTO {table}_anew SELECT *{more and ', '}{more} FROM {table}",  # noqa: S608 - a name in the code
        f"DROP TABLE {table}",
        f"ALTER TABLE {table}_anew RENAME TO {table}",
        *others,
    ):
        connection.exec_driver_sql(statement)


def is_newest(session: Session) -> bool:
    """Whether the database has the newest schema: the one with the highest number among the migrations."""
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).split("_")[0]
    if not inspect(session.connection()).has_table("alembic_version"):
        return False
    return bool(session.scalar(text("SELECT version_num FROM alembic_version")) == newest)
