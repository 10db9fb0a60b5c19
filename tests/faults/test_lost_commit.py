"""The database breaks off at the worst moments: nobody is told something that is not so."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.exc import OperationalError

from ledger.book import accounts, transfers
from ledger.book.commands import Command
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.errors import LedgerError, NotFound, OutcomeUnknown, Overloaded
from tests.factories import CITY, Installation, install

SLOW_COMMIT = """
    CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
"""
BLOCKED = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE %s
"""


def _grant(amount: int = 1, scope: Scope | None = None) -> Command[int]:
    return Command(
        lambda unit: transfers.post(unit, "grant", "issuance", "treasury", amount, actor="treasurer").seq,
        scope,
        (lambda seq: str(seq).encode()) if scope else None,
    )


def _broken(installation: Installation) -> Exception:
    """What the driver raises when the connection is gone."""
    if installation.database.engine.dialect.name == "sqlite":
        return sqlite3.OperationalError("disk I/O error")
    return psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("stands", [True, False])
def test_a_commit_that_broke_off_is_resolved_by_looking(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    """If the entries are there, everybody hears success; if not, `overloaded`, for nothing was done."""
    dialect = installation.database.writing.dialect
    commit = dialect.do_commit

    def break_off(connection: Any) -> None:
        monkeypatch.setattr(dialect, "do_commit", commit)
        if stands:
            commit(connection)
        raise _broken(installation)

    installation.grant()
    monkeypatch.setattr(dialect, "do_commit", break_off)
    if stands:
        assert installation.writer.submit(CITY, _grant(7)).value == 1
    else:
        with pytest.raises(Overloaded):
            installation.writer.submit(CITY, _grant(7))
    assert len(installation.leaves()) == 1 + stands
    assert installation.writer.submit(CITY, _grant()).value == 1 + stands
    assert installation.audit().findings == []


def test_when_nobody_can_look_the_outcome_is_unknown(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither success nor failure is claimed; the same key tells the truth later."""
    engine = installation.database.writing
    commit = engine.dialect.do_commit

    def refuse(_: Any) -> None:
        raise OperationalError("BEGIN", {}, _broken(installation))

    def break_off(connection: Any) -> None:
        commit(connection)
        event.listen(engine, "begin", refuse)
        raise _broken(installation)

    scope = Scope("treasurer", "POST /entries", "key", sha256(b"").digest())
    monkeypatch.setattr(engine.dialect, "do_commit", break_off)
    with pytest.raises(OutcomeUnknown):
        installation.writer.submit(CITY, _grant(7, scope))
    event.remove(engine, "begin", refuse)
    monkeypatch.setattr(engine.dialect, "do_commit", commit)
    assert installation.writer.submit(CITY, _grant(7, scope)).replayed == b"0"
    assert len(installation.leaves()) == 1


def test_a_batch_without_entries_cannot_be_looked_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leaves no entry leaves nothing to look for: the outcome is unknown, and is not claimed."""
    dialect = installation.database.writing.dialect
    commit = dialect.do_commit

    def break_off(_: Any) -> None:
        monkeypatch.setattr(dialect, "do_commit", commit)
        raise _broken(installation)

    def open_shop(unit: Unit) -> None:
        accounts.open_account(unit, "shop:new")

    monkeypatch.setattr(dialect, "do_commit", break_off)
    with pytest.raises(OutcomeUnknown):
        installation.run(open_shop)
    with pytest.raises(NotFound):
        installation.balance("shop:new")
    installation.run(open_shop)
    assert installation.balance("shop:new").posted_minor == 0


class Server:
    """A PostgreSQL database seen from outside, where a commit can be held up and a connection cut."""

    def __init__(self, url: str) -> None:
        parts = make_url(url)
        self.name, self.host = parts.database or "", str(parts.query["host"])
        self.connection = self.connect(self.name)

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A superuser's connection."""
        return psycopg.connect(host=self.host, user="postgres", dbname=database, autocommit=True)

    def hold_up_commits(self) -> None:
        """From now on, whoever appended an entry waits inside COMMIT."""
        self.connection.execute(SLOW_COMMIT)
        self.connection.execute("SELECT pg_advisory_lock(4711)")

    def let_commits_go(self) -> None:
        """End that."""
        self.connection.execute("SELECT pg_advisory_unlock(4711)")

    def wait_for(self, query: str) -> int:
        """The process that waits for a lock in a statement like this one."""
        tick = threading.Event()
        for _ in range(2_000):
            found = self.connection.execute(BLOCKED, (query,)).fetchone()
            if found:
                return int(found[0])
            tick.wait(0.01)
        raise AssertionError(f"nobody waits in {query}")


@pytest.fixture
def server(new_postgresql_url: Callable[[], str], tmp_path: Path) -> Iterator[tuple[Installation, Server]]:
    """An installation on a PostgreSQL database of its own."""
    url = new_postgresql_url()
    made, seen = install(url, tmp_path), Server(url)
    yield made, seen
    made.close()
    seen.connection.close()


def _remember_socket(sockets: list[socket.socket], command: Command[int]) -> Command[int]:
    """The same command, which also hands out its connection's socket."""

    def run(unit: Unit) -> int:
        driver: Any = unit.session.connection().connection.dbapi_connection
        sockets.append(socket.socket(fileno=os.dup(driver.pgconn.socket)))
        return command.run(unit)

    return Command(run, command.scope, command.encode)


def _cut(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.shutdown(socket.SHUT_RDWR)
        each.close()


def test_a_backend_that_is_ended_inside_a_batch_did_nothing(server: tuple[Installation, Server]) -> None:
    """The whole batch hears `overloaded`, nothing of it remains, and the next one goes through."""
    installation, seen = server

    def die(unit: Unit) -> None:
        driver: Any = unit.session.connection().connection.dbapi_connection
        seen.connection.execute("SELECT pg_terminate_backend(%s, 10000)", (driver.info.backend_pid,))
        _grant().run(unit)
        unit.flush()

    with pytest.raises(Overloaded):
        installation.writer.execute(CITY, [_grant(), Command(die), _grant()])
    assert installation.leaves() == []
    assert installation.writer.submit(CITY, _grant()).value == 0
    assert installation.audit().findings == []


def test_a_backend_that_is_ended_inside_its_commit_did_nothing(server: tuple[Installation, Server]) -> None:
    """PostgreSQL undoes the transaction; the writer looks, finds nothing, and says so."""
    installation, seen = server
    seen.hold_up_commits()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(installation.writer.submit, CITY, _grant())
        committing = seen.wait_for("COMMIT")
        seen.connection.execute("SELECT pg_terminate_backend(%s, 10000)", (committing,))
        seen.let_commits_go()
        with pytest.raises(Overloaded):
            answer.result(30)
    assert installation.leaves() == []
    assert installation.writer.submit(CITY, _grant()).value == 0


def test_a_lost_connection_waits_for_the_commit_it_lost(server: tuple[Installation, Server]) -> None:
    """The line is cut while the server still commits: the answer waits for the end, and is the truth."""
    installation, seen = server
    seen.hold_up_commits()
    sockets: list[socket.socket] = []
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(installation.writer.submit, CITY, _remember_socket(sockets, _grant(7)))
        seen.wait_for("COMMIT")
        _cut(sockets)
        seen.wait_for("SELECT %FOR UPDATE OF heads")
        assert not answer.done()
        seen.let_commits_go()
        assert answer.result(30).value == 0
    assert len(installation.leaves()) == 1
    assert installation.audit().findings == []


def test_a_server_that_is_gone_leaves_the_outcome_open(server: tuple[Installation, Server]) -> None:
    """Cut off and unable to connect, the writer claims nothing; with the same key the client learns the truth."""
    installation, seen = server
    scope = Scope("treasurer", "POST /entries", "key", sha256(b"").digest())
    seen.hold_up_commits()
    sockets: list[socket.socket] = []
    with seen.connect("template1") as outside, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(installation.writer.submit, CITY, _remember_socket(sockets, _grant(7, scope)))
        seen.wait_for("COMMIT")
        outside.execute(f'ALTER DATABASE "{seen.name}" ALLOW_CONNECTIONS false')
        _cut(sockets)
        with pytest.raises(OutcomeUnknown):
            answer.result(30)
        seen.let_commits_go()
        outside.execute(f'ALTER DATABASE "{seen.name}" ALLOW_CONNECTIONS true')
        again = pool.submit(installation.writer.submit, CITY, _grant(7, scope)).result(30)
    assert again.replayed == b"0"
    assert len(installation.leaves()) == 1


def test_after_a_restart_of_connections_reading_and_writing_go_on(server: tuple[Installation, Server]) -> None:
    """All pooled connections ended at once cost nobody anything."""
    installation, seen = server
    installation.grant()
    assert installation.balance("treasury").as_of_seq == 0
    seen.connection.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    try:
        installation.grant()
    except LedgerError as refusal:
        pytest.fail(f"refused: {refusal}")
    assert installation.balance("treasury").as_of_seq == 1
