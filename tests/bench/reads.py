"""`scripts/bench reads`: how long a read takes, and how much memory an export, as the log grows.

    balance           of the account that every entry debits
    balance_as_of     of the same at a random instant of its past
    statement         the newest page of the same
    statement_deep    a page at a random place of its past
    proof             the inclusion proof of a random entry, as the API serves it

Two installations stand side by side, with the smallest and with the largest of the sizes, and are read in turns: what
disturbs the machine disturbs both, and the ratio of the two medians says whether a read depends on the size. Each read
is a snapshot of its own, in process. Sizes in between are measured in passing, while the larger log grows.
`export` and `verify` run as commands in processes of their own at each size, and `audit` with `--audit`, since it takes
long; one that fails or finds anything ends the run with an error.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from sqlalchemy.orm import Session

from api.i18n import Catalogue
from api.operations import Ask
from api.services import CityFacts, Services
from api.v1 import entries as served
from ledger.book import accounts, statements
from ledger.book.entries import Entry
from ledger.book.legs import SIDES
from ledger.errors import Overloaded
from ledger.people.roles import Principal
from tests.bench.rig import peak, product, report
from tests.bench.rig.databases import KINDS, SQLITE, databases
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.product import CITY, Product
from tests.bench.rig.traffic import say

HOT = "treasury"
FILL = 1_000
"""How many transfers a batch has while a log is filled."""
TURNS = 10
SEED = 11

Read = Callable[[Session], object]


@dataclass
class Log:
    """One installation and what its reads ask for."""

    product: Product
    facts: CityFacts
    directory: Path
    chance: random.Random
    filled: int = 0
    fill_seconds: float = 0.0
    first: datetime | None = None
    last: datetime | None = None

    def fill(self, size: int) -> None:
        """Let the log grow to at least so many entries."""
        started, before = time.perf_counter(), self.product.size()
        missing = size - before
        while missing > 0:
            try:
                self.product.post_many(min(FILL, missing))
            except Overloaded:  # the process stood still for so long that the database gave the batch up
                say("a batch broke off and is posted again")
                continue
            missing -= FILL
        self.fill_seconds += time.perf_counter() - started
        self.filled += self.product.size() - before
        with self.product.installation.database.read() as session:
            newest = session.get(Entry, (CITY, self.product.size() - 1))
            oldest = session.get(Entry, (CITY, 0))
        assert newest is not None
        assert oldest is not None
        self.first, self.last = oldest.at, newest.at

    def reads(self, count: int) -> dict[str, list[float]]:
        """The microseconds of so many reads of each kind, kinds in turns."""
        found: dict[str, list[float]] = {}
        size = self.product.size()
        for _ in range(count):
            for name, read in self._kinds(size).items():
                started = time.perf_counter()
                with self.product.installation.database.read() as session:
                    read(session)
                found.setdefault(name, []).append(1e6 * (time.perf_counter() - started))
        return found

    def _kinds(self, size: int) -> dict[str, Read]:
        """One read of each kind, at places drawn by chance."""
        assert self.first is not None
        assert self.last is not None
        seq = self.chance.randrange(size)
        cursor = self.chance.randrange(100, size) * statements.MAX_LINES * len(SIDES)
        at = self.first + self.chance.random() * (self.last - self.first)
        return {
            "balance": lambda session: accounts.balance(session, CITY, HOT),
            "balance_as_of": lambda session: accounts.balance(session, CITY, HOT, at),
            "statement": lambda session: statements.statement(session, CITY, HOT),
            "statement_deep": lambda session: statements.statement(session, CITY, HOT, cursor=cursor),
            "proof": lambda session: served.proof(
                Ask(session, Principal.anonymous(CITY), self.facts, self.product.installation.writer.clock()), seq
            ),
        }

    def commands(self, label: str, *, audit: bool) -> dict[str, peak.Peak]:
        """What export, verification and audit take; each must succeed."""
        place, out = self.product.deployment, self.directory / f"export-{label}"
        data = ["--data", str(place.data), "--city", CITY]
        calls = {
            "export": ["export", *data, "--openings", "--out", str(out)],
            "verify": ["verify", "--no-state", str(out)],
            **({"audit": ["audit", *data]} if audit else {}),
        }
        return {name: peak.of(call, place.environment) for name, call in calls.items()}


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    small, *between, large = options.entries
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        homes = stack.enter_context(databases(options.database, memory_only=options.memory))
        logs = [
            _open(stack, homes.directory / name, url)
            for name, url in (("small", homes.other), ("large", homes.product))
        ]
        logs[0].fill(small)
        _commands(logs[0], small, options, figures)
        for size in between:
            say(f"filling up to {size} entries")
            logs[1].fill(size)
            _reads([(logs[1], size)], options.reads, figures)
            _commands(logs[1], size, options, figures)
        say(f"filling up to {large} entries")
        logs[1].fill(large)
        _reads([(logs[0], small), (logs[1], large)], options.reads, figures)
        _commands(logs[1], large, options, figures)
        return {
            **figures,
            **_ratios(figures, small, large),
            "fill_per_s": round(logs[1].filled / logs[1].fill_seconds, 1),
            "audited": options.audit,
            "entries": options.entries,
            "reads": options.reads,
            "database": options.database,
            "rounds": {},
        }


def _open(stack: ExitStack, directory: Path, url: str) -> Log:
    directory.mkdir()
    made = product.prepare(directory, url, 1)
    stack.callback(made.close)
    facts = Services(made.installation, Catalogue.load(), made.installation.writer.clock).city(CITY)
    return Log(made, facts, directory, random.Random(SEED))  # noqa: S311 - places to read at, no secrets


def _reads(logs: Sequence[tuple[Log, int]], count: int, figures: dict[str, float]) -> None:
    """Read the logs in turns, and note the median of each kind of read."""
    for log, _ in logs:
        log.reads(max(1, count // TURNS))
    taken: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for log, size in logs:
            for name, values in log.reads(max(1, count // TURNS)).items():
                taken.setdefault(f"{name}_{size}_us", []).extend(values)
    figures |= {name: round(median(values), 1) for name, values in taken.items()}


def _commands(log: Log, size: int, options: argparse.Namespace, figures: dict[str, float]) -> None:
    say(f"export and verification of {size} entries")
    for name, taken in log.commands(str(size), audit=options.audit).items():
        figures[f"{name}_{size}_mb"] = round(taken.megabytes, 1)
        figures[f"{name}_{size}_s"] = round(taken.seconds, 1)


def _ratios(figures: dict[str, float], small: int, large: int) -> dict[str, float]:
    """The largest log against the smallest, for each kind of read and for the memory of each command."""
    wanted = {}
    for name in figures:
        what, _, unit = name.rpartition("_")
        kind, _, size = what.rpartition("_")
        if size == str(large) and unit in ("us", "mb"):
            suffix = "_memory" if unit == "mb" else ""
            wanted[f"ratio_{kind}{suffix}"] = (name, f"{kind}_{small}_{unit}")
    return report.ratios(wanted, figures)


def _sizes(given: str) -> list[int]:
    sizes = sorted({int(one) for one in given.split(",")})
    if len(sizes) < 2 or sizes[0] < FILL:
        raise argparse.ArgumentTypeError(f"name at least two sizes, from {FILL} entries")
    return sizes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench reads", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    default = "10000,100000,2000000"
    parser.add_argument("--entries", type=_sizes, default=default, metavar="N,…", help=f"sizes of the log; {default}")
    parser.add_argument("--reads", type=int, default=500, help="of each kind, at each size")
    parser.add_argument("--audit", action="store_true", help="audit each log, too; takes minutes for a million")
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    end_in_order()
    result = measure(options)
    report.tell(options.database, result, as_json=options.json)


if __name__ == "__main__":
    main()
