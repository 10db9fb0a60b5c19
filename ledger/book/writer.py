"""The single writer of each city, with group commit.

Whoever wants something written hands the writer a command and waits. One thread per city takes all that wait, runs
them in one transaction, gives their entries seq and time, seals them under one signed checkpoint, commits once, and
then answers everybody:

    submit → queue → [ lock head │ expire due holds │ sign in │ read ahead │ command … │ seal │ commit ] → answers

Commands that stage everything they write (`staged_only`) and say what they will read (`reads`) are carried out as
sets: one statement a table for all of them. Any other command has a savepoint of its own.

Bounds: at most `MAX_BATCH` commands a batch, which waits up to `MAX_WAIT_SECONDS` for as many as the last one held;
`MAX_QUEUE` waiting, beyond which `Overloaded` is raised at once and nothing was done. An acknowledged command is
durable, in the tree and covered by a checkpoint.

Between processes the guard is the city's head row (SQLite: the file's write lock), taken before anything is read;
nothing is trusted across batches. If the database breaks off before the commit, nothing was done and the answer is
`Overloaded`; if it breaks off during the commit, the writer takes the head again, which only a transaction that has
ended lets go, and looks for the batch's first entry before it answers anybody. When it cannot look, the answer is
`OutcomeUnknown`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, OperationalError

from ledger.book import cases, cities, holds, idempotency, seal
from ledger.book.cities import City, KeyRing, LogEnd
from ledger.book.commands import Command, Outcome, Value, Wanted, known
from ledger.book.entries import Entry
from ledger.book.idempotency import ANSWERS
from ledger.book.line import Blocked, Line, Served, Waiting
from ledger.book.noting import Noter
from ledger.book.seal import Published
from ledger.book.unit import Place, Unit
from ledger.db import Database, Transaction
from ledger.errors import LedgerError, OutcomeUnknown, Overloaded
from ledger.observing import SILENT, Batch, Observer
from ledger.values import utc_now

MAX_BATCH = 256
MAX_QUEUE = 4_096
MAX_WAIT_SECONDS = 0.003
AHEAD = timedelta(seconds=1)
"""How far beyond its own time a batch looks for holds that run out: whoever has the head may let it wait so long."""

log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """A batch that holds the head: the city and where its log ends, and the holds that run out by some time."""

    transaction: Transaction
    city: City
    end: LogEnd
    due: list[tuple[int, datetime]]
    until: datetime


@dataclass
class _Carried:
    """What one batch did: an outcome for each command, and the checkpoint, if any, that has yet to be noted."""

    outcomes: list[Outcome[Any] | Exception]
    unit: Unit
    note: str | None
    commit_seconds: float = 0.0


_Waiting = Waiting[Wanted[Any], Outcome[Any]]
_Line = Line[Wanted[Any], Outcome[Any]]
_Served = Served[Wanted[Any], Outcome[Any]]

_Coming = Callable[[], Sequence[Wanted[Any]]]
"""The commands of a batch; asked for once the head is held."""


class Writer:
    """The writers of all cities of an installation, in this process. Threads start when first needed.

    Args:
        database: where to write.
        keys: the cities' key files.
        published: the last checkpoints that were shown.
        clock: the current instant; entries bear it unless the log's last entry is later.
        observer: is told of every batch.
        max_queue: how many commands of a city may wait.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        published: Published,
        clock: Callable[[], datetime] = utc_now,
        observer: Observer = SILENT,
        *,
        max_queue: int = MAX_QUEUE,
    ) -> None:
        self.database = database
        self.keys = keys
        self.published = published
        self.clock = clock
        self.observer = observer
        self.max_queue = max_queue
        self._lines: dict[str, _Line] = {}
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._closed = False
        self._checked: set[str] = set()
        self._noter = Noter(published)

    def submit(self, city: str, command: Wanted[Value]) -> Outcome[Value]:
        """Run a command in the city's next batch; returns once it is committed and sealed.

        Raises:
            LedgerError: whatever the command refused with, or `Overloaded`, or `OutcomeUnknown`.
        """
        waiting: Blocked[Wanted[Value], Outcome[Value]] = Blocked(command)
        self.enter(city, waiting)
        return waiting.wait()

    def enter(self, city: str, waiting: _Waiting) -> None:
        """Put somebody into the city's line, who will be given an outcome or a `LedgerError` as `submit` raises.

        Raises:
            Overloaded: the line is full, or the writer closed; nothing was done, and nothing will be given.
        """
        line = self._line(city)
        with self._guard:  # nothing queues up behind the end that `close` puts into the line
            refused = self._closed or len(line) >= self.max_queue
            if not refused:
                line.put(waiting)
        if refused:
            self.observer.overloaded(city)
            raise Overloaded()

    def knows(self, city: str) -> bool:
        """Whether this process has a writer of the city already, so that entering its line asks no database."""
        return city in self._lines

    def waiting(self) -> dict[str, int]:
        """How many commands wait, by city."""
        return {city: len(line) for city, line in self._lines.copy().items()}

    def healthy(self) -> bool:
        """Whether whoever submits a command will be answered: not closed, and every thread alive."""
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    def execute(
        self, city: str, commands: Sequence[Wanted[Any]], *, now: datetime | None = None
    ) -> list[Outcome[Any] | LedgerError]:
        """Run commands as one batch in this thread; an outcome or a refusal for each, in order.

        Raises:
            LedgerError: the whole batch failed and nothing of it remains; or `OutcomeUnknown`.
        """
        started = time.perf_counter()
        carried = self._batch(city, lambda: commands, now)
        if carried.note is not None:
            self._noter.now(city, carried.note, carried.unit.next_seq)
        self._report(city, carried, 0, time.perf_counter() - started)
        for outcome in carried.outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, LedgerError):
                raise outcome
        return carried.outcomes  # type: ignore[return-value]

    def run(self, city: str, run: Callable[[Unit], Value], *, now: datetime | None = None) -> Value:
        """Run one function in a batch of its own in this thread, for tools and set-up.

        Raises:
            LedgerError: what it refused with.
        """
        outcome = self.execute(city, [Command(run)], now=now)[0]
        if isinstance(outcome, LedgerError):
            raise outcome
        return cast("Value", outcome.value)

    def close(self) -> None:
        """Finish what waits and end the threads; what is submitted from now on is refused."""
        with self._guard:
            self._closed = True
        for line in self._lines.values():
            line.put(None)
        for thread in self._threads:
            thread.join()
        self._noter.close()

    def _line(self, city: str) -> _Line:
        found = self._lines.get(city)
        if found is None:
            with self.database.read() as session:
                cities.get(session, city)
            with self._guard:
                found = self._lines.get(city)
                if found is None:
                    found = _Line()
                    thread = threading.Thread(target=self.serve, args=(city, found), name=f"writer-{city}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
                    self._lines[city] = found
        return found

    def serve(self, city: str, line: _Served) -> None:
        """Carry out what comes in a line, batch by batch, until it ends; in the calling thread."""
        ended = False
        while not ended:
            batch, ended = line.take(MAX_BATCH, MAX_WAIT_SECONDS)
            if batch:
                self._answer(city, batch, line)

    def _answer(self, city: str, batch: list[_Waiting], line: _Served) -> None:
        """Carry a batch out and answer everybody in it."""
        started = time.perf_counter()
        try:
            carried = self._batch(city, partial(_all_now, batch, line), None)
        except Exception as failure:
            if not isinstance(failure, LedgerError):
                log.exception("a batch failed")
            for waiting in batch:
                waiting.give(failure)
            code = failure.code if isinstance(failure, LedgerError) else "internal_error"
            self._tell(Batch(city, len(batch), len(line), time.perf_counter() - started, 0.0, {}, {code: len(batch)}))
            return
        seconds = time.perf_counter() - started
        for waiting, outcome in zip(batch, carried.outcomes, strict=True):
            waiting.give(outcome)
        if carried.note is not None:
            self._noter.soon(city, carried.note, carried.unit.next_seq)
        self._report(city, carried, len(line), seconds)

    def _report(self, city: str, carried: _Carried, waiting: int, seconds: float) -> None:
        refusals = Counter(outcome.code for outcome in carried.outcomes if isinstance(outcome, LedgerError))
        kinds = Counter(carried.unit.kinds)
        self._tell(Batch(city, len(carried.outcomes), waiting, seconds, carried.commit_seconds, kinds, refusals))

    def _tell(self, batch: Batch) -> None:
        try:
            self.observer.batch(batch)
        except Exception:
            log.exception("the observer failed")

    def _batch(self, city_id: str, commands: _Coming, now: datetime | None) -> _Carried:
        lost: DBAPIError | None = None
        with ExitStack() as stack:
            try:
                begun = self._begin(stack, city_id, now)
                carried = self._carry_out(begun, commands, now)
            except DBAPIError as failure:
                if not _is_broken(failure):
                    raise
                log.warning("a batch broke off: %s", failure.orig.__class__.__name__)
                raise Overloaded() from failure
            started = time.perf_counter()
            try:
                begun.transaction.commit()
            except DBAPIError as failure:
                lost = failure
                begun.transaction.invalidate()
            carried.commit_seconds = time.perf_counter() - started
        if lost is not None:
            self._resolve(city_id, carried.unit, lost)
        return carried

    def _begin(self, stack: ExitStack, city_id: str, now: datetime | None) -> _Begun:
        """Open a transaction and take the head; on another connection if the first one has gone meanwhile."""
        until = (now or self.clock()) + AHEAD
        try:
            return _take(stack.enter_context(self.database.transaction()), city_id, until)
        except DBAPIError as failure:
            if not failure.connection_invalidated:
                raise
        stack.close()
        return _take(stack.enter_context(self.database.transaction()), city_id, until)

    def _carry_out(self, begun: _Begun, commands: _Coming, now: datetime | None) -> _Carried:
        """All of a batch but its beginning and its commit."""
        transaction, city, end = begun.transaction, begun.city, begun.end
        now = max(now or self.clock(), end.last_at)
        unit = Unit(transaction, city, self.keys.get(city), now, end.frontier.size)
        due = begun.due if now <= begun.until else cases.ask_due(unit.driver, city.id, now)()
        for seq, expires_at in due:
            if expires_at <= now:
                holds.expire(unit, seq)
        outcomes: list[Outcome[Any] | Exception] = []
        with unit.ahead():
            for staged, group in groupby(known(unit, commands()), lambda command: command.staged_only):
                alike = list(group)
                if staged:
                    _read_ahead(unit, alike)
                for command in alike:
                    unit.go_ahead()
                    outcomes.append(_run(unit, command))
            return _Carried(outcomes, unit, self._seal(unit, end))

    def _seal(self, unit: Unit, end: LogEnd) -> str | None:
        """Write what the batch staged, and sign what it appended, unless the log is not the one that was shown."""
        if unit.leaf_hashes or unit.promises:
            city, size = unit.city.id, end.frontier.size
            if self.published.is_doubted(city, size) or city not in self._checked:
                self.published.check(unit.session, unit.city, unit.keys, size)
                self._checked.add(city)
        return seal.seal(unit, end)

    def _resolve(self, city: str, unit: Unit, failure: DBAPIError) -> None:
        """Learn whether a commit that broke off took place; returns if it did, raises if not or if unknown."""
        log.warning("a commit broke off: %s", failure.orig.__class__.__name__)
        if not unit.leaf_hashes:
            raise OutcomeUnknown(city=city) from failure
        try:
            with self.database.write() as session:
                # The server may still be busy with the lost commit; until that ends, it holds the head.
                cities.take_head(session, city)
                stands = session.scalar(select(Entry.leaf_hash).where(Entry.city == city, Entry.seq == unit.base_size))
        except DBAPIError as silent:
            raise OutcomeUnknown(city=city) from silent
        if stands != unit.leaf_hashes[0]:
            raise Overloaded() from failure


def _take(transaction: Transaction, city: str, until: datetime) -> _Begun:
    """Take a city's head, and look by the way for holds that run out by some time."""
    with transaction.driver.together():
        head, due = cities.ask_head(transaction.driver, city), cases.ask_due(transaction.driver, city, until)
    found, end = head()
    return _Begun(transaction, found, end, due(), until)


def _all_now(batch: list[_Waiting], line: _Served) -> list[Wanted[Any]]:
    """What a batch wants, together with those who came while it waited for the head."""
    batch += line.rest(MAX_BATCH - len(batch))
    return [waiting.asked for waiting in batch]


def _read_ahead(unit: Unit, commands: Sequence[Command[Any]]) -> None:
    """Read what some staged commands will read, each kind by one statement."""
    unit.look_again()
    places: list[Place] = [(ANSWERS, scope.key_hash(unit.keys)) for scope in (one.scope for one in commands) if scope]
    for step in range(max(len(command.reads) for command in commands)):
        for command in commands:
            if step < len(command.reads):
                try:
                    places += command.reads[step](unit)
                except LedgerError:
                    continue  # it will say so itself
                except DBAPIError:
                    raise
                except Exception:
                    log.exception("it cannot be told what a command will read")
        unit.fetch(places)
        places = []
    unit.fetch(places)


def _run(unit: Unit, command: Command[Any]) -> Outcome[Any] | Exception:
    """One command of a batch: its outcome or its refusal. A broken connection ends the whole batch."""
    scope = command.scope
    try:
        with unit.attempt(staged_only=command.staged_only):
            if scope is not None:
                unit.key_hash = scope.key_hash(unit.keys)
                answer = idempotency.recall(unit, scope, unit.key_hash)
                if answer is not None:
                    return Outcome(replayed=answer)
            value = command.run(unit)
            if scope is not None and unit.key_hash is not None and command.encode is not None:
                idempotency.store(unit, scope, unit.key_hash, command.encode(value))
            return Outcome(value)
    except LedgerError as refusal:
        return refusal
    except DBAPIError as failure:
        if _is_broken(failure):
            raise
        log.exception("a command failed in the database")
        return failure
    except Exception as fault:
        log.exception("a command failed")
        return fault


def _is_broken(failure: DBAPIError) -> bool:
    """Whether the connection or the transaction is lost, so that the whole batch is."""
    return failure.connection_invalidated or isinstance(failure, OperationalError)
