"""The one home of test data: an installation with a city in it, and the people who act in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from ledger.book import accounts, audit, cities, entries, holds, seal, transfers, tree
from ledger.book.cities import City, CityKeys, KeyRing
from ledger.book.entries import Entry
from ledger.book.journal import Posted
from ledger.book.seal import Published
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.city import export
from ledger.db import Database
from ledger.proof import merkle
from ledger.proof.report import Report
from ledger.rows import Rows
from ledger.values import random_id

Value = TypeVar("Value")

CITY = "khon-kaen"
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
"""10:00 on a Monday in Khon Kaen."""

SETTINGS: dict[str, Any] = {
    "unsecured_cap_minor": 10_000,
    "rewards_per_day": 20,
    "hold_minutes": 10,
    "assurance_caps": {"poster": 1_000, "kiosk": 5_000, "code": 10_000, "staff": 10_000, "double": 20_000},
}


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time that it shows."""
        return self.now

    def advance(self, **by: float) -> datetime:
        """Move on by a timedelta's arguments; the new time."""
        self.now += timedelta(**by)
        return self.now


@dataclass
class Installation:
    """A database, its writer and its clock, with the city `khon-kaen` in it unless said otherwise."""

    database: Database
    writer: Writer
    keys: KeyRing
    clock: Clock = field(default_factory=Clock)

    def run(self, work: Callable[[Unit], Value], city: str = CITY) -> Value:
        """Run domain code in a batch of its own; its value, or its refusal raised."""
        return self.writer.run(city, work)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only session."""
        with self.database.read() as session:
            yield session

    def city(self, city: str = CITY) -> City:
        """The city's row."""
        with self.read() as session:
            return cities.get(session, city)

    def city_keys(self, city: str = CITY) -> CityKeys:
        """The city's secrets."""
        return self.keys.get(self.city(city))

    def open(self, *paths: str) -> None:
        """Open accounts."""

        def work(unit: Unit) -> None:
            for path in paths:
                accounts.open_account(unit, path)

        self.run(work)

    def grant(self, amount: int = 100_000_000) -> None:
        """Issue tokens into the treasury."""
        self.run(lambda unit: transfers.post(unit, "grant", "issuance", "treasury", amount, actor="treasurer"))

    def give(self, path: str, amount: int) -> None:
        """Move tokens from the treasury to an account that exists."""
        self.run(lambda unit: transfers.post(unit, "transfer", "treasury", path, amount, actor="treasurer"))

    def learner(self, amount: int = 0) -> str:
        """A new person's account with this much in it; its path."""
        path = f"learner:{random_id()}"
        self.open(path)
        if amount:
            self.give(path, amount)
        return path

    def hold(self, source: str, target: str, amount: int, minutes: float = 10) -> Posted:
        """Reserve tokens of a learner for a shop."""
        until = self.clock.now + timedelta(minutes=minutes)
        return self.run(lambda unit: holds.place(unit, source, target, amount, expires_at=until, actor="learner"))

    def balance(self, path: str, at: datetime | None = None) -> accounts.Balance:
        """An account's balance, now or as it was."""
        with self.read() as session:
            return accounts.balance(session, CITY, path, at)

    def leaves(self, city: str = CITY) -> list[dict[str, Any]]:
        """Every entry of the log, as anybody can read it."""
        with self.read() as session:
            return [json.loads(leaf) for leaf in entries.leaves(session, city, 0, entries.size(session, city))]

    def export(self, directory: Path, *, openings: bool = False) -> Path:
        """The city's export, in a new directory."""
        export.write_directory(self.database, self.keys, CITY, directory, openings=openings)
        return directory

    def audit(self) -> Report:
        """What the audit inside the database finds."""
        with self.read() as session:
            return audit.audit(session, CITY, self.city_keys())

    def close(self) -> None:
        """End the writer's threads and close the database."""
        self.writer.close()
        self.database.close()


def add_city(database: Database, keys: KeyRing, city_id: str = CITY, **changes: Any) -> None:
    """Add a city with its institutional accounts and an empty, signed log."""
    values: dict[str, Any] = {
        "id": city_id,
        "name_th": "ขอนแก่น",
        "name_en": "Khon Kaen",
        "symbol": "KGO",
        "scale": 2,
        "zone": "Asia/Bangkok",
        "origin": f"{city_id}.kgo-ledger.example/log",
        "code_prefix": "kk",
        "settings": SETTINGS,
        "created_at": START,
    }
    city = City(**{**values, **changes})
    keys.create(city_id)
    with database.write() as session:
        cities.create(session, city)
        seal.seal_empty(session, city, keys.get(city))
        session.commit()


def install(database_url: str, directory: Path, clock: Clock | None = None) -> Installation:
    """An installation on a fresh database, with Khon Kaen and its institutional accounts."""
    database = Database(database_url)
    add_city(database, KeyRing(directory / "keys"))
    database.close()
    installation = reopen(database_url, directory, clock)
    installation.open("issuance", "treasury", "expired", "settled")
    return installation


def reopen(database_url: str, directory: Path, clock: Clock | None = None) -> Installation:
    """An installation that `install` made, opened by another process or after an end."""
    database, keys, clock = Database(database_url), KeyRing(directory / "keys"), clock or Clock()
    return Installation(database, Writer(database, keys, Published(directory / "published"), clock), keys, clock)


def leaf_data(seq: int) -> bytes:
    """The leaf that `grow` gives an entry; it is no journal's."""
    return f"leaf {seq}".encode()


def grow(installation: Installation, sizes: tuple[int, ...], city: str = CITY) -> None:
    """Append leaves in batches that end at these sizes, past the journal's checks: for what concerns the tree alone."""
    rows = Rows(Entry)

    def batch(unit: Unit, stop: int) -> None:
        for seq in range(unit.next_seq, stop):
            hashed = merkle.leaf_hash(leaf_data(seq))
            unit.insert(rows, (city, seq, str(seq), "policy", unit.now_ms, None, leaf_data(seq), hashed))
            unit.leaf_hashes.append(hashed)

    for stop in sizes:
        installation.run(lambda unit, stop=stop: batch(unit, stop), city)  # type: ignore[misc]


def live_through(installation: Installation) -> tuple[str, str]:
    """A log of more than a tile in which every kind of projection has rows; two learners."""
    installation.open("shop:a", "shop:b", "budget:a")
    installation.grant()
    people = installation.learner(5_000), installation.learner(5_000)

    def live(unit: Unit) -> None:
        for _ in range(tree.WIDTH):
            transfers.post(unit, "fund", "treasury", "budget:a", 3, actor="steward")
        transfers.post(unit, "redeem", people[0], "shop:a", 30, actor="shop:a")

    installation.run(live)
    first = installation.hold(people[0], "shop:a", 100, minutes=60)
    installation.hold(people[1], "shop:b", 200, minutes=60)
    installation.clock.advance(minutes=1)
    installation.run(lambda unit: holds.capture(unit, first.seq, 90, actor="shop:a"))
    installation.clock.advance(minutes=1)
    installation.run(lambda unit: holds.refund(unit, first.seq, 20, actor="shop:a"))
    return people


def rewrite(installation: Installation, *statements: str, **values: object) -> None:
    """Run SQL as somebody who has the database's own powers: no trigger stops it."""
    with installation.database.write() as session:
        if installation.database.engine.dialect.name == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            assert session.execute(text(statement), values).rowcount > 0, statement  # type: ignore[attr-defined]
        session.commit()
