"""The short way of a write through HTTP: past Flask, for requests that are plainly what they should be.

A write by a program names its city and route in the path, bears a token, and brings JSON. Such a request needs neither
cookies nor a query nor content negotiation, and the framework around it costs more than all that this process does
for it otherwise. The lane takes these straight from the WSGI environment to the writer, which finds out within its
transaction whom the token signs in. Whatever else comes, goes through Flask unread, and so does a body that is not
right. When a request that the lane took is refused, Flask gets it after all with the refusal in its environment, and
answers it as it answers every other.

Nothing may be attached to Flask's requests that a write depends on: the lane would pass it by.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.routing import Rule

from api import auth, bodies, operations, writing
from api.bodies import JSON
from api.operations import CITY, NO_STORE, Operation, Sent
from api.services import CityFacts, Services
from ledger.errors import ValidationFailed
from ledger.people import tokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_REQUEST = "werkzeug.request"
"""Where Flask leaves its request, and those around the application look for the route that it met."""


class Met(NamedTuple):
    """The route that a request met."""

    url_rule: Rule
    view_args: dict[str, str]


class _Route(NamedTuple):
    operation: Operation
    rule: Rule
    status: str


class Lane:
    """A WSGI application around Flask's.

    Args:
        flask: answers what the lane does not take.
        known: the application's services.
        prefix: what stands before every path of the operations.
        rules: Flask's rule of each operation.
        max_body_bytes: the longest body that the lane takes.
    """

    def __init__(
        self,
        flask: WSGIApplication,
        known: Services,
        prefix: str,
        rules: Iterable[tuple[Operation, Rule]],
        max_body_bytes: int,
    ) -> None:
        self._flask = flask
        self._known = known
        self._max_body_bytes = max_body_bytes
        self._start = f"{prefix}{CITY.partition('<')[0]}"
        self._routes = {
            operation.path.removeprefix(CITY): _Route(
                operation,
                rule,
                f"{operation.status} {HTTPStatus(operation.status).phrase.upper()}",
            )
            for operation, rule in rules
            if _is_taken(operation)
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path: str = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(self._start):
            return self._flask(environ, start_response)
        city, slash, rest = path[len(self._start) :].partition("/")
        route = self._routes.get(slash + rest)
        authorization = environ.get("HTTP_AUTHORIZATION")
        length = environ.get("CONTENT_LENGTH", "")
        if (
            route is None
            or authorization is None
            or not city
            or not path.isascii()
            or environ.get("CONTENT_TYPE") != JSON
            or environ.get("QUERY_STRING")
            or not (length.isascii() and length.isdigit() and int(length) <= self._max_body_bytes)
        ):
            return self._flask(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        command = _command(route.operation, body) if len(body) == int(length) else None
        if command is not None:
            try:
                sent = Sent(body, JSON, environ.get("HTTP_IDEMPOTENCY_KEY"))
                return self._answer(route, city, authorization, sent, command, environ, start_response)
            except Exception as failure:  # whatever it is, Flask has the words for it
                environ[operations.REFUSED] = failure
        environ["wsgi.input"] = io.BytesIO(body)
        return self._flask(environ, start_response)

    def _answer(
        self,
        route: _Route,
        city: str,
        authorization: str,
        sent: Sent,
        command: Any,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        known = self._known
        facts: CityFacts = known.city(city)
        sign_in = auth.known(tokens.place(auth.bearer(authorization)))
        written = operations.carry_out_signed(route.operation, known, facts, sign_in, sent, command)
        environ[_REQUEST] = Met(route.rule, {"city": city})
        headers = [("Content-Type", JSON), ("Content-Length", str(len(written.body))), ("Cache-Control", NO_STORE)]
        if written.replayed:
            headers.append((writing.REPLAY_HEADER, "true"))
        start_response(route.status, headers)
        return [written.body]


def _command(operation: Operation, body: bytes) -> Any:
    """What a body asks for; None for one that will be refused, unless its idempotency key has been used before."""
    try:
        return None if operation.request is None else bodies.read(operation.request, body, JSON)
    except ValidationFailed:
        return None


def _is_taken(operation: Operation) -> bool:
    """Whether the lane serves an operation: a POST of JSON whose path has no variable but the city."""
    plain = operation.keyed and operation.media == JSON and operation.cache == NO_STORE
    return plain and operation.path.startswith(CITY) and "<" not in operation.path.removeprefix(CITY)
