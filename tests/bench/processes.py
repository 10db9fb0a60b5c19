"""`scripts/bench processes`: one web process against several, on one PostgreSQL, in alternating rounds of one run.

Each web process brings a writer of its own, and they meet at the city's head row. Check-ins go to one activity, and
transfers debit one account. Both servers run throughout; an idle one costs next to nothing. `ratio_4_to_1` is the lower
of the ratios for check-ins and for transfers; the name keeps the 4 whatever `--processes` says. After the run the book
is audited, an export is verified, and every acknowledged entry must be there: if not, all figures are 0.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from contextlib import ExitStack
from statistics import median

from ledger.config import ANY, CORES
from tests.bench.rig import product, report
from tests.bench.rig.client import Answers
from tests.bench.rig.databases import KINDS, POSTGRESQL, databases
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.traffic import Traffic, say

WARM_UP_SECONDS = 1.0
LEARNERS_PER_SECOND = 6_000
ONE, SEVERAL = "1", "4"
RATIOS = {
    "ratio_checkin_4_to_1": ("checkin_4_per_s", "checkin_1_per_s"),
    "ratio_transfer_4_to_1": ("transfer_4_per_s", "transfer_1_per_s"),
}

Rounds = defaultdict[str, list[float]]


def one_round(traffic: Traffic, ports: dict[str, int], rounds: Rounds) -> None:
    """Check-ins, then transfers, at each of the servers in turn."""
    for what, load in (("checkin", traffic.checkin), ("transfer", traffic.transfer)):
        for label, port in ports.items():
            answers: Answers = load(port)
            rounds[f"{what}_{label}_per_s"].append(answers.per_s)
            rounds[f"{what}_{label}_p99_ms"].append(answers.p99_ms)


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    with ExitStack() as stack:
        homes = stack.enter_context(databases(options.database, memory_only=options.memory))
        people = int(options.seconds * LEARNERS_PER_SECOND)
        say(f"preparing {people} learners")
        made = product.prepare(homes.directory, homes.product, people)
        stack.callback(made.close)
        traffic, before = Traffic(made, options.clients, WARM_UP_SECONDS), made.size()
        ports = {ONE: made.serve(1, options.cores), SEVERAL: made.serve(options.processes, options.cores)}
        one_round(traffic, ports, defaultdict(list))
        traffic.seconds, rounds = options.seconds, Rounds(list)
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            # Every other round begins with the other one, so that neither always meets what its rival left behind.
            one_round(traffic, ports if number % 2 else dict(reversed(ports.items())), rounds)
        say("auditing")
        findings, deadlocks = traffic.findings(homes.directory / "export", before), made.deadlocks()
        figures = {name: round(median(values), 1) if not findings else 0.0 for name, values in rounds.items()}
        ratios = report.ratios(RATIOS, figures)
        return {
            **figures,
            **ratios,
            "ratio_4_to_1": min(ratios.values()),
            "audit_ok": not findings,
            "findings": findings[:10],
            "failed": dict(traffic.failed),
            "deadlocks": deadlocks,
            "entries": made.size(),
            "database": options.database,
            "clients": options.clients,
            "processes": options.processes,
            "cores": options.cores,
            "seconds": options.seconds,
            "rounds": {name: [round(value, 1) for value in values] for name, values in rounds.items()},
        }


def main() -> int:
    """Measure and print; 1 if the figures count as zero."""
    parser = argparse.ArgumentParser(prog="scripts/bench processes", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--database", choices=KINDS, default=POSTGRESQL)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=4, choices=range(1, product.MOST_ACTIVITIES // 2), metavar="N")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4, help="of the server that is compared with one of one")
    parser.add_argument("--cores", choices=CORES, default=ANY, help="where the processes of both servers run")
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    end_in_order()
    result = measure(options)
    report.tell(options.database, result, as_json=options.json)
    return 0 if result["audit_ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
