"""Rounds of load on the product's servers, and the books kept over them: what was acknowledged, what failed."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from tests.bench.rig import client, product
from tests.bench.rig.client import Answers, Load, request
from tests.bench.rig.product import PATH, Product, shop

BATCH = 100
MANY = 500
FUNDING = 2
"""How many entries a new activity makes: its policy and its funding."""


@dataclass
class Traffic:
    """The requests that measurements send, over how many connections, for how many seconds a round.

    Attributes:
        acknowledged: how many entries were promised; each must be in the log in the end.
        failed: how many requests each server did not carry out, and why.
    """

    product: Product
    clients: int
    seconds: float
    acknowledged: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    _activities: int = 0

    def new_activity(self) -> str:
        """The code of a poster that nobody has scanned."""
        self._activities += 1
        self.acknowledged += FUNDING
        return self.product.new_activity(f"bench-{self._activities}")

    def checkin(self, port: int) -> Answers:
        """One round of check-ins at a new activity; ends early when everybody was there."""
        sent = checkins(self.product, self.new_activity())
        return self._counted(self.load("product", port, sent, once=True))

    def transfer(self, port: int) -> Answers:
        """One round of single transfers, all debiting the treasury."""
        return self._counted(self.load("product", port, transfers(self.product)))

    def batch(self, port: int) -> Answers:
        """One round of batches of `BATCH` transfers."""
        body = {"entries": [_entry(index) for index in range(BATCH)]}
        sent = [request(f"{PATH}/entries:batch", body, self.product.treasurer)]
        return self._counted(self.load("product", port, sent), entries=BATCH)

    def mixed(self, port: int, seconds: float) -> Answers:
        """A long round: check-ins and transfers in turn, and transfers alone once everybody was everywhere."""
        fresh: list[str] = []
        while self._activities < product.MOST_ACTIVITIES:
            fresh += checkins(self.product, self.new_activity())
        endless = cycle(transfers(self.product))
        sent = [one for pair in zip(fresh, endless, strict=False) for one in pair]
        load = Load(port, self.clients, seconds, sent, once=True, afterwards=list(islice(endless, product.SHOPS)))
        return self._counted(self._run("product", load))

    def post_many(self) -> int:
        """`MANY` transfers in this process; how many it were."""
        self.product.post_many(MANY)
        self.acknowledged += MANY
        return MANY

    def load(self, server: str, port: int, sent: list[str], *, once: bool = False) -> Answers:
        """One round at any server."""
        return self._run(server, Load(port, self.clients, self.seconds, sent, once))

    def findings(self, directory: Path, before: int) -> list[str]:
        """What is wrong with the book and the log, and how many entries were lost of those acknowledged."""
        found = self.product.findings(directory)
        gained = self.product.size() - before
        if gained < self.acknowledged:
            found.append(f"{self.acknowledged} entries were acknowledged, {gained} are there")
        return found

    def _run(self, server: str, load: Load) -> Answers:
        answers = client.run(load)
        wrong = {status: count for status, count in answers.statuses.items() if status != client.CREATED}
        if answers.lost:
            wrong["not answered"] = answers.lost
        for why, count in wrong.items():
            say(f"{server}: {why}: {count}")
            self.failed[f"{server}: {why}"] += count
        return answers

    def _counted(self, answers: Answers, entries: int = 1) -> Answers:
        self.acknowledged += answers.created * entries
        return answers


def checkins(made: Product, code: str) -> list[str]:
    """A check-in of every learner."""
    return [request(f"{PATH}/check-ins", {"code": code}, person.token) for person in made.people]


def transfers(made: Product) -> list[str]:
    """A transfer to every shop, one a request."""
    return [request(f"{PATH}/entries", _entry(index), made.treasurer) for index in range(product.SHOPS)]


def say(what: str) -> None:
    """Tell whoever watches; the figures go elsewhere."""
    sys.stderr.write(f"{what}\n")


def _entry(index: int) -> dict[str, object]:
    return {"kind": "transfer", "from": "treasury", "to": shop(index), "amount_minor": 1}
