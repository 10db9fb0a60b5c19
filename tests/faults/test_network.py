"""Networks break between a web process and PostgreSQL: the others go on, and nobody is told what is not so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.book import transfers
from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.errors import Overloaded
from tests.factories import CITY, Installation, install, reopen
from tests.faults.proxy import Network, Proxy
from tests.postgres import PostgreSQL

PATIENCE_SECONDS = 60
"""How long the tests wait for what must come, before they fail."""


@dataclass
class Ends:
    """One installation seen twice: through a network that breaks, and directly."""

    far: Installation
    near: Installation
    way: Proxy


@pytest.fixture
def ends(postgresql: PostgreSQL, new_postgresql_url: Callable[[], str], tmp_path: Path) -> Iterator[Ends]:
    """Two web processes' worth of connections to one database, one of them through a proxy."""
    url = new_postgresql_url()
    with closing(install(url, tmp_path)) as near, closing(Network()) as network:
        way = network.proxy(postgresql.socket)
        name = url.partition("?")[0].rpartition("/")[2]
        with closing(reopen(f"postgresql+psycopg://postgres@127.0.0.1:{way.port}/{name}", tmp_path)) as far:
            yield Ends(far, near, way)


def _grant(unit: Unit) -> int:
    return transfers.post(unit, "grant", "issuance", "treasury", 1, actor="treasurer").seq


def test_a_half_open_connection_does_not_keep_the_head(ends: Ends) -> None:
    """A process is cut off in the middle of a batch and PostgreSQL does not hear of it: the others get their turn."""

    def cut_off(unit: Unit) -> int:
        seq = _grant(unit)
        ends.way.half_open()
        return seq

    with pytest.raises(Overloaded):
        ends.far.writer.execute(CITY, [Command(cut_off)])
    assert ends.way.connections > 0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ends.near.writer.submit, CITY, Command(_grant))
        try:
            assert answer.result(PATIENCE_SECONDS).value == 0
        finally:
            ends.way.heal()
    assert len(ends.near.leaves()) == 1
    assert ends.far.writer.submit(CITY, Command(_grant)).value == 1


def test_a_lost_answer_to_a_commit_is_found_out(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL committed and nobody heard: once the network is back, the writer looks, and says what is so."""
    assert ends.far.writer.submit(CITY, Command(_grant)).value == 0
    dialect = ends.far.database.writing.dialect
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        monkeypatch.setattr(dialect, "do_commit", commit)
        ends.way.lose_answers()
        try:
            commit(connection)
        finally:
            ends.way.heal()

    monkeypatch.setattr(dialect, "do_commit", lose)
    assert ends.far.writer.submit(CITY, Command(_grant)).value == 1
    assert len(ends.near.leaves()) == 2


def test_what_a_stall_holds_back_comes_in_the_end(ends: Ends) -> None:
    """Bytes that are held back are late and not lost: the command is done once."""
    ends.far.writer.submit(CITY, Command(_grant))
    ends.way.stall()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ends.far.writer.submit, CITY, Command(_grant))
        assert ends.near.writer.submit(CITY, Command(_grant)).value == 1  # nobody else waits for it
        assert not answer.done()
        ends.way.heal()
        assert answer.result(PATIENCE_SECONDS).value == 2


def test_where_no_connection_is_to_be_had_nothing_is_done(ends: Ends) -> None:
    """While the way is down a command is refused as `overloaded`; afterwards it goes through, on new connections."""
    ends.far.writer.submit(CITY, Command(_grant))
    ends.way.refuse()
    with pytest.raises(Overloaded):
        ends.far.writer.submit(CITY, Command(_grant))
    ends.way.heal()
    assert ends.far.writer.submit(CITY, Command(_grant)).value == 1
    ends.way.drop()
    assert ends.far.writer.submit(CITY, Command(_grant)).value == 2
