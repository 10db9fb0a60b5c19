"""What a command works with: one city, inside one transaction of that city's writer.

A unit lives as long as a batch. It knows two kinds of book state, both held back until `flush`:

* *Rows* of append-only tables, collected by `insert`.
* *Projections* (balances, cases): values read once, replaced by `put`, and saved once however often they change.
  A hot account is thus touched once per batch.

Whoever knows beforehand what will be read says so (`fetch`): then one statement reads it for the whole batch.

`attempt` is the guard around one command: when it raises, the database goes back to a savepoint and the unit to
where it was, so that a refused command never harms its neighbours. Everything staged before an attempt is
flushed first, and what it stages is flushed before its savepoint ends; hence plain SQL inside a command sees all
earlier commands of the batch, and a constraint of the database undoes the command that breaks it and no other.
Inside one command, SQL does not see what that same command has staged.
A command that writes through `put` and `insert` alone needs neither savepoint nor flush: `attempt(staged_only=True)`
undoes it in memory. What it reads by SQL misses what earlier commands staged, unless it says first, by `catch_up`,
which of that would matter to it.

Nothing in a unit outlives its transaction, so nothing cached is trusted across batches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlalchemy.orm import Session

from ledger.book.cities import City, CityKeys
from ledger.db import Transaction
from ledger.proof.encoding import timestamp
from ledger.rows import Row, Rows, Where, run
from ledger.values import random_ids, to_milliseconds

Value = TypeVar("Value")
Read = TypeVar("Read", covariant=True)


class Reading(Protocol, Generic[Read]):
    """How one kind of state is read, for many keys at once."""

    def ask(self, where: Where, city: str, keys: Sequence[Any]) -> Callable[[], Mapping[Any, Read]]:
        """Ask for the saved values; they come, by key, from what is returned. A key that has none is left out."""
        ...


class Projection(Reading[Value], Protocol, Generic[Value]):
    """State that commands replace. Values are immutable."""

    def save(self, where: Where, city: str, changed: list[tuple[Any, Value]]) -> None:
        """Write (key, value) rows, whether or not there was a value before."""
        ...


RANDOM_BYTES = 1_024
"""How many random bytes are drawn at a time: each call of the system costs as much as hashing a leaf."""

IDS = 32
"""How many ids are drawn at a time."""

MANY_ROWS = 384
"""From how many staged rows on it pays to send them by themselves: those of some hundred transfers."""

Place = tuple[Reading[Any], Hashable]
"""Where a value stands: what kind of state, and the key."""

_UNREAD = object()


class Unit:
    """One city's unit of work.

    Attributes:
        session, driver: inside the batch's transaction; never commit it.
        city: the city's row.
        keys: the city's secrets.
        now: the time of every entry of the batch; never earlier than the log's last entry.
        now_ms, now_text: the same as it is stored, and as it stands in leaves.
        key_hash: the running command's idempotency key as it stands in leaves, or None.
        leaf_hashes: one for each entry appended so far; entry `base_size + i` hashes to `leaf_hashes[i]`.
        kinds: the kind of each of them.
        promises: whether somebody is told what no entry says and a lost database would break.
    """

    def __init__(self, transaction: Transaction, city: City, keys: CityKeys, now: datetime, base_size: int) -> None:
        self._transaction = transaction
        self.driver = transaction.driver
        self.city = city
        self.keys = keys
        self.now = now
        self.now_ms = to_milliseconds(now)
        self.now_text = timestamp(now)
        self.base_size = base_size
        self.key_hash: str | None = None
        self.leaf_hashes: list[bytes] = []
        self.kinds: list[str] = []
        self.promises = False
        self._rows: dict[Rows, list[Row]] = {}
        self._staged: list[list[Row]] = []  # of each row that is staged, among which it is
        self._sent = 0
        self._attempts: list[_Attempt] = []
        self._ahead: ExitStack | None = None
        self._held: dict[Place, Any] = {}  # None: known to have no value
        self._undo: list[tuple[Place, Any]] = []
        self._dirty: dict[Place, None] = {}
        self._marks: set[Hashable] = set()
        self._once: dict[Hashable, Any] = {}
        self._random = b""
        self._ids: list[str] = []

    @property
    def session(self) -> Session:
        """A session, for those who map; made when first needed. It takes nothing from a pipeline, so that one ends."""
        if self._ahead is not None:
            self._ahead.close()
        return self._transaction.session

    @property
    def next_seq(self) -> int:
        """The seq that the next entry gets."""
        return self.base_size + len(self.leaf_hashes)

    def random(self, count: int) -> bytes:
        """Random bytes, asked of the operating system for many at a time."""
        if len(self._random) < count:
            self._random = os.urandom(max(count, RANDOM_BYTES))
        taken, self._random = self._random[-count:], self._random[:-count]
        return taken

    def new_id(self) -> str:
        """128 random bits as `values.random_id` spells them, drawn for many at a time."""
        if not self._ids:
            self._ids = random_ids(IDS)
        return self._ids.pop()

    def insert(self, rows: Rows, row: Row) -> None:
        """Stage one row of an append-only table."""
        staged = self._rows.get(rows)
        if staged is None:
            staged = self._rows[rows] = []
        staged.append(row)
        self._staged.append(staged)

    def insert_all(self, rows: Rows, new: Sequence[Row]) -> None:
        """Stage some rows of an append-only table."""
        if new:
            staged = self._rows.setdefault(rows, [])
            staged.extend(new)
            self._staged += [staged] * len(new)

    def fetch(self, places: Iterable[Place]) -> None:
        """Read what is not known yet of some places, by one statement for each kind, all sent at once."""
        missing: dict[Reading[Any], dict[Any, None]] = {}
        for place in places:
            if place not in self._held:
                missing.setdefault(place[0], {})[place[1]] = None
        with self.driver.together() if len(missing) > 1 else nullcontext():
            asked = [
                (reading, keys, reading.ask(self.driver, self.city.id, list(keys))) for reading, keys in missing.items()
            ]
        for reading, keys, answer in asked:
            found = answer()
            for key in keys:
                self._held[reading, key] = found.get(key)

    def get(self, reading: Reading[Value], key: Any) -> Value | None:
        """The current value, staged changes included."""
        place = (reading, key)
        if place not in self._held:
            self._held[place] = reading.ask(self.driver, self.city.id, (key,))().get(key)
        return cast("Value | None", self._held[place])

    def put(self, projection: Projection[Value], key: Any, value: Value) -> None:
        """Stage a new value."""
        place = (projection, key)
        self._undo.append((place, self._held.get(place, _UNREAD)))
        self._held[place] = value
        self._dirty[place] = None

    def put_all(self, projection: Projection[Value], values: Mapping[Any, Value]) -> None:
        """Stage new values by key."""
        for key, value in values.items():
            self.put(projection, key, value)

    def once(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What `make` makes of what was read; made once for all commands that give the same key."""
        if key not in self._once:
            self._once[key] = make()
        return cast("Value", self._once[key])

    def look_again(self) -> None:
        """Forget what was read and nobody `put`s: plain SQL may have changed it meanwhile."""
        self._held = {place: value for place, value in self._held.items() if hasattr(place[0], "save")}
        self._once.clear()

    def forget(self, reading: Reading[Any], key: Any) -> None:
        """Read this again when it is asked for next; for what nobody `put`s."""
        self._held.pop((reading, key), None)

    def flush(self) -> None:
        """Send everything staged to the database."""
        with self.driver.together():
            self.send()

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Within this block, `go_ahead` has rows leave while commands go on; all have left, and hold, at its end.

        PostgreSQL then writes some while others are made here; SQLite has nobody to do that.
        """
        with ExitStack() as self._ahead:
            yield
        self._ahead = None

    def go_ahead(self) -> None:
        """Have what is staged leave, if it is much: between two commands, or in the middle of one that makes much.

        What leaves in the middle of a command is behind a savepoint, so that it goes with the command if that fails.
        A command that writes by SQL of its own sends what it stages itself.
        """
        if self._ahead is None or len(self._staged) < MANY_ROWS or not self.driver.is_postgresql:
            return
        if any(attempt.is_saved for attempt in self._attempts):
            return
        self._ahead.enter_context(self.driver.together())
        for depth, attempt in enumerate(self._attempts):
            attempt.save(f"ahead_{depth}")
        self._send_rows()

    def send(self) -> None:
        """The same for who has more to send `together`."""
        self._send_rows()
        changed: dict[Projection[Any], list[tuple[Any, Any]]] = {}
        for place in self._dirty:
            value = self._held.get(place)
            if value is not None:  # else its first value was undone
                changed.setdefault(cast("Projection[Any]", place[0]), []).append((place[1], value))
        for projection, values in changed.items():
            projection.save(self.driver, self.city.id, values)
        self._dirty.clear()  # only now: what the database refuses stays, so that the batch cannot end without it

    def _send_rows(self, first: int | None = None) -> None:
        """Send the rows that were staged first, so many of them, or all."""
        leaving = self._staged[:first]
        for rows, staged in self._rows.items():
            if count := len(staged) if first is None else sum(among is staged for among in leaving):
                rows.write(self.driver, staged[:count])
                del staged[:count]
        self._sent += len(leaving)
        del self._staged[:first]

    def catch_up(self, *marks: Hashable) -> bool:
        """Leave marks, and flush if an earlier command of the batch left one of them; whether it did.

        A staged command names by marks what its reading depends on and its writing changes. Call this before the
        command stages anything.
        """
        met = not self._marks.isdisjoint(marks)
        if met:
            self.flush()
        self._marks.update(marks)
        return met

    def attempt(self, *, staged_only: bool = False) -> AbstractContextManager[None]:
        """Run a block that leaves nothing behind, in the database or here, when it raises. Attempts may nest."""
        return _Attempt(self) if staged_only else self._saved()

    @contextmanager
    def _saved(self) -> Iterator[None]:
        self.flush()
        self.look_again()
        with _Attempt(self, is_saved=True), self._savepoint():
            yield
            self.flush()

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        with self.session.begin_nested():
            self.session.connection()  # sets it now, since nobody else would before the first statement
            yield


class _Attempt:
    """The guard around a block that stages: what the block has left in the unit goes when it raises.

    Args:
        unit: whose block it is.
        is_saved: the database has a savepoint of its own for it.
    """

    __slots__ = ("_changes", "_entries", "_key_hash", "_rows", "_savepoint", "_unit", "is_saved")

    def __init__(self, unit: Unit, *, is_saved: bool = False) -> None:
        self._unit = unit
        self.is_saved = is_saved
        self._savepoint: str | None = None

    def __enter__(self) -> None:
        unit = self._unit
        self._changes, self._entries, self._key_hash = len(unit._undo), len(unit.leaf_hashes), unit.key_hash
        self._rows = unit._sent + len(unit._staged)
        unit._attempts.append(self)

    def save(self, name: str) -> None:
        """Set a savepoint before what the block has staged, unless there is one; the rows before it leave."""
        if self._savepoint is None:
            self._unit._send_rows(self._rows - self._unit._sent)
            run(self._unit.driver, f"SAVEPOINT {name}")
            self._savepoint = name

    def __exit__(self, kind: object, *_: object) -> None:
        unit = self._unit
        unit._attempts.pop()
        unit.key_hash = self._key_hash
        if kind is not None:
            self._undo()
        if self._savepoint is not None:
            if kind is not None:
                run(unit.driver, f"ROLLBACK TO SAVEPOINT {self._savepoint}")
            run(unit.driver, f"RELEASE SAVEPOINT {self._savepoint}")

    def _undo(self) -> None:
        unit = self._unit
        while len(unit._undo) > self._changes:
            place, before = unit._undo.pop()
            if before is _UNREAD:
                del unit._held[place]
            else:
                unit._held[place] = before
        while unit._staged and unit._sent + len(unit._staged) > self._rows:
            rows = unit._staged.pop()
            if rows:  # else a flush that failed had sent them before
                rows.pop()
        unit._sent = min(unit._sent, self._rows)
        del unit.leaf_hashes[self._entries :], unit.kinds[self._entries :]
