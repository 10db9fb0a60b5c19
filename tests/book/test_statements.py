"""Statements: newest first, a page at a time, the same lines whatever the page size."""

from datetime import timedelta

import pytest

from ledger.book import holds, statements, transfers
from ledger.book.legs import SIDES
from ledger.book.moves import Transfer
from ledger.book.statements import StatementLine
from ledger.errors import NotFound
from tests.factories import CITY, START, Installation


def _pages(installation: Installation, path: str, limit: int) -> list[list[StatementLine]]:
    pages, cursor = [], None
    with installation.read() as session:
        for _ in range(20):
            page = statements.statement(session, CITY, path, cursor=cursor, limit=limit)
            pages.append(page.items)
            if page.next is None:
                return pages
            cursor = page.next
    raise AssertionError("the pages do not end")


@pytest.fixture
def shop(installation: Installation) -> str:
    """A shop that was paid 1, 2, … 7."""
    installation.open("shop:cafe")
    installation.grant()
    for amount in range(1, 8):
        installation.give("shop:cafe", amount)
    return "shop:cafe"


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (8, [7]), (6, [6, 1])])
def test_pages_are_full_and_end_where_the_lines_end(
    installation: Installation, shop: str, limit: int, sizes: list[int]
) -> None:
    """Newest first; a full last page has no successor."""
    pages = _pages(installation, shop, limit)
    assert [len(page) for page in pages] == sizes
    assert [line.amount_minor for page in pages for line in page] == [7, 6, 5, 4, 3, 2, 1]
    assert [line.posted_minor for page in pages for line in page] == [28, 21, 15, 10, 6, 3, 1]


def test_a_cursor_stays_where_it_was_while_entries_arrive(installation: Installation, shop: str) -> None:
    """Whoever turns the page sees no line twice and misses none that was there."""
    with installation.read() as session:
        first = statements.statement(session, CITY, shop, limit=3)
    for _ in range(5):
        installation.give(shop, 100)
    with installation.read() as session:
        second = statements.statement(session, CITY, shop, cursor=first.next, limit=50)
    assert [line.amount_minor for line in first.items + second.items] == [7, 6, 5, 4, 3, 2, 1]


def test_a_cursor_that_somebody_made_up_is_a_place_like_any_other(installation: Installation, shop: str) -> None:
    """Between, before or far behind all entries, and with a line that no entry has: the lines before that place."""
    with installation.read() as session:
        everything = statements.statement(session, CITY, shop).items
        place = len(SIDES) * statements.MAX_LINES
        for cursor, below in (
            (2**40, 2**40),
            (70_001, 0),
            (5 * place - 1, 4),
            (5 * place, 4),
            (2**90, 2**63),
            (-3, -1),
        ):
            found = statements.statement(session, CITY, shop, cursor=cursor)
            assert found.items == [line for line in everything if line.entry <= below], cursor


def test_an_account_without_entries_has_an_empty_statement(installation: Installation) -> None:
    """Empty is an answer; an account that does not exist is not."""
    installation.open("shop:new")
    assert _pages(installation, "shop:new", 5) == [[]]
    with pytest.raises(NotFound):
        _pages(installation, "shop:none", 5)


def test_the_lines_of_a_redemption_tell_its_story(installation: Installation) -> None:
    """Reserving, paying in part and getting back: what moved and what was held, on both sides."""
    installation.open("shop:cafe")
    installation.grant()
    learner = installation.learner(100)
    hold = installation.hold(learner, "shop:cafe", 60)
    installation.run(lambda unit: holds.capture(unit, hold.seq, 50, actor="shop:cafe"))
    installation.run(lambda unit: holds.refund(unit, hold.seq, 20, actor="shop:cafe"))
    [mine], [theirs] = (_pages(installation, path, 50) for path in (learner, "shop:cafe"))
    told = [(line.kind, line.amount_minor, line.held_change_minor, line.posted_minor, line.held_minor) for line in mine]
    assert told == [
        ("refund", 20, 0, 70, 0),
        ("capture", -50, -60, 50, 0),
        ("hold", 0, 60, 100, 60),
        ("transfer", 100, 0, 100, 0),
    ]
    assert [(line.kind, line.amount_minor, line.posted_minor) for line in theirs] == [
        ("refund", -20, 30),
        ("capture", 50, 50),
    ]
    assert {line.counterparty for line in mine} == {"shop:cafe", "treasury"}
    assert [line.entry for line in mine] == [4, 3, 2, 1]


def test_an_institution_sees_handles_and_never_a_person(installation: Installation) -> None:
    """A shop's statement shows the same handle within a case and another one in the next."""
    installation.open("shop:cafe")
    installation.grant()
    learner = installation.learner(100)
    for _ in range(2):
        hold = installation.hold(learner, "shop:cafe", 10)
        installation.run(lambda unit, seq=hold.seq: holds.capture(unit, seq, actor="shop:cafe"))  # type: ignore[misc]
        installation.run(lambda unit, seq=hold.seq: holds.refund(unit, seq, 5, actor="shop:cafe"))  # type: ignore[misc]
    [lines] = _pages(installation, "shop:cafe", 50)
    seen = [line.counterparty for line in lines]
    assert learner not in seen
    assert all(handle.startswith("learner:~") for handle in seen)
    assert seen[0] == seen[1] != seen[2] == seen[3]


def test_a_span_has_its_first_instant_and_not_its_last(installation: Installation) -> None:
    """Oldest first: what happened at the beginning is in, what happened at the end is the next span's."""
    installation.open("shop:cafe")
    installation.grant()
    for amount in (1, 2, 3):
        installation.give("shop:cafe", amount)
        installation.clock.advance(hours=1)
    hour = timedelta(hours=1)

    def between(begin: float, end: float) -> list[int]:
        with installation.read() as session:
            lines = statements.between(session, CITY, "shop:cafe", START + begin * hour, START + end * hour)
            return [line.amount_minor for line in lines]

    assert between(0, 3) == [1, 2, 3]
    assert between(1, 2) == [2]
    assert between(0.5, 1) == []
    assert between(-9, 0) == []
    with installation.read() as session, pytest.raises(NotFound):
        list(statements.between(session, CITY, "shop:none", START, START + hour))


def test_a_long_span_is_read_without_a_gap(installation: Installation) -> None:
    """More lines than are held at once come each once and in order, also where entries of others lie between."""
    installation.open("shop:cafe", "shop:other")
    installation.grant()
    count = statements.PAGE + 1
    moves = [Transfer("transfer", "treasury", path, 1) for _ in range(count) for path in ("shop:cafe", "shop:other")]
    installation.run(lambda unit: transfers.post_many(unit, moves, actor="treasurer"))
    with installation.read() as session:
        lines = list(statements.between(session, CITY, "shop:cafe", START, START + timedelta(hours=1)))
    assert [line.posted_minor for line in lines] == list(range(1, count + 1))
