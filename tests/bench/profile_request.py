"""`scripts/bench profile_request`: where the time of one HTTP request goes, in process, without a server.

Clients call the product's application in one event loop as a server would, beside an echo by plain Flask and
marshmallow in threads. Three passes, each with fresh requests:

    cost     nothing is watched: microseconds a request, by the clock and of the processors
    spans    parts of a request are timed where they begin and end, in processor time and by the clock.
             `--span LABEL=module:function` times one more function, which must not await anything
    profile  cProfile in both threads, in processor time: the loop's, then the writer's
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest import mock

from api.app import create_app, front_of
from api.lane import Lane
from api.services import EXTENSION
from ledger.serving import THREADS
from tests.bench.rig import asgi, echo, product, wsgi
from tests.bench.rig.databases import KINDS, SQLITE, databases
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.product import PATH, Product, shop
from tests.bench.rig.wsgi import Call, Cost

CHECKINS, TRANSFERS = "checkins", "transfers"

SPANS = {
    "sign-in": "ledger.people.tokens:place",
    "load": "api.bodies:read",
    "dump": "api.bodies:dump",
    "writer's batch": "ledger.book.writer:Writer._batch",
}
"""What is timed. The writer's batch runs in its own thread, while requests wait for it."""


@dataclass
class Spans:
    """Time spent inside some functions, over all threads; each thread adds to totals of its own."""

    _own: threading.local = field(default_factory=threading.local)
    _all: list[defaultdict[str, list[float]]] = field(default_factory=list)

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time noted."""

        def call(*arguments: Any, **named: Any) -> Any:
            used, started = time.thread_time(), time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                total = self._totals()[label]
                total[0] += 1
                total[1] += time.thread_time() - used
                total[2] += time.perf_counter() - started

        return call

    def total(self, label: str) -> tuple[float, float, float]:
        """Calls, seconds of the processors, seconds by the clock."""
        calls, used, waited = (sum(column) for column in zip(*(one[label] for one in self._all), strict=True))
        return calls, used, waited

    def _totals(self) -> defaultdict[str, list[float]]:
        if not hasattr(self._own, "totals"):
            self._own.totals = defaultdict(lambda: [0.0, 0.0, 0.0])
            self._all.append(self._own.totals)
        found: defaultdict[str, list[float]] = self._own.totals
        return found


@dataclass
class Bench:
    """One run."""

    options: argparse.Namespace
    product: Product
    _activities: int = 0

    def calls(self) -> list[Call]:
        """As many requests as are to be measured, none of which was sent before."""
        count = self.options.count
        if self.options.what == TRANSFERS:
            body = {"kind": "transfer", "from": "treasury", "amount_minor": 1}
            return [Call.of(f"{PATH}/entries", {**body, "to": shop(at)}, self.product.treasurer) for at in range(count)]
        self._activities += 1
        code = {"code": self.product.new_activity(f"profile-{self._activities}")}
        return [Call.of(f"{PATH}/check-ins", code, person.token) for person in self.product.people[:count]]

    @contextmanager
    def app(self) -> Iterator[Lane]:
        """The application, warmed up; its writer's thread ends with it."""
        app = create_app(self.product.installation.settings)
        front = front_of(app)
        try:
            asgi.carry_out(front, self.calls()[: self.options.clients], self.options.clients)
            yield front
        finally:
            app.extensions[EXTENSION].installation.close()

    def echo_cost(self) -> Cost:
        """What the bare framework costs."""
        calls = [Call.of("/check-ins", {"code": "k" * 20}, person.token) for person in self.product.people]
        app = echo.create_app()
        wsgi.carry_out(app, calls[: self.options.clients], self.options.clients)
        return wsgi.carry_out(app, calls, self.options.clients)

    def cost(self) -> Cost:
        """What the product costs."""
        with self.app() as app:
            return asgi.carry_out(app, self.calls(), self.options.clients)

    def spans(self) -> str:
        """The parts of a request, as a table."""
        watched = {**SPANS, **dict(one.split("=", 1) for one in self.options.span)}
        spans, missing = Spans(), []
        with self.app() as app, ExitStack() as stack:
            for label, place in list(watched.items()):
                holder, name = _place(place)
                if not hasattr(holder, name):
                    missing.append(place)
                    del watched[label]
                    continue
                stack.enter_context(mock.patch.object(holder, name, spans.timed(label, getattr(holder, name))))
            whole = asgi.carry_out(app, self.calls(), self.options.clients)
        totals = {label: spans.total(label) for label in watched}
        lines = [f"{'':20}{'calls':>8}{'processor µs':>14}{'clock µs':>12}   a request"]
        for label, (calls, used, waited) in totals.items():
            used_us, waited_us = (1e6 * seconds / whole.requests for seconds in (used, waited))
            lines.append(f"{label:20}{calls:8,.0f}{used_us:14,.0f}{waited_us:12,.0f}")
        lines += [f"not there any more: {place}" for place in missing]
        return "\n".join(lines)

    def profile(self) -> str:
        """What cProfile says of the request's threads and of the writer's."""
        writers: list[cProfile.Profile] = []

        def begin(*_event: object) -> None:
            """Runs at the first event of a new thread, and gives its place to a profiler."""
            profiler = cProfile.Profile(time.thread_time)
            writers.append(profiler)
            profiler.enable()

        threading.setprofile(begin)
        loop = cProfile.Profile(time.thread_time)
        try:
            with self.app() as app:
                loop.runcall(asgi.carry_out, app, self.calls(), self.options.clients)
        finally:
            threading.setprofile(None)
        return self._top("the loop's thread", [loop]) + self._top("the writer's thread", writers)

    def _top(self, title: str, profiles: Sequence[cProfile.Profile]) -> str:
        text = io.StringIO()
        statistics = pstats.Stats(profiles[0], stream=text)
        statistics.add(*profiles[1:])
        statistics.strip_dirs()
        for order in ("tottime", "cumulative"):
            statistics.sort_stats(order).print_stats(self.options.top)
        return f"\n{title}, {self.options.count} requests, seconds of the processors\n{text.getvalue()}"


def _place(place: str) -> tuple[Any, str]:
    """The object that holds the function of `module:a.b`, and its name there."""
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    holder: Any = import_module(module)
    for parent in parents:
        holder = getattr(holder, parent)
    return holder, name


def measure(options: argparse.Namespace) -> None:
    """The three passes, each printed when it is done."""
    with databases(options.database, memory_only=options.memory) as homes:
        bench = Bench(options, product.prepare(homes.directory, homes.product, options.count))
        try:
            for name, cost in (("echo", bench.echo_cost()), (options.what, bench.cost())):
                _print(
                    f"{name}: {cost.wall_us:,.0f} µs a request by the clock ({1e6 / cost.wall_us:,.0f}/s), "
                    f"{cost.processor_us:,.0f} µs of the processors"
                )
            _print("\n" + bench.spans())
            if options.top:
                _print(bench.profile())
        finally:
            bench.product.close()


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench profile_request", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--what", choices=(CHECKINS, TRANSFERS), default=CHECKINS)
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    parser.add_argument("--count", type=int, default=3_000, help="requests of each pass")
    parser.add_argument("--clients", type=int, default=THREADS, help="that call the application at once")
    parser.add_argument("--top", type=int, default=25, help="lines of each list of the profile; 0 leaves it out")
    parser.add_argument("--span", action="append", default=[], metavar="LABEL=MODULE:FUNCTION", help="time this too")
    parser.add_argument("--memory", action="store_true", help="the database in memory")
    options = parser.parse_args()
    end_in_order()
    measure(options)


if __name__ == "__main__":
    main()
