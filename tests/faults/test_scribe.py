"""The scribe of a real server: it writes for the workers, falls and comes again, and ends when the server does."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ledger.db import upgrade
from tests import postgres
from tests.factories import CITY
from tests.faults.reconcile import Books
from tests.postgres import PostgreSQL
from tests.servers import SCRIBE, WORKER, Deployment, Server, runs

pytestmark = pytest.mark.xdist_group("fleet")

PATIENCE_SECONDS = 60
"""How long the tests wait for what must come, before they fail."""

CLIENTS = 8
"""Every other one sends no idempotency keys."""

SOME = 40
"""So many more answers come before the next thing happens to a server under load."""

MEANWHILE = 20
"""So many other writes are answered while an order waits for a scribe that stands still."""

FALLS = 3

MANY = 200
"""So many signals of a kind, each while the server handles those before it."""


class Told(NamedTuple):
    """What a client was told: with 201 of which entry, or else the problem's code."""

    keyed: bool
    status: int
    entry: tuple[int, str]
    code: str


class Served:
    """A server with two workers, and a treasurer of its city."""

    def __init__(self, deployment: Deployment) -> None:
        deployment.import_city(samples=False)
        self.deployment = deployment
        self.token = deployment.token("treasurer")
        self.server: Server = deployment.serve("--workers", "2")

    @property
    def scribe(self) -> int:
        """The process id of the scribe, once there is one."""
        _until(lambda: self.server.children(SCRIBE), "there is no scribe")
        return self.server.children(SCRIBE)[0]

    def kill_scribe(self) -> None:
        """`kill -9`; returns once there is another one."""
        fallen = self.scribe
        os.kill(fallen, signal.SIGKILL)
        _until(lambda: self.server.children(SCRIBE) not in ([], [fallen]), "there is no other scribe")

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """One connection, and so always the same worker."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(
            base_url=f"{self.server.url}/v1/cities/{CITY}", headers=headers, timeout=PATIENCE_SECONDS
        ) as made:
            yield made

    def await_scribe(self) -> None:
        """Return once a worker has an order carried out by the scribe; fail if that never happens.

        An order waits as long as the scribe stands still, while others, which no scribe writes, are answered.
        """
        with self.client() as asking, self.client() as others, ThreadPoolExecutor(1) as pool:

            def waits() -> bool:
                pid = self.scribe
                assert _grant(asking).status == 201
                os.kill(pid, signal.SIGSTOP)
                try:
                    order = pool.submit(_grant, asking)
                    for _ in range(MEANWHILE):
                        assert others.post("/learners").status_code == 201
                    waited = not order.done()
                finally:
                    os.kill(pid, signal.SIGCONT)
                assert order.result(PATIENCE_SECONDS).status == 201
                return waited

            _until(waits, "the scribe is not used")

    @contextmanager
    def load(self) -> Iterator[tuple[list[Told], threading.Event]]:
        """Clients that ask, one order after the other, until they are to stop; what they are told."""
        told: list[Told] = []
        stop = threading.Event()

        def ask(number: int) -> None:
            with self.client() as client:
                while not stop.is_set():
                    key = f"{number}-{len(told):060d}" if number % 2 else None
                    try:
                        told.append(_grant(client, key))
                    except httpx.TransportError:
                        assert stop.wait(PATIENCE_SECONDS), "a connection failed"

        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(ask, number) for number in range(CLIENTS)]
            try:
                yield told, stop
            finally:
                stop.set()
        for one in asking:
            one.result()

    def check(self, told: list[Told], directory: Path) -> None:
        """Everything acknowledged stands in a sound log, once."""
        books = Books(self.deployment.data, self.deployment.database_url)
        try:
            leaves = [json.loads(leaf) for leaf in books.leaves()]
            books.check_soundness(directory, set())
        finally:
            books.close()
        granted = {(leaf["seq"], leaf["id"]) for leaf in leaves if leaf["kind"] == "grant"}
        entries = [one.entry for one in told if one.status == 201]
        assert len(entries) == len(set(entries))
        assert set(entries) <= granted
        refused = [one for one in told if one.status != 201]
        assert {(one.keyed, one.status, one.code) for one in refused} <= {(False, 503, "outcome_unknown")}


def _grant(client: httpx.Client, key: str | None = None) -> Told:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post("/entries", json={"kind": "grant", "amount_minor": 700}, headers=headers)
    said = answer.json()
    entry = (said["entry"], said["id"]) if answer.status_code == 201 else (-1, "")
    return Told(key is not None, answer.status_code, entry, said.get("code", ""))


def _until(met: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _more(told: list[Told]) -> None:
    """Wait for some more answers."""
    before = len(told)
    _until(lambda: len(told) >= before + SOME, "nobody is answered")


def _processes(server: Server) -> list[tuple[int, bytes]]:
    """All that the server has started."""
    _until(lambda: server.children(SCRIBE), "there is no scribe")
    found = [(pid, kind) for kind in (WORKER, SCRIBE) for pid in server.children(kind)]
    assert [kind for _, kind in found] == [WORKER, WORKER, SCRIBE]
    return found


def _await_end(processes: list[tuple[int, bytes]]) -> None:
    _until(lambda: not any(runs(pid, kind) for pid, kind in processes), "something still runs")


@pytest.fixture
def served(sqlite_deployment: Deployment) -> Served:
    """On a SQLite file; it is the same on either kind of database."""
    return Served(sqlite_deployment)


def test_the_scribe_writes_for_the_workers(served: Served) -> None:
    """What a worker is asked waits while the scribe stands still, and is counted with the rest of the server."""
    served.await_scribe()
    with served.client() as client:
        for _ in range(SOME):
            assert _grant(client).status == 201
    operator = {"Authorization": f"Bearer {served.deployment.token('operator')}"}
    figures = httpx.get(f"{served.server.url}/metrics", headers=operator).text
    counted = next(line for line in figures.splitlines() if line.startswith("kgo_entries_total") and '"grant"' in line)
    assert float(counted.split()[-1]) >= SOME


def test_a_scribe_that_falls_costs_nobody_an_order(served: Served, tmp_path: Path) -> None:
    """With a key each order is answered 201, for one entry; without one it may be 503. The next scribe writes again."""
    served.await_scribe()
    with served.load() as (told, _):
        for _ in range(FALLS):
            _more(told)
            served.kill_scribe()
        _more(told)
    served.await_scribe()
    assert "api.scribe ended with -9 and is started again" in served.server.log.read_text()
    assert served.server.stop() == 0
    served.check(told, tmp_path / "export")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_terminal_ends_all_at_once(served: Served, sent: signal.Signals, tmp_path: Path) -> None:
    """A signal to the whole process group while much is under way: what was acknowledged stands, and nothing stays."""
    served.await_scribe()
    started = _processes(served.server)
    with served.load() as (told, _):
        _more(told)
        os.killpg(served.server.process.pid, sent)
        assert served.server.stop(sent) == 0
    _await_end(started)
    served.check(told, tmp_path / "export")
    assert "Traceback" not in served.server.log.read_text()


def test_signals_in_quick_succession(served: Served) -> None:
    """Ctrl-C pressed again, or a supervisor that is not the only one to tell: it ends as after one signal."""
    started = _processes(served.server)
    for _ in range(MANY):
        for sent in (signal.SIGTERM, signal.SIGINT):
            served.server.process.send_signal(sent)
    assert served.server.stop() == 0
    _await_end(started)


def test_nothing_outlives_a_killed_server(served: Served) -> None:
    """`kill -9` of the server alone: its workers and its scribe end by themselves."""
    started = _processes(served.server)
    served.server.process.kill()
    served.server.process.wait()
    _await_end(started)


@pytest.fixture
def server_to_kill() -> Iterator[PostgreSQL]:
    """A PostgreSQL of its own, which nobody else misses."""
    server = postgres.start()
    yield server
    server.stop()


def test_a_database_that_comes_back(server_to_kill: PostgreSQL, tmp_path: Path) -> None:
    """While PostgreSQL is down nothing is written, and a scribe that starts then waits; afterwards all is as before."""
    url = server_to_kill.url(server_to_kill.create())
    upgrade(url)
    deployment = Deployment(tmp_path / "data", url)
    try:
        served = Served(deployment)
        served.await_scribe()
        with served.client() as client:
            server_to_kill.crash()
            assert _grant(client).status == 503
            served.kill_scribe()
            assert _grant(client).status == 503
            server_to_kill.resume()
            _until(lambda: _grant(client).status == 201, "nothing is written any more")
        served.await_scribe()
    finally:
        deployment.close()
