"""`scripts/bench ledger`: what the ledger carries, beside what the web framework and a naive ledger carry.

    echo             plain Flask and marshmallow on the product's web server, nothing behind them
    checkin          a real check-in over HTTP: sign-in, code, policy, caps, reward, receipt; every scan one budget
    transfer, batch  the treasurer's entries over HTTP, one or 100 a request, all debiting one account
    post_many        transfers in process, 500 a batch
    naive            one request, one transaction, nothing more: check-ins over HTTP
    naive_many       the same in process, transfers, by as many clients as there are over HTTP; and
    naive_alone      by one client, which on some machines is faster, since nobody waits for a lock

All of it runs in turns in short rounds on one machine; the figures are the medians of the rounds, and the ratios are
ratios of these. Every server runs throughout, an idle one costs next to nothing. Databases are on the disk. After the
run the book is audited, an export is verified, and every acknowledged entry must be there: if not, all figures are 0.
`--long` adds five minutes of check-ins and transfers; then a request that fails or a deadlock makes all figures 0, too.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ledger.config import ANY, CORES
from ledger.process import collect_rarely
from tests.bench.rig import client, echo, naive, product, report, web
from tests.bench.rig.client import Load, request
from tests.bench.rig.databases import KINDS, SQLITE, Databases, databases, syncs_per_s
from tests.bench.rig.naive import Naive
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.product import PATH, shop
from tests.bench.rig.traffic import BATCH, Traffic, say

WARM_UP_SECONDS = 1.0
LEARNERS_PER_SECOND = 6_000
"""How many learners stand ready for each second of a round; a round that runs out of them ends early."""
LONG_SECONDS = 300

Figures = dict[str, float]


@dataclass
class Bench:
    """One run: the servers' ports, and what was found."""

    options: argparse.Namespace
    traffic: Traffic
    naive: Naive
    ports: dict[str, int] = field(default_factory=dict)
    rounds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def echo(self) -> Figures:
        """One round of the bare framework, with the requests of a check-in; and what the client takes for one."""
        people = self.traffic.product.people[: self.options.clients]
        sent = [request("/check-ins", {"code": "k" * 20}, person.token) for person in people]
        answers = self.traffic.load("echo", self.ports["echo"], sent)
        return {"echo_per_s": answers.per_s, "client_us": answers.client_us}

    def checkin(self) -> Figures:
        """One round of check-ins."""
        answers = self.traffic.checkin(self.ports["product"])
        return {"checkin_per_s": answers.per_s, "checkin_p50_ms": answers.p50_ms, "checkin_p99_ms": answers.p99_ms}

    def transfer(self) -> Figures:
        """One round of single transfers."""
        return {"transfer_per_s": self.traffic.transfer(self.ports["product"]).per_s}

    def batch(self) -> Figures:
        """One round of batches; counted in transfers."""
        return {"batch_per_s": self.traffic.batch(self.ports["product"]).per_s * BATCH}

    def post_many(self) -> Figures:
        """One round of batches in process."""
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < self.traffic.seconds:
            count += self.traffic.post_many()
        return {"post_many_per_s": count / elapsed}

    def naive_checkin(self) -> Figures:
        """One round of the naive ledger's check-ins at a new activity."""
        code = {"code": secrets.token_hex(10)}
        sent = [request("/check-ins", code, person.token) for person in self.traffic.product.people]
        answers = self.traffic.load("naive", self.ports["naive"], sent, once=True)
        return {"naive_per_s": answers.per_s, "naive_p99_ms": answers.p99_ms}

    def naive_many(self) -> Figures:
        """One round of the naive ledger's transfers in process, by all clients at once."""
        targets = [shop(index) for index in range(self.options.clients)]
        return {"naive_post_many_per_s": self.naive.transfer_for(self.traffic.seconds, targets)}

    def naive_alone(self) -> Figures:
        """The same by one client."""
        return {"naive_alone_per_s": self.naive.transfer_for(self.traffic.seconds, [shop(0)])}

    def run(self, turns: Sequence[Callable[[Bench], Figures]]) -> None:
        """Warm everything up, then measure in turns."""
        self.traffic.seconds = min(WARM_UP_SECONDS, self.options.seconds)
        for turn in turns:
            turn(self)
        self.traffic.seconds = self.options.seconds
        for number in range(self.options.rounds):
            for turn in turns:
                say(f"round {number + 1} of {self.options.rounds}: {turn.__name__}")
                for name, value in turn(self).items():
                    self.rounds[name].append(value)

    def endure(self) -> Figures:
        """The long round."""
        say(f"{LONG_SECONDS} seconds of check-ins and transfers")
        answers = self.traffic.mixed(self.ports["product"], LONG_SECONDS)
        return {
            "long_seconds": round(answers.seconds, 1),
            "long_per_s": round(answers.per_s, 1),
            "long_p50_ms": round(answers.p50_ms, 1),
            "long_p99_ms": round(answers.p99_ms, 1),
            "long_slowest_ms": round(answers.slowest_ms, 1),
        }


TURNS: dict[str, Callable[[Bench], Figures]] = {
    "echo": Bench.echo,
    "checkin": Bench.checkin,
    "naive": Bench.naive_checkin,
    "transfer": Bench.transfer,
    "batch": Bench.batch,
    "post_many": Bench.post_many,
    "naive_many": Bench.naive_many,
    "naive_alone": Bench.naive_alone,
}


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    with ExitStack() as stack:
        homes: Databases = stack.enter_context(databases(options.database, memory_only=options.memory))
        people = int(options.seconds * LEARNERS_PER_SECOND)
        say(f"preparing {people} learners")
        made = product.prepare(homes.directory, homes.product, people)
        stack.callback(made.close)
        plain = Naive(homes.other)
        stack.callback(plain.close)
        shops = [shop(index) for index in range(product.SHOPS)]
        plain.create(((one.learner, one.token) for one in made.people), ["treasury", *shops])
        bench = Bench(options, Traffic(made, options.clients, options.seconds), plain)
        before, broken = made.size(), made.deadlocks()
        _start(bench, homes, stack)
        bench.run([turn for name, turn in TURNS.items() if name in options.only])
        long = bench.endure() if options.long else {}
        say("auditing")
        findings = bench.traffic.findings(homes.directory / "export", before)
        broken = made.deadlocks() - broken
        if options.long:
            findings += [f"{why}: {count}" for why, count in bench.traffic.failed.items() if why.startswith("product")]
            findings += [f"deadlocks: {broken}"] if broken else []
        return {
            **report.figures(bench.rounds, sound=not findings),
            **(long if not findings else dict.fromkeys(long, 0.0)),
            "audit_ok": not findings,
            "findings": findings[:10],
            "failed_requests": sum(bench.traffic.failed.values()),
            "failed": dict(bench.traffic.failed),
            "deadlocks": broken,
            "entries": made.size(),
            "database": options.database,
            "clients": options.clients,
            "workers": options.workers,
            "cores": options.cores,
            "seconds": options.seconds,
            "disk_syncs_per_s": round(syncs_per_s(homes.directory)),
            "rounds": {name: [round(value, 1) for value in values] for name, values in bench.rounds.items()},
        }


def _start(bench: Bench, homes: Databases, stack: ExitStack) -> None:
    """Start the product, ask it once for the length of its answer, and start the others."""
    made, workers, cores = bench.traffic.product, bench.options.workers, bench.options.cores
    bench.ports["product"] = made.serve(workers, cores)
    first = request(f"{PATH}/check-ins", {"code": bench.traffic.new_activity()}, made.people[0].token)
    length = client.run(Load(bench.ports["product"], 1, 5, [first], once=True)).body_bytes
    environment = {echo.ANSWER_BYTES: str(length), naive.DATABASE: homes.other, "KGO_CORES": cores}
    for name in web.APPLICATIONS:
        log = homes.directory / f"{name}.log"
        server, bench.ports[name] = web.start(name, log, workers, environment)
        stack.callback(server.kill)


def _only(given: str) -> set[str]:
    """The turns that are named, and the echo, which says how fast the machine is at the moment."""
    names = {*given.split(","), "echo"}
    if unknown := names - {*TURNS}:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(TURNS)}")
    return names


def main() -> int:
    """Measure and print; 1 if the figures count as zero."""
    parser = argparse.ArgumentParser(prog="scripts/bench ledger", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, product.MOST_ACTIVITIES - 1), metavar="N")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="processes of every server")
    parser.add_argument("--cores", choices=CORES, default=ANY, help="where the processes of every server run")
    parser.add_argument("--only", type=_only, default={*TURNS}, metavar="TURN,…", help=f"some of {', '.join(TURNS)}")
    parser.add_argument("--long", action="store_true", help=f"{LONG_SECONDS} seconds more, in which nothing may fail")
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    end_in_order()
    collect_rarely()  # as `kgo` does, for what runs in process
    result = measure(options)
    report.tell(options.database, result, as_json=options.json)
    return 0 if result["audit_ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
