"""What every test can ask for: fresh migrated databases of both kinds, real servers, the long counts.

`tests/workers.py` says in which order the tests run and how they are shared out over the cores. In CI (`CI=true`) a
skipped test fails the run: a test that silently does not run proves nothing.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule

from ledger import process
from ledger.db import Database, upgrade
from tests import counts, memory, postgres, workers
from tests.factories import Installation, install
from tests.servers import Deployment

_skipped: list[str] = []
_counter = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register `--long`, `--minutes` and `--seed`."""
    parser.addoption("--long", action="store_true", help="run the full counts instead of the reduced ones")
    parser.addoption("--minutes", type=float, help="how long each hammer runs; hours are welcome")
    parser.addoption("--seed", type=int, help="draw the hammers' faults from the seed that a failed run named")


def pytest_configure(config: pytest.Config) -> None:
    """Settle the counts before any test module is imported."""
    if config.getoption("--long"):
        os.environ[counts.VARIABLE] = "1"
    for option, variable in (("--minutes", counts.MINUTES_VARIABLE), ("--seed", counts.SEED_VARIABLE)):
        if (given := config.getoption(option)) is not None:
            os.environ[variable] = str(given)
    hypothesis.settings.register_profile(
        "ledger",
        deadline=None,
        max_examples=counts.scale(50, 1000),
        derandomize=os.environ.get("CI") == "true" and not counts.is_long(),
        print_blob=True,
    )
    hypothesis.settings.load_profile("ledger")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` means."""
    return workers.wanted(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Say in which order the tests run, and which stay together."""
    items.sort(key=workers.rank)
    workers.keep_together(items)
    yield
    workers.send_groups(items)


def pytest_collection_finish() -> None:
    """Search for garbage rarely from here on, as a server does: all that was imported costs a tenth of the time."""
    process.collect_rarely()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each skipped test; those of other processes are reported here too, and here they lose their group."""
    if hasattr(report, "worker_id"):
        report.nodeid = workers.plain(report.nodeid)
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note each module that skipped itself."""
    if report.skipped:
        _skipped.append(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, turn skipped tests into a failed run."""
    if _skipped and os.environ.get("CI") == "true" and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was skipped, where that is a failure."""
    if _skipped and os.environ.get("CI") == "true":
        terminalreporter.section("skipped in CI, which is a failure", red=True, bold=True)
        for name in _skipped:
            terminalreporter.line(name)


class _CompiledTemplates(BytecodeCache):
    """What Jinja compiled, by template; a template that changed is compiled anew."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Use what is known; Jinja compares the source's checksum."""
        if bucket.key in self._known:
            bucket.bytecode_from_string(self._known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._known[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> Iterator[None]:
    """The hundreds of applications that the tests make in this process share their compiled templates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Flask.jinja_options, "bytecode_cache", _CompiledTemplates())
        yield


@pytest.fixture(scope="session", autouse=True)
def _addresses_are_compiled_once() -> Iterator[None]:
    """And what Werkzeug compiles for each address: nine tenths of the time that it takes to make an application."""
    compiled = Rule._compile_builder
    known: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        assert not rule.defaults  # these would be compiled in
        key = (rule.rule, *rule._trace, append_unknown)
        if key not in known:
            known[key] = compiled(rule, append_unknown)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A verifier that a test runs remembers what this test showed it, and nothing else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_counter)}"))


@pytest.fixture(scope="session")
def long_run(request: pytest.FixtureRequest) -> bool:
    """Whether the full counts are wanted."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.PostgreSQL]:
    """The session's PostgreSQL server."""
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _postgresql_template(postgresql: postgres.PostgreSQL) -> str:
    name = postgresql.create()
    upgrade(postgresql.url(name))
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    database = Database(f"sqlite:///{path}")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture
def new_sqlite_url(_sqlite_template: Path) -> Iterator[Callable[[], str]]:
    """Makes an empty migrated SQLite file at each call; its URL. They are removed after the test."""
    made: list[Path] = []

    def make() -> str:
        made.append(memory.directory())
        return f"sqlite:///{shutil.copy(_sqlite_template, made[-1] / 'ledger.sqlite')}"

    yield make
    for path in made:
        shutil.rmtree(path)


@pytest.fixture
def new_postgresql_url(postgresql: postgres.PostgreSQL, _postgresql_template: str) -> Iterator[Callable[[], str]]:
    """Makes an empty migrated PostgreSQL database at each call; its URL. They are dropped after the test."""
    names: list[str] = []

    def make() -> str:
        names.append(postgresql.create(_postgresql_template))
        return postgresql.url(names[-1])

    yield make
    for name in names:
        postgresql.drop(name)


@pytest.fixture
def sqlite_url(new_sqlite_url: Callable[[], str]) -> str:
    """An empty migrated SQLite database, for tests that need one and no other."""
    return new_sqlite_url()


@pytest.fixture(scope="session")
def _schema(postgresql: postgres.PostgreSQL, _postgresql_template: str) -> str:
    return postgresql.schema(_postgresql_template)


@pytest.fixture(scope="session")
def _used_databases() -> list[str]:
    return []


@pytest.fixture
def postgresql_url(
    postgresql: postgres.PostgreSQL, _postgresql_template: str, _schema: str, _used_databases: list[str]
) -> Iterator[str]:
    """An empty migrated PostgreSQL database, for tests that need one and no other.

    It is emptied and used again, unless the test changed its schema.
    """
    name = _used_databases.pop() if _used_databases else postgresql.create(_postgresql_template)
    yield postgresql.url(name)
    postgresql.clear(name)
    if postgresql.schema(name) == _schema:
        _used_databases.append(name)
    else:
        postgresql.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty migrated database; every test that asks for it runs on both kinds."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A `Database` on `database_url`, closed after the test."""
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """The city Khon Kaen on a fresh database of each kind, with a clock that stands still."""
    made = install(database_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def deployment(database_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """Real processes on a fresh database of each kind; no city is in it yet."""
    made = Deployment(tmp_path / "data", database_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_deployment(sqlite_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """Real processes on a fresh SQLite file alone."""
    made = Deployment(tmp_path / "data", sqlite_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's program; a machine without one fails the test, for nothing may be left out silently."""
    name = os.environ.get("CHROMIUM") or "chromium"
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"there is no browser {name!r}: apt-get install --no-install-recommends chromium fonts-tlwg-loma-ttf,"
            " or name another Chromium in the variable CHROMIUM"
        )
    return Path(found)
