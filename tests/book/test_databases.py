"""Databases as operators set them up: other languages and other defaults change nothing in the book."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from ledger.book import accounts, transfers
from ledger.book.commands import Command
from ledger.db import Database
from ledger.errors import LedgerError
from tests.factories import CITY, Installation, install, reopen


def _admin(url: str, database: str) -> psycopg.Connection[Any]:
    host = str(make_url(url).query["host"])
    return psycopg.connect(host=host, user="postgres", dbname=database, autocommit=True)


def test_paths_sort_by_their_bytes_whatever_the_language(installation: Installation) -> None:
    """Ranges of paths are right in a database of any language: the column has an order of its own."""
    paths = ["shop:a", "shop:a-b", "shop:a_c", "shop:ab", "shop:b"]
    installation.open(*reversed(paths), "sponsor:x", "budget:shop")
    installation.grant(1_000)
    installation.give("shop:a-b", 10)
    with installation.read() as session:
        assert [balance.account for balance in accounts.with_prefix(session, CITY, "shop:")] == sorted(paths)
        totals = accounts.totals(session, CITY)
        if installation.database.engine.dialect.name == "postgresql":
            where = "table_name = 'accounts' AND column_name = 'path'"
            statement = f"SELECT collation_name FROM information_schema.columns WHERE {where}"  # noqa: S608
            assert session.scalar(text(statement)) == "C"
    assert (totals["issued"], totals["redeemed"], totals["circulating"]) == (1_000, 10, 990)


def _spend(installation: Installation) -> list[str]:
    """Try to spend one unit ten times; what was answered."""
    answers = []
    for _ in range(10):
        command = Command(lambda unit: transfers.post(unit, "transfer", "shop:a", "treasury", 1, actor="shop:a").seq)
        try:
            installation.writer.submit(CITY, command)
        except LedgerError as refusal:
            answers.append(refusal.code)
        else:
            answers.append("done")
    return answers


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_another_default_isolation_makes_no_difference(
    new_postgresql_url: Callable[[], str], tmp_path: Path, level: str
) -> None:
    """Writers that wait for each other go on from what the other one left, and do not fail."""
    url = new_postgresql_url()
    with _admin(url, "template1") as admin:
        name = sql.Identifier(make_url(url).database or "")
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = {}").format(name, sql.Literal(level))
        )
    first = install(url, tmp_path)
    first.open("shop:a")
    first.grant()
    first.give("shop:a", 15)
    second = reopen(url, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        answers = [answer for told in pool.map(_spend, (first, second)) for answer in told]
    assert sorted(answers) == ["done"] * 15 + ["insufficient_funds"] * 5
    assert first.audit().findings == []
    first.close()
    second.close()


def test_reads_change_nothing(database: Database) -> None:
    """A read session cannot write, not even by mistake, and the next writer on its connection can."""
    create = text("CREATE TABLE intruder (x integer)")
    for _ in range(2):
        with pytest.raises(DBAPIError), database.read() as session:
            session.execute(create)
    with database.write() as session:
        session.execute(create)
        session.commit()
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM intruder")) == 0
    with database.write() as session:
        session.execute(text("DROP TABLE intruder"))
        session.commit()


def test_commits_are_durable(database: Database) -> None:
    """SQLite syncs its journal at every commit, PostgreSQL waits for its own, whatever its default is."""
    with database.write() as session:
        if database.engine.dialect.name == "sqlite":
            assert session.scalar(text("PRAGMA synchronous")) == 2
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        else:
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
