"""The one place that turns a refusal into HTTP: RFC 9457 `application/problem+json`, in Thai and in English.

    {"type", "title", "status", "detail", "code", "reason"?, "fields"?, …facts, "messages": {"th", "en"}}

`code` is stable and `PROBLEMS` knows every one of them; the texts are messages of the catalogue: `problem.<code>.title`
and `problem.<code>[.<reason>]`. Facts of the error stand beside them under their own names: instants as RFC 3339,
amounts in minor units; in a text they read as people write them (`{amount}` for `amount_minor`). What nobody foresaw
becomes `internal_error` with the request's id and no internals; the log has the rest.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException

from api import edge, i18n
from api.i18n import LANGUAGES, Catalogue
from api.services import CityFacts, services
from ledger.errors import LedgerError, NotFound, Overloaded, ValidationFailed
from ledger.proof.encoding import timestamp

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "retry_after_seconds"
log = logging.getLogger(__name__)

PROBLEMS: dict[str, int] = {
    "validation_failed": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_conflict": 409,
    "insufficient_funds": 409,
    "budget_exhausted": 409,
    "already_checked_in": 409,
    "cap_reached": 409,
    "activity_closed": 409,
    "code_expired": 410,
    "code_invalid": 422,
    "code_used": 409,
    "out_of_stock": 409,
    "limit_reached": 409,
    "promotion_closed": 409,
    "shop_not_open": 409,
    "redemption_expired": 410,
    "redemption_ended": 409,
    "too_many_attempts": 429,
    "airdrop_conflict": 409,
    "case_closed": 409,
    "not_reversible": 409,
    "not_allowed": 409,
    "bridge_paused": 409,
    "bridge_limit": 409,
    "wallet_missing": 409,
    "wallet_refused": 409,
    "link_used": 410,
    "link_expired": 410,
    "overloaded": 503,
    "outcome_unknown": 503,
    "keys_missing": 503,
    "log_behind_published": 503,
    "log_unjudged": 503,
    "bad_request": 400,
    "internal_error": 500,
}
"""Every code that an answer may bear, and its HTTP status."""

_OF_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_INTERNAL = "internal_error"
_OPERATORS = frozenset({"keys_missing", "log_behind_published", "log_unjudged"})
"""Errors whose facts (paths, sizes) are for the operator's log and not for clients."""

_PROGRAMS = ("/v1/", "/log/", "/witness/", "/openapi.json", "/healthz", "/readyz", "/metrics")
"""Where programs ask; elsewhere a person does, and gets a page."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Problem:
    """A refusal in words. `messages` has the detail in each language; `facts` are JSON values."""

    code: str
    status: int
    language: str
    titles: Mapping[str, str]
    messages: Mapping[str, str]
    reason: str | None = None
    fields: Mapping[str, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What kind of problem it is, in the reader's language."""
        return self.titles[self.language]

    @property
    def detail(self) -> str:
        """What happened and what to do about it, in the reader's language."""
        return self.messages[self.language]

    def to_json(self) -> dict[str, Any]:
        """The members of the answer."""
        body: dict[str, Any] = {
            "type": f"/docs#problem-{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.fields is not None:
            body["fields"] = dict(self.fields)
        for name, value in self.facts.items():
            body.setdefault(name, value)
        body["messages"] = dict(self.messages)
        return body

    def response(self) -> Response:
        """The problem as a response."""
        body = json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"))
        response = Response(body, status=self.status, mimetype=MEDIA_TYPE)
        response.headers["Content-Language"] = self.language
        response.headers["Cache-Control"] = "no-store"
        if self.status == 401:
            invalid = ', error="invalid_token"' if self.reason == "token" else ""
            response.headers["WWW-Authenticate"] = f'Bearer realm="kgo"{invalid}'
        if RETRY_SECONDS in self.facts:
            response.headers["Retry-After"] = str(self.facts[RETRY_SECONDS])
        return response


def describe(
    error: LedgerError, language: str, city: CityFacts | None, *, catalogue: Catalogue | None = None
) -> Problem:
    """A refusal in words, for any surface.

    Args:
        error: the refusal.
        language: the reader's.
        city: gives amounts their symbol and instants their zone; None where no city is concerned.
        catalogue: the words; those of the running application if not given.
    """
    words = catalogue or services().catalogue
    code = error.code if error.code in PROBLEMS else _INTERNAL
    messages = {one: _detail(words, one, code, error, city) for one in LANGUAGES}
    fields = None
    if isinstance(error, ValidationFailed):
        fields = {name: field_text(words, language, sentence) for name, sentence in error.fields.items()}
    hidden = code in _OPERATORS or code == _INTERNAL
    facts = {} if hidden else {name: _fact(value) for name, value in error.params.items() if name != "fields"}
    if city and any(name.endswith("_minor") for name in facts):
        facts |= {"symbol": city.symbol, "scale": city.scale}
    titles = {one: words.text(one, f"problem.{code}.title") for one in LANGUAGES}
    return Problem(code, PROBLEMS[code], language, titles, messages, error.reason, fields, facts)


def field_text(words: Catalogue, language: str, sentence: str) -> str:
    """What to do about a field: the sentence in the reader's language; numbers in it stand as `{n1}`, `{n2}`."""
    if words.has(language, sentence):
        return words.text(language, sentence)
    numbers: dict[str, str] = {}

    def place(match: re.Match[str]) -> str:
        name = f"n{len(numbers) + 1}"
        numbers[name] = match.group()
        return f"{{{name}}}"

    pattern = _NUMBER.sub(place, sentence)
    return words.text(language, pattern, **numbers) if words.has(language, pattern) else sentence


def current_language() -> str:
    """The language of an answer to a program: its wish, or English."""
    return i18n.choose_language(
        request.args.get("lang"),
        request.cookies.get("lang"),
        request.headers.get("Accept-Language"),
        default="en",
    )


def register(app: Flask, count: Callable[[str], None], page: Callable[[Problem], Response | str] | None = None) -> None:
    """Answer every error of an application.

    Args:
        app: the application.
        count: is told the code of each problem.
        page: shows a problem to a person who asked for a page.
    """

    def answer(problem: Problem) -> Response | tuple[str, int]:
        count(problem.code)
        if page is not None and not request.path.startswith(_PROGRAMS):
            shown = page(problem)
            return (shown, problem.status) if isinstance(shown, str) else shown
        return problem.response()

    @app.errorhandler(LedgerError)
    def refused(error: LedgerError) -> Response | tuple[str, int]:
        if error.code in _OPERATORS or error.code not in PROBLEMS:
            log.error("refused by the installation's state: %s", error)
        if error.code not in PROBLEMS:
            return answer(_plain(_INTERNAL, 500, request_id=edge.request_id()))
        return answer(describe(error, current_language(), _city()))

    @app.errorhandler(HTTPException)
    def refused_by_flask(error: HTTPException) -> Any:
        if error.code is not None and error.code < 400:
            return error
        code = _OF_STATUS.get(error.code or 500, "bad_request" if (error.code or 500) < 500 else _INTERNAL)
        response = answer(_plain(code, error.code or 500))
        for name, value in error.get_headers():
            if name == "Allow" and isinstance(response, Response):
                response.headers[name] = value
        return response

    @app.errorhandler(exc.OperationalError)
    @app.errorhandler(exc.InterfaceError)
    @app.errorhandler(exc.TimeoutError)
    def unreachable(error: exc.SQLAlchemyError) -> Response | tuple[str, int]:
        """The database is silent. Nothing was done: the writer itself answers for whatever reached a commit."""
        log.error("the database does not answer: %s", type(getattr(error, "orig", error)).__name__)
        refusal = Overloaded()
        return answer(describe(refusal, current_language(), None))

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response | tuple[str, int]:
        log.error("a request failed", exc_info=error)
        return answer(_plain(_INTERNAL, 500, request_id=edge.request_id()))


def _plain(code: str, status: int, **facts: Any) -> Problem:
    """A problem that no refusal of the ledger stands behind."""
    words = services().catalogue
    titles = {one: words.text(one, f"problem.{code}.title") for one in LANGUAGES}
    messages = {one: words.text(one, f"problem.{code}", **facts) for one in LANGUAGES}
    return Problem(code, status, current_language(), titles, messages, facts=facts)


def _detail(words: Catalogue, language: str, code: str, error: LedgerError, city: CityFacts | None) -> str:
    reason = error.params.get("kind") if isinstance(error, NotFound) else error.reason
    msgid = f"problem.{code}.{reason}"
    if not words.has(language, msgid):
        msgid = f"problem.{code}"
    shown = {
        name.removesuffix("_minor"): _shown(name, value, language, city)
        for name, value in error.params.items()
        if value is not None
    }
    if words.has(language, f"{msgid}.bare") and not words.fits(language, msgid, shown):
        msgid += ".bare"
    text = words.text(language, msgid, **shown)
    if isinstance(error, ValidationFailed):
        rows = [f"{name}: {field_text(words, language, sentence)}" for name, sentence in error.fields.items()]
        return " ".join([text, *rows])
    if "index" in error.params:
        return words.text(language, "problem.at_index", index=error.params["index"]) + " " + text
    return text


def _shown(name: str, value: Any, language: str, city: CityFacts | None) -> str:
    if isinstance(value, datetime):
        return i18n.date_time(language, value, city.zone if city else "UTC")
    if name.endswith("_minor") and isinstance(value, int) and city:
        return i18n.amount(value, city.symbol, city.scale)
    return str(value)


def _fact(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _city() -> CityFacts | None:
    """The city that the current request names in its path, where it exists."""
    name = (request.view_args or {}).get("city")
    try:
        return services().city(name) if name else None
    except (LedgerError, exc.SQLAlchemyError):
        return None
