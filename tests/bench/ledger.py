"""`scripts/bench ledger`: what the ledger carries, beside what the web framework and a naive ledger carry.

    echo             plain Flask and marshmallow on the product's web server, nothing behind them
    checkin          a real check-in over HTTP: sign-in, code, policy, caps, reward, receipt; every scan one budget
    transfer, batch  the treasurer's entries over HTTP, one or 100 a request, all debiting one account
    post_many        transfers in process, 500 a batch
    naive            one request, one transaction, nothing more: check-ins over HTTP, and transfers in process

All of it runs in turns in short rounds on one machine; the figures are the medians of the rounds, and the ratios are
ratios of these. Every server runs throughout, an idle one costs next to nothing. Databases are on the disk. After the
run the book is audited, an export is verified, and every acknowledged entry must be there: if not, all figures are 0.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.bench.rig import client, echo, naive, product, report, web
from tests.bench.rig.client import Answers, Load, request
from tests.bench.rig.databases import KINDS, SQLITE, Databases, databases, syncs_per_s
from tests.bench.rig.naive import Naive
from tests.bench.rig.product import PATH, Product, shop

BATCH = 100
MANY = 500
WARM_UP_SECONDS = 1.0
LEARNERS_PER_SECOND = 3_000
"""How many learners stand ready for each second of a round; a round that runs out of them ends early."""

Round = Callable[[], dict[str, float]]


@dataclass
class Bench:
    """One run: the servers' ports, the people, and what was found."""

    options: argparse.Namespace
    product: Product
    naive: Naive
    ports: dict[str, int] = field(default_factory=dict)
    rounds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: int = 0
    failed: int = 0
    answer_bytes: int = 0
    _number: int = 0

    def echo(self) -> dict[str, float]:
        """One round of the bare framework, with the requests of a check-in."""
        sent = [request("/check-ins", {"code": "k" * 20}, person.token) for person in self.product.people[:64]]
        return {"echo_per_s": self._load("echo", sent).per_s}

    def checkin(self) -> dict[str, float]:
        """One round of check-ins at a new activity."""
        self._number += 1
        code = {"code": self.product.new_activity(f"bench-{self._number}")}
        self.acknowledged += 2  # the policy and the funding
        sent = [request(f"{PATH}/check-ins", code, person.token) for person in self.product.people]
        answers = self._load("product", sent, once=True)
        self.answer_bytes = answers.body_bytes
        return {"checkin_per_s": answers.per_s, "checkin_p50_ms": answers.p50_ms, "checkin_p99_ms": answers.p99_ms}

    def transfer(self) -> dict[str, float]:
        """One round of single transfers."""
        sent = [request(f"{PATH}/entries", _entry(index), self.product.treasurer) for index in range(product.SHOPS)]
        return {"transfer_per_s": self._load("product", sent).per_s}

    def batch(self) -> dict[str, float]:
        """One round of batches; counted in transfers."""
        body = {"entries": [_entry(index) for index in range(BATCH)]}
        answers = self._load("product", [request(f"{PATH}/entries:batch", body, self.product.treasurer)])
        self.acknowledged += answers.created * (BATCH - 1)
        return {"batch_per_s": answers.per_s * BATCH}

    def post_many(self) -> dict[str, float]:
        """One round of batches in process."""
        rate = self._repeat(lambda: self.product.post_many(MANY), MANY)
        return {"post_many_per_s": rate}

    def naive_checkin(self) -> dict[str, float]:
        """One round of the naive ledger's check-ins at a new activity."""
        code = {"code": secrets.token_hex(10)}
        sent = [request("/check-ins", code, person.token) for person in self.product.people]
        return {"naive_per_s": self._load("naive", sent, once=True).per_s}

    def naive_post_many(self) -> dict[str, float]:
        """One round of the naive ledger's transfers, each in its transaction, in process."""
        rate = self._repeat(lambda: self.naive.transfer("treasury", shop(0), 1), 1)
        return {"naive_post_many_per_s": rate}

    def run(self, rounds: int) -> None:
        """Warm everything up, then measure in turns."""
        turns: tuple[Round, ...] = (
            self.echo,
            self.checkin,
            self.naive_checkin,
            self.transfer,
            self.batch,
            self.post_many,
            self.naive_post_many,
        )
        seconds, self.options.seconds = self.options.seconds, min(WARM_UP_SECONDS, self.options.seconds)
        for turn in turns:
            turn()
        self.options.seconds = seconds
        for number in range(rounds):
            for turn in turns:
                _say(f"round {number + 1} of {rounds}: {turn.__name__}")
                for name, value in turn().items():
                    self.rounds[name].append(value)

    def _load(self, server: str, sent: list[str], *, once: bool = False) -> Answers:
        load = Load(self.ports[server], self.options.clients, self.options.seconds, sent, once)
        answers = client.run(load)
        self.failed += answers.failed
        if answers.failed:
            _say(f"{server}: {answers.statuses}, {answers.lost} not answered")
        if server == "product":
            self.acknowledged += answers.created
        return answers

    def _repeat(self, work: Callable[[], object], size: int) -> float:
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < self.options.seconds:
            work()
            count += size
        if size > 1:
            self.acknowledged += count
        return count / elapsed


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    with ExitStack() as stack:
        homes: Databases = stack.enter_context(databases(options.database, memory_only=options.memory))
        people = int(options.seconds * LEARNERS_PER_SECOND)
        _say(f"preparing {people} learners")
        made = product.prepare(homes.directory, homes.product, people)
        stack.callback(made.close)
        plain = Naive(homes.other)
        stack.callback(plain.close)
        plain.create(((one.learner, one.token) for one in made.people), ["treasury", *map(shop, range(product.SHOPS))])
        bench = Bench(options, made, plain)
        _start(bench, homes, stack)
        before = made.size()
        bench.run(options.rounds)
        _say("auditing")
        findings = made.findings(homes.directory / "export")
        gained = made.size() - before
        if gained < bench.acknowledged:
            findings.append(f"{bench.acknowledged} entries were acknowledged, {gained} are there")
        measured = report.figures(bench.rounds, sound=not findings)
        return {
            **measured,
            "audit_ok": not findings,
            "findings": findings[:10],
            "failed_requests": bench.failed,
            "entries": made.size(),
            "database": options.database,
            "clients": options.clients,
            "workers": options.workers,
            "seconds": options.seconds,
            "disk_syncs_per_s": round(syncs_per_s(homes.directory)),
            "rounds": {name: [round(value, 1) for value in values] for name, values in bench.rounds.items()},
        }


def _start(bench: Bench, homes: Databases, stack: ExitStack) -> None:
    """Start the product, ask it once for the length of its answer, and start the others."""
    served = bench.product.deployment.serve("--workers", str(bench.options.workers))
    bench.ports["product"] = int(served.url.rpartition(":")[2])
    code = bench.product.new_activity("bench-0")
    first = request(f"{PATH}/check-ins", {"code": code}, bench.product.people[0].token)
    length = client.run(Load(bench.ports["product"], 1, 5, [first], once=True)).body_bytes
    environment = {echo.ANSWER_BYTES: str(length), naive.DATABASE: homes.other}
    for name in web.APPLICATIONS:
        log = homes.directory / f"{name}.log"
        server, bench.ports[name] = web.start(name, log, bench.options.workers, environment)
        stack.callback(server.kill)


def _entry(index: int) -> dict[str, object]:
    return {"kind": "transfer", "from": "treasury", "to": shop(index), "amount_minor": 1}


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench ledger", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, product.MOST_ACTIVITIES - 1), metavar="N")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="processes of every server")
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    rounds: dict[str, list[float]] = result["rounds"]  # type: ignore[assignment]
    shown = {name: value for name, value in result.items() if name.endswith(("_per_s", "_ms")) or name in report.RATIOS}
    sys.stdout.write(report.table(options.database, shown, rounds) + "\n")  # type: ignore[arg-type]
    for name in ("audit_ok", "findings", "failed_requests", "entries", "disk_syncs_per_s"):
        sys.stdout.write(f"{name}: {result[name]}\n")


if __name__ == "__main__":
    main()
