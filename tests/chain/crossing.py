"""A bridge of Khon Kaen in the tests: learners with tokens, an outbox that only remembers, wallets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ledger.book.unit import Unit
from ledger.chain import bridges, deposits, lists, withdrawals
from ledger.chain.bridges import Bridge, Contract
from ledger.chain.lists import ClaimList
from ledger.chain.wallets import Wallet
from ledger.chain.withdrawals import WithdrawalView
from tests.factories import CITY, Installation

CHAIN = 31_337
TOKEN = "0x" + "c0" * 20
CONTRACT = Contract(CHAIN, TOKEN, 1, 50_000, 20_000)
BRIDGE, SUSPENSE = f"bridge:{CHAIN}", f"suspense:{CHAIN}"


def wallet(name: str) -> str:
    """The address of somebody."""
    return "0x" + sha256(name.encode()).hexdigest()[:40]


def own(unit: Unit, learner: str, address: str) -> None:
    """Link a wallet as if its message had been signed."""
    unit.session.merge(Wallet(city=unit.city.id, learner=learner, address=address, linked_at=unit.now))


@dataclass
class Sent:
    """An outbox that keeps what is staged, once for each key."""

    calls: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)

    def __call__(self, unit: Unit, *, key: str, role: str, to: str, data: bytes) -> None:
        """Remember a transaction."""
        self.calls.setdefault(key, (role, to, data))


@dataclass
class Crossing:
    """The city's bridge.

    Attributes:
        city: the installation.
        sent: what was staged for the chain.
        learners: ids by name, each with 10,000 minor units at first.
    """

    city: Installation
    contract: Contract = CONTRACT
    sent: Sent = field(default_factory=Sent)
    learners: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the bridge, and give some learners tokens."""
        self.city.run(lambda unit: bridges.open_bridge(unit, self.contract))
        self.city.grant()
        for name in ("ann", "bo", "cha"):
            self.learners[name] = self.city.learner(10_000).removeprefix("learner:")

    @property
    def bridge(self) -> Bridge:
        """The bridge's row as it is now."""
        with self.city.read() as session:
            return bridges.get(session, CITY, CHAIN)

    @property
    def size(self) -> int:
        """Entries in the log."""
        return len(self.city.leaves())

    def withdraw(self, name: str, amount: int, *, to: str = "") -> int:
        """Request a withdrawal to a wallet, the learner's own unless another is named."""
        who = self.link(name, to)
        return self.city.run(lambda unit: withdrawals.request(unit, CHAIN, who, amount))

    def ticket(self, name: str, *, to: str = "") -> str:
        """Draw a ticket for a deposit from somebody's wallet."""
        who = self.link(name, to)
        return self.city.run(lambda unit: deposits.draw(unit, CHAIN, who).ticket)

    def link(self, name: str, to: str = "") -> str:
        """Make sure that somebody has a wallet, their own unless another is named; the learner's id."""
        who = self.learners[name]
        self.city.run(lambda unit: own(unit, who, to or wallet(name)))
        return who

    def cancel(self, name: str, seq: int) -> int:
        """Call a withdrawal off; the seq of the entry."""
        who = self.learners[name]
        return self.city.run(lambda unit: withdrawals.cancel(unit, CHAIN, who, seq)).seq

    def commit(self, *anchored: int) -> ClaimList | None:
        """Make the next list, over the whole log unless other sizes are anchored."""
        sizes: Sequence[int] = anchored or (self.size,)
        return self.city.run(lambda unit: lists.commit(unit, CHAIN, sizes, self.sent))

    def made(self, *anchored: int) -> ClaimList:
        """The same, where there must be one."""
        found = self.commit(*anchored)
        assert found is not None
        return found

    def propose(self, made: ClaimList, proposal: int = 1) -> bool:
        """The contract holds a list for good."""
        at = self.city.clock.now
        return self.city.run(
            lambda unit: lists.proposed(
                unit, bridges.get(unit.session, CITY, CHAIN), made.root, made.total_minor, made.size, proposal, at
            )
        )

    def end(self, proposal: int, state: str) -> bool:
        """The contract activated or vetoed a proposal for good."""
        return self.city.run(
            lambda unit: lists.ended(unit, bridges.get(unit.session, CITY, CHAIN), proposal, state)
        )  # fmt: skip

    def activate(self, made: ClaimList, proposal: int = 1) -> None:
        """A list goes all the way."""
        assert self.propose(made, proposal)
        assert self.end(proposal, lists.ACTIVE)

    def views(self, name: str) -> dict[int, WithdrawalView]:
        """A learner's withdrawals by seq."""
        with self.city.read() as session:
            found = withdrawals.of_learner(session, bridges.get(session, CITY, CHAIN), self.learners[name])
        return {one.seq: one for one in found}

    def state(self, name: str, seq: int) -> str:
        """How far a withdrawal is."""
        return self.views(name)[seq].state

    def held(self, name: str) -> int:
        """What a learner holds, in minor units."""
        return self.city.balance(f"learner:{self.learners[name]}").posted_minor

    def published(self, made: ClaimList) -> dict[str, Any]:
        """A list as anybody reads it."""
        with self.city.read() as session:
            found: dict[str, Any] = json.loads(lists.document(session, CITY, made.hash))
        return found
