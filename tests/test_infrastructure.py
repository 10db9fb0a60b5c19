"""The tests' own ground: databases are fresh, of both kinds, durable, and gone afterwards; scripts refuse clearly."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from ledger.db import Database
from tests import counts
from tests.postgres import PostgreSQL
from tests.servers import ROOT, STOP_SECONDS, Deployment


def _make_table(database: Database) -> int:
    """Make a table with one row; how many rows it has."""
    with database.write() as session:
        session.execute(text("CREATE TABLE mark (id INTEGER PRIMARY KEY)"))
        session.execute(text("INSERT INTO mark (id) VALUES (1)"))
        session.commit()
        return len(session.execute(text("SELECT id FROM mark")).all())


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_gets_a_database_of_its_own(database: Database, turn: str) -> None:
    """What one test writes, the next does not see: making the same table again succeeds."""
    assert _make_table(database) == 1


def test_the_database_has_the_newest_schema(database: Database) -> None:
    """A fresh database is migrated: the migrations' own table is there."""
    with database.read() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()


def test_postgresql_keeps_what_it_acknowledged(postgresql_url: str) -> None:
    """The tests' PostgreSQL runs with the durability that an installation has."""
    database = Database(postgresql_url)
    with database.engine.connect() as connection:
        settings = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                    for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")}  # fmt: skip
    database.close()
    assert settings == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": ""}


def test_postgresql_leaves_nothing_behind(postgresql: PostgreSQL) -> None:
    """A second server starts beside the first, and after its end neither process nor files are left."""
    other = PostgreSQL()
    other.start()
    process, home, data = other._process, other._home, other._data
    assert process is not None
    assert process.poll() is None
    assert (data / "PG_VERSION").read_text().startswith("18")
    other.stop()
    assert process.poll() == 0
    assert not home.exists()
    assert not data.exists()


def test_several_databases_in_one_test(new_sqlite_url: Callable[[], str]) -> None:
    """A test may have as many databases as it asks for."""
    assert new_sqlite_url() != new_sqlite_url()


def test_counts_follow_the_option(*, long_run: bool) -> None:
    """The reduced count by default, the full one under `--long`."""
    assert counts.scale(1, 2) == (2 if long_run else 1)


def test_a_failed_command_shows_what_it_said(sqlite_deployment: Deployment) -> None:
    """A command that fails fails the test with its words; one that succeeds gives its output."""
    assert "serve" in subprocess.run([ROOT / ".venv/bin/kgo", "--help"], capture_output=True, text=True).stdout
    with pytest.raises(AssertionError, match="kgo no-such-command ended with 2"):
        sqlite_deployment.kgo("no-such-command")


ENDINGS = (signal.SIGTERM, signal.SIGINT)


def test_a_server_starts_and_ends_in_order(deployment: Deployment) -> None:
    """A server answers on a database of either kind, two of them share one, and each signal ends one cleanly.

    Cleanly means with status 0, the port free, and without a word: neither a traceback nor what a binding believes to
    be leaked.
    """
    deployment.import_city()
    servers = [deployment.serve(), deployment.serve()]
    assert servers[0].url != servers[1].url
    assert [server.stop(sent) for server, sent in zip(servers, ENDINGS, strict=True)] == [0, 0]
    for server in servers:
        assert not re.search("leaked|Traceback", server.log.read_text())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/healthz")


def test_a_killed_server_is_gone(sqlite_deployment: Deployment) -> None:
    """`kill()` leaves neither the server nor a worker; the next one starts on the same data."""
    sqlite_deployment.import_city()
    killed = sqlite_deployment.serve()
    killed.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{killed.url}/healthz")
    assert httpx.get(f"{sqlite_deployment.serve().url}/healthz").status_code == httpx.codes.OK


STARTER = """
import os, sys
from pathlib import Path
from tests.servers import Server
server = Server(["sleep", "600"], port=1, log=Path(sys.argv[1]), environment=dict(os.environ))
print(server.process.pid, flush=True)
sys.stdin.read()
"""


def test_a_server_does_not_outlive_tests_that_were_killed(tmp_path: Path) -> None:
    """A run that is aborted tidies nothing up, and leaves nothing running all the same."""
    command = [sys.executable, "-c", STARTER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        server = os.pidfd_open(int(run.stdout.readline()))
        run.kill()
    ended, _, _ = select.select([server], [], [], STOP_SECONDS)
    os.close(server)
    assert ended


def _script(name: str, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prot", "1"], "unknown argument: --prot"),
        (["--port"], "--port needs a value"),
        (["--port", "http"], "--port needs a number, not http"),
        (["extra"], "unknown argument: extra"),
    ],
)
def test_run_refuses_what_it_does_not_know(arguments: list[str], words: str) -> None:
    """A wrong option is named, with the usage, before anything is touched."""
    done = _script("run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "usage: scripts/run" in done.stderr


def test_run_explains_itself() -> None:
    """`--help` shows every option and starts nothing."""
    done = _script("run", "--help")
    assert done.returncode == 0
    assert [
        option for option in ("--host", "--port", "--data", "--public-url", "--bare") if option not in done.stdout
    ] == []


def test_bench_lists_what_it_has() -> None:
    """An unknown measurement is named and the known ones listed."""
    done = _script("bench", "no-such-thing")
    assert done.returncode == 2
    assert "no measurement named no-such-thing" in done.stderr
    assert "usage: scripts/bench" in done.stdout


FAKE_PYTHON = """#!/bin/sh
case "$1" in -c) echo "$0" ;; *) exit 1 ;; esac
"""
"""Stands for Debian's python3 without the package python3-venv."""


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (None, ["no Python 3.11 or newer was found", "apt-get install python3 python3-venv"]),
        (FAKE_PYTHON, ["cannot make a virtual environment", "apt-get install python3-venv"]),
    ],
)
def test_setup_says_what_is_missing(tmp_path: Path, python: str | None, words: list[str]) -> None:
    """Without Python, and without the part of it that Debian packages apart, setup says how to get them."""
    copy, tools = tmp_path / "a clone", tmp_path / "tools"
    for path in (ROOT / "pyproject.toml", ROOT / "scripts/setup", *(ROOT / "scripts/requirements").iterdir()):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    tools.mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "env", "rm", "sh", "tr"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    if python:
        (tools / "python3").write_text(python)
        (tools / "python3").chmod(0o755)
    done = subprocess.run(
        [copy / "scripts/setup"], capture_output=True, text=True, check=False, env={"PATH": str(tools)}
    )
    assert done.returncode == 1
    assert [word for word in words if word not in done.stderr] == []
    assert not (copy / ".venv").exists()
