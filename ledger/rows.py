"""Many rows in one statement: how the writer's hot path reads and writes, on SQLite and on PostgreSQL.

One statement costs more than one row of it: the mapper's work, a round trip, and on the way the interpreter's lock,
which a busy process wins back late. Hence everything that a batch reads or writes of one table goes by one statement:

* SQLite takes rows as one long VALUES list, PostgreSQL as one array for each column (`unnest`), spelled as array
  literals, since psycopg builds arrays out of Python lists several times slower.
* Keys to look up travel as one JSON text, which both databases unfold.

Values are what the driver stores: instants in milliseconds, JSON as text. Statements are put together from names in the
code alone; whatever comes from outside is a parameter.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import BigInteger, Boolean, CursorResult, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

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
        self._arrays = [_arrays(column.type) for column in described.columns]
        key = [column.name for column in described.primary_key]
        self._conflict = _replacing(key, [name for name in self.columns if name not in key]) if replace else ""
        self._statement = cache(self._sqlite_statement)
        self._postgresql = self._postgresql_statement()

    def row(self, **values: Any) -> Row:
        """A row out of named values; every column must be there."""
        return tuple(values[name] for name in self.columns)

    def write(self, session: Session, rows: Sequence[Row]) -> None:
        """Insert rows, or replace them.

        Raises:
            sqlalchemy.exc.IntegrityError: a constraint refuses one. Others may be there: go back to a savepoint.
        """
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            columns = zip(*rows, strict=True)
            literals = tuple(spell(values) for (_, spell), values in zip(self._arrays, columns, strict=True))
            connection.exec_driver_sql(self._postgresql, literals)
            return
        start = 0
        while left := len(rows) - start:
            count = min(MOST_ROWS, left - left % STEP) if left >= STEP else left
            values = tuple(chain.from_iterable(rows[start : start + count]))
            connection.exec_driver_sql(self._statement(count), values)
            start += count

    def _sqlite_statement(self, count: int) -> str:
        one = f"({', '.join('?' * len(self.columns))})"
        return f"INSERT INTO {self.name} ({_names(self.columns)}) VALUES {', '.join([one] * count)}{self._conflict}"

    def _postgresql_statement(self) -> str:
        arrays = ", ".join(f"%s::{kind}[]" for kind, _ in self._arrays)
        return f"INSERT INTO {self.name} ({_names(self.columns)}) SELECT * FROM unnest({arrays}){self._conflict}"


class Look:
    """A look-up of many keys at once.

    Args:
        query: SQL that reads from `{keys}`, a table of one row a key with the columns `names`. Each `?`, all of which
            stand after it, takes one of the parameters.
        names: the members of a key, which are text.
    """

    def __init__(self, query: str, *names: str) -> None:
        columns = ", ".join(f"value ->> {place} AS {name}" for place, name in enumerate(names))
        keys = f"(SELECT {columns} FROM {{}}) AS keys"
        self._sqlite = query.format(keys=keys.format("json_each(?)"))
        self._postgresql = query.format(keys=keys.format("json_array_elements(CAST(? AS json))"))

    def find(self, session: Session, keys: Sequence[Sequence[str | int]], *parameters: Any) -> list[Row]:
        """What the query finds for some keys, in no order."""
        if not keys:
            return []
        query = self._postgresql if session.connection().dialect.name == "postgresql" else self._sqlite
        return ask(session, query, json.dumps([list(key) for key in keys]), *parameters)


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


def ask(session: Session, query: str, *parameters: Any) -> list[Row]:
    """The rows of a query whose `?` take the parameters, as the driver gives them: plain tuples."""
    return list(_execute(session, query, parameters).cursor.fetchall())


def run(session: Session, statement: str, *parameters: Any) -> None:
    """Run a statement whose `?` take the parameters."""
    _execute(session, statement, parameters)


def _execute(session: Session, statement: str, parameters: tuple[Any, ...]) -> CursorResult[Any]:
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        statement = statement.replace("?", "%s")
    return connection.exec_driver_sql(statement, parameters)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _replacing(key: Sequence[str], others: Sequence[str]) -> str:
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f" ON CONFLICT ({_names(key)}) DO UPDATE SET {changes}"


def _arrays(kind: Any) -> tuple[str, Callable[[Sequence[Any]], str]]:
    """PostgreSQL's name of a column's type, and how an array of it is spelled."""
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, SmallInteger):
        return "smallint", _numbers
    if isinstance(kind, BigInteger):
        return "bigint", _numbers
    if isinstance(kind, LargeBinary):
        return "bytea", _octets
    if isinstance(kind, Text):
        return "text", _texts
    raise TypeError(f"no array of {kind} is known")


def _array(spelled: Iterable[str]) -> str:
    return f"{{{','.join(spelled)}}}"


def _numbers(values: Sequence[int | None]) -> str:
    return _array(map(str, values)).replace("None", "NULL")


def _octets(values: Sequence[bytes | None]) -> str:
    return _array(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values])


def _texts(values: Sequence[str | None]) -> str:
    return _array(["NULL" if value is None else f'"{_escaped(value)}"' for value in values])


def _escaped(value: str) -> str:
    return value if value.isalnum() else value.replace("\\", "\\\\").replace('"', '\\"')
