"""What may befall a fleet: a schedule of faults drawn from a seed, each inflicted, left for a while, and healed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import psycopg

from tests.faults.fleet import Fleet
from tests.faults.proxy import CUTS, Proxy
from tests.postgres import PostgreSQL

Heal = Callable[[], object]
LONGEST_SECONDS = 2.5
"""How long a fault is left alone at most."""

_CONNECTIONS = """
    SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid
"""


def _nothing() -> None:
    """What ends by itself, or by tending the fleet."""


@dataclass
class Weather:
    """The faults of one fleet. Only the thread that started PostgreSQL may call it: the server ends with that thread.

    Attributes:
        past: what happened, with the second of the run, for whoever has to find out why a run failed.
    """

    fleet: Fleet
    chance: random.Random
    postgresql: PostgreSQL | None = None
    past: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def storm(self, seconds: float) -> None:
        """Faults one after the other, sometimes two at once, until every kind has come and the time is over."""
        ends, waiting = time.monotonic() + seconds, list[str]()
        came = 0
        while time.monotonic() < ends or came < len(self._faults):
            if not waiting:
                waiting = self.chance.sample(list(self._faults), len(self._faults))
            now = [waiting.pop() for _ in range(min(len(waiting), self.chance.choice([1, 1, 2])))]
            came += len(now)
            heals = [self._faults[name]() for name in now]
            time.sleep(self.chance.uniform(0.2, LONGEST_SECONDS))
            for heal in heals:
                heal()
            self.fleet.tend()
            time.sleep(self.chance.uniform(0.1, LONGEST_SECONDS / 2))
        self.clear_up()

    def clear_up(self) -> None:
        """Heal everything and wait until every site answers."""
        for site in self.fleet.sites:
            if site.proxy is not None:
                site.proxy.heal()
        self.fleet.wait_until_healthy()
        self._note("cleared up")

    @property
    def _faults(self) -> dict[str, Callable[[], Heal]]:
        web: dict[str, Callable[[], Heal]] = {
            "kill all": self._kill,
            "kill a worker": self._kill_worker,
            "kill the writer": self._kill_writer,
            "kill the server": self._kill_server,
            "end": self._end,
        }
        if self.postgresql is None:
            return web
        cuts: dict[str, Callable[[], Heal]] = {cut: partial(self._cut, cut) for cut in CUTS}
        crashes: dict[str, Callable[[], Heal]] = {
            "kill postgresql": partial(self._crash, signal.SIGKILL),
            "stop postgresql": partial(self._crash, signal.SIGQUIT),
            "kill a connection": self._kill_connection,
        }
        return {**web, **crashes, **cuts}

    def _kill(self) -> Heal:
        site = self.chance.choice(self.fleet.sites)
        self._note(f"kill {site.url}")
        site.kill()
        return site.start

    def _kill_server(self) -> Heal:
        site = self.chance.choice(self.fleet.sites)
        self._note(f"kill the server of {site.url}, but nothing that it has started")
        site.kill_server()
        return site.start

    def _kill_worker(self) -> Heal:
        site = self.chance.choice(self.fleet.sites)
        self._note(f"kill a worker of {site.url}")
        site.kill_worker(self.chance)
        return _nothing

    def _kill_writer(self) -> Heal:
        site = self.chance.choice(self.fleet.sites)
        self._note(f"kill the scribe of {site.url}")
        site.kill_writer()
        return _nothing

    def _end(self) -> Heal:
        site = self.chance.choice(self.fleet.sites)
        self._note(f"end {site.url}")
        site.end()
        return site.start

    def _crash(self, sent: signal.Signals) -> Heal:
        assert self.postgresql is not None
        self._note(f"{sent.name} to PostgreSQL")
        self.postgresql.crash(sent)
        return self._resume

    def _resume(self) -> None:
        assert self.postgresql is not None
        self.postgresql.resume()
        self._note("PostgreSQL is back")

    def _kill_connection(self) -> Heal:
        """One backend killed makes PostgreSQL end all the others and recover."""
        assert self.postgresql is not None
        with contextlib.suppress(psycopg.OperationalError, ProcessLookupError):
            with psycopg.connect(
                host=str(self.postgresql.socket.parent), user="postgres", dbname="template1"
            ) as server:
                found = [int(pid) for (pid,) in server.execute(_CONNECTIONS)]
            if found:
                self._note("kill a connection of PostgreSQL")
                os.kill(self.chance.choice(found), signal.SIGKILL)
        return _nothing

    def _cut(self, cut: str) -> Heal:
        ways = [site.proxy for site in self.fleet.sites if site.proxy is not None]
        hit: list[Proxy] = self.chance.sample(ways, self.chance.randint(1, len(ways)))
        self._note(f"{cut} {[way.port for way in hit]}")
        for way in hit:
            getattr(way, cut)()

        def heal() -> None:
            for way in hit:
                way.heal()

        return heal

    def _note(self, what: str) -> None:
        self.past.append(f"{time.monotonic() - self._began:6.1f} s  {what}")
