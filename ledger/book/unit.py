"""What a command works with: one city, inside one transaction of that city's writer.

A unit lives as long as a batch. It knows two kinds of book state, both held back until `flush`:

* *Rows* of append-only tables, collected by `insert`.
* *Projections* (balances, cases): values read once, replaced by `put`, and saved once however often they change.
  A hot account is thus touched once per batch.

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

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlalchemy.orm import Session

from ledger.book.cities import City, CityKeys
from ledger.db import Base, insert_rows

Value = TypeVar("Value")


class Projection(Protocol, Generic[Value]):
    """How one kind of projected state is read and saved. Values are immutable."""

    def load(self, session: Session, city: str, key: Any) -> Value | None:
        """The saved value, or None."""
        ...

    def save(self, session: Session, city: str, changed: list[tuple[Any, Value, bool]]) -> None:
        """Write (key, value, is_new) rows."""
        ...


@dataclass
class _Held:
    value: Any
    saved: bool
    dirty: bool = False


class Unit:
    """One city's unit of work.

    Attributes:
        session: inside the batch's transaction; never commit it.
        city: the city's row.
        keys: the city's secrets.
        now: the time of every entry of the batch; never earlier than the log's last entry.
        key_hash: the running command's idempotency key as it stands in leaves, or None.
        leaf_hashes: one for each entry appended so far; entry `base_size + i` hashes to `leaf_hashes[i]`.
    """

    def __init__(self, session: Session, city: City, keys: CityKeys, now: datetime, base_size: int) -> None:
        self.session = session
        self.city = city
        self.keys = keys
        self.now = now
        self.base_size = base_size
        self.key_hash: str | None = None
        self.leaf_hashes: list[bytes] = []
        self._rows: dict[type[Base], list[dict[str, Any]]] = {}
        self._held: dict[tuple[Projection[Any], Any], _Held] = {}
        self._undo: list[tuple[tuple[Projection[Any], Any], _Held | None]] = []
        self._dirty: dict[tuple[Projection[Any], Any], None] = {}
        self._marks: set[Hashable] = set()

    @property
    def next_seq(self) -> int:
        """The seq that the next entry gets."""
        return self.base_size + len(self.leaf_hashes)

    def insert(self, table: type[Base], **values: Any) -> None:
        """Stage one row of an append-only table; `city` is filled in."""
        values["city"] = self.city.id
        self._rows.setdefault(table, []).append(values)

    def get(self, projection: Projection[Value], key: Any) -> Value | None:
        """The current value, staged changes included."""
        place = (projection, key)
        held = self._held.get(place)
        if held is None:
            value = projection.load(self.session, self.city.id, key)
            if value is None:
                return None
            held = self._held[place] = _Held(value, saved=True)
        return cast("Value", held.value)

    def put(self, projection: Projection[Value], key: Any, value: Value) -> None:
        """Stage a new value."""
        place = (projection, key)
        old = self._held.get(place)
        self._undo.append((place, old))
        self._held[place] = _Held(value, saved=old is not None and old.saved, dirty=True)
        self._dirty[place] = None

    def flush(self) -> None:
        """Send everything staged to the database."""
        for table, rows in self._rows.items():
            if rows:
                insert_rows(self.session, table, rows)
                rows.clear()
        changed: dict[Projection[Any], list[tuple[Any, Any, bool]]] = {}
        for place in self._dirty:
            held = self._held.get(place)
            if held is not None and held.dirty:
                changed.setdefault(place[0], []).append((place[1], held.value, not held.saved))
                held.saved, held.dirty = True, False
        self._dirty.clear()
        for projection, values in changed.items():
            projection.save(self.session, self.city.id, values)

    def catch_up(self, *marks: Hashable) -> None:
        """Leave marks, and flush if an earlier command of the batch left one of them.

        A staged command names by marks what its reading depends on and its writing changes. Call this before the
        command stages anything.
        """
        if not self._marks.isdisjoint(marks):
            self.flush()
        self._marks.update(marks)

    @contextmanager
    def attempt(self, *, staged_only: bool = False) -> Iterator[None]:
        """Run a block that leaves nothing behind, in the database or here, when it raises. Attempts may nest."""
        if not staged_only:
            self.flush()
        changes, entries, key_hash = len(self._undo), len(self.leaf_hashes), self.key_hash
        staged = {table: len(rows) for table, rows in self._rows.items()}
        try:
            with nullcontext() if staged_only else self.session.begin_nested():
                yield
                if not staged_only:
                    self.flush()
        except BaseException:
            while len(self._undo) > changes:
                self._restore(*self._undo.pop())
            for table, rows in self._rows.items():
                del rows[staged.get(table, 0) :]
            del self.leaf_hashes[entries:]
            raise
        finally:
            self.key_hash = key_hash

    def _restore(self, place: tuple[Projection[Any], Any], held: _Held | None) -> None:
        if held is None:
            del self._held[place]
        else:
            self._held[place] = held
