"""Routes of the JSON API, declared once: `Operations` takes everything that is to be known of a route.

A declaration names method, path, permission, schemas, status and possible problems; it makes the view, checks the
permission, answers repeated idempotency keys, and is what `/openapi.json` is written from. There are two kinds:

* `write`: `(unit, caller, command, **path)` runs inside the city's writer (`writing.py`);
* `read`: `(ask, **path)` runs on a read-only snapshot.

A handler knows neither Flask nor JSON, has no SQL and does not branch on the state of the domain. Nothing is
looked up by reflection while a request runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import Schema, ValidationError
from sqlalchemy.orm import Session
from werkzeug.exceptions import UnsupportedMediaType

from api import auth, writing
from api.schemas.base import Empty, showing
from api.services import CityFacts, services
from ledger.book.unit import Unit
from ledger.errors import LedgerError, Refused, ValidationFailed
from ledger.people.roles import LEARNER, PERMISSIONS, PUBLIC, Principal, require

JSON = "application/json"
CITY = "/cities/<city>"
ALWAYS = ("validation_failed", "unauthenticated", "not_found", "internal_error", "keys_missing")
NOT_PUBLIC = ("forbidden",)
WRITING = ("forbidden", "overloaded", "outcome_unknown", "log_behind_published")
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

    `staged` says of a loaded command whether it writes through the unit alone (`Command.staged_only`).
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
    cache: str = "no-store"
    example: Any = None
    filename: str = ""
    staged: Callable[[Any], bool] = field(default=lambda _command: False)

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
        endpoint = operation.name.replace(".", "_")
        blueprint.add_url_rule(operation.path, endpoint, view, methods=[operation.method])


def _reading_view(operation: Operation) -> Callable[..., Response]:
    def view(city: str | None = None, **path: str) -> Response:
        known = services()
        facts = known.city(city) if city else None
        with known.installation.database.read() as session:
            caller = Principal.anonymous("")
            if facts:
                caller = auth.principal(session, facts.id, operation.permission)
                require(caller, operation.permission)
            ask = Ask(session, caller, facts, known.clock(), _query(operation.query))  # type: ignore[arg-type]
            value = operation.handler(ask, **path)
            return _response(operation, value, facts)

    return view


def _writing_view(operation: Operation) -> Callable[..., Response]:
    def view(city: str, **path: str) -> Response:
        known = services()
        facts = known.city(city)
        with known.installation.database.read() as session:
            caller = auth.principal(session, facts.id, operation.permission)
            scope = writing.scope_of(operation.path, caller, path) if operation.keyed else None
            stored = writing.stored_answer(session, facts, scope)
        if stored is not None:
            return writing.replay(stored, operation.status)
        require(caller, operation.permission)
        command = _body(operation.request) if operation.request else _query(operation.query)

        def encode(value: Any) -> bytes:
            shown = operation.finish(value) if operation.finish else value
            return dump(operation.response, shown, facts, known.public_url)

        def run(unit: Unit) -> Any:
            return operation.handler(unit, caller, command, **path)

        try:
            written = writing.submit(facts.id, run, encode, scope, staged_only=operation.staged(command))
        except LedgerError as refusal:
            conceal(refusal, caller)
            raise
        if written.replayed:
            return writing.replay(written.body, operation.status)
        return _json(written.body, operation.status, operation.cache)

    return view


def conceal(refusal: LedgerError, caller: Principal) -> None:
    """Take out of a refusal what would tell staff whose a blinded account is, and how much it holds."""
    account = str(refusal.params.get("account", ""))
    if isinstance(refusal, Refused) and account.startswith("learner:") and not caller.holds(LEARNER):
        for name in ("account", "available_minor", "wanted_minor"):
            refusal.params.pop(name, None)
        refusal.reason = "other_account"


def dump(schema: Schema | None, value: Any, city: CityFacts | None, public_url: str) -> bytes:
    """A value as the bytes of a JSON answer; needs no request, since the writer's thread calls it too."""
    if schema is None:
        body = value
    elif city is None:
        body = schema.dump(value)
    else:
        with showing(city, public_url):
            body = schema.dump(value)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _response(operation: Operation, value: Any, city: CityFacts | None) -> Response:
    if operation.media == JSON:
        return _json(dump(operation.response, value, city, services().public_url), operation.status, operation.cache)
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


def _body(schema: Schema) -> Any:
    raw = request.get_data(cache=True)
    if not raw.strip():
        return load(schema, {})
    if request.mimetype != JSON and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType
    try:
        data = json.loads(raw, parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError) as fault:
        raise ValidationFailed({"body": "Send a JSON object."}) from fault
    if not isinstance(data, dict):
        raise ValidationFailed({"body": "Send a JSON object."})
    return load(schema, data)


def _query(schema: Schema | None) -> Any:
    if schema is None:
        return None
    return load(schema, {name: value for name, value in request.args.items() if name not in NOT_A_QUERY})


def load(schema: Schema, data: dict[str, Any]) -> Any:
    """The command that a mapping stands for.

    Raises:
        ValidationFailed: names each field that is wrong, dotted where it lies deeper, and the remedy.
    """
    try:
        return schema.load(data)
    except ValidationError as fault:
        raise ValidationFailed(dict(_flat(fault.messages, ""))) from fault


def _flat(messages: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flat(inner, prefix if name == "_schema" else f"{prefix}.{name}".lstrip("."))
    else:
        yield prefix or "body", str(messages[0] if isinstance(messages, list) else messages)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
