"""Which addresses there can be: what stands in a path must be something that a database can be asked about.

PostgreSQL knows no text with a NUL in it and neither database a whole number of more than eight bytes, so that an
address with one of them names nothing: it is not found, before anybody looks for it.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, request
from werkzeug.routing import IntegerConverter, Map, PathConverter, UnicodeConverter

from ledger.values import WHOLE_LIMIT

NUL = "\0"


class _Word(UnicodeConverter):
    def __init__(self, map: Map, **limits: Any) -> None:  # noqa: A002 — Werkzeug's names
        super().__init__(map, **limits)
        self.regex = self.regex.replace("[^/]", f"[^/{NUL}]")


class _Path(PathConverter):
    regex = f"[^/{NUL}][^{NUL}]*?"


class _Whole(IntegerConverter):
    def __init__(self, map: Map, max: int = WHOLE_LIMIT - 1, **limits: Any) -> None:  # noqa: A002 — Werkzeug's names
        super().__init__(map, max=max, **limits)


def register(app: Flask) -> None:
    """Bound what the variables of an application's rules match, and its queries; before there are any rules."""
    app.url_map.converters.update(default=_Word, string=_Word, path=_Path, int=_Whole)
    app.before_request(_judge_query)


def _judge_query() -> None:
    if b"%00" in request.query_string or NUL.encode() in request.query_string:
        abort(404)


def whole(given: str | None) -> int | None:
    """The whole number that a part of a query is, or None where it is none that a database can be asked about."""
    try:
        number = int(given or "")
    except ValueError:
        return None
    return number if -WHOLE_LIMIT <= number < WHOLE_LIMIT else None
