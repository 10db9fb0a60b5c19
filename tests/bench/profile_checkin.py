"""`scripts/bench profile_checkin`: where the writer's time goes, in process, without HTTP.

Check-ins run through `Writer.execute` in batches of the size that 64 clients make; `--what` chooses single transfers
or `post_many` instead. First without a profiler, for the true cost of a command: as the clock saw it, and what this
process spent of its processor; the rest was waited for (the disk, PostgreSQL, other processes). Then under cProfile,
which makes many small Python functions look dearer than they are beside SQL.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import sys
import time
from typing import Any

from ledger.book.commands import Command
from ledger.errors import LedgerError
from ledger.people.roles import LEARNER, Principal
from ledger.programme import checkins
from ledger.programme.checkins import CheckIn
from tests.bench.rig import product
from tests.bench.rig.databases import KINDS, SQLITE, databases
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.product import CITY, Product

CHECKINS, TRANSFERS, POST_MANY = "checkins", "transfers", "post_many"


def commands(made: Product, what: str, activity: str, count: int) -> list[Command[Any]]:
    """As many commands as are to be measured."""
    if what == TRANSFERS:
        return [product.single_transfer(index) for index in range(count)]
    code = CheckIn(made.new_activity(activity))
    return [_check_in(person.learner, code) for person in made.people[:count]]


def _check_in(learner: str, code: CheckIn) -> Command[Any]:
    principal = Principal(CITY, frozenset({LEARNER}), learner, "bench")
    return checkins.command(principal, code)


def carry_out(made: Product, what: str, activity: str, count: int, batch: int) -> None:
    """Run `count` commands, `batch` at a time; any refusal is an error."""
    if what == POST_MANY:
        for _ in range(count // batch):
            made.post_many(batch)
        return
    waiting = commands(made, what, activity, count)
    for start in range(0, count, batch):
        for outcome in made.installation.writer.execute(CITY, waiting[start : start + batch]):
            if isinstance(outcome, LedgerError):
                raise outcome


def profile(options: argparse.Namespace) -> str:
    """The two passes, as text."""
    with databases(options.database, memory_only=options.memory) as homes:
        made = product.prepare(homes.directory, homes.product, options.count)
        try:
            carry_out(made, options.what, "warm-up", options.batch, options.batch)
            started, used = time.perf_counter(), time.process_time()
            carry_out(made, options.what, "plain", options.count, options.batch)
            elapsed, used = time.perf_counter() - started, time.process_time() - used
            profiler = cProfile.Profile()
            profiler.runcall(carry_out, made, options.what, "profiled", options.count, options.batch)
        finally:
            made.close()
    each, of_processor = (1e6 * seconds / options.count for seconds in (elapsed, used))
    head = (
        f"{options.what} on {options.database}, {options.batch} a batch: {1e6 / each:,.0f}/s, {each:,.0f} µs each, "
        f"of which this process computes {of_processor:,.0f} µs ({1e6 / of_processor:,.0f}/s)\n"
    )
    text = io.StringIO()
    statistics = pstats.Stats(profiler, stream=text).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(options.top)
    return head + text.getvalue()


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench profile_checkin", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--what", choices=(CHECKINS, TRANSFERS, POST_MANY), default=CHECKINS)
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--top", type=int, default=25, help="lines of each list")
    parser.add_argument("--memory", action="store_true", help="the database in memory")
    options = parser.parse_args()
    end_in_order()
    sys.stdout.write(profile(options))


if __name__ == "__main__":
    main()
