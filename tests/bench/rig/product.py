"""The product under measurement: Khon Kaen on a fresh database, funded activities, learners who have yet to come.

Each round of check-ins has a poster activity of its own with one budget, which every scan touches. A learner checks
in once at an activity; the city's caps allow at most `MOST_ACTIVITIES` to the same learners within a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from ledger.book import accounts, audit, cities, entries, transfers
from ledger.book.commands import Command
from ledger.book.journal import Posted
from ledger.book.moves import Transfer
from ledger.book.unit import Unit
from ledger.city import export
from ledger.config import ANY, Settings
from ledger.db import upgrade
from ledger.installation import Installation, assemble
from ledger.people import learners
from ledger.people.learners import Joined
from ledger.people.roles import Principal
from ledger.programme import activities, posters
from ledger.programme.activities import NewActivity
from ledger.programme.policy import Policy
from ledger.programme.views import budget_of
from ledger.verifier.run import verify_export
from tests.servers import KGO, Deployment, Server, free_port

CITY = "khon-kaen"
PATH = f"/v1/cities/{CITY}"
REWARD_MINOR = 500
MOST_ACTIVITIES = 20
PLENTY_MINOR = 10**12
SHOPS = 64
"""How many accounts the transfers go to; they all come from the treasury."""

JOINED_AT_ONCE = 500


@dataclass
class Product:
    """An installation with people in it.

    Attributes:
        deployment: starts its servers.
        installation: the same, opened in this process.
        people: learners who have not checked in anywhere.
        treasurer: a token.
    """

    deployment: Deployment
    installation: Installation
    people: Sequence[Joined]
    treasurer: str

    def serve(self, workers: int, cores: str = ANY) -> int:
        """Start one more server, as an operator would, but not to outlive this process; the port that it answers at."""
        port, place = free_port(), self.deployment
        arguments = ["serve", "--data", str(place.data), "--host", "127.0.0.1", "--port", str(port)]
        server = Server(
            [str(KGO), *arguments, "--workers", str(workers)],
            port=port,
            log=place.data.parent / f"server-{len(place.servers) + 1}.log",
            environment={**place.environment, "KGO_CORES": cores},
        )
        place.servers.append(server)
        server.wait_until_healthy()
        return port

    def new_activity(self, name: str) -> str:
        """A funded poster activity, open all day; the code on its poster."""
        system = Principal.system(CITY)
        policy = Policy(REWARD_MINOR, max_per_day=1)
        new = NewActivity("city-gate", name, name, policy, id=name, daily_from="00:00", daily_until="24:00")

        def create(unit: Unit) -> None:
            activities.create(unit, system, new)
            transfers.post(unit, "fund", "treasury", budget_of(name), PLENTY_MINOR, actor="treasurer")

        self.installation.writer.run(CITY, create)
        with self.installation.database.read() as session:
            city = cities.get(session, CITY)
            keys, now = self.installation.keys.get(city), self.installation.writer.clock()
            return posters.code(session, city, keys, system, name, "https://kgo.example", now).text

    def post_many(self, count: int) -> None:
        """Post as many transfers in one batch, in this process."""
        wanted = [Transfer("transfer", "treasury", shop(index), 1) for index in range(count)]
        command = Command(lambda unit: transfers.post_many(unit, wanted, actor="treasurer"), staged_only=True)
        self.installation.writer.submit(CITY, command)

    def deadlocks(self) -> int:
        """How many PostgreSQL has had to break in this database; SQLite has none, since one writes at a time."""
        if self.installation.database.engine.dialect.name != "postgresql":
            return 0
        with self.installation.database.read() as session:
            statement = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            return int(session.scalar(statement) or 0)

    def size(self) -> int:
        """How many entries the log has."""
        with self.installation.database.read() as session:
            return entries.size(session, CITY)

    def findings(self, directory: Path) -> list[str]:
        """What the audit of the book and the verification of an export find; nothing, if all is well."""
        with self.installation.database.read() as session:
            keys = self.installation.keys.get(cities.get(session, CITY))
            inside = audit.audit(session, CITY, keys)
        export.write_directory(self.installation.database, self.installation.keys, CITY, directory, openings=True)
        outside = verify_export(directory, vkey=keys.vkey)
        return [str(finding) for report in (inside, outside) for finding in report.findings]

    def close(self) -> None:
        """End its servers and close it."""
        self.installation.close()
        self.deployment.close()


def prepare(directory: Path, database_url: str, people: int) -> Product:
    """Khon Kaen with money, shops and learners."""
    deployment = Deployment(directory / "data", database_url)
    upgrade(database_url)
    deployment.import_city()
    installation = assemble(Settings(deployment.data, database_url, "https://kgo.example"))

    def found(unit: Unit) -> None:
        transfers.post(unit, "grant", "issuance", "treasury", 100 * PLENTY_MINOR, actor="treasurer")
        for index in range(SHOPS):
            accounts.open_account(unit, shop(index))

    installation.writer.run(CITY, found)
    joined: list[Joined] = []
    while len(joined) < people:
        joined += _join(installation, min(JOINED_AT_ONCE, people - len(joined)))
    return Product(deployment, installation, joined, deployment.token("treasurer"))


def _join(installation: Installation, count: int) -> list[Joined]:
    return installation.writer.run(CITY, lambda unit: [learners.join(unit) for _ in range(count)])


def single_transfer(index: int) -> Command[Posted]:
    """The writer's command for one transfer, as the route of `/entries` makes it."""
    wanted = Transfer("transfer", "treasury", shop(index), 1)
    return Command(
        lambda unit: transfers.post(unit, *wanted[:4], actor="treasurer"),
        staged_only=True,
        reads=[lambda _unit: transfers.reads((wanted.source, wanted.target))],
    )


def shop(index: int) -> str:
    """The account that a transfer goes to."""
    return f"shop:bench-{index % SHOPS}"
