"""The applications: `create_app` puts Flask's together, `create_front` all that a server calls.

Nothing happens at import.

The server is given `api.app:create_front` and calls it without arguments, in each of its processes; then the settings
come from the environment, and the process logs as they say.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import cast

from a2wsgi import WSGIMiddleware
from flask import Flask

from api import addresses, edge, observability, openapi, problems, services, v1, web
from api.edge import Edge
from api.i18n import Catalogue
from api.lane import Lane
from api.log import routes as log_routes
from api.log import witness as witness_routes
from api.observability import Metrics
from api.orders import Orders
from api.services import Services
from ledger import logs, process, serving
from ledger.config import ALL, Settings
from ledger.installation import assemble
from ledger.metrics import new_registry
from ledger.values import utc_now

HERE = Path(__file__).parent
MAX_BODY_BYTES = 1024 * 1024
"""Enough for the longest batch; everything else is far shorter."""


def create_front() -> Lane:
    """The ASGI application of a server's process."""
    settings = Settings.from_environment()
    logs.configure(settings.log, edge.log_context)
    directory = serving.begin_worker(settings)
    front = front_of(create_app(settings), directory)
    process.collect_rarely()
    return front


def front_of(app: Flask, directory: Path | None = None) -> Lane:
    """An application with the lane before it, and threads for what the lane leaves to it; `directory` as for `Lane`."""
    threads = WSGIMiddleware(app, workers=serving.THREADS)  # type: ignore[arg-type]
    around = cast("Edge", app.wsgi_app)
    known: Services = app.extensions[services.EXTENSION]
    longest = app.config["MAX_CONTENT_LENGTH"]
    orders = Orders(known, v1.writes())
    return Lane(threads, around, known, v1.PREFIX, orders, v1.rules(app), longest, directory)  # type: ignore[arg-type]


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Flask:
    """Flask's application of one installation, without the lane.

    Args:
        settings: where the installation is.
        clock: the current instant.
    """
    app = Flask("api", root_path=str(HERE), template_folder="web/templates", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    app.url_map.strict_slashes = False
    addresses.register(app)
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
