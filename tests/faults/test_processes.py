"""Many web processes on one database at once: four workers of one server, and three servers of one worker each.

Nothing is broken here. So nothing may go wrong: every command is answered at its first attempt, `seq` has no gaps,
no seat, no unit of stock and no reward is given twice, and the books agree with what every client was told.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from ledger.db import upgrade
from tests import postgres
from tests.counts import scale
from tests.faults import acts
from tests.faults.acts import NAMES, REWARD, STOCK, Learner, Town
from tests.faults.clients import PATIENT_SECONDS, Client, Command, Record
from tests.faults.fleet import Fleet
from tests.faults.proxy import Network
from tests.faults.reconcile import Books, reconcile
from tests.servers import Deployment

pytestmark = pytest.mark.xdist_group("fleet")

WORKERS = [4, 1, 1, 1]
CLIENTS = 16
SEATS = 10
ACTS = scale(12, 400)
"""How often each client acts at random, after the races."""

Act = Callable[[Client], Command]


@pytest.fixture(params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Deployment, Fleet, Callable[[], str]]]:
    """Processes on one database of each kind, and what the database logged."""
    if request.param == "sqlite":
        deployment: Deployment = request.getfixturevalue("sqlite_deployment")
        made = Fleet(deployment, WORKERS)
        yield deployment, made, lambda: ""
        made.kill()
        return
    server, network = postgres.start(), Network()
    url = server.url(server.create())
    upgrade(url)
    deployment = Deployment(tmp_path / "data", url)
    made = Fleet(deployment, WORKERS, [network.proxy(server.socket) for _ in WORKERS])
    yield deployment, made, lambda: server.log
    made.kill()
    deployment.close()
    network.close()
    server.stop()


def _at_once(clients: list[Client], act: Act) -> list[Command]:
    """Every client does it, all beginning together; each by connections of its own, so that every worker gets some."""
    together = threading.Barrier(len(clients))

    def one(client: Client) -> Command:
        client.close()
        together.wait()
        return act(client)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(one, clients))


def _codes(commands: list[Command]) -> Counter[str]:
    """How often each refusal came; an acknowledgement counts as `done`."""
    return Counter("done" if one.done else one.answer.code for one in commands if one.answer)


def _race(clients: list[Client], town: Town) -> None:
    """Everybody wants the same: a seat, one learner's reward, the last units of stock."""
    learners = town.learners[-len(clients) :]
    own = dict(zip(clients, learners, strict=True))

    def check_in(client: Client, who: Learner, activity: str) -> Command:
        code = {"code": town.codes[activity]}
        return client.ask("check-in", "check-ins", code, who.token, who=who.account, activity=activity)

    seated = _at_once(clients, lambda client: check_in(client, own[client], "crowded"))
    assert _codes(seated) == {"done": SEATS, "cap_reached": CLIENTS - SEATS}
    same = _at_once(clients, lambda client: check_in(client, learners[0], acts.ACTIVITIES[0]))
    assert _codes(same) == {"done": 1, "already_checked_in": CLIENTS - 1}
    for activity in acts.ACTIVITIES[1:]:
        assert _codes(_at_once(clients, lambda client: check_in(client, own[client], activity))) == {"done": CLIENTS}
    sold = _at_once(clients, lambda client: client.ask(
        "reserve", "redemptions", {"promotion": "rare"}, own[client].token, who=own[client].account,
    ))  # fmt: skip
    assert _codes(sold) == {"done": STOCK, "out_of_stock": CLIENTS - STOCK}


def _act(client: Client, town: Town) -> Command:
    """Act at random for a while, by new connections now and then."""
    left = count(ACTS, -1)

    def stop() -> bool:
        client.close()
        return next(left) == 0

    acts.live(client, town, stop)
    assert client.last is not None
    return client.last


def test_seven_processes_share_one_book(fleet: tuple[Deployment, Fleet, Callable[[], str]], tmp_path: Path) -> None:
    """They race for seats, rewards and stock and then act at random; all of it adds up, and nobody met an error."""
    deployment, processes, log = fleet
    deployment.import_city(samples=False)
    staff = deployment.token("steward", "--role", "treasurer")
    processes.tend()
    processes.wait_until_healthy()
    record, never = Record(), threading.Event()
    clients = [
        Client(f"client-{number}", processes.urls, random.Random(number), record, never, PATIENT_SECONDS)  # noqa: S311
        for number in range(CLIENTS)
    ]
    town = acts.found(clients[0], staff, lambda shop: deployment.token("shop", "--shop", shop))
    _open_crowded(clients[0], town)
    _at_once(clients, lambda client: _join(client, town))
    founding = record.commands.copy()
    record.commands.clear()
    before = Books(deployment.data, deployment.database_url)
    before.close()
    _race(clients, town)
    _at_once(clients, lambda client: _act(client, town))
    for client in clients:
        client.close()
    assert [len(site.writers()) for site in processes.sites] == WORKERS
    assert {site.running and site.healthy for site in processes.sites} == {True}
    processes.end()
    after = Books(deployment.data, deployment.database_url)
    reconcile(before, after, record)
    after.check_soundness(tmp_path / "export", record.notes)
    after.close()
    assert [one for one in founding + record.commands if one.attempts != 1 + one.repeats] == []
    assert "deadlock detected" not in log()


def _open_crowded(client: Client, town: Town) -> None:
    """An activity with few seats."""
    now = datetime.now(UTC)
    meeting = {
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(hours=20)).isoformat(),
        "seats": SEATS,
    }
    place = client.get("places", town.staff)["items"][0]["id"]
    new = {"id": "crowded", "place": place, "amount_minor": REWARD, "sessions": [meeting], **NAMES}
    assert client.ask("found", "activities", new, town.staff).done
    fund = {"kind": "fund", "activity": "crowded", "amount_minor": 100_000}
    assert client.ask("found", "entries", fund, town.staff).done
    town.codes["crowded"] = client.get("activities/crowded/code", town.staff)["code"]


def _join(client: Client, town: Town) -> Command:
    acts.join(client, town)
    assert client.last is not None
    return client.last
