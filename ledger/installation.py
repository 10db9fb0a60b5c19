"""One installation, opened: settings, database, keys and writer put together in the one place that does so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from ledger.book.cities import KeyRing
from ledger.book.seal import Published
from ledger.book.writer import Writer
from ledger.config import Settings
from ledger.db import Database, is_newest
from ledger.errors import LedgerError
from ledger.health import Health
from ledger.observing import SILENT, Observer
from ledger.values import utc_now


class SchemaOutdated(LedgerError):
    """The database is not at the newest schema, or has none yet."""

    code = "schema_outdated"


class DatabaseSilent(LedgerError):
    """The database cannot be reached."""

    code = "database_silent"


@dataclass(frozen=True)
class Installation:
    """What every entry point works with; closing it finishes what waits."""

    settings: Settings
    database: Database
    keys: KeyRing
    writer: Writer
    health: Health

    def close(self) -> None:
        """Finish what waits and close the connections."""
        self.writer.close()
        self.health.close()
        self.database.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def assemble(settings: Settings, clock: Callable[[], datetime] = utc_now, observer: Observer = SILENT) -> Installation:
    """The installation that these settings describe; `observer` is told of every batch of its writers."""
    database = Database(settings.database_url)
    keys = KeyRing(settings.keys)
    published = Published(settings.published, has_chain=lambda city: (settings.chain / f"{city}.toml").exists())
    writer = Writer(database, keys, published, clock, observer)
    return Installation(settings, database, keys, writer, Health(settings, keys, writer))


def open_installation(settings: Settings, observer: Observer = SILENT) -> Installation:
    """The installation that these settings describe, ready to work.

    Raises:
        SchemaOutdated: its database is not at the newest schema.
        DatabaseSilent: its database does not answer.
    """
    installation = assemble(settings, observer=observer)
    try:
        with installation.database.read() as session:
            newest = is_newest(session)
    except DBAPIError as failure:
        raise DatabaseSilent(
            reason=type(failure.orig).__name__, remedy="is it running, and KGO_DATABASE_URL right?"
        ) from failure
    if not newest:
        raise SchemaOutdated(remedy="run: kgo db upgrade")
    return installation
