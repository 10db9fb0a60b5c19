"""The WSGI application: `create_app` puts everything together, and nothing happens at import.

The server is given `api.app:create_app` and calls it without arguments; then the settings come from the environment,
and the process logs as they say.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from flask import Flask

from api import addresses, edge, observability, openapi, problems, services, v1, web
from api.edge import Edge
from api.i18n import Catalogue
from api.log import routes as log_routes
from api.log import witness as witness_routes
from api.observability import Metrics
from api.services import Services
from ledger import logs, serving
from ledger.config import ALL, Settings
from ledger.installation import assemble
from ledger.metrics import new_registry
from ledger.values import utc_now

HERE = Path(__file__).parent
MAX_BODY_BYTES = 1024 * 1024
"""Enough for the longest batch; everything else is far shorter."""


def create_app(settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now) -> Flask:
    """The application of one installation.

    Args:
        settings: where the installation is; read from the environment if not given.
        clock: the current instant.
    """
    app = Flask("api", root_path=str(HERE), template_folder="web/templates", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    app.url_map.strict_slashes = False
    addresses.register(app)
    if settings is None:
        settings = Settings.from_environment()
        logs.configure(settings.log, edge.log_context)
        serving.end_with_server()
    metrics = Metrics(new_registry())
    installation = assemble(settings, clock, metrics)
    atexit.register(installation.close)
    known = Services(installation, Catalogue.load(), clock)
    services.attach(app, known)
    v1.register(app)
    log_routes.register(app)
    witness_routes.register(app)
    openapi.register(app, v1.PREFIX, v1.NOUNS)
    web.register(app)
    problems.register(app, metrics.problem, web.problem_page)
    observability.register(app, metrics)
    every_request = settings.access_log == ALL
    app.wsgi_app = Edge(app.wsgi_app, metrics, secure=known.secure, every_request=every_request)  # type: ignore[method-assign]
    return app
