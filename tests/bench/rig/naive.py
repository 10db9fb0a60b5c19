"""The ledger to compare with: what one writes first, done decently, and never changed.

One request is one transaction; statements are prepared; connections are kept; the hot account's floor is checked by
the statement that debits it; commits are durable. No log, no proofs, no policy, no caps, no foreign keys. Amounts in
minor units. Its figures are the denominators of the ledger benchmark, so that a change here makes old ones worthless.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Any

import psycopg
from flask import Flask, Response, jsonify, request
from marshmallow import Schema, fields

DATABASE = "KGO_BENCH_NAIVE_DATABASE"
"""The variable that holds the SQLAlchemy URL of its database."""

BUDGET = "budget"
REWARD_MINOR = 500
PLENTY_MINOR = 10**14

_TABLES = (
    "CREATE TABLE accounts (path TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0))",
    """CREATE TABLE entries (seq {serial}, at BIGINT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
        target TEXT NOT NULL, amount BIGINT NOT NULL CHECK (amount > 0))""",
    "CREATE TABLE tokens (hash TEXT PRIMARY KEY, learner TEXT NOT NULL)",
    """CREATE TABLE check_ins (learner TEXT NOT NULL, activity TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (learner, activity))""",
)
_ACCOUNT = "INSERT INTO accounts VALUES (%s, %s)"
_TOKEN = "INSERT INTO tokens VALUES (%s, %s)"
_WHO = "SELECT learner FROM tokens WHERE hash = %s"
_CHECK_IN = "INSERT INTO check_ins VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_DEBIT = "UPDATE accounts SET balance = balance - %s WHERE path = %s AND balance >= %s"
_CREDIT = "UPDATE accounts SET balance = balance + %s WHERE path = %s"
_ENTRY = "INSERT INTO entries (at, kind, source, target, amount) VALUES (%s, %s, %s, %s, %s) RETURNING seq"

Execute = Callable[..., Any]


class RefusedError(Exception):
    """Nothing was done."""


class Naive:
    """The ledger on one database; connections are kept and handed out one to a transaction."""

    def __init__(self, url: str) -> None:
        self._postgresql = url.startswith("postgresql")
        self._target = url.replace("postgresql+psycopg://", "postgresql://") if self._postgresql else url[10:]
        self._idle: LifoQueue[Any] = LifoQueue()

    def create(self, learners: Iterable[tuple[str, str]], others: Iterable[str]) -> None:
        """Make the tables, an account per learner with a token (id, secret), and one per other path with plenty."""
        with self._transaction() as execute:
            for table in _TABLES:
                serial = "BIGSERIAL PRIMARY KEY" if self._postgresql else "INTEGER PRIMARY KEY"
                execute(table.format(serial=serial))
            for path in (BUDGET, *others):
                execute(_ACCOUNT, (path, PLENTY_MINOR))
            for learner, secret in learners:
                execute(_ACCOUNT, (learner, 0))
                execute(_TOKEN, (_hash(secret), learner))

    def check_in(self, secret: str, activity: str) -> int:
        """Note a check-in, once per learner and activity, and pay for it; the entry's seq.

        Raises:
            RefusedError: unknown token, already checked in, or the budget is empty.
        """
        with self._transaction() as execute:
            who = execute(_WHO, (_hash(secret),)).fetchone()
            if who is None or execute(_CHECK_IN, (who[0], activity, _now_ms())).rowcount != 1:
                raise RefusedError
            return _move(execute, "reward", BUDGET, who[0], REWARD_MINOR)

    def transfer(self, source: str, target: str, amount: int) -> int:
        """Move an amount in a transaction of its own; the entry's seq."""
        with self._transaction() as execute:
            return _move(execute, "transfer", source, target, amount)

    def transfer_for(self, seconds: float, targets: Sequence[str], source: str = "treasury") -> float:
        """Transfers for so long, by one client (a thread with a connection) for each target; how many a second."""
        done: list[int] = []
        started = time.perf_counter()

        def work(target: str) -> None:
            count = 0
            while time.perf_counter() - started < seconds:
                self.transfer(source, target, 1)
                count += 1
            done.append(count)

        with ThreadPoolExecutor(len(targets)) as clients:
            list(clients.map(work, targets))  # raises what a client raised
        return sum(done) / (time.perf_counter() - started)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        execute = self._execute_of(connection)
        if not self._postgresql:
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield execute
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            self._idle.put(connection)

    def _connect(self) -> Any:
        if self._postgresql:
            return psycopg.connect(self._target, prepare_threshold=0)
        connection = sqlite3.connect(self._target, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _execute_of(self, connection: Any) -> Execute:
        if self._postgresql:
            execute: Execute = connection.execute
            return execute
        # sqlite3 keeps a prepared statement for each text that it has seen.
        return lambda statement, values=(): connection.execute(statement.replace("%s", "?"), values)


def create_app() -> Flask:
    """The ledger behind Flask and marshmallow."""
    app, schema = Flask("naive"), CheckInSchema()
    ledger = Naive(os.environ[DATABASE])

    @app.post("/check-ins")
    def check_in() -> tuple[Response, int]:
        command = schema.load(request.get_json())
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            seq = ledger.check_in(secret, command["code"])
        except RefusedError:
            return jsonify(code="refused"), 409
        return jsonify(schema.dump({"entry": seq, "amount_minor": REWARD_MINOR})), 201

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


class CheckInSchema(Schema):
    """A check-in, in and out."""

    code = fields.String(required=True, load_only=True)
    entry = fields.Integer(dump_only=True)
    amount_minor = fields.Integer(dump_only=True)


def _move(execute: Execute, kind: str, source: str, target: str, amount: int) -> int:
    if execute(_DEBIT, (amount, source, amount)).rowcount != 1:
        raise RefusedError
    execute(_CREDIT, (amount, target))
    return int(execute(_ENTRY, (_now_ms(), kind, source, target, amount)).fetchone()[0])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
