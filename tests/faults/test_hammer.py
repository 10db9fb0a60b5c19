"""A hammer: many clients, few accounts, several web processes, and everything breaks at random. Then it is reconciled.

By default a storm of some twenty seconds on PostgreSQL and one of a few seconds on SQLite, where there is no network to
cut and no server to kill; with `--long` or `--minutes N` storm after storm on one log, each reconciled. The faults are
drawn from a seed, which a failure names with the faults that came last: `--seed S` draws the same again, though how
they meet the clients is up to the machine.
"""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from api.app import create_app
from api.services import EXTENSION
from ledger.config import Settings
from ledger.db import upgrade
from tests import counts, postgres
from tests.faults import acts
from tests.faults.acts import Town
from tests.faults.clients import HASTY_SECONDS, PATIENT_SECONDS, Client, Command, GaveUp, Record
from tests.faults.fleet import Fleet
from tests.faults.proxy import Network
from tests.faults.reconcile import Books, reconcile
from tests.faults.weather import Weather
from tests.postgres import PostgreSQL
from tests.servers import Deployment

pytestmark = pytest.mark.xdist_group("fleet")

CLIENTS = 12
ROUND_SECONDS = 120
"""Of a long run: it is reconciled after each round."""

FINISH_SECONDS = 90
"""How long the clients may take, once everything is healed, to get their last answers."""


@dataclass
class Hammer:
    """One run: a fleet, its weather and its clients."""

    deployment: Deployment
    fleet: Fleet
    weather: Weather
    seed: int
    town: Town | None = None
    record: Record | None = None

    def found(self) -> None:
        """Import a city and set the town up, before anything breaks."""
        self.deployment.import_city(samples=False)
        staff = self.deployment.token("steward", "--role", "treasurer")
        self.fleet.tend()
        self.fleet.wait_until_healthy()
        client = self._client("founder", Record(), threading.Event(), PATIENT_SECONDS)
        self.town = acts.found(client, staff, lambda shop: self.deployment.token("shop", "--shop", shop))
        client.close()

    def round(self, number: int, seconds: float, directory: Path) -> list[Command]:
        """One storm, and what it left behind; what was asked in it."""
        before = Books(self.deployment.data, self.deployment.database_url)
        before.close()
        record = Record(reserved=self.record.reserved if self.record else {})
        self.record = record
        self.fleet.tend()
        self.fleet.wait_until_healthy()
        self._live(number, seconds, record)
        self.fleet.end()  # now no attempt is under way any more
        self._settle(record)
        after = Books(self.deployment.data, self.deployment.database_url)
        try:
            reconcile(before, after, record)
            after.check_soundness(directory, record.notes)
        finally:
            after.close()
        return record.commands

    def _live(self, number: int, seconds: float, record: Record) -> None:
        """Clients act while it storms; returns when each got its last answer."""
        assert self.town is not None
        stop, give_up = threading.Event(), threading.Event()
        clients = [self._client(f"{number}-{index}", record, give_up) for index in range(CLIENTS)]
        watcher = self._client(f"{number}-watcher", record, give_up)
        threads = [threading.Thread(target=_act, args=(client, self.town, stop)) for client in clients]
        threads.append(threading.Thread(target=_watch, args=(watcher, stop)))
        for thread in threads:
            thread.start()
        try:
            self.weather.storm(seconds)
        finally:
            stop.set()
            ends = time.monotonic() + FINISH_SECONDS
            for thread in threads:
                thread.join(max(0.0, ends - time.monotonic()))
            give_up.set()
            for thread in threads:
                thread.join()
            for client in [*clients, watcher]:
                client.close()

    def _settle(self, record: Record) -> None:
        """Ask once more what was refused while an attempt without an answer may still have been under way."""
        app = create_app(Settings(self.deployment.data, self.deployment.database_url, "http://127.0.0.1"))
        server = make_server("127.0.0.1", 0, app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        client = Client("settle", [url], random.Random(0), record, threading.Event(), PATIENT_SECONDS)  # noqa: S311
        for command in [command for command in record.commands if command.unsure]:
            client.settle(command)
        client.close()
        server.shutdown()
        server.server_close()
        app.extensions[EXTENSION].installation.close()

    def _client(
        self, name: str, record: Record, give_up: threading.Event, attempt_seconds: float = HASTY_SECONDS
    ) -> Client:
        chance = random.Random(f"{self.seed}/{name}")  # noqa: S311 - repeatable, not secret
        return Client(f"{self.seed}-{name}", self.fleet.urls, chance, record, give_up, attempt_seconds)


def _act(client: Client, town: Town, stop: threading.Event) -> None:
    try:
        acts.live(client, town, stop.is_set)
    except GaveUp:
        return  # the command has no answer, which the reconciliation reports
    except Exception as fault:  # a thread's failure is to fail the test
        client.record.faults.append(f"a client failed: {fault!r}")
        raise


def _watch(client: Client, stop: threading.Event) -> None:
    """Look at the public checkpoint again and again: the log never shrinks, whatever server shows it."""
    last = 0
    try:
        while not stop.is_set():
            size = int(client.checkpoint().split("\n")[1])
            if size < last:
                client.record.faults.append(f"the log was shown with {last} entries, and then with {size}")
            last = size
            stop.wait(0.05)
    except GaveUp:
        return


@contextmanager
def _told(hammer: Hammer) -> Iterator[None]:
    """Add seed and last faults to a failure."""
    try:
        yield
    except BaseException as fault:
        fault.add_note("\n".join([f"seed {hammer.seed}; the last faults:", *hammer.weather.past[-25:]]))
        raise


def _run(hammer: Hammer, short_seconds: float, directory: Path) -> None:
    """Storm after storm for as long as was asked for, or a single short one."""
    with _told(hammer):
        hammer.found()
        ends, number, done = time.monotonic() + counts.minutes() * 60, 0, set[str]()
        while number == 0 or time.monotonic() < ends:
            place = directory / f"round-{number}"
            commands = hammer.round(number, ROUND_SECONDS if counts.minutes() else short_seconds, place)
            shutil.rmtree(place)
            done |= {command.act for command in commands if command.done}
            assert any(command.attempts > 1 + command.repeats for command in commands), "no fault was felt"
            number += 1
        assert done == {*acts.KINDS, "join", "secure"}, "some act never succeeded"


@pytest.fixture
def server_to_kill() -> Iterator[PostgreSQL]:
    """A PostgreSQL of its own, which nobody else misses."""
    server = postgres.start()
    yield server
    server.stop()


def test_postgresql_is_hammered(server_to_kill: PostgreSQL, tmp_path: Path) -> None:
    """Killed web processes, killed PostgreSQL, cut networks: nothing acknowledged is lost, nothing happens twice."""
    url = server_to_kill.url(server_to_kill.create())
    upgrade(url)
    deployment, network = Deployment(tmp_path / "data", url), Network()
    fleet = Fleet(deployment, [2, 1, 1, 1], [network.proxy(server_to_kill.socket) for _ in range(4)])
    try:
        _run(_hammer(deployment, fleet, server_to_kill), 18, tmp_path)
    finally:
        fleet.kill()
        deployment.close()
        network.close()
    log = server_to_kill.log
    assert "was terminated by signal 9" in log or "was not properly shut down" in log, "PostgreSQL was never killed"
    assert [line for line in log.splitlines() if "deadlock detected" in line or "PANIC" in line] == []


def test_one_sqlite_file_is_hammered(sqlite_deployment: Deployment, tmp_path: Path) -> None:
    """The same with several killed processes on one file."""
    fleet = Fleet(sqlite_deployment, [2, 1, 1])
    try:
        _run(_hammer(sqlite_deployment, fleet, None), 6, tmp_path)
    finally:
        fleet.kill()


def _hammer(deployment: Deployment, fleet: Fleet, postgresql: PostgreSQL | None) -> Hammer:
    seed = counts.seed()
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    return Hammer(deployment, fleet, Weather(fleet, chance, postgresql), seed)
