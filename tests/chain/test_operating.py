"""Chains as an installation tends them: off, on, and with the node down, the city's own work is the same."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from ledger import cli, jobs
from ledger.book import transfers, tree
from ledger.book.seal import LogUnjudged
from ledger.book.unit import Unit
from ledger.chain import anchors, bridges, client, console, deploying, deployment, outbox
from ledger.chain.deploying import Plan
from ledger.chain.operating import Chains
from ledger.config import Settings
from ledger.errors import NotFound
from ledger.installation import Installation, assemble
from tests.anvil import Anvil
from tests.chain.harbour import CHAIN, TOKEN
from tests.factories import CITY, install
from tests.factories import Installation as City
from tests.servers import Deployment, free_port


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """The module's node; `finalized` is two blocks behind."""
    node = Anvil("--block-time", "0.3", chain_id=CHAIN, slots=1)
    yield node
    node.stop()


def _soon(_: float) -> None:
    time.sleep(0.1)


@dataclass
class Town:
    """A city, and the installation that it is in."""

    city: City
    opened: Installation

    def work(self) -> list[object]:
        """An ordinary day: tokens are issued, given and held, the jobs run, the audit passes; what is in the log."""
        self.city.clock.advance(days=1)
        before = len(self.city.leaves())
        learner = self.city.learner()
        self.city.grant(1_000)
        self.city.give(learner, 500)
        self.city.hold(learner, "shop:cafe", 100, minutes=1)
        self.city.clock.advance(minutes=5)
        jobs.run_once(self.city.writer)
        assert self.city.audit().ok
        return [(leaf["kind"], [one["amount"] for one in leaf["postings"]]) for leaf in self.city.leaves()[before:]]


@pytest.fixture
def town(sqlite_url: str, tmp_path: Path) -> Iterator[Town]:
    """Khon Kaen, with a password for keystore files."""
    city = install(sqlite_url, tmp_path)
    city.open("shop:cafe")
    settings = Settings(tmp_path, sqlite_url, "http://localhost", chain_password="open")
    made = Town(city, assemble(settings, city.clock))
    yield made
    made.opened.close()
    city.close()


def test_the_citys_work_is_the_same_with_the_chain_off_on_and_down(
    town: Town, anvil: Anvil, caplog: pytest.LogCaptureFixture
) -> None:
    """Off: nothing happens. On: the log is anchored. Down: a line in the log, and all goes on."""
    tend = jobs.chain_job(town.opened)
    assert tend() is None
    off = town.work()
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    first = tend()
    assert isinstance(first, dict)
    assert first[CITY].problem is None
    on = town.work()
    size = len(town.city.leaves())
    assert isinstance(again := tend(), dict)
    assert again[CITY].problem is None
    found = deployment.load(town.opened.settings, CITY)
    assert found is not None
    down = type(found)(**{**vars(found), "rpc": f"http://127.0.0.1:{free_port()}/secret"})
    deployment.save(town.opened.settings, down)
    broken = jobs.chain_job(town.opened)
    assert isinstance(answer := broken(), dict)
    assert "chain_unreachable" in (answer[CITY].problem or "")
    assert f"the chain of {CITY}" in caplog.text
    assert "secret" not in caplog.text
    gone = town.work()
    assert off == on == gone
    assert size < len(town.city.leaves())
    deployment.save(town.opened.settings, found)
    assert isinstance(back := broken(), dict)
    assert back[CITY].problem is None


def test_what_is_known_is_told_while_the_node_is_silent(
    town: Town, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator sees since when, what waits and what to look at; a learner's page can tell; then it goes on."""
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    defaults = client.connect.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout_seconds", 2)
    chains = Chains(town.opened)
    assert chains.guarded(CITY).problem is None
    heard = town.city.clock.now
    with town.opened.database.read() as session:
        (bridge,) = bridges.all_(session, CITY)
        assert (bridge.checked_at, bridges.silent_since(bridge, heard)) == (heard, None)
    assert "ALARM" not in console.status(town.opened, CITY).text
    os.kill(anvil.process.pid, signal.SIGSTOP)
    try:
        town.city.clock.advance(minutes=31)
        assert "chain_unreachable" in (chains.guarded(CITY).problem or "")
        told = console.status(town.opened, CITY)
        with town.opened.database.read() as session:
            (bridge,) = bridges.all_(session, CITY)
            assert bridges.silent_since(bridge, town.city.clock.now) == heard
    finally:
        os.kill(anvil.process.pid, signal.SIGCONT)
    assert not told.ok
    for word in ("chain_unreachable", "remedy=see that the node runs", f"heard {heard:%F %T}", "no new final block",
                 "compare    kgo verify", "waiting"):  # fmt: skip
        assert word in told.text
    assert chains.guarded(CITY).problem is None
    assert "ALARM" not in console.status(town.opened, CITY).text


@pytest.mark.parametrize(("city", "kind", "remedy"), [(CITY, "chain", "kgo chain deploy"), ("nowhere", "city", "")])
def test_a_city_without_a_chain_is_told_from_one_that_is_unknown(town: Town, city: str, kind: str, remedy: str) -> None:
    """The first is told how it gets one."""
    for command in (console.status, console.propose, console.watch):
        with pytest.raises(NotFound) as refused:
            command(town.opened, city)
        assert refused.value.params["kind"] == kind
        assert remedy in str(refused.value)


def test_a_restored_directory_signs_nothing_before_the_chain_has_spoken(
    town: Town, anvil: Anvil, tmp_path: Path
) -> None:
    """All of it is an older copy: nothing is signed without the node's word, nor after it; an honest one goes on."""
    settings = town.opened.settings
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    Chains(town.opened).judge(CITY)
    town.opened.writer.run(CITY, _grant)
    older = Deployment(tmp_path / "restored" / "data", _copied(settings.database_url, tmp_path / "older.sqlite"))
    shutil.copytree(tmp_path, older.data, ignore=shutil.ignore_patterns("restored", "older.sqlite"))
    _anchor_for_good(town)
    restored = assemble(Settings(older.data, older.database_url, "http://localhost"), town.city.clock)
    with pytest.raises(LogUnjudged):
        restored.writer.run(CITY, _grant)
    found = deployment.load(restored.settings, CITY)
    assert found is not None
    down = type(found)(**{**vars(found), "rpc": f"http://127.0.0.1:{free_port()}"})
    deployment.save(restored.settings, down)
    assert Chains(restored).guarded(CITY).problem is not None
    with pytest.raises(LogUnjudged):
        restored.writer.run(CITY, _grant)
    deployment.save(restored.settings, found)
    restored.close()
    token = older.token("treasurer")
    server = older.serve()
    asked = {"Authorization": f"Bearer {token}", "Idempotency-Key": "first"}
    order = {"kind": "grant", "amount_minor": 1_000}
    answer = httpx.post(f"{server.url}/v1/cities/{CITY}/entries", json=order, headers=asked)
    assert (answer.status_code, answer.json()["code"]) == (503, "log_behind_published")
    older.close()
    town.opened.writer.run(CITY, _grant)


def test_status_tells_at_once_that_the_chain_has_another_log(town: Town, anvil: Anvil, tmp_path: Path) -> None:
    """An older copy of the database, or another city's contract: nobody waits until the anchors are followed."""
    settings = town.opened.settings
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    Chains(town.opened).judge(CITY)
    older = _copied(settings.database_url, tmp_path / "older.sqlite")
    town.opened.writer.run(CITY, _grant)
    _anchor_for_good(town)
    assert console.status(town.opened, CITY).ok
    with assemble(Settings(tmp_path, older, "http://localhost", chain_password="open"), town.city.clock) as restored:
        told = console.status(restored, CITY)
    assert (told.ok, "ALARM      what is anchored is not of this log" in told.text) == (False, True)


def test_status_speaks_of_one_log_although_it_grows_meanwhile(
    town: Town, anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is anchored and what is final are of the same log, and of one that the node cannot be ahead of."""
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    Chains(town.opened).judge(CITY)
    told = client.block

    def block(*asked: Any) -> Any:
        town.opened.writer.run(CITY, _grant)
        return told(*asked)

    monkeypatch.setattr(client, "block", block)
    text = console.status(town.opened, CITY).text
    sizes = [line.split(",")[0].split()[-2] for line in text.splitlines() if line.startswith(("anchored", "final"))]
    assert sizes == [str(len(town.city.leaves()))] * 2


def _grant(unit: Unit) -> object:
    return transfers.post(unit, "grant", "issuance", "treasury", 1_000, actor="treasurer")


def _copied(url: str, to: Path) -> str:
    """Copy a SQLite database; the copy's URL."""
    with closing(sqlite3.connect(make_url(url).database or "")) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)
    return f"sqlite:///{to}"


def _anchor_for_good(town: Town) -> None:
    """Let the log grow, anchor it, and wait until that is final."""
    town.opened.writer.run(CITY, _grant)
    before = len(town.city.leaves())
    for _ in range(600):
        console.anchor(town.opened, CITY, wait=lambda: False)
        time.sleep(0.1)
        with town.city.read() as session:
            if [one.size for one in anchors.list_(session, CITY, 1)] == [before]:
                return
    raise AssertionError("the anchor does not become final")


def test_nothing_of_the_chain_is_imported_for_a_city_without_one(tmp_path: Path) -> None:
    """An installation that has no chain needs no web3: serving and jobs load without it."""
    program = (
        "import sys, ledger.serving, ledger.jobs, ledger.cli;"
        "print([name for name in sys.modules if name.startswith('ledger.chain') or name == 'web3'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_the_operators_commands(
    town: Town, anvil: Anvil, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys, deployment, status, anchor, pause and resume, a round, through the command line."""
    settings = town.opened.settings
    monkeypatch.setenv("KGO_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("KGO_CHAIN_PASSWORD", "open")

    def kgo(*arguments: str) -> tuple[int, str]:
        status = cli.main(["chain", *arguments, "--data", str(settings.data), "--city", CITY])
        return status, capsys.readouterr().out

    town.city.grant(1_000)
    assert kgo("status")[0] == 1
    status, address = kgo("key", "--role", "anchorer")
    assert (status, address[:2]) == (0, "0x")
    status, said = kgo("deploy", "--rpc", anvil.url, "--local", "--delay", "60", "--minimum-delay", "60")
    assert (status, "token 0x" in said) == (0, True)
    status, said = kgo("anchor", "--wait", "30")
    assert (status, "anchor: done" in said) == (0, True)
    assert kgo("anchor") == (0, "the newest checkpoint is anchored\n")
    status, said = kgo("status")
    assert (status, "anchored   1 of 1 entries" in said, "final      1 of 1 entries" in said) == (0, True, True)
    assert address.strip() in said
    status, said = kgo("pause", "--wait", "30")
    assert (status, "pause: done" in said, "PAUSED" in kgo("status")[1]) == (0, True, True)
    status, said = kgo("pause", "--wait", "30")
    assert (status, "contract   is paused already" in said) == (0, True)
    status, said = kgo("pause", "--resume", "--wait", "30")
    assert (status, "PAUSED" in kgo("status")[1]) == (0, False)
    assert "contract   is not paused" in kgo("pause", "--resume")[1]
    assert kgo("watch")[0] == 0
    with town.city.read() as session:
        assert Chains(town.opened).site(CITY).node.chain_id == CHAIN
        assert tree.root_at(session, CITY, 1)


def test_half_a_pause_says_what_is_paused_and_what_is_not(
    town: Town, anvil: Anvil, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the key's password, or without the node, our side stops all the same; the same command does the rest."""
    settings = town.opened.settings
    monkeypatch.setenv("KGO_DATABASE_URL", settings.database_url)
    deploying.deploy(town.opened, Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True), pause=_soon)
    chains = Chains(town.opened)
    assert chains.guarded(CITY).problem is None
    found = deployment.load(settings, CITY)
    assert found is not None
    down = type(found)(**{**vars(found), "rpc": f"http://127.0.0.1:{free_port()}"})

    def pause(described: deployment.Deployment, password: str) -> tuple[int, str]:
        deployment.save(settings, described)
        monkeypatch.setenv("KGO_CHAIN_PASSWORD", password)
        status = cli.main(["chain", "pause", "--wait", "30", "--data", str(settings.data), "--city", CITY])
        return status, capsys.readouterr().out

    for described, password, why in (
        (down, "open", "chain_unreachable"),
        (found, "", "pauser.json needs its password"),
        (found, "shut", "pauser.json is no keystore file, or the password is another"),
    ):
        status, said = pause(described, password)
        assert status == 1
        for words in ("ledger     bridging is paused", "contract   is NOT paused", why, "the same command again"):
            assert words in said
        assert ("KGO_CHAIN_PASSWORD" in said) == (described is found)
        assert not client.read(chains.site(CITY).node, TOKEN, found.token.address, "paused")
    with town.opened.database.read() as session:
        assert [bridge.pause_reason for bridge in bridges.all_(session, CITY)] == ["operator"]
        assert len(outbox.open_(session, CITY, "pause")) == 1
    status, said = pause(found, "open")
    assert (status, "pause: done" in said) == (0, True)
    assert client.read(chains.site(CITY).node, TOKEN, found.token.address, "paused")
