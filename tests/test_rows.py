"""Rows in bulk: what goes in comes out, whatever characters it has; conflicts, keys and views."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ledger.book.accounts import Account
from ledger.book.cities import City
from ledger.book.idempotency import StoredAnswer
from ledger.book.legs import Opening
from ledger.book.unit import Unit
from ledger.rows import MOST_ROWS, Entities, Look, Rows, ask, run
from tests.factories import CITY, Installation

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
BLOBS = st.binary(max_size=40)
ANSWERS = Rows(StoredAnswer)
ACCOUNTS = Rows(Account, replace=True)
KEYS = Look("idempotency.key", "idempotency WHERE city = ? AND idempotency.key = keys.k", "k")


class Undo(Exception):
    """Ends a batch without a trace."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(TEXTS, st.tuples(BLOBS, BLOBS), min_size=1, max_size=9))
def test_what_goes_in_comes_out(installation: Installation, answers: dict[str, tuple[bytes, bytes]]) -> None:
    """Quotes, braces, backslashes, NULL as a word, any octets: an array literal or a VALUES list keeps them all."""
    rows = [(CITY, key, *blobs, number) for number, (key, blobs) in enumerate(answers.items())]

    def work(unit: Unit) -> None:
        ANSWERS.write(unit.session, rows)
        found = ask(unit.session, "SELECT city, key, request, answer, at FROM idempotency ORDER BY at")
        assert [(row[0], row[1], bytes(row[2]), bytes(row[3]), row[4]) for row in found] == rows
        asked = [(key,) for key in answers] + [('never stored \\ " { } ,',)]
        assert {key for (key,) in KEYS.find(unit.session, asked, CITY)} == set(answers)
        raise Undo

    with pytest.raises(Undo):
        installation.run(work)


def test_a_word_that_means_nothing_is_text(installation: Installation) -> None:
    """The texts `NULL` and `None` are texts, and what is nothing is NULL."""

    def work(unit: Unit) -> list[tuple[object, ...]]:
        ANSWERS.write(unit.session, [(CITY, text, b"", b"", 0) for text in ("NULL", "None", "null", "")])
        return ask(unit.session, "SELECT count(*), count(key), min(length(key)) FROM idempotency")

    assert installation.run(work) == [(4, 4, 0)]


@pytest.mark.parametrize("count", [1, 2, 3, 31, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 7])
def test_any_number_of_rows(installation: Installation, count: int) -> None:
    """However the rows are cut into statements, each is there once."""

    def work(unit: Unit) -> list[tuple[object, ...]]:
        ANSWERS.write(unit.session, [(CITY, f"key {number}", b"", b"", number) for number in range(count)])
        return ask(unit.session, "SELECT count(*), min(at), max(at) FROM idempotency")

    assert installation.run(work) == [(count, 0, count - 1)]


def test_a_row_that_is_there_is_replaced_or_refused(installation: Installation) -> None:
    """As the caller said: a projection takes the place of its older self, an append-only table does not."""

    def work(unit: Unit) -> list[tuple[object, ...]]:
        ACCOUNTS.write(unit.session, [(CITY, "shop:a", 1, 0, 1), (CITY, "shop:b", 2, 0, 1)])
        ACCOUNTS.write(unit.session, [(CITY, "shop:b", 7, 3, 2), (CITY, "shop:c", 5, 0, 1)])
        ANSWERS.write(unit.session, [(CITY, "once", b"", b"", 0)])
        with pytest.raises(IntegrityError), unit.session.begin_nested():
            ANSWERS.write(unit.session, [(CITY, "twice", b"", b"", 0), (CITY, "once", b"", b"", 0)])
        assert ask(unit.session, "SELECT key FROM idempotency") == [("once",)]
        query = "SELECT path, posted, held, version FROM accounts WHERE city = ? AND path LIKE ? ORDER BY path"
        return ask(unit.session, query, CITY, "shop:%")

    assert installation.run(work) == [("shop:a", 1, 0, 1), ("shop:b", 7, 3, 2), ("shop:c", 5, 0, 1)]


def test_a_constraint_holds_for_rows_in_bulk(installation: Installation) -> None:
    """The floor of an account is checked for a new row and for one that is replaced."""

    def below(unit: Unit, path: str) -> None:
        with pytest.raises(IntegrityError), unit.session.begin_nested():
            ACCOUNTS.write(unit.session, [(CITY, path, -1, 0, 2)])

    def work(unit: Unit) -> None:
        ACCOUNTS.write(unit.session, [(CITY, "shop:a", 1, 0, 1)])
        below(unit, "shop:a")
        below(unit, "shop:new")

    installation.run(work)


def test_a_view_of_a_row_is_what_the_entity_is(installation: Installation) -> None:
    """Instants, JSON and all: attribute by attribute; and nobody can change it."""
    views = Entities(City)

    def work(session: Session) -> None:
        entity = session.get_one(City, CITY)
        query = f"SELECT {views.columns} FROM cities WHERE id = ?"  # noqa: S608
        (stored,) = ask(session, query, CITY)
        view = views.of(*stored)
        for name in views.columns.replace("cities.", "").split(", "):
            assert getattr(view, name) == getattr(entity, name), name
        assert view.created_at == datetime.fromisoformat(str(entity.created_at)).astimezone(UTC)
        assert views.of(*stored) is view
        with pytest.raises(AttributeError):
            view.settings = {}

    with installation.read() as session:
        work(session)


def test_named_values_make_a_row_in_the_order_of_the_table() -> None:
    """The members stand where the columns do, and none may be missing."""
    openings = Rows(Opening)
    assert openings.columns[0] == "city"
    assert openings.columns[-1] == "nonce"
    values = {name: number for number, name in enumerate(openings.columns)}
    assert openings.row(**dict(reversed(values.items()))) == tuple(range(len(values)))
    with pytest.raises(KeyError):
        openings.row(city=CITY)


def test_a_statement_may_bear_parameters(installation: Installation) -> None:
    """`run` changes what its parameters say, and nothing else."""

    def work(unit: Unit) -> list[tuple[object, ...]]:
        ACCOUNTS.write(unit.session, [(CITY, "shop:a", 1, 0, 1), (CITY, "shop:b", 1, 0, 1)])
        run(unit.session, "UPDATE accounts SET posted = ? WHERE city = ? AND path = ?", 9, CITY, "shop:b")
        return ask(unit.session, "SELECT posted FROM accounts WHERE path LIKE ? ORDER BY path", "shop:%")

    assert installation.run(work) == [(1,), (9,)]
