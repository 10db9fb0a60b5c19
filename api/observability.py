"""What those who run the installation ask: `/metrics` for Prometheus, `/healthz` and `/readyz` for their machines.

The probes are open to everybody and say nothing that is not meant for everybody. `/metrics` wants a bearer token whose
roles grant `metrics.read`, of any city of the installation: the figures are those of the whole server, and they name
no person.
"""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy.orm import Session

from api import auth
from api.services import services
from ledger.chain import bridges, deposits, outbox
from ledger.errors import NotFound, Unauthenticated
from ledger.metrics import MEDIA_TYPE, SECONDS, BookMetrics, exposition
from ledger.people import tokens
from ledger.people.roles import require

METRICS = "metrics.read"


class Metrics(BookMetrics):
    """The figures of one application: those of its writers and those of its requests.

    A figure of each combination of labels is looked up once; later requests find it in a dict, since the look-up in
    prometheus-client costs more than the counting.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.registry = registry
        self._requests = Counter(
            "kgo_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._latency = Histogram(
            "kgo_http_request_seconds", "Time to the answer.", ("route",), registry=registry, buckets=SECONDS
        )
        self._problems = Counter("kgo_http_problems", "Problems answered.", ("code",), registry=registry)
        self._paused, self._calls, self._suspense = (
            Gauge(name, what, labels, registry=registry, multiprocess_mode="livemostrecent")
            for name, what, labels in (
                ("kgo_bridge_paused", "Whether a bridge stands still.", ("city", "chain")),
                ("kgo_chain_calls", "Calls of contracts that are not settled.", ("city", "state")),
                ("kgo_bridge_suspense", "Deposits in suspense.", ("city", "chain")),
            )
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is a template and `method` one of few, so that the figures stay few too."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._requests.labels(method, route, status), self._latency.labels(route)
            self._known[method, route, status] = known
        known[0].inc()
        known[1].observe(seconds)

    def problem(self, code: str) -> None:
        """Count a problem that was told to a program or to a person."""
        self._problems.labels(code).inc()

    def chains(self, session: Session) -> None:
        """Note how the bridges and the outboxes stand."""
        for bridge in bridges.everywhere(session):
            place = bridge.city, str(bridge.chain_id)
            self._paused.labels(*place).set(bridge.paused_at is not None)
            self._suspense.labels(*place).set(len(deposits.in_suspense(session, bridge)))
        for city, states in outbox.open_counts(session).items():
            for state, count in states.items():
                self._calls.labels(city, state).set(count)


def register(app: Flask, metrics: Metrics) -> None:
    """Add `/metrics`, `/healthz` and `/readyz` to an application."""

    def show_metrics() -> Response:
        _let_operators_pass()
        with services().installation.database.read() as session:
            metrics.chains(session)
        for city, commands in services().installation.writer.waiting().items():
            metrics.waiting(city, commands)
        response = Response(exposition(metrics.registry), content_type=MEDIA_TYPE)
        response.headers["Cache-Control"] = "no-store"
        return response

    show_metrics.permission = METRICS  # type: ignore[attr-defined]
    app.add_url_rule("/metrics", "metrics", show_metrics)
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.add_url_rule("/readyz", "readyz", _readyz)


def _let_operators_pass() -> None:
    header = request.headers.get("Authorization", "")
    with services().installation.database.read() as session:
        try:
            city = tokens.city_of(session, header.partition(" ")[2].strip())
        except NotFound:
            raise Unauthenticated("token" if header else None) from None
        require(auth.principal(city, METRICS), METRICS)


def _healthz() -> Response:
    return _state(services().installation.health.alive())


def _readyz() -> Response:
    return _state(services().installation.health.ready())


def _state(failed: dict[str, str]) -> Response:
    response = jsonify(status="failing", failed=failed) if failed else jsonify(status="ok")
    response.status_code = 503 if failed else 200
    response.headers["Cache-Control"] = "no-store"
    return response
