"""The servers that the product is compared with, on the product's own web server with its own settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

from flask import Flask

from ledger import serving
from ledger.config import FIGURES, Settings
from tests.bench.rig import echo, naive
from tests.bench.rig.processes import WITH_PARENT
from tests.servers import Server, free_port

APPLICATIONS = {"echo": "tests.bench.rig.web:echo_app", "naive": "tests.bench.rig.web:naive_app"}


def start(name: str, log: Path, workers: int, environment: dict[str, str]) -> tuple[Server, int]:
    """Start one of `APPLICATIONS`; returns it and its port when it answers."""
    port = free_port()
    figures = log.with_suffix(".figures")
    figures.mkdir(exist_ok=True)
    environment = {FIGURES: str(figures), **environment}
    command = [*WITH_PARENT, sys.executable, "-m", "tests.bench.rig.web", name, str(port), str(workers)]
    server = Server(command, port=port, log=log, environment={**os.environ, **environment})
    server.wait_until_healthy()
    return server, port


def echo_app() -> Flask:
    """The echo in a worker that begins as the product's do."""
    serving.begin_worker(Settings.from_environment())
    return echo.create_app()


def naive_app() -> Flask:
    """The naive ledger in such a worker."""
    serving.begin_worker(Settings.from_environment())
    return naive.create_app()


def main(name: str, port: int, workers: int) -> None:
    """Serve one of `APPLICATIONS` as `kgo serve` serves the product, but as what it is: WSGI, on as many threads."""
    interface = {"interface": "wsgi", "blocking_threads": serving.THREADS}
    with mock.patch.multiple(serving, APPLICATION=APPLICATIONS[name], INTERFACE=interface):
        serving._serve_http("127.0.0.1", port, workers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
