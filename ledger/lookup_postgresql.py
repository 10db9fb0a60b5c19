"""Look-ups on PostgreSQL, straight through libpq: half of what a psycopg cursor costs for one row by its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from ledger.lookup import VANISHED, Broken, Row

_OF_THE_QUERY = b"42"
"""The class of SQLSTATEs that say that a query is wrong."""

_DECODERS: dict[int, Callable[[bytes], Any]] = {
    17: bytes,
    20: lambda raw: int.from_bytes(raw, "big", signed=True),
    25: bytes.decode,
}
"""Out of the binary form of bytea, bigint and text, by the type's OID."""


class PostgreSQL:
    """A connection to PostgreSQL that cannot write; a statement is prepared when it is first met."""

    def __init__(self, url: str) -> None:
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        known = make_conninfo(address, client_encoding="UTF8", **VANISHED)
        self._connection = pq.PGconn.connect(known.encode())
        self._names: dict[str, bytes] = {}
        if self._connection.status != pq.ConnStatus.OK:
            raise Broken(_text(self._connection.error_message))
        self._check(self._connection.exec_(b"SET default_transaction_read_only = on"), pq.ExecStatus.COMMAND_OK)

    def one(self, query: str, values: tuple[str, ...]) -> Row | None:
        """The first row, or None; columns are bytea, bigint or text."""
        name = self._names.get(query) or self._prepare(query)
        result = self._connection.exec_prepared(name, [value.encode() for value in values], None, pq.Format.BINARY)
        self._check(result, pq.ExecStatus.TUPLES_OK)
        if not result.ntuples:
            return None
        return tuple([_value(result, place) for place in range(result.nfields)])

    def close(self) -> None:
        """Give it up."""
        self._connection.finish()

    def _prepare(self, query: str) -> bytes:
        name = b"look_%d" % len(self._names)
        first, *others = query.split("?")
        numbered = first + "".join(f"${place}{part}" for place, part in enumerate(others, 1))
        self._check(self._connection.prepare(name, numbered.encode()), pq.ExecStatus.COMMAND_OK)
        self._names[query] = name
        return name

    def _check(self, result: pq.abc.PGresult, wanted: pq.ExecStatus) -> None:
        if result.status == wanted:
            return
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        message = _text(result.error_message)
        if state.startswith(_OF_THE_QUERY):
            raise RuntimeError(message)
        raise Broken(message)


def _value(result: pq.abc.PGresult, place: int) -> Any:
    raw = result.get_value(0, place)
    return None if raw is None else _DECODERS[result.ftype(place)](raw)


def _text(message: bytes) -> str:
    return message.decode(errors="replace").strip()
