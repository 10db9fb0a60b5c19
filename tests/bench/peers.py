"""`scripts/bench peers`: single transfers that debit one hot account, beside django-hordak's, on one PostgreSQL.

    transfer            the product's over HTTP: sign-in, idempotency, JSON, sealed and in the log
    transfer_in_process the product's writer without HTTP, as many threads as there are clients
    hordak              django-hordak in process: lock the account, ask for its balance, transfer (`rig/hordak_peer.py`)
    hordak_unchecked    the same without the first two: nothing guards the floor

hordak runs without HTTP, and in as many processes as the machine has processors, since one would be held back by
Python's lock; the product runs in one. It is installed from the locked requirements into an environment of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import make_url

from tests.bench.rig import hordak_peer, product, report
from tests.bench.rig.databases import POSTGRESQL, databases
from tests.bench.rig.processes import WITH_PARENT, end_in_order
from tests.bench.rig.product import CITY
from tests.bench.rig.traffic import Traffic, say

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "scripts" / "requirements" / "peers.txt"
ENVIRONMENT = ROOT / ".cache" / "peers"
"""Where the peers are installed; git ignores it."""

WARM_UP_SECONDS = 1.0
RATIOS = {
    "ratio_transfer_hordak": ("transfer_per_s", "hordak_per_s"),
    "ratio_transfer_hordak_unchecked": ("transfer_per_s", "hordak_unchecked_per_s"),
    "ratio_transfer_in_process_hordak": ("transfer_in_process_per_s", "hordak_per_s"),
}

Figures = dict[str, float]


def environment() -> Path:
    """The Python of the peers' environment, which is made if it is not there or not what is locked."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made-from"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    say("installing the peers")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ENVIRONMENT], check=True)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        raise SystemExit("scripts/bench peers needs uv: pip install uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", REQUIREMENTS], check=True
    )
    stamp.write_text(wanted, encoding="utf-8")
    return python


@dataclass
class Hordak:
    """django-hordak in several processes, each with its share of the clients.

    Attributes:
        versions: of hordak and of Django.
    """

    processes: list[subprocess.Popen[str]]
    versions: dict[str, str]
    rounds: int = 0

    def round(self, kind: str, seconds: float) -> list[float]:
        """One round, `checked` or `unchecked`: the milliseconds that each transfer took."""
        for one in self.processes:
            self._tell(one, f"{kind} {self.rounds} {seconds}\n")
        self.rounds += 1
        return [latency for one in self.processes for latency in self._answer(one)["latencies_ms"]]

    @staticmethod
    def _tell(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> dict[str, list[float]]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("hordak ended; what it said stands above")
        found: dict[str, list[float]] = json.loads(line)
        return found


@contextmanager
def running(python: Path, url: str, options: argparse.Namespace) -> Iterator[Hordak]:
    """Such processes on an empty database of its own, ready for rounds."""
    clients, processes = options.clients, options.processes
    rounds = 2 * (options.rounds + 1)  # of each kind, with the warm-up
    place = make_url(url)
    # Without -P the folder of the file would be searched first, and some of its modules bear common names.
    command = [
        str(python),
        "-P",
        hordak_peer.__file__,
        str(place.database),
        str(place.query["host"]),
        str(place.username),
    ]
    subprocess.run([*command, "create", str(clients), str(rounds)], check=True)
    shares = [clients // processes + (index < clients % processes) for index in range(processes)]
    started: list[subprocess.Popen[str]] = []
    try:
        for index, share in enumerate(shares):
            own = [*WITH_PARENT, *command, "serve", str(share), str(sum(shares[:index]))]
            started.append(subprocess.Popen(own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        first = [Hordak._answer(one) for one in started]
        yield Hordak(started, {name: str(value) for name, value in first[0].items()})
    finally:
        for one in started:
            one.kill()
            one.wait()


@dataclass
class Bench:
    """One run."""

    options: argparse.Namespace
    traffic: Traffic
    hordak: Hordak
    port: int
    hordak_transfers: int = 0

    def transfer(self) -> Figures:
        """One round of the product's over HTTP."""
        answers = self.traffic.transfer(self.port)
        return {"transfer_per_s": answers.per_s, "transfer_p99_ms": answers.p99_ms}

    def in_process(self) -> Figures:
        """One round of the product's without HTTP."""
        writer, started = self.traffic.product.installation.writer, time.perf_counter()

        def work(index: int) -> int:
            count = 0
            while time.perf_counter() - started < self.traffic.seconds:
                writer.submit(CITY, product.single_transfer(index))
                count += 1
            return count

        with ThreadPoolExecutor(self.options.clients) as clients:
            done = sum(clients.map(work, range(self.options.clients)))
        self.traffic.acknowledged += done
        return {"transfer_in_process_per_s": done / (time.perf_counter() - started)}

    def checked(self) -> Figures:
        """One round of hordak's with the floor guarded."""
        return self._hordak("checked", "hordak")

    def unchecked(self) -> Figures:
        """One round of hordak's without."""
        return self._hordak("unchecked", "hordak_unchecked")

    def _hordak(self, kind: str, name: str) -> Figures:
        started = time.perf_counter()
        latencies = self.hordak.round(kind, self.traffic.seconds)
        elapsed = time.perf_counter() - started
        self.hordak_transfers += len(latencies)
        return {f"{name}_per_s": len(latencies) / elapsed, f"{name}_p99_ms": quantiles(latencies, n=100)[-1]}


TURNS: tuple[Callable[[Bench], Figures], ...] = (Bench.transfer, Bench.in_process, Bench.checked, Bench.unchecked)


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    python = environment()
    with ExitStack() as stack:
        homes = stack.enter_context(databases(POSTGRESQL, memory_only=options.memory))
        made = product.prepare(homes.directory, homes.product, 1)
        stack.callback(made.close)
        peer = stack.enter_context(running(python, homes.other, options))
        traffic = Traffic(made, options.clients, WARM_UP_SECONDS)
        bench, before = Bench(options, traffic, peer, made.serve(1)), made.size()
        for turn in TURNS:
            turn(bench)
        traffic.seconds = options.seconds
        rounds: defaultdict[str, list[float]] = defaultdict(list)
        for number in range(options.rounds):
            for turn in TURNS:
                say(f"round {number + 1} of {options.rounds}: {turn.__name__}")
                for name, value in turn(bench).items():
                    rounds[name].append(value)
        say("auditing")
        findings = traffic.findings(homes.directory / "export", before)
    figures = {name: round(median(values), 1) if not findings else 0.0 for name, values in rounds.items()}
    return {
        **figures,
        **report.ratios(RATIOS, figures),
        **peer.versions,
        "audit_ok": not findings,
        "findings": findings[:10],
        "failed": dict(traffic.failed),
        "clients": options.clients,
        "hordak_processes": options.processes,
        "hordak_transfers": bench.hordak_transfers,
        "seconds": options.seconds,
        "rounds": {name: [round(value, 1) for value in values] for name, values in rounds.items()},
    }


def main() -> int:
    """Measure and print; 1 if the figures count as zero."""
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=5, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="hordak's; they share the clients")
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    end_in_order()
    result = measure(options)
    report.tell(POSTGRESQL, result, as_json=options.json)
    return 0 if result["audit_ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
