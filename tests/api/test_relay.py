"""The relay: of several processes one writes for all, and nobody who asks can tell which."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest
from flask import Flask

from api.app import create_app, front_of
from api.lane import Lane
from api.services import EXTENSION
from ledger.config import Settings
from tests.api.client import LOOP, PUBLIC_URL, Answer, Api, client_of_front

KEY = "3f1c9a52-77d0-4c1e-9a34-1f1c9a5277d0"
GRANT = {"kind": "grant", "amount_minor": 700}
FACTS = ("title", "detail", "reason", "errors")
SOON = 20
"""Seconds in which what is awaited comes on any machine."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The way of a request does not depend on the kind of database."""
    return sqlite_url


class Process:
    """One process of a server: its front and a treasurer who asks there."""

    def __init__(self, api: Api, app: Flask, directory: Path, token: str) -> None:
        self.app = app
        self.front: Lane = front_of(app, directory)
        self.treasurer = Api(app, api.installation, token)
        self.treasurer.client = client_of_front(self.front)
        self.installation = self.app.extensions[EXTENSION].installation
        self.treasurer.post("/entries", GRANT)  # through Flask, so that the city is known from now on

    def post(self, amount_minor: int = 700, key: str | None = None) -> Answer:
        """A grant."""
        return self.treasurer.post("/entries", {**GRANT, "amount_minor": amount_minor}, key=key)

    @contextmanager
    def writes(self, times: int) -> Iterator[None]:
        """Fail unless so many commands enter this process's line in the block."""
        writer = self.installation.writer
        with mock.patch.object(writer, "enter", wraps=writer.enter) as enter:
            yield
        assert enter.call_count == times

    def end(self) -> None:
        """End in order, as when the server ends its workers."""
        asyncio.run_coroutine_threadsafe(self.front._relay.close(), LOOP).result(SOON)


def another(api: Api, database_url: str, data: Path) -> Flask:
    """A second application of the same installation."""
    return create_app(Settings(data, database_url, PUBLIC_URL), clock=api.installation.clock)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The directory that the processes share."""
    made = tmp_path / "shared"
    made.mkdir()
    return made


@pytest.fixture
def processes(api: Api, database_url: str, tmp_path: Path, shared: Path) -> Iterator[tuple[Process, Process]]:
    """Two processes of one server, of which the first has begun to write."""
    token = api.signed_in({"treasurer"}).token
    assert token is not None
    second = another(api, database_url, tmp_path)
    made = Process(api, api.app, shared, token), Process(api, second, shared, token)
    assert made[0].post().status == 201
    yield made
    for process in made:
        process.end()
    made[1].installation.close()


def told(answer: Answer) -> tuple[int, list[str], str]:
    """What two answers to the same thing share."""
    return answer.status, [name for name, _ in answer.headers], answer.body.get("code", "")


def test_one_writes_for_both(processes: tuple[Process, Process]) -> None:
    """What the second one's lane takes, enters the line of the first; the answer is of the same form."""
    first, second = processes
    with first.writes(2), second.writes(0):
        answers = [first.post(), second.post()]
    assert told(answers[0]) == told(answers[1])
    assert answers[1].body["entry"] == answers[0].body["entry"] + 1


def test_a_key_is_known_wherever_it_comes(processes: tuple[Process, Process]) -> None:
    """A replay is a replay at either process."""
    first, second = processes
    answers = [process.post(key=KEY) for process in (second, first, second)]
    assert [answer.headers.get("Idempotent-Replay") for answer in answers] == [None, "true", "true"]
    assert {answer.raw for answer in answers} == {answers[0].raw}


def test_a_refusal_is_the_same_at_both(processes: tuple[Process, Process]) -> None:
    """It passes between them with its reason and its facts, and each says it in its own words."""
    to_nobody = {"kind": "transfer", "from": "treasury", "to": "shop:no", "amount_minor": 1}
    for body in ({}, b"{", to_nobody, {**to_nobody, "amount_minor": 10**12}):
        answers = [process.treasurer.post("/entries", body) for process in processes]
        assert told(answers[0]) == told(answers[1])
        assert [answers[0].body.get(name) for name in FACTS] == [answers[1].body.get(name) for name in FACTS]
        assert answers[0].status >= 400


def test_a_fault_of_the_one_is_a_500_at_the_other(processes: tuple[Process, Process]) -> None:
    """It says no more than any other, and is not tried again: it may have been done."""
    first, second = processes
    with mock.patch("api.operations.SignedWrite.answer", side_effect=ZeroDivisionError("secret")), first.writes(1):
        answer = second.post()
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    assert b"secret" not in answer.raw


def test_when_the_one_that_writes_ends_the_next_one_does(processes: tuple[Process, Process]) -> None:
    """It ends in order; the other carries on by itself, and writes for whoever comes."""
    first, second = processes
    assert second.post().status == 201
    first.end()
    with second.writes(2):
        assert [second.post().status, second.post().status] == [201, 201]
    with first.writes(1):
        assert first.post().status == 201  # what has ended still answers what comes, by itself


def test_an_end_waits_for_what_is_under_way(processes: tuple[Process, Process]) -> None:
    """Whoever has been taken is answered by the one that ends; nobody is left with an unknown outcome."""
    first, second = processes
    assert second.post().status == 201
    with ThreadPoolExecutor(2) as pool, first.writes(1), second.writes(0):
        with first.installation.database.write():  # whoever else writes now waits
            waiting = pool.submit(second.post)
            _until(lambda: any(colleague._under_way for colleague in first.front._relay._serving))
            ending = pool.submit(first.end)
            _until(lambda: first.front._relay._ended)
            assert not ending.done()
        assert waiting.result(SOON).status == 201
        ending.result(SOON)


def test_a_city_that_the_one_does_not_know_is_written_by_the_other(processes: tuple[Process, Process]) -> None:
    """Until somebody has asked for it there."""
    first, second = processes
    first.app.extensions[EXTENSION]._cities.clear()
    with first.writes(0), second.writes(1):
        assert second.post().status == 201


@pytest.fixture
def fallen(shared: Path) -> Iterator[threading.Event]:
    """Another process that takes one order, and falls before it answers."""
    took = threading.Event()
    with (
        (shared / "writer.lock").open("w") as lock,
        closing(socket.socket(socket.AF_UNIX)) as door,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        door.bind(str(shared / "writer.socket"))
        door.listen()

        def take() -> None:
            connection, _ = door.accept()
            with connection:
                connection.recv(1)
                took.set()
                door.close()

        thread = threading.Thread(target=take)
        thread.start()
        yield took
        thread.join(SOON)


@pytest.fixture
def left(api: Api, shared: Path, fallen: threading.Event) -> Iterator[Process]:
    """The process that it leaves."""
    del fallen
    token = api.signed_in({"treasurer"}).token
    assert token is not None
    made = Process(api, api.app, shared, token)
    yield made
    made.end()


def test_an_order_with_a_key_is_carried_out_after_a_fall(left: Process, fallen: threading.Event) -> None:
    """The key tells whether it was done before; it was not."""
    with left.writes(1):
        answer = left.post(key=KEY)
    assert fallen.is_set()
    assert (answer.status, answer.headers.get("Idempotent-Replay")) == (201, None)
    assert left.post(key=KEY).headers["Idempotent-Replay"] == "true"


def test_an_order_without_a_key_has_an_unknown_outcome(left: Process, fallen: threading.Event) -> None:
    """It is not done twice, and not claimed to be undone; the next one is carried out."""
    with left.writes(0):
        answer = left.post()
    assert fallen.is_set()
    assert (answer.status, answer.body["code"]) == (503, "outcome_unknown")
    assert left.post().status == 201


def test_where_no_socket_can_be_each_writes_by_itself(api: Api, database_url: str, tmp_path: Path) -> None:
    """A path may be too long for one; that costs speed and nothing else."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    token = api.signed_in({"treasurer"}).token
    assert token is not None
    second = another(api, database_url, tmp_path)
    made = Process(api, api.app, deep, token), Process(api, second, deep, token)
    for process in made:
        with process.writes(1):
            assert process.post().status == 201
    for process in made:
        process.end()
    made[1].installation.close()


def _until(seen: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(SOON * 100):
        if seen():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")
