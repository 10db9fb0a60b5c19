"""Real installations: a data directory, its database, the real `kgo` and real server processes.

`Deployment.serve()` may be called several times: the processes then share one database and one data directory,
as in production. `Server.stop()` is an orderly end and fails the test if the server does not end; `Server.kill()`
is the power cut: SIGKILL to the server and all its workers at once.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from ledger.cli import main
from tests.parent import end_with_parent

ROOT = Path(__file__).parent.parent
KGO = Path(sys.executable).parent / "kgo"

START_SECONDS = 90
"""How long a server may take to answer /healthz on a busy machine."""

STOP_SECONDS = 15
"""How long a server may take to end after SIGTERM."""

COMMAND_SECONDS = 300
"""How long any other `kgo` command may take."""

WORKER, SCRIBE = b"spawn_main", b"api.scribe"
"""What the command of a web process, and of the process that writes for all, has in it."""

PORTS = range(20_000, 32_768)
"""Where servers listen: below the ports that Linux gives to connections, so that none has it when the server comes."""


class Server:
    """One running `kgo serve`.

    Attributes:
        url: where it answers, without a slash at the end.
        process: the server; all that it starts is in its process group.
        log: the file with what it printed.
    """

    def __init__(self, command: list[str], *, port: int, log: Path, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip

    def wait_until_healthy(self) -> None:
        """Return when /healthz answers 200; a server that ends or stays silent is an AssertionError with its log."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if is_healthy(self.url):
                return
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not become healthy:\n{self.log.read_text()}")

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """End it as an operator would (SIGTERM, or SIGINT for Ctrl-C); its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"the server did not end within {STOP_SECONDS} s of {sent.name}:\n{self.log.read_text()}"
            raise AssertionError(message) from None

    def children(self, kind: bytes) -> list[int]:
        """The process ids of its workers (`WORKER`), or of its scribe (`SCRIBE`), of which there is one at most."""
        return [pid for pid in _children(self.process.pid) if runs(pid, kind)]

    def kill(self) -> None:
        """`kill -9` to the server and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Deployment:
    """A data directory and a database that real processes work on.

    Attributes:
        data: the data directory.
        database_url: its database, migrated.
        servers: those that were started.
        variables: what its processes have in their environment besides.
    """

    data: Path
    database_url: str
    servers: list[Server] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: this one's, with nothing of another installation in it.

        They may keep compiled modules, for the tests start hundreds of them.
        """
        left_out = ("KGO_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return {**inherited, "KGO_DATABASE_URL": self.database_url, "PYTHONUNBUFFERED": "1", **self.variables}

    def kgo(self, command: str, *arguments: str | Path) -> str:
        """Run `kgo COMMAND --data DIR ARGUMENTS` (`"db upgrade"`, `"token create"`); what it printed, stripped."""
        call = [str(KGO), *command.split(), "--data", str(self.data), *map(str, arguments)]
        done = subprocess.run(
            call, capture_output=True, text=True, check=False, env=self.environment, timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"kgo {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def here(self, command: str, *arguments: str | Path) -> str:
        """The same as `kgo`, in this process: what it prints, without the seconds that a new process takes."""
        printed = io.StringIO()
        with mock.patch.dict(os.environ, self.environment, clear=True), contextlib.redirect_stdout(printed):
            status = main([*command.split(), "--data", str(self.data), *map(str, arguments)])
        assert status == 0, f"kgo {command} ended with {status}:\n{printed.getvalue()}"
        return printed.getvalue().strip()

    def import_city(self, city: str = "khon-kaen", *, samples: bool = True) -> None:
        """Load a city file that the product ships."""
        self.here("city import", ROOT / "ledger" / "data" / f"{city}.toml", *(["--samples"] if samples else []))

    def token(self, role: str, *arguments: str, city: str = "khon-kaen") -> str:
        """A new sign-in token, `token("shop", "--shop", "cafe")`."""
        return self.here("token create", "--city", city, "--role", role, *arguments).split()[-1]

    def serve(self, *arguments: str) -> Server:
        """Start one more server process on it; returns when it is healthy."""
        port = free_port()
        server = Server(
            [str(KGO), "serve", "--data", str(self.data), "--host", "127.0.0.1", "--port", str(port), *arguments],
            port=port,
            log=self.data.parent / f"server-{len(self.servers) + 1}.log",
            environment=self.environment,
        )
        self.servers.append(server)
        server.wait_until_healthy()
        return server

    def close(self) -> None:
        """End every server that still runs and remove the data."""
        try:
            for server in self.servers:
                if server.process.poll() is None:
                    server.stop()
        finally:
            for server in self.servers:
                server.kill()
            shutil.rmtree(self.data, ignore_errors=True)


def runs(pid: int, kind: bytes) -> bool:
    """Whether there is a process with this id, and it is of this kind; one that has ended is not."""
    with contextlib.suppress(OSError):
        return kind in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = status.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                found.append(int(status.parent.name))
    return found


def is_healthy(url: str) -> bool:
    """Whether /healthz answers 200.

    Asked again and again while a server starts, and so without httpx: each client of that takes 25 ms to make.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A loopback port that nothing listens on, and that no other process of any tests gets while this one lives."""
    for port in random.sample(PORTS, len(PORTS)):
        if _reserve(port):
            return port
    raise AssertionError("no loopback port is free")


_reserved: list[socket.socket] = []


def _reserve(port: int) -> bool:
    """Mark a port as taken by a name that vanishes with this process; False if it is taken already."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0kgo-tests-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return False
    _reserved.append(mark)
    return True
