"""One installation, opened: settings, database, keys and writer put together in the one place that does so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from ledger.book.cities import KeyRing
from ledger.book.seal import Published
from ledger.book.writer import Writer
from ledger.config import Settings
from ledger.db import Database
from ledger.values import utc_now


@dataclass(frozen=True)
class Installation:
    """What every entry point works with; closing it finishes what waits."""

    settings: Settings
    database: Database
    keys: KeyRing
    writer: Writer

    def close(self) -> None:
        """Finish what waits and close the connections."""
        self.writer.close()
        self.database.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def assemble(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Installation:
    """The installation that these settings describe."""
    database = Database(settings.database_url)
    keys = KeyRing(settings.keys)
    return Installation(settings, database, keys, Writer(database, keys, Published(settings.published), clock))


def open_installation(data: Path | None = None) -> Installation:
    """The installation of this environment, for a command line."""
    return assemble(Settings.from_environment(data=data))
