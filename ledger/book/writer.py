"""The single writer of each city, with group commit.

Whoever wants something written hands the writer a command and waits. One thread per city takes all that wait, runs
them in one transaction (a savepoint each), gives their entries seq and time, seals them under one signed
checkpoint, commits once, and then answers everybody:

    submit ─→ queue ─→ [ lock head │ expire due holds │ command … command │ seal │ commit ] ─→ answers

Bounds: at most `MAX_BATCH` commands a batch and `MAX_QUEUE` waiting; beyond that `Overloaded` is raised at once and
nothing was done. An acknowledged command is durable, in the tree and covered by a checkpoint.

Between processes the guard is the city's head row (SQLite: the file's write lock), taken before anything is read;
nothing is trusted across batches. If the database breaks off before the commit, nothing was done and the answer is
`Overloaded`; if it breaks off during the commit, the writer takes the head again, which only a transaction that has
ended lets go, and looks for the batch's first entry before it answers anybody. When it cannot look, the answer is
`OutcomeUnknown`.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from ledger.book import cities, holds, idempotency, seal
from ledger.book.cities import Head, KeyRing
from ledger.book.entries import Entry
from ledger.book.idempotency import Scope
from ledger.book.seal import Published
from ledger.book.unit import Unit
from ledger.db import Database
from ledger.errors import LedgerError, NotFound, OutcomeUnknown, Overloaded
from ledger.values import utc_now

MAX_BATCH = 256
MAX_QUEUE = 4_096
RETRY_AFTER_SECONDS = 1

Value = TypeVar("Value")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command(Generic[Value]):
    """Something to be done in the writer's transaction.

    Attributes:
        run: does it, and returns what it did. It may raise a `LedgerError`; then nothing of it remains.
        scope: the idempotency key it came with, if any.
        encode: the answer to store under that key; needed where there is a scope.
        staged_only: it writes through the unit's `put` and `insert` alone; see `Unit.attempt`. Much faster.
    """

    run: Callable[[Unit], Value]
    scope: Scope | None = None
    encode: Callable[[Value], bytes] | None = None
    staged_only: bool = False


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of a command: its value, or the stored answer of the first time it came."""

    value: Value | None = None
    replayed: bytes | None = None


@dataclass
class _Waiting:
    command: Command[Any]
    answer: Future[Outcome[Any]] = field(default_factory=Future)


class Writer:
    """The writers of all cities of an installation, in this process. Threads start when first needed.

    Args:
        database: where to write.
        keys: the cities' key files.
        published: the last checkpoints that were shown.
        clock: the current instant; entries bear it unless the log's last entry is later.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        published: Published,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.database = database
        self.keys = keys
        self.published = published
        self.clock = clock
        self._queues: dict[str, queue.Queue[_Waiting | None]] = {}
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._closed = False
        self._checked: set[str] = set()

    def submit(self, city: str, command: Command[Value]) -> Outcome[Value]:
        """Run a command in the city's next batch; returns once it is committed and sealed.

        Raises:
            LedgerError: whatever the command refused with, or `Overloaded`, or `OutcomeUnknown`.
        """
        waiting, line = _Waiting(command), self._queue(city)
        with self._guard:  # nothing queues up behind the end that `close` puts into the line
            if self._closed or line.full():
                raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)
            line.put_nowait(waiting)
        return waiting.answer.result()

    def execute(
        self, city: str, commands: Sequence[Command[Any]], *, now: datetime | None = None
    ) -> list[Outcome[Any] | LedgerError]:
        """Run commands as one batch in this thread; an outcome or a refusal for each, in order.

        Raises:
            LedgerError: the whole batch failed and nothing of it remains; or `OutcomeUnknown`.
        """
        outcomes = self._batch(city, commands, now)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, LedgerError):
                raise outcome
        return outcomes  # type: ignore[return-value]

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
        for waiting in self._queues.values():
            waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _queue(self, city: str) -> queue.Queue[_Waiting | None]:
        found = self._queues.get(city)
        if found is None:
            with self.database.read() as session:
                cities.get(session, city)
            with self._guard:
                found = self._queues.get(city)
                if found is None:
                    found = queue.Queue(MAX_QUEUE)
                    thread = threading.Thread(
                        target=self._serve, args=(city, found), name=f"writer-{city}", daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()
                    self._queues[city] = found
        return found

    def _serve(self, city: str, waiting: queue.Queue[_Waiting | None]) -> None:
        while (first := waiting.get()) is not None:
            batch, ended = [first], False
            while len(batch) < MAX_BATCH and not ended:
                try:
                    following = waiting.get_nowait()
                except queue.Empty:
                    break
                ended = following is None
                if following is not None:
                    batch.append(following)
            self._answer(city, batch)
            if ended:
                return

    def _answer(self, city: str, batch: list[_Waiting]) -> None:
        try:
            outcomes = self._batch(city, [waiting.command for waiting in batch], None)
        except Exception as failure:
            if not isinstance(failure, LedgerError):
                log.exception("a batch failed")
            for waiting in batch:
                waiting.answer.set_exception(failure)
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)

    def _batch(
        self, city_id: str, commands: Sequence[Command[Any]], now: datetime | None
    ) -> list[Outcome[Any] | Exception]:
        lost: DBAPIError | None = None
        with self.database.write() as session:
            try:
                unit, outcomes, note = self._carry_out(session, city_id, commands, now)
            except DBAPIError as failure:
                if not _is_broken(failure):
                    raise
                log.warning("a batch broke off: %s", failure.orig.__class__.__name__)
                raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS) from failure
            try:
                session.commit()
            except DBAPIError as failure:
                lost = failure
                session.invalidate()  # the connection may still be inside the transaction: nobody gets it again
        if lost is not None:
            self._resolve(city_id, unit, lost)
        if note is not None:
            self._publish(city_id, note, unit.next_seq)
        return outcomes

    def _carry_out(
        self, session: Session, city_id: str, commands: Sequence[Command[Any]], now: datetime | None
    ) -> tuple[Unit, list[Outcome[Any] | Exception], str | None]:
        """All of a batch but its commit; the note is None where no entry came about."""
        head = session.scalars(select(Head).where(Head.city == city_id).with_for_update()).one_or_none()
        if head is None:
            raise NotFound("city", city_id)
        city = cities.get(session, city_id)
        keys = self.keys.get(city)
        if city_id not in self._checked:
            self.published.check(session, city, keys)
            self._checked.add(city_id)
        unit = Unit(session, city, keys, max(now or self.clock(), head.last_at), head.size)
        holds.expire_due(unit)
        outcomes = [_run(unit, command) for command in commands]
        note = seal.seal(unit, head) if unit.leaf_hashes else None
        unit.flush()
        return unit, outcomes, note

    def _publish(self, city: str, note: str, size: int) -> None:
        """Remember the checkpoint beside the database. The batch stands, whether or not that works."""
        try:
            self.published.record(city, note, size)
        except (OSError, ValueError):
            log.exception("the checkpoint of %s at %s could not be noted in %s", city, size, self.published.directory)

    def _resolve(self, city: str, unit: Unit, failure: DBAPIError) -> None:
        """Learn whether a commit that broke off took place; returns if it did, raises if not or if unknown."""
        log.warning("a commit broke off: %s", failure.orig.__class__.__name__)
        if not unit.leaf_hashes:
            raise OutcomeUnknown(city=city) from failure
        try:
            with self.database.write() as session:
                # The server may still be busy with the lost commit; until that ends, it holds the head.
                session.scalars(select(Head.size).where(Head.city == city).with_for_update()).one()
                stands = session.scalar(select(Entry.leaf_hash).where(Entry.city == city, Entry.seq == unit.base_size))
        except DBAPIError as silent:
            raise OutcomeUnknown(city=city) from silent
        if stands != unit.leaf_hashes[0]:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS) from failure


def _run(unit: Unit, command: Command[Any]) -> Outcome[Any] | Exception:
    """One command of a batch: its outcome or its refusal. A broken connection ends the whole batch."""
    scope = command.scope
    try:
        with unit.attempt(staged_only=command.staged_only):
            if scope is not None:
                answer = idempotency.recall(unit, scope)
                if answer is not None:
                    return Outcome(replayed=answer)
                unit.key_hash = scope.key_hash(unit.keys)
            value = command.run(unit)
            if scope is not None and command.encode is not None:
                idempotency.store(unit, scope, command.encode(value))
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
