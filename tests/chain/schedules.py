"""Random schedules of faults between a city and a real node: what happens, and what has to hold at the end.

A schedule picks acts at random: the log grows, the job makes a round (whole, with the line cut at some question, or
with the process killed before or after some step of it), blocks are mined, become final or are taken back, mining stops
and goes on, time passes, a node lags, an operator sends with the same key. `settle` then lets everything come to rest
without faults, and `check` judges. Whoever has more to try derives from `Schedule`: adds to `acts`, goes on from
`settle` and `check`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.chain import anchors, client, outbox
from ledger.chain.errors import ChainError, NodeRefused, Unreachable
from ledger.chain.keys import Fees, Transaction, address_of, sign
from ledger.chain.outbox import ChainAttempt, ChainCall
from tests.chain.gateway import LOSE_ANSWER, LOSE_QUESTION, Gateway
from tests.chain.harbour import CHAIN, GWEI, TOKEN, Harbour
from tests.factories import CITY

MOST_TAKEN_BACK = 6
"""Blocks; what is eight blocks deep is final."""

ROUNDS = 40
"""How many rounds without faults may pass until everything is at rest."""


FAULTS = frozenset({
    "cut", "kill", "take_back", "stop_mining", "lag", "meddle", "reorganize", "veto", "run_badly", "run_killed",
    "deliver_badly", "deliver_killed", "run_lagging",
})  # fmt: skip
"""The acts of any schedule that ought not to happen."""


def faults(log: Sequence[str]) -> int:
    """How many of the acts that a schedule noted were faults; what was refused, or had nothing to harm, is none."""
    return sum(act.partition(" ")[0].rstrip(":") in FAULTS and "refused" not in act for act in log)


class Killed(BaseException):
    """The process ends here."""


STEPS: tuple[tuple[Any, str], ...] = ((client, "ask"), (Session, "commit"))
"""What a process that works in this thread does step by step: it asks the node, and commits."""


@contextmanager
def killed_at(step: int, *, after: bool, steps: Sequence[tuple[Any, str]] = STEPS) -> Iterator[None]:
    """End the process before or after its `step`-th question to the node or commit to the database, if there is one."""
    left = [step]

    def through(what: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            answer = what(*arguments, **options)
            if left[0] == 0:
                raise Killed
            return answer

        return guarded

    with ExitStack() as stack:
        for owner, name in steps:
            stack.enter_context(mock.patch.object(owner, name, through(getattr(owner, name))))
        stack.enter_context(suppress(Killed))
        yield


@dataclass
class Schedule:
    """One random life of a city and its chain.

    Attributes:
        harbour: both of them; its `url` is the gateway's.
        gateway: between the ledger and the node.
        chance: what is random.
        log: what happened, for whoever looks at a failure.
        by_hand: how many transactions the operator sent with the anchorer's key.
    """

    harbour: Harbour
    gateway: Gateway
    chance: random.Random
    log: list[str] = field(default_factory=list)
    by_hand: int = 0
    mining: bool = True

    def acts(self) -> list[Callable[[], None]]:
        """What may happen, some of it more often."""
        return [
            self.grow, self.grow, self.round, self.round, self.cut, self.cut, self.kill, self.kill, self.kill,
            self.mine, self.finalize, self.take_back, self.stop_mining, self.pass_time, self.lag, self.meddle,
        ]  # fmt: skip

    def live(self, steps: int) -> None:
        """Let this many things happen."""
        for _ in range(steps):
            act = self.chance.choice(self.acts())
            self.log.append(act.__name__)
            try:
                act()
            except ChainError as fault:
                self.log[-1] += f": {fault}"

    # The acts

    def grow(self) -> None:
        """Entries come into the log."""
        self.harbour.grow(self.chance.randint(1, 4))

    def round(self) -> None:
        """The job makes a round, anchoring whatever is new."""
        self.harbour.tend(insist=True)

    def cut(self) -> None:
        """The line is cut at some question of a round, before or after the node has heard it."""
        patience, loss = self.chance.randint(1, 14), self.chance.choice((LOSE_QUESTION, LOSE_ANSWER))
        left = [patience]

        def rule(_: dict[str, Any]) -> Any:
            left[0] -= 1
            return loss if left[0] <= 0 else None

        self.gateway.rule = rule
        try:
            self.round()
        except Unreachable:
            self.log[-1] += f" {loss} {patience}"
        finally:
            self.gateway.rule = lambda _: None

    def kill(self) -> None:
        """The process ends at some step of a round."""
        step, after = self.chance.randint(1, 24), self.chance.random() < 0.5
        self.log[-1] += f" {step} {'after' if after else 'before'}"
        with killed_at(step, after=after):
            self.round()

    def mine(self) -> None:
        """A few blocks."""
        self.harbour.anvil.mine(self.chance.randint(1, 4))

    def finalize(self) -> None:
        """Enough blocks that all so far is final."""
        self.harbour.anvil.finalize()

    def take_back(self) -> None:
        """The chain takes its newest blocks back."""
        if self.mining:
            self.harbour.anvil.reorganize(self.chance.randint(1, MOST_TAKEN_BACK))

    def stop_mining(self) -> None:
        """Transactions wait from now on, or are mined again."""
        self.mining = not self.mining
        self.harbour.anvil.rpc("evm_setAutomine", self.mining)

    def pass_time(self) -> None:
        """Minutes pass: what waits counts as stuck, what was refused is tried again."""
        self.harbour.city.clock.advance(minutes=self.chance.randint(1, 15))

    def lag(self) -> None:
        """A round with a node that is some blocks behind wherever it is asked for the newest state."""
        newest = client.block(self.harbour.node, "latest").number
        behind = hex(max(newest - self.chance.randint(1, 5), self.harbour.block))

        def rule(question: dict[str, Any]) -> Any:
            if question["params"] and question["params"][-1] == "latest" and question["method"] != "eth_estimateGas":
                found = self.harbour.anvil.rpc(question["method"], *question["params"][:-1], behind)
                return {"jsonrpc": "2.0", "id": question["id"], "result": found}
            return None

        self.gateway.rule = rule
        try:
            self.round()
        finally:
            self.gateway.rule = lambda _: None

    def meddle(self) -> None:
        """The operator sends with the anchorer's key and the nonce that comes next: an anchor, or what must fail."""
        node, key, city = self.harbour.node, self.harbour.keys["anchorer"], self.harbour.city
        old, size = self.harbour.read("anchored")[0], self.harbour.size
        with city.read() as session:
            if 0 < size > old and self.chance.random() < 0.5:
                proof = tree.consistency(session, CITY, old, size)
                data = TOKEN.call_data("anchor", old, size, tree.root_at(session, CITY, size), proof)
            else:
                data = TOKEN.call_data("anchor", 2**40, 2**41, b"\1" * 32, [])
        tip = self.chance.randint(1, 60) * GWEI
        offer = Fees(2 * tip + 10 * GWEI, tip)
        count = client.nonce(node, address_of(key))
        signed = sign(Transaction(CHAIN, count, self.harbour.token, data, 1_000_000, offer), key)
        with suppress(NodeRefused):
            client.broadcast(node, signed)
            self.by_hand += 1

    # The end

    def settle(self) -> None:
        """No more faults: rounds, blocks and time until all of the log is anchored for good and nothing waits."""
        self.gateway.rule = lambda _: None
        self.harbour.anvil.rpc("evm_setAutomine", True)
        self.harbour.anvil.mine()
        self.harbour.grow()
        for _ in range(ROUNDS):
            with suppress(NodeRefused):
                self.harbour.tend(insist=True)
            if self.is_at_rest():
                return
            self.harbour.anvil.finalize()
            self.harbour.city.clock.advance(minutes=4)
        raise AssertionError(f"not at rest: {self.harbour.waiting()}, {self.harbour.anchored()[-1:]}")

    def is_at_rest(self) -> bool:
        """Whether nothing waits and the newest final anchor covers the log."""
        listed = self.harbour.anchored()
        return not self.harbour.waiting() and [one.size for one in listed][-1:] == [self.harbour.size]

    def check(self) -> None:
        """Nothing was lost, and nothing done twice."""
        self._check_anchors()
        self._check_calls()

    def _check_anchors(self) -> None:
        """What is listed is what the contract tells, each anchor of this log's history, each extending the last."""
        harbour = self.harbour
        listed = harbour.anchored()
        assert [one.agrees for one in listed] == [True] * len(listed)
        final = client.finalized(harbour.node).number
        told = client.events(harbour.node, TOKEN, harbour.token, "Anchored", harbour.block, final)
        assert [(one.size, one.root, one.transaction) for one in listed] == [
            (event.arguments["size"], event.arguments["root"], event.transaction) for event in told
        ]
        with harbour.city.read() as session:
            assert anchors.sizes(session, CITY, CHAIN, harbour.token, 1) == [harbour.size]
            assert harbour.read("anchored") == (harbour.size, tree.root_at(session, CITY, harbour.size))

    def _check_calls(self) -> None:
        """Each call that is done has one final transaction of its own; each that was sent used one nonce."""
        node = self.harbour.node
        with self.harbour.city.read() as session:
            calls = list(session.scalars(select(ChainCall).where(ChainCall.city == CITY)))
            signed = {one.hash: one for one in session.scalars(select(ChainAttempt))}
        receipts = {hash_: client.receipt(node, hash_) for hash_ in signed}
        mined = {hash_: receipt for hash_, receipt in receipts.items() if receipt is not None}
        settled = [call.transaction for call in calls if call.transaction]
        assert sorted(settled) == sorted(mined)
        for call in calls:
            if call.state == outbox.DONE:
                assert mined[call.transaction or ""].succeeded
            elif call.transaction is not None:
                assert not mined[call.transaction].succeeded
            if call.transaction is not None:
                assert (signed[call.transaction].nonce, signed[call.transaction].sender) == (call.nonce, call.sender)
        used = client.nonce(node, address_of(self.harbour.keys["anchorer"]))
        assert len(mined) <= used <= len(mined) + self.by_hand
