"""Finding one row by its key outside any transaction: what a request needs to know before the writer takes it.

A transaction with a snapshot costs more than the row that it is opened for: on SQLite three statements and the mapper's
work, on PostgreSQL four round trips. A look-up is one prepared statement on a connection of its own, which commits by
itself and cannot write. It sees whatever was committed before it began, by whichever process: nothing is remembered
between look-ups.

At most `CONNECTIONS` are open; whoever finds none idle waits for one. A connection that turns out to be broken is
replaced once, and the look-up repeated, which is safe since it changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sqlalchemy import make_url

from ledger.errors import Overloaded

CONNECTIONS = 2
"""A look-up takes a fraction of a millisecond, so that two are enough for thousands a second. With more of them threads
only take the interpreter's lock from each other and from the writer."""

WAIT_SECONDS = 10
"""How long a look-up waits for an idle connection, and a connection for its database."""

VANISHED = {
    "connect_timeout": WAIT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""How libpq notices a PostgreSQL server that went without a word: within twenty seconds."""

Row = tuple[Any, ...]


class Broken(Exception):
    """The connection is of no more use; another one may be."""


class Connection(Protocol):
    """One connection, which answers a question at a time."""

    def one(self, query: str, values: tuple[str, ...]) -> Row | None:
        """The first row, or None.

        Raises:
            Broken: the database is gone, or does not answer here.
        """
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class Lookups:
    """The look-ups of one database.

    Args:
        url: an SQLAlchemy URL, as for `Database`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = _opener(url)
        self._idle = _places()

    def one(self, query: str, *values: str) -> Row | None:
        """The first row that a query finds, or None; integers, texts and bytes as the driver gives them.

        Args:
            query: SQL with a `?` for each value. There must be few of them: each is kept prepared.
            values: texts.

        Raises:
            Overloaded: the database does not answer.
        """
        idle = self._idle
        try:
            connection = idle.get(timeout=WAIT_SECONDS)
        except Empty:
            raise Overloaded() from None
        try:
            if connection is not None:
                try:
                    return connection.one(query, values)
                except Broken:
                    connection.close()
                    connection = None
            connection = self._open(self._url)
            return connection.one(query, values)
        except Broken as failure:
            _close(connection)
            connection = None
            raise Overloaded() from failure
        finally:
            idle.put(connection)

    def close(self) -> None:
        """Close the idle connections; one that is in use ends when its look-up does."""
        left, self._idle = self._idle, _places()
        for _ in range(left.qsize()):
            _close(left.get())


class SQLite:
    """A connection to a SQLite file; sqlite3 keeps the statements prepared."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database or ""
        try:
            self._connection = sqlite3.connect(
                path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA query_only=ON")
        except sqlite3.OperationalError as failure:
            raise Broken from failure

    def one(self, query: str, values: tuple[str, ...]) -> Row | None:
        """The first row, or None."""
        try:
            found: Row | None = self._connection.execute(query, values).fetchone()
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # the query is wrong, not the connection
                raise
            raise Broken from failure
        return found

    def close(self) -> None:
        """Give it up."""
        self._connection.close()


def _opener(url: str) -> Callable[[str], Connection]:
    if url.startswith("sqlite"):
        return SQLite
    from ledger.lookup_postgresql import PostgreSQL  # an embedded installation does without the driver

    return PostgreSQL


def _places() -> SimpleQueue[Connection | None]:
    """As many places as there may be connections; None stands for one that is still to be opened."""
    places: SimpleQueue[Connection | None] = SimpleQueue()
    for _ in range(CONNECTIONS):
        places.put(None)
    return places


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
