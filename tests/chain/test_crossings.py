"""The bridge through random schedules: requests, lists, claims, deposits, vetoes, and everything that can go wrong.

Lines are cut, processes end at any step, nodes lag, the chain takes blocks back, somebody uses another's ticket.

After every schedule all is delivered, and then: the identity holds with nothing on its way but what nobody claimed,
every deposit that stands on the chain is credited once and no other, and no token came into being or was lost.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.book import accounts
from ledger.book.writer import Writer
from ledger.chain import bridges, bridging, client, deposits
from ledger.chain.errors import Reverted, Unreachable
from ledger.chain.watching import Behind
from ledger.errors import NotFound, Refused
from tests.anvil import PATIENCE_SECONDS, Anvil
from tests.chain.crossing import BRIDGE, CHAIN, SUSPENSE
from tests.chain.gateway import LOSE_ANSWER, LOSE_QUESTION, Gateway
from tests.chain.schedules import faults, killed_at
from tests.chain.site import DELAY, Site
from tests.counts import scale, seed
from tests.factories import CITY, install

log = logging.getLogger(__name__)

PEOPLE = ("ann", "bo", "cha")
STEPS = 24


SAME_NODE = 20
"""How many schedules a node lives through: one that has seen too much forgets old states."""

STEPS_OF_A_RUN = ((client, "ask"), (Writer, "submit"))
"""A run hands its commands to the writer, each of which is done or not: it can only end between them."""


@pytest.fixture
def nodes() -> Iterator[Callable[[], Anvil]]:
    """The node for the next schedule."""
    started: list[Anvil] = []
    asked = itertools.count()

    def following() -> Anvil:
        if next(asked) % SAME_NODE == 0:
            started.append(Anvil(chain_id=CHAIN))
            for old in started[:-1]:
                old.stop()
            del started[:-1]
        return started[-1]

    yield following
    for node in started:
        node.stop()


class Schedule:
    """One random life of a bridge.

    Attributes:
        tickets: what learners have drawn and may use, more than once.
        requested: withdrawals that may be called off.
    """

    def __init__(self, site: Site, chance: random.Random, gateway: Gateway) -> None:
        self.site, self.chance, self.gateway = site, chance, gateway
        self.node = client.connect(gateway.url, timeout_seconds=PATIENCE_SECONDS)
        self.tickets = ["0x" + "5" * 64]
        self.requested: list[tuple[str, int]] = []
        self.log: list[str] = []

    def live(self) -> None:
        """Do some random things; what is refused is refused."""
        acts = [
            self.withdraw, self.withdraw, self.cancel, self.anchor, self.run, self.run_badly, self.run_killed,
            self.run_lagging,
            self.deliver, self.deliver_badly, self.deliver_killed, self.claim,
            self.deposit, self.deposit, self.mine, self.finalize, self.reorganize, self.wait, self.veto, self.hand_on,
        ]  # fmt: skip
        for _ in range(STEPS):
            act = self.chance.choice(acts)
            self.log.append(act.__name__)
            try:
                act()
            except (Refused, Reverted, NotFound) as refusal:
                self.log[-1] += f" refused: {refusal}"

    def withdraw(self) -> None:
        """Somebody withdraws."""
        name = self.chance.choice(PEOPLE)
        self.requested.append((name, self.site.withdraw(name, self.chance.randint(1, 3_000))))

    def cancel(self) -> None:
        """Somebody calls a withdrawal off, if that is still possible."""
        if self.requested:
            self.site.crossing.cancel(*self.chance.choice(self.requested))

    def anchor(self) -> None:
        """The log is anchored, for good: a reorganisation of anchors is another job's matter."""
        self.site.anchor()
        self.site.anvil.finalize()

    def run(self) -> None:
        """The job runs; after a veto the operator has looked."""
        if self.site.run(self.node).paused == "vetoed":
            self.site.crossing.city.run(lambda unit: bridges.resume(unit, CHAIN))

    def run_badly(self) -> None:
        """The line to the node is cut in the middle of a run."""
        self._cut(lambda: self.site.run(self.node))

    def run_killed(self) -> None:
        """The process ends somewhere in a run."""
        with killed_at(self.chance.randint(1, 14), after=self.chance.random() < 0.5, steps=STEPS_OF_A_RUN):
            self.site.run(self.node)

    def run_lagging(self) -> None:
        """A run whose node tells nothing of what the newest blocks logged, as if it had not indexed them yet."""
        newest = client.block(self.site.node, "latest").number - self.chance.randint(0, 12)

        def rule(question: dict[str, Any]) -> Any:
            if question["method"] != "eth_getLogs":
                return None
            wanted = question["params"][0]
            known = {**wanted, "toBlock": hex(min(int(wanted["toBlock"], 16), newest))}
            empty = int(wanted["fromBlock"], 16) > newest
            found = [] if empty else self.site.anvil.rpc("eth_getLogs", known)
            return {"jsonrpc": "2.0", "id": question["id"], "result": found}

        self.gateway.rule = rule
        try:
            self.site.run(self.node)
        except Behind as behind:
            self.log[-1] += f": {behind}"
        finally:
            self.gateway.rule = lambda question: None

    def deliver_killed(self) -> None:
        """The process ends somewhere in a round of the sender."""
        with killed_at(self.chance.randint(1, 14), after=self.chance.random() < 0.5):
            self.deliver()

    def _cut(self, act: Callable[[], object]) -> None:
        patience, loss = self.chance.randint(0, 8), self.chance.choice((LOSE_QUESTION, LOSE_ANSWER))
        asked: list[str] = []

        def cut(question: dict[str, Any]) -> Any:
            asked.append(question["method"])
            return loss if len(asked) > patience else None

        self.gateway.rule = cut
        try:
            act()
        except (Unreachable, Behind):
            pass
        finally:
            self.gateway.rule = lambda question: None

    def deliver(self) -> None:
        """A round of the sender."""
        self.site.deliver(self.node)

    def deliver_badly(self) -> None:
        """The line to the node is cut in the middle of a round of the sender."""
        self._cut(lambda: self.site.deliver(self.node))

    def claim(self) -> None:
        """Somebody claims."""
        self.site.claim(self.chance.choice(PEOPLE))

    def deposit(self) -> None:
        """Somebody deposits, with a fresh ticket, one of whoever, or none."""
        name = self.chance.choice(PEOPLE)
        if self.chance.random() < 0.6:
            self.tickets.append(self.site.ticket(self.chance.choice(PEOPLE)))
        most = self.site.on_chain(name)
        if most:
            self.site.deposit(name, self.chance.randint(1, most), self.chance.choice(self.tickets))

    def hand_on(self) -> None:
        """Tokens go from wallet to wallet, which concerns no ledger."""
        giver, taker = self.chance.sample(PEOPLE, 2)
        self.site.call(giver, "transfer", self.site.wallet(taker), self.site.on_chain(giver) // 2)

    def mine(self) -> None:
        """A few blocks pass."""
        self.site.anvil.mine(self.chance.randint(1, 4))

    def finalize(self) -> None:
        """All so far is final."""
        self.site.anvil.finalize()

    def reorganize(self) -> None:
        """The newest blocks are taken back, never a final one."""
        latest = client.block(self.site.node, "latest").number
        depth = min(self.chance.randint(1, 4), latest - client.finalized(self.site.node).number)
        if depth > 0:
            self.site.anvil.reorganize(depth)

    def wait(self) -> None:
        """The delay of a proposal passes."""
        self.site.anvil.sleep(DELAY + 1)

    def veto(self) -> None:
        """The guardian stops what waits, now and then."""
        proposal, _, _, _, active_at = self.site.read("proposal")
        if active_at and self.chance.random() < 0.3:
            self.site.call("guardian", "veto", proposal)

    def end(self) -> None:
        """Deliver everything, with nobody in the way."""
        for _ in range(3):
            self.run()
            self.site.anvil.sleep(bridging.RETRY.seconds)
            self.site.list_all()
            self.run()
        for name in PEOPLE:
            try:
                self.site.claim(name)
            except (NotFound, Reverted):
                continue  # nothing for them, or all of it claimed before
        self.site.settle()


def judge(site: Site) -> None:
    """Nothing was created, lost or credited twice, and both sides agree about what crossed."""
    standing = site.standing()
    assert standing.problem() is None
    assert (standing.outwards_minor, standing.inwards_minor) == (0, 0)
    bridge = site.crossing.bridge
    assert bridge.paused_at is None
    count = site.read("totals")[2]
    with site.crossing.city.read() as session:
        assert deposits.sums(session, bridge) == (count, standing.figures.deposited_minor)
        totals = accounts.totals(session, CITY)
    held = sum(site.crossing.held(name) for name in PEOPLE)
    balance = site.crossing.city.balance
    assert held + balance(BRIDGE).posted_minor + balance(SUSPENSE).posted_minor == 30_000
    assert balance(BRIDGE).posted_minor == sum(site.on_chain(name) for name in PEOPLE)
    assert totals["issued"] == totals["circulating"] + totals["redeemed"] + totals["bridged"] + totals["expired"]
    for name in PEOPLE:
        states = {view.state for view in site.crossing.views(name).values()}
        assert states <= {"claimed", "cancelled"}
    assert site.crossing.city.audit().ok


@pytest.mark.parametrize("part", range(scale(1, 10)))
def test_the_identity_holds_through_random_schedules(
    part: int, nodes: Callable[[], Anvil], new_sqlite_url: Any, tmp_path: Path
) -> None:
    """Whatever happens in whatever order: nothing is credited twice, nothing is lost. The long run is 500, in parts."""
    first, count, harmed = seed() + 1_000 * part, scale(4, 50), 0
    for number in range(first, first + count):
        anvil = nodes()
        gateway = Gateway(anvil.url)
        city = install(new_sqlite_url(), tmp_path / str(number))
        schedule = Schedule(Site.build(anvil, city), random.Random(number), gateway)  # noqa: S311 - repeatable
        try:
            schedule.live()
            schedule.end()
            judge(schedule.site)
            harmed += faults(schedule.log)
        except Exception as failure:
            failure.add_note(f"--seed {number}: " + "; ".join(schedule.log))
            raise
        finally:
            gateway.close()
            city.close()
    log.info("%s schedules from --seed %s on, with %s faults", count, first, harmed)
