"""Many rows in one statement: how the writer's hot path reads and writes, on SQLite and on PostgreSQL.

One statement costs more than one row of it: the mapper's work, a round trip, and on the way the interpreter's lock,
which a busy process wins back late. Hence everything that a batch reads or writes of one table goes by one statement:

* SQLite takes rows as one long VALUES list, PostgreSQL as one array for each column (`unnest`), see `arrays`.
* Keys to look up travel as one JSON text on SQLite, and as arrays again on PostgreSQL. There each key is looked up for
  itself (`LATERAL … OFFSET 0`); where it may lead to several rows, by a plan made for the occasion: the planner of a
  young table, which nobody has analysed, believes that few rows are of one city and reads them all, and would keep to
  what it found while there were few.
* Statements go to the driver as they are, on the connection of a SQLAlchemy session and inside its transaction.

Values are what the driver stores: instants in milliseconds, JSON as text. Statements are put together from names in the
code alone; whatever comes from outside is a parameter.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import BigInteger, Boolean, Connection, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from ledger.arrays import Array, big_ints, octets, small_ints, texts

Row = tuple[Any, ...]
Entity = TypeVar("Entity", bound=DeclarativeBase)

MOST_ROWS, STEP = 512, 8
"""The longest VALUES list; and the lengths beyond eight rows are multiples of eight, so that few statements exist to be
kept prepared, and few are run."""


class Rows:
    """The statements for many rows of one table.

    Args:
        table: a mapped class; its columns, in their order, are the members of a row.
        replace: whether a row whose primary key is there already takes its place; otherwise that is refused.
    """

    def __init__(self, table: type[DeclarativeBase], *, replace: bool = False) -> None:
        described = cast("Table", table.__table__)
        self.name = described.name
        self.columns = tuple(column.name for column in described.columns)
        self._in_order: Callable[[dict[str, Any]], Row] = itemgetter(*self.columns)
        self._arrays = [_arrays(column.type) for column in described.columns]
        key = [column.name for column in described.primary_key]
        self._conflict = _replacing(key, [name for name in self.columns if name not in key]) if replace else ""
        self._statement = cache(self._sqlite_statement)
        self._postgresql = self._postgresql_statement()

    def row(self, **values: Any) -> Row:
        """A row out of named values; every column must be there."""
        return self._in_order(values)

    def write(self, where: Where, rows: Sequence[Row]) -> None:
        """Insert rows, or replace them.

        Raises:
            sqlalchemy.exc.IntegrityError: a constraint refuses one. Others may be there: go back to a savepoint.
        """
        driver = driver_of(where)
        if driver.is_postgresql:
            columns = zip(*rows, strict=True)
            arrays = tuple(pack(values) for (_, pack), values in zip(self._arrays, columns, strict=True))
            driver.execute(self._postgresql, arrays)
            return
        start = 0
        while left := len(rows) - start:
            count = min(MOST_ROWS, left - left % STEP) if left >= STEP else left
            values = tuple(chain.from_iterable(rows[start : start + count]))
            driver.execute(self._statement(count), values)
            start += count

    def _sqlite_statement(self, count: int) -> str:
        one = f"({', '.join('?' * len(self.columns))})"
        return f"INSERT INTO {self.name} ({_names(self.columns)}) VALUES {', '.join([one] * count)}{self._conflict}"

    def _postgresql_statement(self) -> str:
        columns = ", ".join(f"unnest(%s::{kind}[])" for kind, _ in self._arrays)  # in FROM they would be stored first
        return f"INSERT INTO {self.name} ({_names(self.columns)}) SELECT {columns}{self._conflict}"


class Look:
    """A look-up of many keys at once.

    Args:
        what: the columns that are wanted; those of a key are named `keys.<name>`.
        source: where they are found, as it follows FROM, with the condition that joins it to a key. Each `?` takes one
            of the parameters; `what` has none.
        names: the members of a key, which are text.
        unique: a unique index leads each key to its row, so that PostgreSQL needs to make the plan but once.
    """

    def __init__(self, what: str, source: str, *names: str, unique: bool = False) -> None:
        self._unique = unique
        columns = ", ".join(f"value ->> {place} AS {name}" for place, name in enumerate(names))
        self._sqlite = f"SELECT {what} FROM (SELECT {columns} FROM json_each(?)) AS keys CROSS JOIN {source}"
        unfolded = f"unnest({', '.join('?::text[]' for _ in names)}) AS keys ({', '.join(names)})"
        found = f"LATERAL (SELECT {what} FROM {source} OFFSET 0) AS found"
        self._postgresql = f"SELECT found.* FROM {unfolded} CROSS JOIN {found}"

    def find(self, where: Where, keys: Sequence[Sequence[str | int]], *parameters: Any) -> list[Row]:
        """What stands under some keys, in no order."""
        return self.ask(where, keys, *parameters)()

    def ask(self, where: Where, keys: Sequence[Sequence[str | int]], *parameters: Any) -> Callable[[], list[Row]]:
        """The same, to be fetched later: what is asked `together` is on its way at once."""
        if not keys:
            return list
        driver = driver_of(where)
        found: Callable[[], list[Row]]
        if driver.is_postgresql:
            members = [texts([str(member) for member in column]) for column in zip(*keys, strict=True)]
            arguments = (*members, *parameters)
            found = driver.execute(self._postgresql, arguments, planned_anew=not self._unique).fetchall
        else:
            found = driver.execute(self._sqlite, (json.dumps(keys), *parameters)).fetchall
        return found


class Entities(Generic[Entity]):
    """The rows of a mapped class as tuples with the attributes of its entities, for those who only read.

    The same row gives the same tuple: whoever reads a row again and again, in every batch, pays for its columns once.
    Nothing is remembered of the database, only of what a row means.
    """

    def __init__(self, table: type[Entity]) -> None:
        described = cast("Table", table.__table__)
        self.columns = ", ".join(f"{described.name}.{column.name}" for column in described.columns)
        self.of = lru_cache(maxsize=1_024)(self._of)
        self._view = namedtuple(table.__name__, described.columns.keys())  # type: ignore[misc]
        self._read = [_reader(column.type) for column in described.columns]

    def _of(self, *stored: Any) -> Entity:
        """The view of a row that has the columns of `columns`."""
        return cast("Entity", self._view(*(read(value) for read, value in zip(self._read, stored, strict=True))))


def _reader(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, Boolean):
        return bool
    if isinstance(kind, TypeDecorator):
        return lambda value: kind.process_result_value(value, None)  # type: ignore[arg-type]
    return lambda value: value


def ask(where: Where, query: str, *parameters: Any) -> list[Row]:
    """The rows of a query whose `?` take the parameters, as the driver gives them: plain tuples."""
    found: list[Row] = driver_of(where).execute(query, parameters).fetchall()
    return found


def run(where: Where, statement: str, *parameters: Any) -> None:
    """Run a statement whose `?` take the parameters."""
    driver_of(where).execute(statement, parameters)


class Driver:
    """The driver's own connection under a session, which has a transaction open; its errors are SQLAlchemy's."""

    def __init__(self, connection: Connection) -> None:
        self.is_postgresql = connection.dialect.name == "postgresql"
        self._is_together = False
        self._connection = connection
        self._raw: Any = connection.connection.driver_connection
        self._errors = connection.dialect.loaded_dbapi.Error

    def together(self) -> AbstractContextManager[Any]:
        """Statements of a block whose results nobody reads within it: PostgreSQL gets them without a pause between.

        Blocks may nest; what is wrong with a statement may come out only where the outermost one ends.
        """
        return self._pipeline() if self.is_postgresql and not self._is_together else nullcontext()

    @contextmanager
    def _pipeline(self) -> Iterator[None]:
        self._is_together = True
        try:
            with self._raw.pipeline():
                yield
        except self._errors as failure:
            raise self._told(failure, "a pipeline") from failure
        finally:
            self._is_together = False

    def execute(self, statement: str, parameters: tuple[Any, ...], *, planned_anew: bool = False) -> Any:
        """Run a statement; the driver's cursor.

        `planned_anew`: PostgreSQL is to plan it for the tables as they are, and not as they once were.
        """
        try:
            if self.is_postgresql:
                prepare = False if planned_anew else None  # else once it has come a few times
                return self._raw.execute(_with_percent(statement), parameters, prepare=prepare)
            return self._raw.execute(statement, parameters)
        except self._errors as failure:
            raise self._told(failure, statement) from failure

    def _told(self, failure: Any, statement: str) -> DBAPIError:
        """What SQLAlchemy makes of an error. The parameters may be personal; they go into no message."""
        lost = self._connection.dialect.is_disconnect(failure, self._raw, None)
        if lost:
            self._connection.invalidate(failure)
        dialect = self._connection.dialect
        told = DBAPIError.instance(statement, None, failure, self._errors, True, lost, dialect)
        return cast("DBAPIError", told)


Where = Session | Driver
"""Where statements are run: in a session, or on the driver's connection that is under one."""


def driver_of(where: Where) -> Driver:
    """The driver's connection under a session."""
    if isinstance(where, Driver):
        return where
    found: Driver | None = where.info.get(Driver)
    if found is None or where.in_nested_transaction():
        connection = where.connection()  # which sets a savepoint that is due
        found = where.info[Driver] = found or Driver(connection)
    return found


@cache
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _replacing(key: Sequence[str], others: Sequence[str]) -> str:
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f" ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"


def _arrays(kind: Any) -> tuple[str, Callable[[Sequence[Any]], Array]]:
    """PostgreSQL's name of a column's type, and how an array of it is packed."""
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, SmallInteger):
        return "smallint", small_ints
    if isinstance(kind, BigInteger):
        return "bigint", big_ints
    if isinstance(kind, LargeBinary):
        return "bytea", octets
    if isinstance(kind, Text):
        return "text", texts
    raise TypeError(f"no array of {kind} is known")
