"""The outermost layer: every request gets an id, every answer the protecting headers; both are counted and timed.

Around Flask it is WSGI and knows nothing of the application but the route that a request met, so that it costs the same
few microseconds whatever lies within; the lane, which passes Flask by, asks it for the same. `X-Request-Id` of a
request is kept if it is harmless, else one is made; it stands in the answer, in problems, and in each log line of the
request. Lines about requests name the route and never the path, for a path may hold a one-time link or a learner's
account.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from flask import has_request_context, request

from ledger import logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID = "kgo.request_id"
"""Where the WSGI environment has the request's id."""

SLOW_SECONDS = 1.0
"""A request that takes longer gets a log line of its own."""

UNMATCHED, OTHER = "unmatched", "other"
"""What stands for the route of an unknown address, and for a method that HTTP does not know."""

SMALL_BYTES = 65_536
"""A body of a known length up to this one is handed to the server in one piece."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(self), geolocation=(), microphone=()"),
)
"""What every answer bears unless its maker says otherwise."""

STRICT = ("Strict-Transport-Security", "max-age=31536000")

_harmless = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
log = logging.getLogger(__name__)


class Counting(Protocol):
    """Who counts requests."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""


class Edge:
    """A WSGI application around another.

    Args:
        inner: the application.
        counting: is told of each request.
        secure: whether people reach the installation over TLS.
        every_request: whether each request gets a log line, or only failed and slow ones.
    """

    def __init__(self, inner: WSGIApplication, counting: Counting, *, secure: bool, every_request: bool) -> None:
        self._inner = inner
        self._counting = counting
        self._secure = secure
        self._every_request = every_request
        # No two processes share the first part, no two requests of one process the second.
        self._prefix = secrets.token_hex(5)
        self._numbers = itertools.count(1)

    def id_of(self, given: str | None) -> str:
        """The id of a request: the one that it came with, or a new one."""
        if given is None or not _harmless(given):
            return f"{self._prefix}-{next(self._numbers):x}"
        return given

    def added(self, scheme: str | None) -> tuple[tuple[str, str], ...]:
        """The headers of an answer whose maker says nothing of them."""
        return _STRICT_HEADERS if self._secure or scheme == "https" else HEADERS

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = time.perf_counter()
        given = self.id_of(environ.get("HTTP_X_REQUEST_ID"))
        environ[REQUEST_ID] = given
        added = self.added(environ.get("wsgi.url_scheme"))
        status, length, met = 500, SMALL_BYTES + 1, None

        def start(line: str, headers: list[tuple[str, str]], *fault: Any) -> Callable[[bytes], object]:
            nonlocal status, length, met
            status = int(line[:3])
            met = environ.get("werkzeug.request")  # Flask takes it out again when it is done
            present = {name.lower(): value for name, value in headers}
            length = int(present.get("content-length", length))
            extra = added if _GUARDED.isdisjoint(present) else [one for one in added if one[0].lower() not in present]
            return start_response(line, [*headers, *extra, ("X-Request-Id", given)], *fault)

        try:
            body = self._inner(environ, start)
            return body if length > SMALL_BYTES else _in_one_piece(body)
        finally:
            rule = getattr(met, "url_rule", None)
            city = (getattr(met, "view_args", None) or {}).get("city")
            route = UNMATCHED if rule is None else rule.rule
            self.answered(given, environ["REQUEST_METHOD"], route, city, status, time.perf_counter() - began)

    def answered(self, given: str, method: str, route: str, city: str | None, status: int, seconds: float) -> None:
        """Count a request that was answered, and write its line if it gets one."""
        self._counting.request(method if method in METHODS else OTHER, route, status, seconds)
        if status >= 500 or seconds >= SLOW_SECONDS or self._every_request:
            duration_ms = round(seconds * 1000, 1)
            facts = {**_facts(given, city), "method": method, "route": route, "status": status}
            log.log(
                logging.WARNING if status >= 500 else logging.INFO,
                "%s %s: %s in %s ms", method, route, status, duration_ms,
                extra={logs.FACTS: {**facts, "duration_ms": duration_ms}},
            )  # fmt: skip


def request_id() -> str | None:
    """The id of the current request."""
    found: str | None = request.environ.get(REQUEST_ID)
    return found


def log_context() -> dict[str, Any]:
    """What a log line tells of the request that is being answered in this thread, if any is."""
    return _facts(request_id(), (request.view_args or {}).get("city")) if has_request_context() else {}


def _facts(given: str | None, city: str | None) -> dict[str, Any]:
    return {"request_id": given, "city": city} if city else {"request_id": given}


def _in_one_piece(body: Iterable[bytes]) -> Iterable[bytes]:
    """A body that is short and known as a list: the WSGI server sends one at once and anything else as a stream."""
    try:
        return list(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


_STRICT_HEADERS = (*HEADERS, STRICT)
_GUARDED = frozenset(name.lower() for name, _ in _STRICT_HEADERS)
