"""The outermost layer: ids, headers, what is counted, which lines are written, how a body is handed on."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from api import edge, problems
from api.edge import HEADERS, OTHER, SMALL_BYTES, UNMATCHED, Edge
from ledger import logs
from ledger.book import entries
from tests.api.client import Api

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The edge does not depend on the kind of database."""
    return sqlite_url


class Tally:
    """Notes which requests it is told of."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request."""
        assert seconds >= 0
        self.seen.append((method, route, status))


class Chunks:
    """A body that is made as it is read."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = iter(parts)
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """What WSGI wants to be called at the end."""
        self.closed = True


def _answer(
    body: Iterable[bytes], headers: list[tuple[str, str]], *, secure: bool = False, scheme: str = "http", **environ: str
) -> tuple[Iterable[bytes], list[tuple[str, str]], Tally]:
    """What comes out of an edge around an application with this body and these headers."""
    tally, told = Tally(), list[tuple[str, str]]()

    def inner(_: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", headers)
        return body

    def start_response(_: str, headers: list[tuple[str, str]], *_fault: Any) -> Any:
        told.extend(headers)

    made = Edge(inner, tally, secure=secure, every_request=False)
    out = made({"REQUEST_METHOD": "GET", "wsgi.url_scheme": scheme, **environ}, start_response)
    return out, told, tally


def test_every_answer_has_an_id_of_its_own(api: Api) -> None:
    """No two requests share one, and no two applications do."""
    ids = [api.get("//healthz").headers["X-Request-Id"] for _ in range(3)]
    ids += [dict(_answer([], [])[1])["X-Request-Id"] for _ in range(3)]
    assert len(set(ids)) == 6


def test_a_harmless_id_is_kept_and_any_other_replaced(api: Api) -> None:
    """What a proxy sent goes through to the answer, unless it could break a log line."""
    for given in ("abc", "A-1_2.3", "x" * 64):
        assert api.get("//healthz", X_Request_Id=given).headers["X-Request-Id"] == given
    for given in ("x" * 65, "a b", "a;b", 'a"b', "é"):
        assert api.get("//healthz", X_Request_Id=given).headers["X-Request-Id"] != given
    assert dict(_answer([], [], HTTP_X_REQUEST_ID="a\n")[1])["X-Request-Id"] != "a\n"
    assert dict(_answer([], [], HTTP_X_REQUEST_ID="")[1])["X-Request-Id"] != ""


def test_protecting_headers_stand_in_every_answer() -> None:
    """All of them where the application says nothing; what it says itself is kept; the strict one over TLS alone."""
    _, told, _ = _answer([], [("Content-Type", "text/plain")])
    assert told[:-1] == [("Content-Type", "text/plain"), *HEADERS]
    _, told, _ = _answer([], [("referrer-policy", "no-referrer")])
    assert [value for name, value in told if name.lower() == "referrer-policy"] == ["no-referrer"]
    assert len(told) == len(HEADERS) + 1
    strict = "Strict-Transport-Security"
    assert strict not in dict(told)
    assert strict in dict(_answer([], [], secure=True)[1])
    assert strict in dict(_answer([], [], scheme="https")[1])


def test_a_short_body_goes_in_one_piece_and_others_as_they_come() -> None:
    """A list is what the server sends at once. A stream is not read ahead, whether its length is known or not."""
    short = Chunks(b"a", b"b")
    out, _, _ = _answer(short, [("Content-Length", "2")])
    assert (out, short.closed) == ([b"a", b"b"], True)
    for headers in ([], [("Content-Length", str(SMALL_BYTES + 1))]):
        stream = Chunks(b"a", b"b")
        out, _, _ = _answer(stream, headers)
        assert out is stream
        assert not stream.closed


def test_requests_are_counted_by_route(api: Api) -> None:
    """The template and not the path; an unknown address and an invented method stand for all of their kind."""
    tally = Tally()
    api.app.wsgi_app = Edge(api.app.wsgi_app, tally, secure=False, every_request=False)  # type: ignore[method-assign]
    api.get("//v1/cities/khon-kaen/shops/none")
    api.get("//nowhere")
    api.call("BREW", "//healthz")
    api.get("//healthz")
    assert tally.seen == [
        ("GET", "/v1/cities/<city>/shops/<shop>", 404),
        ("GET", UNMATCHED, 404),
        (OTHER, UNMATCHED, 405),
        ("GET", "/healthz", 200),
    ]


def test_only_failed_and_slow_requests_get_a_line(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless all are asked for. The line names the route, never what stands in the path."""
    inner = api.app.wsgi_app
    with caplog.at_level(logging.INFO, "api.edge"):
        api.get("/shops/secret")
        assert caplog.records == []
        with monkeypatch.context() as impatient:
            impatient.setattr(edge, "SLOW_SECONDS", 0)
            api.get("/shops/secret")
        api.app.wsgi_app = Edge(inner, Tally(), secure=False, every_request=True)  # type: ignore[method-assign]
        api.get("/shops/secret", X_Request_Id="r-1")
        api.app.wsgi_app = inner  # type: ignore[method-assign]
        monkeypatch.setattr(entries, "leaf", lambda *_: 1 // 0)
        api.get("/entries/0")
    records = [record for record in caplog.records if record.name == "api.edge"]
    lines = [json.loads(logs.JsonLines().format(record)) for record in records]
    assert [line["status"] for line in lines] == [404, 404, 500]
    assert "secret" not in json.dumps(lines)
    assert lines[1]["request_id"] == "r-1"
    assert (lines[1]["route"], lines[1]["city"]) == ("/v1/cities/<city>/shops/<shop>", "khon-kaen")
    assert [record.levelname for record in records] == ["INFO", "INFO", "WARNING"]


def test_a_line_written_meanwhile_bears_the_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What anybody logs while a request is answered has its id and its city; outside of requests there is neither."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines(edge.log_context))
    monkeypatch.setattr(entries, "leaf", lambda *_: 1 // 0)
    monkeypatch.setattr(problems.log, "handlers", [handler])
    answer = api.get("/entries/0")
    problems.log.error("elsewhere")
    inside, outside = map(json.loads, written.getvalue().splitlines())
    assert inside["request_id"] == answer.headers["X-Request-Id"] == answer.body["request_id"]
    assert inside["city"] == "khon-kaen"
    assert "ZeroDivisionError" in inside["exception"]
    assert outside.keys() == {"time", "level", "logger", "message"}
