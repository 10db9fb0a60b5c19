"""The WSGI application: `create_app` puts everything together, and nothing happens at import.

The server is given `api.app:create_app` and calls it without arguments; then the settings come from the environment.
Every answer bears protecting headers and the id of its request. `/healthz` says that the process is up, `/readyz`
that the database answers and has the newest schema.
"""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from flask import Flask, Response, g, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from api import openapi, problems, services, v1, web
from api.i18n import Catalogue
from api.log import routes as log_routes
from api.services import Services
from ledger.config import Settings
from ledger.db import is_newest
from ledger.installation import assemble
from ledger.values import utc_now

HERE = Path(__file__).parent
MAX_BODY_BYTES = 1024 * 1024
"""Enough for the longest batch; everything else is far shorter."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
"""What every answer bears unless its maker says otherwise."""


def create_app(settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now) -> Flask:
    """The application of one installation.

    Args:
        settings: where the installation is; read from the environment if not given.
        clock: the current instant.
    """
    app = Flask("api", root_path=str(HERE), template_folder="web/templates", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    app.url_map.strict_slashes = False
    installation = assemble(settings or Settings.from_environment(), clock)
    atexit.register(installation.close)
    services.attach(app, Services(installation, Catalogue.load(), clock))
    v1.register(app)
    log_routes.register(app)
    openapi.register(app, v1.PREFIX, v1.NOUNS)
    web.register(app)
    problems.register(app, web.problem_page)
    _register_probes(app)
    app.before_request(_begin)
    app.after_request(_finish)
    return app


def _begin() -> None:
    g.request_id = secrets.token_hex(8)


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure or services.services().secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers["X-Request-Id"] = g.get("request_id", "-")
    return response


def _register_probes(app: Flask) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return _state("ok", 200)

    @app.get("/readyz")
    def readyz() -> Response:
        try:
            with services.services().installation.database.read() as session:
                newest = is_newest(session)
        except SQLAlchemyError:
            return _state("the database does not answer", 503)
        return _state("ok", 200) if newest else _state("the schema is not at its newest revision", 503)


def _state(text: str, status: int) -> Response:
    response = jsonify(status=text)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
