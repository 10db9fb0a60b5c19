"""Several real web processes on one database, each behind a network of its own, to be hurt, tended and ended.

A `Site` is one `kgo serve` with one or more workers at a fixed port. What ends is started again by `Fleet.tend`, as
a supervisor of the machine would; a server that finds no database at its start ends, and is started again later.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.servers import KGO, SCRIBE, WORKER, Deployment, Server, free_port, is_healthy, runs

HEALTHY_SECONDS = 90
"""How long a server may take to come up beside others on a busy machine."""


class Site:
    """One place where a server runs.

    Attributes:
        proxy: its way to PostgreSQL; None where its database is a file.
        url: where it answers, whichever process serves there at the moment.
    """

    def __init__(self, deployment: Deployment, number: int, proxy: Proxy | None, workers: int) -> None:
        self._deployment, self._number, self._workers = deployment, number, workers
        self.proxy = proxy
        self._port = free_port()
        self._starts = 0
        self._server: Server | None = None
        self._killed: list[Server] = []
        self._orphans: list[tuple[int, bytes]] = []
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether its server has been started and has not ended."""
        return self._server is not None and self._server.process.poll() is None

    @property
    def healthy(self) -> bool:
        """Whether it answers."""
        return is_healthy(self.url)

    def start(self) -> None:
        """Start it, unless it runs or what a killed server left still does; it answers some seconds later."""
        if self.running or any(runs(pid, kind) for pid, kind in self._orphans):
            return
        self._starts += 1
        self._server = Server(
            [str(KGO), "serve", "--data", str(self._deployment.data), "--host", "127.0.0.1", "--port", str(self._port),
             "--workers", str(self._workers)],
            port=self._port,
            log=self._deployment.data.parent / f"web-{self._number}-{self._starts}.log",
            environment={**self._deployment.environment, "KGO_DATABASE_URL": self._database_url()},
        )  # fmt: skip

    def wait_until_healthy(self) -> None:
        """Start it again until it answers; an AssertionError with its log if it never does."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not (self.running and self.healthy):
            assert time.monotonic() < deadline, f"{self.url} does not answer:\n{self.last_words()}"
            self.start()
            time.sleep(0.1)

    def kill(self) -> None:
        """`kill -9` of everything that serves here."""
        for server in [*self._killed, *([self._server] if self._server else [])]:
            server.kill()

    def kill_server(self) -> None:
        """`kill -9` of the server alone: what it has started has to end by itself before another can start."""
        if self._server is not None:
            self._orphans = [(pid, kind) for kind in (WORKER, SCRIBE) for pid in self._server.children(kind)]
            self._killed.append(self._server)
            self._server.process.kill()
            self._server.process.wait()

    def kill_worker(self, chance: random.Random) -> None:
        """`kill -9` of one worker; the server starts another in its place."""
        if self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(self.workers()), signal.SIGKILL)

    def kill_writer(self) -> None:
        """`kill -9` of the scribe, with what the workers have asked of it; the server starts another one."""
        for pid in self._server.children(SCRIBE) if self._server else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM; fails if the server does not end in time."""
        if self._server is not None:
            self._server.stop()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return self._server.children(WORKER) if self._server else []

    def writers(self) -> list[int]:
        """The process ids of the workers that are connected to the database."""
        if self.proxy is None:
            name = self._deployment.database_url.rpartition("/")[2]
            return [pid for pid in self.workers() if any(opened.endswith(f"/{name}") for opened in _opened(pid))]
        sockets = _sockets_to(self.proxy.port)
        return [pid for pid in self.workers() if sockets & _opened(pid)]

    def last_words(self) -> str:
        """The end of what the present server printed."""
        return self._server.log.read_text(errors="replace")[-2_000:] if self._server else "never started"

    def _database_url(self) -> str:
        if self.proxy is None:
            return self._deployment.database_url
        name = self._deployment.database_url.partition("?")[0].rpartition("/")[2]
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.proxy.port}/{name}"


class Fleet:
    """All sites of an installation."""

    def __init__(self, deployment: Deployment, workers: list[int], proxies: list[Proxy] | None = None) -> None:
        ways: list[Proxy | None] = [*proxies] if proxies else [None] * len(workers)
        self.sites = [
            Site(deployment, number, proxy, count)
            for number, (count, proxy) in enumerate(zip(workers, ways, strict=True), 1)
        ]

    @property
    def urls(self) -> list[str]:
        """Where the sites answer."""
        return [site.url for site in self.sites]

    def tend(self) -> None:
        """Start what has ended."""
        for site in self.sites:
            site.start()

    def wait_until_healthy(self) -> None:
        """Tend until every site answers."""
        self.tend()
        for site in self.sites:
            site.wait_until_healthy()

    def end(self) -> None:
        """End every site in order, all at the same time."""
        with ThreadPoolExecutor(len(self.sites)) as pool:
            list(pool.map(Site.end, self.sites))

    def kill(self) -> None:
        """Leave nothing running."""
        for site in self.sites:
            site.kill()


def _opened(pid: int) -> set[str]:
    """What a process has open: paths of files, and `socket:[inode]`."""
    found = set()
    for handle in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(handle.readlink()))
    return found


def _sockets_to(port: int) -> set[str]:
    """The sockets of this machine that are connected to a TCP port, as `_opened` names them."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{parts[9]}]" for parts in lines if parts[2].endswith(f":{port:04X}")}
