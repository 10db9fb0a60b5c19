"""Counting what the database is asked, through SQLAlchemy or past it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import event

from ledger.db import Database
from ledger.rows import Driver


@contextmanager
def asked(database: Database) -> Iterator[list[str]]:
    """The statements that the block's reading sessions run, as they come; BEGIN and COMMIT are none."""
    found: list[str] = []
    real = Driver.execute

    def execute(driver: Driver, statement: str, *rest: Any, **options: Any) -> Any:
        found.append(statement)
        return real(driver, statement, *rest, **options)

    def note(*facts: Any) -> None:
        if facts[2] != "BEGIN":
            found.append(facts[2])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with mock.patch.object(Driver, "execute", execute):
            yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
