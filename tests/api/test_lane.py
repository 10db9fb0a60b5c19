"""The lane: plain writes pass Flask by, and nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from api import addresses
from api.app import front_of
from api.services import EXTENSION
from tests.api.client import BASE, Answer, Api, Town, agreement

KEY = "3f1c9a52-77d0-4c1e-9a34-1f1c9a5277d0"
GRANT = {"kind": "grant", "amount_minor": 700}
AROUND = "application/json; charset=utf-8"
"""A media type that says the same, and that the lane leaves to Flask."""
OF_ITS_OWN = ("entry", "id", "at", "tree_size")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The way of a request does not depend on the kind of database."""
    return sqlite_url


@pytest.fixture
def api(api: Api) -> Api:
    """The API of a city that has been written to before: the first write of a process is Flask's."""
    api.learner()
    return api


@contextmanager
def flask_answers(api: Api, times: int) -> Iterator[None]:
    """Fail unless Flask answers so many of the requests in the block."""
    agreement(api.app)  # reads the description through Flask, once
    with mock.patch.object(api.app, "full_dispatch_request", wraps=api.app.full_dispatch_request) as dispatch:
        yield
    assert dispatch.call_count == times


def told(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """An answer without what no two answers share."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    body = {name: value for name, value in answer.body.items() if name not in OF_ITS_OWN}
    return answer.status, headers, body


def test_plain_writes_pass_flask_by(town: Town) -> None:
    """A check-in, an entry, a batch and a reservation are carried out without Flask."""
    learner = town.api.learner()
    code = town.steward.get("/activities/walk/code").body["code"]
    with flask_answers(town.api, 0):
        assert learner.post("/check-ins", {"code": code}).status == 201
        assert town.steward.post("/entries", GRANT).status == 201
        assert town.steward.post("/entries:batch", {"entries": [GRANT, GRANT]}).status == 201
        assert learner.post("/redemptions", {"promotion": "coffee"}).status == 201


def test_the_first_write_of_a_city_is_left_to_flask(api: Api) -> None:
    """It makes the city known and begins its writer, which the lane does not wait for."""
    treasurer = api.signed_in({"treasurer"})
    api.app.extensions[EXTENSION]._cities.clear()
    with flask_answers(api, 1):
        answers = [treasurer.post("/entries", GRANT), treasurer.post("/entries", GRANT)]
    assert told(answers[0]) == told(answers[1])


def test_the_answer_is_that_of_flask(api: Api) -> None:
    """Status, every header in its place, and body are the same; a replay too, on whichever way it comes."""
    treasurer = api.signed_in({"treasurer"})
    with flask_answers(api, 1):
        answers = [treasurer.post("/entries", GRANT), treasurer.post("/entries", GRANT, Content_Type=AROUND)]
    assert told(answers[0]) == told(answers[1])
    assert list(answers[0].headers.keys()) == list(answers[1].headers.keys())
    first = treasurer.post("/entries", GRANT, key=KEY)
    with flask_answers(api, 1):
        replays = [treasurer.post("/entries", GRANT, key=KEY, **more) for more in ({}, {"Content_Type": AROUND})]
    assert told(replays[0]) == told(replays[1])
    assert list(replays[0].headers.keys()) == list(replays[1].headers.keys())
    assert [one.headers["Idempotent-Replay"] for one in replays] == ["true"] * 2
    assert [one.raw for one in replays] == [first.raw] * 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "grant"},
        {**GRANT, "extra": 1},
        {"kind": "transfer", "from": "treasury", "to": "shop:no", "amount_minor": 1},
        {"kind": "fund", "to": "budget:none", "amount_minor": 10**9},
        b"{",
        b"[]",
        b'{"a":1,"a":1}',
    ],
)
def test_a_refusal_is_that_of_flask(api: Api, body: Any) -> None:
    """The lane hands it over: the same problem in the same words, and still nothing was done."""
    treasurer = api.signed_in({"treasurer"})
    with flask_answers(api, 2):
        answers = [treasurer.post("/entries", body), treasurer.post("/entries", body, Content_Type=AROUND)]
    assert answers[0].status >= 400
    assert told(answers[0]) == told(answers[1])
    with flask_answers(api, 2):
        thai = [
            treasurer.post("/entries", body, Accept_Language="th", **more) for more in ({}, {"Content_Type": AROUND})
        ]
    assert told(thai[0]) == told(thai[1])
    assert thai[0].body["title"] != answers[0].body["title"]


def test_whoever_may_not_is_refused_as_ever(town: Town) -> None:
    """A wrong token, another's role, another city, another body under the same key."""
    learner = town.api.learner()
    town.steward.post("/entries", GRANT, key=KEY)
    cases = [
        (401, town.api.with_token("kgo_kk" + "a" * 26), "/entries", {}),
        (401, town.api.with_token("x"), "/entries", {}),
        (403, learner, "/entries", {}),
        (404, town.steward, "//v1/cities/atlantis/entries", {}),
        (409, town.steward, "/entries", {"key": KEY}),
        (422, town.steward, "/entries", {"key": "x" * 256}),
    ]
    for status, who, path, more in cases:
        answers = [
            who.post(path, {**GRANT, "amount_minor": 1}, **more, **kind) for kind in ({}, {"Content_Type": AROUND})
        ]
        assert answers[0].status == status, (status, path)
        assert told(answers[0]) == told(answers[1])


def test_an_unforeseen_fault_is_told_as_ever(api: Api) -> None:
    """It becomes a 500 with the request's id and no internals."""
    treasurer = api.signed_in({"treasurer"})
    with mock.patch("api.operations.SignedWrite.answer", side_effect=ZeroDivisionError("secret")):
        answer = treasurer.post("/entries", GRANT)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert answer.headers["X-Request-Id"] == answer.body["request_id"]
    assert b"secret" not in answer.raw


def test_all_else_goes_through_flask_unread(town: Town) -> None:
    """Nobody signed in, a query, no media type, no body, an unknown route, another method, a path with more in it."""
    steward, nobody = town.steward, town.api
    calls: list[tuple[int, Api, str, str, Any, dict[str, str]]] = [
        (201, nobody, "POST", "/learners", {}, {}),
        (201, steward, "POST", "/entries?lang=th", GRANT, {}),
        (415, steward, "POST", "/entries", GRANT, {"Content_Type": "text/plain"}),
        (422, steward, "POST", "/entries", None, {}),
        (404, steward, "POST", "/nothing", GRANT, {}),
        (201, steward, "POST", f"/{BASE}/entries/", GRANT, {}),
        (405, steward, "PUT", "/entries", GRANT, {}),
        (200, steward, "POST", "/shops/cafe/approve", {}, {}),
        (404, steward, "POST", "//v1/cities/ขอนแก่น/entries", GRANT, {}),
        (405, steward, "POST", "//v1/cities//entries", GRANT, {}),
        (413, steward, "POST", "/entries", b" " * 1_100_000, {}),
    ]
    for status, who, method, path, body, headers in calls:
        with flask_answers(town.api, 1):
            assert who.call(method, path, body, **headers).status == status, path


def test_a_body_that_breaks_off_is_not_carried_out(api: Api) -> None:
    """A client that leaves half-way gets nothing done, however valid the half is."""
    treasurer = api.signed_in({"treasurer"})
    body = b'{"kind":"grant","amount_minor":700}'
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": f"{BASE}/entries",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % (len(body) + 5)),
            (b"authorization", f"Bearer {treasurer.token}".encode()),
        ],
    }
    messages: list[dict[str, Any]] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": body, "more_body": True},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(front_of(api.app)(scope, receive, send))
    assert sent[0]["status"] == 400
    assert api.get("/accounts/treasury/balance").body["posted_minor"] == 100_000


def test_nothing_is_attached_to_flask_that_the_lane_would_miss(api: Api) -> None:
    """What surrounds every request stands around both ways, not in Flask's hooks; but the lane takes no queries."""
    hooks = (api.app.before_request_funcs, api.app.after_request_funcs, api.app.teardown_request_funcs)
    found = [one for names in hooks for name in (None, "v1") for one in names.get(name, [])]
    assert [one for one in found if one is not addresses._judge_query] == []
    assert not api.app.teardown_appcontext_funcs
