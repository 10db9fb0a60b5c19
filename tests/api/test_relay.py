"""The relay: the scribe writes for all processes, and nobody who asks can tell whether there is one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from flask import Flask

from api.app import create_app, front_of
from api.frames import Heard
from api.lane import Lane
from api.relay import AGAIN_SECONDS, DOOR, WELCOME, Relay
from api.services import EXTENSION
from ledger.config import Settings
from ledger.installation import Installation, assemble
from tests.api.client import LOOP, PUBLIC_URL, Answer, Api, client_of_front
from tests.api.scribes import SOON_SECONDS, Running, running
from tests.waiting import until

KEY = "3f1c9a52-77d0-4c1e-9a34-1f1c9a5277d0"
GRANT = {"kind": "grant", "amount_minor": 700}
FACTS = ("title", "detail", "reason", "errors")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The way of a request does not depend on the kind of database."""
    return sqlite_url


@pytest.fixture(autouse=True)
def _seeks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before he seeks the scribe again."""
    monkeypatch.setattr("api.relay.AGAIN_SECONDS", 0.0)
    assert AGAIN_SECONDS > 0


class Process:
    """One web process of a server: its front and a treasurer who asks there."""

    def __init__(self, api: Api, app: Flask, directory: Path, token: str) -> None:
        self.app = app
        self.front: Lane = front_of(app, directory)
        self.treasurer = Api(app, api.installation, token)
        self.treasurer.client = client_of_front(self.front)
        self.installation: Installation = self.app.extensions[EXTENSION].installation
        self.treasurer.post("/entries", GRANT)  # through Flask, so that the city is known from now on

    @property
    def relay(self) -> Relay:
        """Its ways to the scribe."""
        return self.front._relay

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
        LOOP.call_soon_threadsafe(self.relay.close)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Those of the installation that `api` is of."""
    return Settings(tmp_path, database_url, PUBLIC_URL)


@pytest.fixture
def token(api: Api) -> str:
    """A treasurer's."""
    signed_in = api.signed_in({"treasurer"}).token
    assert signed_in is not None
    return signed_in


@pytest.fixture
def processes(api: Api, settings: Settings, shared: Path, token: str) -> Iterator[tuple[Process, Process]]:
    """Two web processes of one server, which has no scribe yet."""
    second = create_app(settings, clock=api.installation.clock)
    made = Process(api, api.app, shared, token), Process(api, second, shared, token)
    yield made
    for process in made:
        process.end()
    made[1].installation.close()


@pytest.fixture
def written(api: Api, settings: Settings) -> Iterator[Installation]:
    """The installation as a scribe has it open."""
    with assemble(settings, api.installation.clock) as installation:
        yield installation


@pytest.fixture
def scribe(processes: object, written: Installation, shared: Path) -> Iterator[Running]:
    """The server's scribe."""
    del processes
    with running(written, shared) as made:
        yield made


def told(answer: Answer) -> tuple[int, list[str], str]:
    """What two answers to the same thing share."""
    return answer.status, [name for name, _ in answer.headers], answer.body.get("code", "")


def test_the_scribe_writes_for_all(processes: tuple[Process, Process], scribe: Running) -> None:
    """What a lane takes enters no line of its own process, and the answer is the same as without a scribe."""
    first, second = processes
    with first.writes(0), second.writes(0):
        answers = [first.post(), second.post()]
    scribe.end()
    with first.writes(1):
        answers.append(first.post())
    assert told(answers[0]) == told(answers[1]) == told(answers[2])
    entry = answers[0].body["entry"]
    assert [answer.body["entry"] for answer in answers] == [entry, entry + 1, entry + 2]


def test_a_key_is_known_wherever_it_comes(processes: tuple[Process, Process], scribe: Running) -> None:
    """A replay is a replay at either process, and when there is no scribe any more."""
    first, second = processes
    answers = [process.post(key=KEY) for process in (second, first)]
    scribe.end()
    answers.append(second.post(key=KEY))
    assert [answer.headers.get("Idempotent-Replay") for answer in answers] == [None, "true", "true"]
    assert {answer.raw for answer in answers} == {answers[0].raw}


def test_a_refusal_is_the_same_by_either_way(processes: tuple[Process, Process], scribe: Running) -> None:
    """It passes between the processes with its reason and its facts, and each says it in its own words."""
    first, _ = processes
    to_nobody = {"kind": "transfer", "from": "treasury", "to": "shop:no", "amount_minor": 1}
    bodies: list[object] = [{}, b"{", to_nobody, {**to_nobody, "amount_minor": 10**12}]
    by_scribe = [first.treasurer.post("/entries", body) for body in bodies]
    scribe.end()
    for body, answer in zip(bodies, by_scribe, strict=True):
        by_itself = first.treasurer.post("/entries", body)
        assert told(answer) == told(by_itself)
        assert [answer.body.get(name) for name in FACTS] == [by_itself.body.get(name) for name in FACTS]
        assert answer.status >= 400


def test_who_is_nobody_is_told_so(processes: tuple[Process, Process], scribe: Running) -> None:
    """A token that is none, and one that is unknown, are refused by the scribe as by anybody."""
    del scribe
    first, _ = processes
    for wrong in ("nonsense", "kgo_kk" + 26 * "a"):
        first.treasurer.token = wrong
        with first.writes(0):
            answer = first.post()
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


def test_a_fault_of_the_scribe_is_a_500(processes: tuple[Process, Process], scribe: Running) -> None:
    """It says no more than any other, and is not tried again: it may have been done."""
    del scribe
    first, _ = processes
    with mock.patch("api.operations.SignedWrite.answer", side_effect=ZeroDivisionError("secret")), first.writes(0):
        answer = first.post()
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    assert b"secret" not in answer.raw


def test_without_a_scribe_each_writes_by_itself(
    processes: tuple[Process, Process], written: Installation, shared: Path
) -> None:
    """Before there is one, after it has ended, and not any more once there is another one."""
    first, second = processes
    for _ in range(2):
        with first.writes(1), second.writes(1):
            assert [first.post().status, second.post().status] == [201, 201]
        with running(written, shared), first.writes(0), second.writes(0):
            assert [first.post().status, second.post().status] == [201, 201]


def test_its_end_waits_for_what_is_under_way(processes: tuple[Process, Process], scribe: Running) -> None:
    """Whoever was taken is answered; nobody is left with an unknown outcome."""
    first, _ = processes
    assert first.post().status == 201
    with ThreadPoolExecutor(2) as pool, first.writes(0):
        with first.installation.database.write():  # whoever else writes now waits
            waiting = pool.submit(first.post)
            until(lambda: first.relay.waiting() == {"khon-kaen": 1})
            ending = pool.submit(scribe.end)
            assert not ending.done()
        assert waiting.result(SOON_SECONDS).status == 201
        ending.result(SOON_SECONDS)


def test_a_process_that_leaves_waits_for_its_answers(processes: tuple[Process, Process], scribe: Running) -> None:
    """What it has ordered is answered; what comes then, it writes by itself."""
    del scribe
    first, _ = processes
    assert first.post().status == 201
    with ThreadPoolExecutor(1) as pool, first.writes(0):
        with first.installation.database.write():
            waiting = pool.submit(first.post)
            until(lambda: first.relay.waiting() == {"khon-kaen": 1})
            first.end()
        assert waiting.result(SOON_SECONDS).status == 201
    with first.writes(1):
        assert first.post().status == 201


def test_who_waits_for_the_scribe_is_counted(processes: tuple[Process, Process], scribe: Running) -> None:
    """A process before which too many wait takes no more, wherever they wait."""
    del scribe
    first, _ = processes
    first.installation.writer.max_queue = 2
    assert first.post().status == 201
    assert "writer" not in first.installation.health.ready()
    with ThreadPoolExecutor(1) as pool:
        with first.installation.database.write():
            waiting = pool.submit(first.post)
            until(lambda: first.relay.waiting() == {"khon-kaen": 1})
            assert "khon-kaen" in first.installation.health.ready()["writer"]
        assert waiting.result(SOON_SECONDS).status == 201


class Impostor:
    """Stands in a scribe's place: lets a process in or not, takes its orders, and goes without a word.

    Args:
        directory: the server's.
        welcomes: whether it lets anybody in.
    """

    def __init__(self, directory: Path, *, welcomes: bool) -> None:
        self.orders: list[object] = []
        self._welcomes = welcomes
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(directory / DOOR))
        self._door.listen()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        connection, _ = self._door.accept()
        with connection:
            heard, greeting = Heard(), b""
            while not greeting.endswith(b"\n"):
                greeting += connection.recv(1)
            if self._welcomes:
                connection.sendall(WELCOME)
                while not self.orders:
                    self.orders += heard.take(connection.recv(4_096))
            self._door.close()

    def end(self) -> None:
        """See it gone."""
        self._thread.join(SOON_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def left(api: Api, shared: Path, token: str) -> Iterator[Process]:
    """A process that an impostor will leave alone."""
    made = Process(api, api.app, shared, token)
    yield made
    made.end()


def test_an_order_with_a_key_is_carried_out_after_a_fall(left: Process, shared: Path) -> None:
    """The key tells whether it was done before; it was not."""
    fallen = Impostor(shared, welcomes=True)
    with left.writes(1):
        answer = left.post(key=KEY)
    fallen.end()
    assert len(fallen.orders) == 1
    assert (answer.status, answer.headers.get("Idempotent-Replay")) == (201, None)
    assert left.post(key=KEY).headers["Idempotent-Replay"] == "true"


def test_an_order_without_a_key_has_an_unknown_outcome(left: Process, shared: Path) -> None:
    """It is not done twice, and not claimed to be undone; the next one is carried out."""
    fallen = Impostor(shared, welcomes=True)
    with left.writes(0):
        answer = left.post()
    fallen.end()
    assert len(fallen.orders) == 1
    assert (answer.status, answer.body["code"]) == (503, "outcome_unknown")
    assert left.post().status == 201


def test_who_is_not_let_in_writes_by_itself(left: Process, shared: Path) -> None:
    """Nothing was ordered, so that nothing is unknown."""
    deaf = Impostor(shared, welcomes=False)
    with left.writes(1):
        assert left.post().status == 201
    deaf.end()
    assert deaf.orders == []


def test_where_no_socket_can_be_each_writes_by_itself(api: Api, tmp_path: Path, token: str) -> None:
    """A path may be too long for one; that costs speed and nothing else."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    process = Process(api, api.app, deep, token)
    with process.writes(1):
        assert process.post().status == 201
    process.end()
