"""Whether this process works, and whether it may be sent requests: what `/healthz` and `/readyz` answer.

Both answer in bounded time, whatever the database does. `ready` looks at everything that an accepted request would
need: the database (it answers, can be written, has the newest schema), each city's keys, the data directory, the
writer's queue. The checks run in a thread, one round at a time, so that a database that hangs holds one thread and
no more; whoever asks meanwhile waits for the same round. Each failure is told in words that an operator can act on;
the log has the cause, once when it begins and once when all is well again.

The database is asked over a connection of its own: a pool that is used up is no reason to call the database down, and
its time limits would be wrong for real work.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ledger.book import cities
from ledger.book.cities import KeyRing
from ledger.book.writer import Writer
from ledger.config import Settings
from ledger.db import is_newest
from ledger.errors import LedgerError

BOUND_SECONDS = 2.0
"""How long anybody waits for a round of checks."""

PROBE_BYTES = 4_096
"""What is written to see whether the data directory has room."""

POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 2,
    "options": "-c statement_timeout=1500",
    # A peer that vanished is noticed within seconds, so that the round ends and the next one connects anew.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2_000,
}
SQLITE: dict[str, Any] = {"timeout": 1.5, "check_same_thread": False}
"""How the connection for the checks is opened; each limit is below `BOUND_SECONDS`, or near it."""

log = logging.getLogger(__name__)


class _Round:
    """One round of checks; `step` is the check that it is at."""

    def __init__(self) -> None:
        self.step = "database"
        self.failures: dict[str, str] = {}
        self.done = threading.Event()


class Health:
    """The state of one process of an installation.

    Args:
        settings: where the installation is.
        keys: its key files.
        writer: its writers.
    """

    def __init__(self, settings: Settings, keys: KeyRing, writer: Writer) -> None:
        self._settings = settings
        self._keys = keys
        self._writer = writer
        url = make_url(settings.database_url)
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        arguments = POSTGRESQL if self._file is None else SQLITE
        self._engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=arguments)
        self._guard = threading.Lock()
        self._round: _Round | None = None
        self._told: dict[str, str] = {}
        self._elsewhere: Callable[[], Mapping[str, int]] = dict

    def count(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        """Count others that wait besides those of this process's writers, by city."""
        self._elsewhere = waiting

    def alive(self) -> dict[str, str]:
        """What is broken in this process and only a restart mends, by the name of the check; empty when all is well."""
        if self._writer.healthy():
            return {}
        return {"writer": "A writer has ended. Restart the server; its log says why the writer ended."}

    def ready(self) -> dict[str, str]:
        """Why no requests should be sent here now, by the name of the check; empty when all is well.

        Returns within `BOUND_SECONDS`.
        """
        failures = self.alive() or self._overload()
        with self._guard:
            checks = self._round
            if checks is None or checks.done.is_set():
                checks = self._round = _Round()
                threading.Thread(target=self._check, args=(checks,), name="readiness", daemon=True).start()
        if checks.done.wait(BOUND_SECONDS):
            failures |= checks.failures
        else:
            failures[checks.step] = f"There was no answer within {BOUND_SECONDS:.0f} seconds. {_REMEDIES[checks.step]}"
        self._tell(failures)
        return failures

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _overload(self) -> dict[str, str]:
        waiting = Counter(self._writer.waiting()) + Counter(self._elsewhere())
        long = {city: count for city, count in waiting.items() if count >= self._writer.max_queue // 2}
        if not long:
            return {}
        queues = ", ".join(f"{count} for {city}" for city, count in sorted(long.items()))
        return {"writer": f"Too many commands wait: {queues}. Send less, or look for what slows the database down."}

    def _check(self, checks: _Round) -> None:
        try:
            checks.failures |= self._database()
            checks.step = "data"
            checks.failures |= self._data()
        except Exception:
            log.exception("the check of %s failed", checks.step)
            checks.failures[checks.step] = f"The check failed. {_REMEDIES[checks.step]}"
        finally:
            checks.done.set()

    def _database(self) -> dict[str, str]:
        if self._file is not None and not self._file.is_file():  # connecting would make an empty one
            return {"database": f"The file {self._file.name} is missing in the data directory. Put it back."}
        try:
            with Session(self._engine) as session:
                if not is_newest(session):
                    return {"schema": "The database is not at the newest schema. Run: kgo db upgrade"}
                if self._file is None and session.scalar(text("SHOW transaction_read_only")) == "on":
                    return {"database": "The database only lets read: it is a standby. Point the URL to the primary."}
                return self._missing_keys(session)
        except SQLAlchemyError as fault:
            log.debug("the database refused", exc_info=fault)
            return {"database": f"The database does not answer. {_REMEDIES['database']}"}

    def _missing_keys(self, session: Session) -> dict[str, str]:
        missing = []
        for city in cities.all_(session):
            try:
                self._keys.get(city)
                there = (self._keys.directory / f"{city.id}.key").is_file()  # what was read once may be gone by now
            except (LedgerError, OSError, ValueError):
                there = False
            if not there:
                missing.append(city.id)
        if not missing:
            return {}
        return {"keys": f"No usable key file for: {', '.join(missing)}. Put it back into keys/ of the data directory."}

    def _data(self) -> dict[str, str]:
        published = self._settings.published
        place = published if published.exists() else self._settings.data
        probe = place / f".writable-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            try:
                probe.write_bytes(bytes(PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as fault:
            return {"data": f"The data directory cannot be written ({fault.strerror}). {_REMEDIES['data']}"}
        return {}

    def _tell(self, failures: dict[str, str]) -> None:
        with self._guard:
            before, self._told = self._told, failures
        if failures and failures.keys() != before.keys():
            log.warning("not ready: %s", "; ".join(f"{name}: {words}" for name, words in failures.items()))
        elif before and not failures:
            log.warning("ready again")


_REMEDIES = {
    "database": "Is it running, and is KGO_DATABASE_URL right?",
    "data": "See whether the disk is there, full, or mounted read-only.",
}
