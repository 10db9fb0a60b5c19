"""Routes of the JSON API, declared once: `Operations` takes everything that is to be known of a route.

A declaration names method, path, permission, schemas, status and possible problems; it makes the view, checks the
permission, answers repeated idempotency keys, and is what `/openapi.json` is written from. There are two kinds:

* `write`: `(unit, caller, command, **path)` runs inside the city's writer (`writing.py`);
* `read`: `(ask, **path)` runs on a read-only snapshot.

A handler knows neither Flask nor JSON, has no SQL and does not branch on the state of the domain. Nothing is
looked up by reflection while a request runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import Schema
from sqlalchemy.orm import Session

from api import auth, bodies, writing
from api.bodies import JSON
from api.schemas.base import Empty
from api.services import CityFacts, Services, services
from api.writing import Writing, Written
from ledger.book import idempotency
from ledger.book.commands import Command, Deferred, Outcome, Steps
from ledger.book.unit import Place, Unit
from ledger.errors import LedgerError, Refused
from ledger.people import tokens
from ledger.people.roles import LEARNER, PERMISSIONS, PUBLIC, Principal, require

CITY = "/cities/<city>"
NO_STORE = "no-store"
ALWAYS = ("validation_failed", "unauthenticated", "not_found", "internal_error", "keys_missing", "overloaded")
NOT_PUBLIC = ("forbidden",)
WRITING = ("forbidden", "outcome_unknown", "log_behind_published", "log_unjudged")
KEYED = ("idempotency_conflict",)
BODY = ("body_too_large", "unsupported_media_type")
NOT_A_QUERY = frozenset({"lang"})

Handler = Callable[..., Any]


@dataclass(frozen=True)
class Ask:
    """One question: who asks, of which city, on which snapshot, when, with which loaded query."""

    session: Session
    caller: Principal
    city: CityFacts
    now: datetime
    query: Any = None


@dataclass(frozen=True)
class Operation:
    """Everything that is to be known of one route.

    `reads` says what a loaded command of a caller will read, in the steps of `Command.reads`, if it writes through the
    unit alone (`Command.staged_only`); None if it does not.
    """

    name: str
    tag: str
    method: str
    path: str
    permission: str
    summary: str
    handler: Handler
    writes: bool
    status: int = 200
    request: Schema | None = None
    query: Schema | None = None
    response: Schema | None = None
    media: str = JSON
    problems: tuple[str, ...] = ()
    description: str = ""
    finish: Callable[[Any], Any] | None = None
    cache: str = NO_STORE
    example: Any = None
    filename: str = ""
    reads: Callable[[Principal, Any], Steps | None] = field(default=lambda _caller, _command: None)

    @property
    def endpoint(self) -> str:
        """Its name within the blueprint."""
        return self.name.replace(".", "_")

    @property
    def route(self) -> str:
        """Method and path template."""
        return f"{self.method} {self.path}"

    @property
    def public(self) -> bool:
        """Whether it needs no sign-in."""
        return PUBLIC in PERMISSIONS[self.permission]

    @property
    def keyed(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.writes and self.method == "POST"

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Every code that it may answer with."""
        codes = [
            *ALWAYS,
            *(() if self.public else NOT_PUBLIC),
            *(WRITING if self.writes else ()),
            *(KEYED if self.keyed else ()),
            *(BODY if self.request is not None else ()),
            *self.problems,
        ]
        return tuple(dict.fromkeys(codes))


@dataclass
class Operations:
    """The routes of one noun."""

    tag: str
    about: str
    all: list[Operation] = field(default_factory=list)

    def write(self, method: str, path: str, *, permission: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare a route whose handler is `(unit, caller, command, **path)`."""
        return self._declare(method, path, permission, writes=True, **declared)

    def read(self, path: str, *, permission: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Declare a route whose handler is `(ask, **path)`."""
        return self._declare("GET", path, permission, writes=False, **declared)

    def _declare(
        self, method: str, path: str, permission: str, *, writes: bool, **declared: Any
    ) -> Callable[[Handler], Handler]:
        if permission not in PERMISSIONS:
            raise ValueError(f"{method} {path}: {permission!r} is no permission")
        if writes and method != "GET":
            declared.setdefault("request", Empty())

        def declare(handler: Handler) -> Handler:
            name = f"{self.tag}.{handler.__name__.rstrip('_')}"
            self.all.append(
                Operation(name, self.tag, method, path, permission, handler=handler, writes=writes, **declared)
            )
            return handler

        return declare


def install(blueprint: Blueprint, operations: Operations) -> None:
    """Make the views of some operations."""
    for operation in operations.all:
        view = _writing_view(operation) if operation.writes else _reading_view(operation)
        blueprint.add_url_rule(operation.path, operation.endpoint, view, methods=[operation.method])


def _reading_view(operation: Operation) -> Callable[..., Response]:
    def view(city: str | None = None, **path: str) -> Response:
        known = services()
        facts = known.city(city) if city else None
        with known.installation.database.read() as session:
            caller = Principal.anonymous("")
            if facts:
                caller = auth.principal(facts.id, operation.permission)
                require(caller, operation.permission)
            ask = Ask(session, caller, facts, known.clock(), _query(operation.query))  # type: ignore[arg-type]
            value = operation.handler(ask, **path)
            return _response(operation, value, facts)

    return view


def _writing_view(operation: Operation) -> Callable[..., Response]:
    def view(city: str, **path: str) -> Response:
        refused: Exception | None = request.environ.get(SCOPE, {}).pop(REFUSED, None)
        if refused is not None:
            raise refused
        known = services()
        facts = known.city(city)
        caller = auth.principal(facts.id, operation.permission)
        sent = Sent(request.get_data(cache=True), request.mimetype, request.headers.get(writing.KEY_HEADER))
        written = carry_out(operation, known, facts, caller, sent, path)
        response = _json(written.body, operation.status, NO_STORE if written.replayed else operation.cache)
        if written.replayed:
            response.headers[writing.REPLAY_HEADER] = "true"
        return response

    return view


REFUSED = "kgo.refused"
"""Where the scope of a request has an exception that the lane met and that is still to be answered."""

SCOPE = "asgi.scope"
"""Where the WSGI environment has the scope that it was made of."""


@dataclass(frozen=True)
class Sent:
    """What a write looks at of its request, beside its path and who sent it: body, media type, idempotency key."""

    body: bytes
    media: str
    key: str | None


def carry_out(
    operation: Operation, known: Services, facts: CityFacts, caller: Principal, sent: Sent, path: dict[str, str]
) -> Written:
    """Do what a request asks for, or find that it was done; returns once it is committed and sealed.

    Raises:
        LedgerError: the request is refused.
        UnsupportedMediaType: its body is no JSON.
    """
    scope = None
    if operation.keyed and sent.key is not None:
        scope = writing.scope_of(operation.route, caller, path, sent.key, sent.body)
        stored = idempotency.find(known.installation.database.lookups, facts.id, facts.keys, scope)
        if stored is not None:
            return Written(stored, replayed=True)
    require(caller, operation.permission)
    if operation.request is None:
        command = _query(operation.query)
    else:
        command = bodies.read(operation.request, sent.body, sent.media)

    def run(unit: Unit) -> Any:
        return operation.handler(unit, caller, command, **path)

    try:
        encode = partial(_encoded, operation, known, facts)
        return writing.submit(facts.id, run, encode, scope, reads=operation.reads(caller, command))
    except LedgerError as refusal:
        conceal(refusal, caller)
        raise


class SignedWrite:
    """The same for a request whose body has been read, and whose sender the writer finds within its transaction.

    A crowd of senders is thus found by one statement, and nobody who waits asks the database for anything.

    Args:
        sign_in: who sent it, of `tokens.place`.
        sent: the request.
        command: what its body says.
    """

    def __init__(
        self, operation: Operation, known: Services, facts: CityFacts, sign_in: Place, sent: Sent, command: Any
    ) -> None:
        self._operation = operation
        self._sign_in = sign_in
        self._sent = sent
        self._command = command
        self._encode = partial(_encoded, operation, known, facts)
        self._caller: Principal | None = None
        self._writing: Writing | None = None

    def deferred(self) -> Deferred[Any]:
        """What the writer is to do; not kept here, lest the two keep each other until garbage is searched for."""
        return Deferred(self._sign_in, self._tell)

    def answer(self, outcome: Outcome[Any] | Exception) -> Written:
        """What is said of its outcome.

        Raises:
            LedgerError: the request is refused.
        """
        if isinstance(outcome, Exception):
            if isinstance(outcome, LedgerError) and self._caller is not None:
                conceal(outcome, self._caller)
            raise outcome
        if self._writing is None:
            raise TypeError("an outcome of what was never told")
        return self._writing.answer(outcome)

    def _tell(self, unit: Unit) -> Command[Any]:
        operation, sent, command = self._operation, self._sent, self._command
        caller = self._caller = auth.known(tokens.signed_in(unit, self._sign_in))
        scope = None
        if sent.key is not None:
            scope = writing.scope_of(operation.route, caller, {}, sent.key, sent.body)

        def run(unit: Unit) -> Any:
            require(caller, operation.permission)
            return operation.handler(unit, caller, command)

        self._writing = Writing(run, self._encode, operation.reads(caller, command))
        return self._writing.command(scope)


def _encoded(operation: Operation, known: Services, facts: CityFacts, value: Any) -> bytes:
    shown = operation.finish(value) if operation.finish else value
    return bodies.dump(operation.response, shown, facts, known.public_url)


def conceal(refusal: LedgerError, caller: Principal) -> None:
    """Take out of a refusal what would tell staff whose a blinded account is, and how much it holds."""
    account = str(refusal.params.get("account", ""))
    if isinstance(refusal, Refused) and account.startswith("learner:") and not caller.holds(LEARNER):
        for name in ("account", "available_minor", "wanted_minor"):
            refusal.params.pop(name, None)
        refusal.reason = "other_account"


def _response(operation: Operation, value: Any, city: CityFacts | None) -> Response:
    if operation.media == JSON:
        return _json(
            bodies.dump(operation.response, value, city, services().public_url), operation.status, operation.cache
        )
    content: bytes | str | Iterator[bytes] = value
    response = Response(content, status=operation.status, mimetype=operation.media)
    response.headers["Cache-Control"] = operation.cache
    if operation.filename and city:
        response.headers["Content-Disposition"] = f'attachment; filename="{city.id}-{operation.filename}"'
    return response


def _json(body: bytes, status: int, cache: str) -> Response:
    response = Response(body, status=status, mimetype=JSON)
    response.headers["Cache-Control"] = cache
    return response


def _query(schema: Schema | None) -> Any:
    if schema is None:
        return None
    return bodies.load(schema, {name: value for name, value in request.args.items() if name not in NOT_A_QUERY})
