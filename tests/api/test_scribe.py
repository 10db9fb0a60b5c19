"""The scribe: whom it lets in, whom not, and that a writer which ends takes it with it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from api import scribe as scribe_module
from api.i18n import Catalogue
from api.relay import DOOR, WELCOME
from api.services import Services
from ledger.config import Settings
from ledger.errors import Overloaded
from ledger.installation import assemble
from ledger.values import utc_now
from tests.api.client import PUBLIC_URL, Api
from tests.api.scribes import SOON_SECONDS, Running, running
from tests.factories import add_city


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Who is let in does not depend on the kind of database."""
    return sqlite_url


@pytest.fixture
def scribe(api: Api, database_url: str, tmp_path: Path, shared: Path) -> Iterator[Running]:
    """A scribe of the installation of `api`."""
    with (
        assemble(Settings(tmp_path, database_url, PUBLIC_URL), api.installation.clock) as installation,
        running(installation, shared) as made,
    ):
        yield made


def greet(shared: Path, greeting: bytes) -> socket.socket:
    """Come in, and say this."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SOON_SECONDS)
    connection.connect(str(shared / DOOR))
    connection.sendall(greeting)
    return connection


def test_who_names_a_city_is_let_in(shared: Path, scribe: Running) -> None:
    """Also the second one, and after others were not; each is parted with when the scribe ends."""
    with greet(shared, b"khon-kaen\n") as first, greet(shared, b"nowhere\n"), greet(shared, b"khon-kaen\n") as second:
        assert first.recv(9) == second.recv(9) == WELCOME
        scribe.end()
        assert first.recv(9) == second.recv(9) == b""


def test_each_city_has_a_line_of_its_own(shared: Path, scribe: Running) -> None:
    """Also one that came later; the end of the scribe is the end of every line."""
    with greet(shared, b"khon-kaen\n") as first, greet(shared, b"yala\n") as too_early:
        assert (first.recv(9), too_early.recv(9)) == (WELCOME, b"")
        add_city(scribe.installation.database, scribe.installation.keys, "yala", code_prefix="yl")
        with greet(shared, b"yala\n") as second:
            assert second.recv(9) == WELCOME
            names = {thread.name for thread in threading.enumerate()}
            assert {"writer-khon-kaen", "writer-yala"} <= names
            scribe.end()
            assert first.recv(9) == second.recv(9) == b""


@pytest.mark.parametrize("greeting", [b"nowhere\n", b"\n", b"\xff\n", b"khon-kaen"])
def test_who_names_none_is_not(shared: Path, scribe: Running, greeting: bytes) -> None:
    """It is told nothing, and writes by itself; whoever comes next is let in."""
    del scribe
    with greet(shared, greeting) as stranger:
        stranger.shutdown(socket.SHUT_WR)
        assert stranger.recv(9) == b""
    with greet(shared, b"khon-kaen\n") as known:
        assert known.recv(9) == WELCOME


def test_who_says_nothing_keeps_nobody_out(shared: Path, scribe: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while."""
    del scribe
    monkeypatch.setattr("api.scribe.GREETING_SECONDS", 0.01)
    with greet(shared, b"") as silent, greet(shared, b"khon-kaen\n") as known:
        assert known.recv(9) == WELCOME
        assert silent.recv(9) == b""


def test_a_writer_that_ends_ends_the_scribe(shared: Path, scribe: Running) -> None:
    """A desk that nobody serves would take orders for ever; so the process goes, and the server starts another."""
    with (
        mock.patch("api.scribe.os._exit") as left,
        mock.patch.object(scribe.installation.writer, "serve", side_effect=Overloaded),
        greet(shared, b"khon-kaen\n") as known,
    ):
        assert known.recv(9) == WELCOME
        scribe.end()
    left.assert_called_once_with(1)


def test_where_no_socket_can_be_it_waits_for_its_end(
    scribe: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A path may be too long for one. It says so once; to be started again and again would not help."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    until, ask_to_end = os.pipe()
    known = Services(scribe.installation, Catalogue.load(), utc_now)
    thread = threading.Thread(target=scribe_module.serve, args=(known, deep, until))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    os.close(ask_to_end)
    thread.join(SOON_SECONDS)
    assert not thread.is_alive()
    os.close(until)
    assert caplog.text.count("each process writes by itself") == 1
