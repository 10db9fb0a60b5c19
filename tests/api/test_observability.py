"""Metrics and probes over HTTP: in one application, and in real servers with several workers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.chain import bridges, deposits
from ledger.chain.deposits import Arrival
from ledger.chain.outbox import ChainCall, Staging
from tests.api.client import Api, Town
from tests.chain.crossing import CHAIN, TOKEN, Crossing, wallet
from tests.factories import CITY
from tests.servers import WORKER, Deployment, Server

PATIENCE_SECONDS = 60
ADDRESS = f"/v1/cities/{CITY}"


def _value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    found = 0.0
    for line in text.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and dict(re.findall(r'(\w+)="([^"]*)"', sample)).items() >= labels.items():
            found += float(value)
    return found


def _metrics(api: Api) -> str:
    return api.signed_in({"operator"}).get("//metrics").raw.decode()


def test_metrics_are_for_operators(api: Api) -> None:
    """Nobody and a stranger's token: 401; another role: 403; an operator's token: the text format."""
    assert api.get("//metrics").status == 401
    for header in ("Bearer kgo_kkaaaaaaaaaaaaaaaaaaaaaaaaaa", "Bearer x", "Basic x", "Bearer"):
        answer = api.get("//metrics", Authorization=header)
        assert (answer.status, answer.code) == (401, "unauthenticated")
    for roles in ({"steward", "treasurer"}, {"auditor"}):
        assert api.signed_in(roles).get("//metrics").status == 403
    answer = api.signed_in({"operator"}).get("//metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["Cache-Control"] == "no-store"


def test_check_ins_and_refusals_are_counted(town: Town) -> None:
    """A reward is an entry, a second scan a refusal of the writer, an unknown code a problem that it may never see."""
    learner = town.api.learner()
    before = _metrics(town.api)
    assert town.check_in(learner).status == 201
    assert town.check_in(learner).status == 409
    assert learner.post("/check-ins", {"code": "hello"}).status == 422
    after = _metrics(town.api)

    def grown(name: str, **labels: str) -> float:
        return _value(after, name, **labels) - _value(before, name, **labels)

    route = "/v1/cities/<city>/check-ins"
    assert grown("kgo_entries_total", city=CITY, kind="reward") == 1
    assert grown("kgo_refusals_total", city=CITY, code="already_checked_in") == 1
    assert grown("kgo_http_problems_total", code="already_checked_in") == 1
    assert grown("kgo_http_problems_total", code="code_invalid") == 1
    for status in ("201", "409", "422"):
        assert grown("kgo_http_requests_total", method="POST", route=route, status=status) == 1
    assert grown("kgo_http_request_seconds_count", route=route) == 3
    assert _value(after, "kgo_waiting_commands", city=CITY) == 0


def test_probes_name_what_is_wrong(api: Api) -> None:
    """503 with the check's name and the remedy, and 200 again afterwards; `/healthz` knows broken writers alone."""
    installation = api.app.extensions["kgo"].installation
    key = installation.keys.directory / f"{CITY}.key"
    away = key.rename(key.with_suffix(".away"))
    answer = api.get("//readyz")
    assert (answer.status, answer.body["status"], list(answer.body["failed"])) == (503, "failing", ["keys"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert api.get("//healthz").status == 200
    away.rename(key)
    assert (api.get("//readyz").status, api.get("//readyz").body) == (200, {"status": "ok"})
    installation.writer.close()
    assert [api.get(path).status for path in ("//healthz", "//readyz")] == [503, 503]
    assert list(api.get("//healthz").body["failed"]) == ["writer"]


@pytest.fixture
def served(postgresql_url: str, tmp_path: Path) -> Iterator[tuple[Deployment, Server]]:
    """Two workers on PostgreSQL that log every request."""
    deployment = Loud(tmp_path / "data", postgresql_url)
    deployment.import_city()
    yield deployment, deployment.serve("--workers", "2")
    deployment.close()


class Loud(Deployment):
    """A deployment whose servers log each request."""

    @property
    def environment(self) -> dict[str, str]:
        """That of any deployment, and the wish for lines."""
        return {**super().environment, "KGO_ACCESS_LOG": "all"}


def _lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text("utf-8").splitlines()]


def _until(met: Any, what: str) -> None:
    """Wait until something holds that another process brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_all_workers_are_one_server(served: tuple[Deployment, Server]) -> None:
    """Whichever worker is asked tells the figures of both, also after one was killed and came again."""
    deployment, server = served
    operator = {"Authorization": f"Bearer {deployment.token('operator')}"}
    learners = 40
    for number in range(learners):  # each over a connection of its own, so that both workers get some
        answer = httpx.post(f"{server.url}{ADDRESS}/learners", headers={"X-Request-Id": f"r-{number}"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (201, f"r-{number}")

    def joined() -> float:
        text = httpx.get(f"{server.url}/metrics", headers=operator).text
        return _value(text, "kgo_http_requests_total", route="/v1/cities/<city>/learners", status="201")

    assert {joined() for _ in range(10)} == {learners}
    lines = [line for line in _lines(server) if line["message"].startswith("POST")]
    assert {line["request_id"] for line in lines} == {f"r-{number}" for number in range(learners)}
    assert {(line["city"], line["logger"], line["status"]) for line in lines} == {(CITY, "api.edge", 201)}
    killed, other = server.children(WORKER)
    os.kill(killed, signal.SIGKILL)
    _until(lambda: len({*server.children(WORKER)} - {killed, other}) == 1, "the worker did not come again")
    _until(lambda: _answers(server) and joined() == learners, "the figures of the killed worker are lost")
    assert any("worker" in line["message"] and line["level"] == "error" for line in _lines(server))


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


def test_the_figures_begin_anew_with_the_server(sqlite_deployment: Deployment) -> None:
    """A server that was started again counts from 0, jobs included, and leaves no files where it kept them."""
    sqlite_deployment.import_city()
    operator = {"Authorization": f"Bearer {sqlite_deployment.token('operator')}"}
    for _ in range(2):
        server = sqlite_deployment.serve()
        httpx.get(f"{server.url}/nowhere")
        text = httpx.get(f"{server.url}/metrics", headers=operator).text
        assert _value(text, "kgo_http_requests_total", route="unmatched") == 1
        server.stop()


def test_bridges_and_outboxes_are_shown(town: Town) -> None:
    """A bridge that stands still, deposits in suspense, calls that wait and calls that are on their way."""
    installation, chain = town.api.installation, "31337"

    def figures() -> list[float]:
        text = _metrics(town.api)
        return [
            _value(text, "kgo_bridge_paused", city=CITY, chain=chain),
            _value(text, "kgo_bridge_suspense", city=CITY, chain=chain),
            _value(text, "kgo_chain_calls", city=CITY, state="queued"),
            _value(text, "kgo_chain_calls", city=CITY, state="sent"),
        ]

    assert "kgo_bridge_paused{" not in _metrics(town.api)
    crossing = Crossing(installation)
    assert figures() == [0, 0, 0, 0]
    crossing.withdraw("ann", 500)
    arrival = Arrival(0, wallet("bo"), "0x" + "9" * 64, 300, "0x" + "2" * 64, 12)
    installation.run(lambda unit: deposits.credit(unit, CHAIN, [arrival]))
    staging = Staging("bridge", CHAIN)
    installation.run(lambda unit: staging(unit, key="one", role="relayer", to=TOKEN, data=b"1"))
    installation.run(lambda unit: bridges.pause(unit, CHAIN, "operator"))
    assert figures() == [1, 1, 1, 0]
    with installation.database.write() as session:
        row = session.get_one(ChainCall, (CITY, "bridge", "one"))
        row.state, row.sender, row.nonce = "sent", wallet("relayer"), 0
        session.commit()
    installation.run(lambda unit: bridges.resume(unit, CHAIN))
    assert figures() == [0, 1, 0, 1]
