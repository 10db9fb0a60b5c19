"""More comes than the queue holds: the surplus is told at once to come again, and nothing that was accepted is lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url

from api.app import create_app
from api.services import EXTENSION
from ledger.book.writer import Writer
from ledger.config import Settings
from ledger.db import Transaction
from ledger.people import tokens
from tests.api.client import PUBLIC_URL, Answer, Api
from tests.counts import scale
from tests.factories import CITY, Installation

CROWD = scale(24, 200)
QUEUE = 5
PATIENCE_SECONDS = 60
"""How long the tests wait for what must come, before they fail."""


@pytest.fixture
def app(installation: Installation, database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The application, whose writer lets few wait; the treasury is full, and the writer's thread is there."""
    installation.grant()
    installation.open("shop:a")
    made = create_app(Settings(tmp_path, database_url, PUBLIC_URL), clock=installation.clock)
    _writer(made).max_queue = QUEUE
    yield made
    made.extensions[EXTENSION].installation.close()


@pytest.fixture
def treasurer(app: Flask, installation: Installation) -> Callable[[], Api]:
    """Makes clients, one for each thread, that are signed in as the treasurer."""
    token = installation.run(lambda unit: tokens.issue(unit, {"treasurer"}, None, label="test"))

    def make() -> Api:
        return Api(app, installation, token)

    assert _pay(make(), "first").status == 201
    return make


def _writer(app: Flask) -> Writer:
    writer: Writer = app.extensions[EXTENSION].installation.writer
    return writer


def _pay(client: Api, key: str) -> Answer:
    order = {"kind": "transfer", "from": "treasury", "to": "shop:a", "amount_minor": 1}
    return client.post("/entries", order, key=key)


@contextmanager
def _held_head(url: str) -> Iterator[None]:
    """Another connection holds what every writer of the city has to take first."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(make_url(url).database or "", isolation_level=None)
        try:
            file.execute("BEGIN IMMEDIATE")
            yield
        finally:
            file.close()
        return
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string()) as other:
        other.execute("SELECT size FROM heads WHERE city = %s FOR UPDATE", (CITY,))
        yield


def _notice_next_batch(app: Flask, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the writer has taken its next batch out of the queue and goes to the database."""
    database, taken = _writer(app).database, threading.Event()
    begin: Callable[[], AbstractContextManager[Transaction]] = database.transaction

    @contextmanager
    def noticed() -> Iterator[Transaction]:
        taken.set()
        with begin() as transaction:
            yield transaction

    monkeypatch.setattr(database, "transaction", noticed)
    return taken


def _paid(installation: Installation) -> int:
    return installation.balance("shop:a").posted_minor


def test_the_surplus_is_refused_at_once_and_the_rest_is_kept(
    app: Flask, installation: Installation, treasurer: Callable[[], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be committed, as many wait as the queue holds; the others are told when to come again."""
    before, size = _paid(installation), len(installation.leaves())
    taken = _notice_next_batch(app, monkeypatch)
    with ThreadPoolExecutor(CROWD + 1) as pool:
        with _held_head(installation.database.url):
            running: Future[Answer] = pool.submit(_pay, treasurer(), "running")
            assert taken.wait(PATIENCE_SECONDS)
            waiting = {pool.submit(_pay, treasurer(), f"key-{n}"): f"key-{n}" for n in range(CROWD)}
            surplus = _first(waiting, CROWD - QUEUE)
            for answer in [future.result() for future in surplus]:
                assert (answer.status, answer.code) == (503, "overloaded")
                assert int(answer.headers["Retry-After"]) == answer.body["retry_after_seconds"] >= 1
            accepted = [running, *(future for future in waiting if future not in surplus)]
            assert [future for future in accepted if future.done()] == []
            assert len(installation.leaves()) == size
        answers = [future.result(PATIENCE_SECONDS) for future in accepted]
    assert [answer.status for answer in answers] == [201] * (1 + QUEUE)
    assert sorted(answer.body["entry"] for answer in answers) == list(range(size, size + 1 + QUEUE))
    assert _paid(installation) == before + 1 + QUEUE
    client = treasurer()
    for future in surplus:  # no key of theirs is known
        again = _pay(client, waiting[future])
        assert (again.status, "Idempotent-Replay" in again.headers) == (201, False)
    for future in set(waiting) - surplus:
        again = _pay(client, waiting[future])
        assert (again.status, again.headers["Idempotent-Replay"]) == (201, "true")
    assert _paid(installation) == before + 1 + CROWD
    assert installation.audit().findings == []


def test_whoever_comes_again_when_told_gets_through(
    app: Flask, installation: Installation, treasurer: Callable[[], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd far beyond the queue keeps to `Retry-After`: each is served, once."""
    before, taken = _paid(installation), _notice_next_batch(app, monkeypatch)
    refused = threading.Event()

    def insist(number: int) -> Answer:
        client = treasurer()
        while (answer := _pay(client, f"key-{number}")).status == 503:
            assert answer.code == "overloaded"
            refused.set()
            time.sleep(int(answer.headers["Retry-After"]))
        return answer

    with ThreadPoolExecutor(CROWD) as pool:
        with _held_head(installation.database.url):
            answers: list[Future[Answer]] = [pool.submit(insist, number) for number in range(CROWD)]
            assert taken.wait(PATIENCE_SECONDS)
            assert refused.wait(PATIENCE_SECONDS)
        told = [future.result(PATIENCE_SECONDS) for future in answers]
    assert [answer.status for answer in told] == [201] * CROWD
    assert len({answer.body["entry"] for answer in told}) == CROWD
    assert _paid(installation) == before + CROWD
    assert installation.audit().findings == []


def _first(futures: dict[Future[Any], str], wanted: int) -> set[Future[Any]]:
    """The first that are done, as many as are wanted."""
    done: set[Future[Any]] = set()
    for future in as_completed(futures, PATIENCE_SECONDS):
        done.add(future)
        if len(done) == wanted:
            break
    return done
