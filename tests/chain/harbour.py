"""A city whose calls are sent to a real node: an installation, a token with its roles, and the sender between them.

`drain` is a round of the sender as the job does it. The chain's finality is eight blocks behind, `anvil.finalize` moves
it on. `url` may be a gateway's, so that answers are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.book import entries
from ledger.chain import anchors, client, deployment, outbox
from ledger.chain.artifacts import TokenSettings, artifact
from ledger.chain.deployment import Contract, Deployment, Site
from ledger.chain.keys import Signed, Transaction, address_of, sign
from ledger.chain.outbox import Call, Role, Wish
from ledger.chain.sender import GWEI, Drained, Sender
from tests.anvil import PATIENCE_SECONDS, Anvil
from tests.factories import CITY, Installation

TOKEN = artifact("KgoToken")
CHAIN = 31_337
ROLES: tuple[Role, ...] = ("admin", "proposer", "guardian", "anchorer", "pauser", "relayer")


@dataclass
class Harbour:
    """A city and its token.

    Attributes:
        anvil: the node.
        city: the installation.
        token: the contract's address.
        block: where it was deployed.
        url: where the sender asks.
        keys: private keys by role.
    """

    anvil: Anvil
    city: Installation
    token: str
    block: int
    url: str
    keys: dict[Role, bytes] = field(default_factory=dict)

    @classmethod
    def build(cls, anvil: Anvil, city: Installation, url: str = "") -> Harbour:
        """Deploy a token for the city."""
        keys = dict(zip(ROLES, anvil.keys, strict=False))
        settings = TokenSettings(
            "KGO Token", "KGO", 2, deployment.origin_hash(city.city()), 10**8, 10**6, 7 * 86_400, 86_400, 60,
            *(address_of(keys[role]) for role in ROLES[:5]),
        )  # fmt: skip
        node = client.connect(anvil.url, chain_id=CHAIN, timeout_seconds=PATIENCE_SECONDS)
        deployed = send(anvil, node, keys["admin"], None, TOKEN.creation(*settings.arguments()))
        assert deployed.contract is not None
        return cls(anvil, city, deployed.contract, deployed.block_number, url or anvil.url, keys)

    @property
    def node(self) -> client.Node:
        """The node, asked directly."""
        return client.connect(self.anvil.url, chain_id=CHAIN, timeout_seconds=PATIENCE_SECONDS)

    def deployment(self, **changes: Any) -> Deployment:
        """What the city's file says."""
        code = client.code_hash(self.node, self.token) or ""
        given = {"anchor_seconds": 60, "anchor_entries": 5, **changes}
        return Deployment(CITY, self.url, CHAIN, Contract(self.token, code, self.block), **given)

    def site(self) -> Site:
        """The contracts, connected as a fresh process would."""
        return Site(self.deployment(), client.connect(self.url, chain_id=CHAIN, timeout_seconds=PATIENCE_SECONDS))

    def grow(self, count: int = 1) -> int:
        """Append entries to the log; how many it has then."""
        for _ in range(count):
            self.city.grant(1)
        return self.size

    @property
    def size(self) -> int:
        """Entries in the log."""
        with self.city.read() as session:
            return entries.size(session, CITY)

    def tend(self, *, insist: bool = False) -> None:
        """A round as the job makes it: follow, wish, drain."""
        site = self.site()
        anchors.follow(self.city.database, CITY, site)
        anchors.wish(self.city.database, CITY, site, self.city.clock.now, insist=insist)
        self.drain()

    def anchored(self) -> list[anchors.AnchorView]:
        """The final anchors, the oldest first."""
        with self.city.read() as session:
            return anchors.list_(session, CITY, 1_000)[::-1]

    def sender(self, **changes: Any) -> Sender:
        """A sender as a fresh process would have it."""
        node = client.connect(self.url, chain_id=CHAIN, timeout_seconds=PATIENCE_SECONDS)
        given: dict[str, Any] = {"keys": self.keys, "final": lambda: client.finalized(node), **changes}
        return Sender(self.city.database, CITY, node, clock=self.city.clock, **given)

    def drain(self, **changes: Any) -> Drained:
        """One round of the sender."""
        return self.sender(**changes).drain()

    def wish(self, key: str, function: str, *arguments: Any, role: Role = "pauser", purpose: str = "test") -> bool:
        """Wish for a call of the token."""
        wanted = Wish(purpose, key, CHAIN, role, "KgoToken", self.token, TOKEN.call_data(function, *arguments))
        with self.city.database.write() as session:
            queued = outbox.wish(session, CITY, wanted, self.city.clock.now)
            session.commit()
        return queued

    def call(self, key: str, purpose: str = "test") -> Call:
        """What became of a wish."""
        with self.city.read() as session:
            found = outbox.find(session, CITY, purpose, key)
        assert found is not None
        return found

    def hashes(self, key: str, purpose: str = "test") -> list[str]:
        """The hashes of what was signed for a wish, the oldest first."""
        with self.city.read() as session:
            return [one.hash for one in outbox.attempts(session, CITY, self.call(key, purpose))]

    def read(self, function: str, *arguments: Any) -> Any:
        """What a function of the token returns now."""
        self.anvil.rest()
        return client.read(self.node, TOKEN, self.token, function, *arguments)

    def nonce(self, role: Role) -> int:
        """How many transactions of a role are mined."""
        return client.nonce(self.node, address_of(self.keys[role]))

    def send(self, role: Role, function: str, *arguments: Any, nonce: int = -1) -> client.Receipt:
        """Send a call past the outbox, as an operator with the same key would."""
        return send(
            self.anvil, self.node, self.keys[role], self.token, TOKEN.call_data(function, *arguments), nonce=nonce
        )

    def sign(self, role: Role, function: str, *arguments: Any) -> Signed:
        """Sign what `send` would send."""
        call = TOKEN.call_data(function, *arguments)
        offer = client.fees(self.node)
        transaction = Transaction(CHAIN, self.nonce(role), self.token, call, 1_000_000, offer)
        return sign(transaction, self.keys[role])

    def settle(self, rounds: int = 6) -> None:
        """Make rounds and finality until nothing waits any more."""
        for _ in range(rounds):
            if not self.drain().waiting:
                return
            self.anvil.finalize()
        raise AssertionError(f"still waiting: {self.waiting()}")

    def waiting(self) -> Sequence[Call]:
        """What is not settled."""
        with self.city.read() as session:
            return outbox.open_(session, CITY)


def send(
    anvil: Anvil, node: client.Node, key: bytes, to: str | None, data: bytes, *, nonce: int = -1
) -> client.Receipt:  # fmt: skip
    """Sign and send a transaction, and wait until it is mined."""
    count = client.nonce(node, address_of(key)) if nonce < 0 else nonce
    signed = sign(Transaction(CHAIN, count, to, data, 4_000_000, client.fees(node)), key)
    client.broadcast(node, signed)
    anvil.mined(signed.hash)
    receipt = client.receipt(node, signed.hash)
    assert receipt is not None
    return receipt


__all__ = ["CHAIN", "GWEI", "TOKEN", "Harbour", "send"]
