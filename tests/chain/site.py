"""A city with a bridge to a real node: the contract deployed with its roles, the outbox and its sender.

`run` is the job, `deliver` a round of the sender; the tests play the anchor job, `anchor`. Learners have wallets with
money for gas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from ledger.book import tree
from ledger.chain import bridges, bridging, client, deployment, deposits, lists, outbox
from ledger.chain.artifacts import TokenSettings, artifact
from ledger.chain.bridges import Contract
from ledger.chain.bridging import Run
from ledger.chain.invariant import Standing, standing
from ledger.chain.keys import Transaction, address_of, sign
from ledger.chain.outbox import Role, Staging
from ledger.chain.sender import Drained, Sender
from ledger.chain.watching import Figures
from tests.anvil import PATIENCE_SECONDS, Anvil
from tests.chain.crossing import CHAIN, Crossing
from tests.factories import CITY, Installation

TOKEN = artifact("KgoToken")
DELAY = 3_600
CAP, INCREASE = 1_000_000, 100_000
ROLES = {
    "admin": 0,
    "proposer": 1,
    "guardian": 2,
    "anchorer": 3,
    "pauser": 4,
    "relayer": 5,
    "ann": 6,
    "bo": 7,
    "cha": 8,
}


@dataclass
class Site:
    """The city at work on a chain.

    Attributes:
        anvil: the node.
        node: how the ledger asks it, perhaps through something that loses answers.
        crossing: the ledger's side.
        sizes: the anchors that were made.
    """

    anvil: Anvil
    node: client.Node
    crossing: Crossing
    sizes: list[int] = field(default_factory=list)

    @classmethod
    def build(cls, anvil: Anvil, city: Installation) -> Site:
        """Deploy a token and open the bridge."""
        node = client.connect(anvil.url, chain_id=CHAIN, timeout_seconds=PATIENCE_SECONDS)
        roles = [address_of(anvil.keys[place]) for place in range(5)]
        settings = TokenSettings(
            "KGO Token", "KGO", 2, deployment.origin_hash(city.city()), CAP, INCREASE, 7 * 86_400, DELAY, 60, *roles
        )  # fmt: skip
        sent = send(anvil, node, "admin", None, TOKEN.creation(*settings.arguments()))
        assert sent.contract is not None
        anvil.finalize()
        contract = Contract(CHAIN, sent.contract, sent.block_number, CAP, INCREASE)
        return cls(anvil, node, Crossing(city, contract))

    @property
    def contract(self) -> str:
        """The token's address."""
        return self.crossing.contract.address

    def wallet(self, name: str) -> str:
        """Somebody's address."""
        return address_of(self.anvil.keys[ROLES[name]])

    def call(self, name: str, function: str, *arguments: Any) -> client.Receipt:
        """Send a call of the token as somebody."""
        return send(self.anvil, self.node, name, self.contract, TOKEN.call_data(function, *arguments))

    def read(self, function: str, *arguments: Any) -> Any:
        """What a function of the token returns now."""
        return client.read(self.node, TOKEN, self.contract, function, *arguments)

    def withdraw(self, name: str, amount: int) -> int:
        """Request a withdrawal to somebody's wallet."""
        return self.crossing.withdraw(name, amount, to=self.wallet(name))

    def anchor(self) -> int:
        """Anchor the log as it is; its size."""
        old, size = self.sizes[-1] if self.sizes else 0, self.crossing.size
        if size > old:
            with self.crossing.city.read() as session:
                root = tree.root_at(session, CITY, size)
                proof = tree.consistency(session, CITY, old, size) if old else []
            self.call("anchorer", "anchor", old, size, root, proof)
            self.sizes.append(size)
        return size

    def run(self, node: client.Node | None = None) -> Run:
        """One run of the job, at the chain's time."""
        self._keep_time()
        city = self.crossing.city
        asked = node or self.node
        staging = Staging(bridging.PURPOSE, CHAIN)
        return bridging.run(
            city.writer, asked, CITY, CHAIN, self.sizes[-4:], staging, client.finalized(asked)
        )  # fmt: skip

    def deliver(self, node: client.Node | None = None) -> Drained:
        """A round of the sender, at the chain's time."""
        self._keep_time()
        asked, city = node or self.node, self.crossing.city
        keys: dict[Role, bytes] = {role: self.anvil.keys[ROLES[role]] for role in get_args(Role)}
        return Sender(city.database, CITY, asked, keys, city.clock, lambda: client.finalized(asked)).drain()

    def calls(self, state: str) -> list[str]:
        """The keys of what was staged and is in some state."""
        with self.crossing.city.read() as session:
            known = [*outbox.open_(session, CITY), *outbox.settled(session, CITY, bridging.PURPOSE)]
        return sorted(one.wish.key for one in known if one.state == state)

    def settle(self) -> Run:
        """Make everything so far final, and follow it."""
        self.anvil.finalize()
        return self.run()

    def list_all(self) -> None:
        """Bring all that was requested into an active list."""
        self.anchor()
        self.settle()
        self.deliver()
        self.settle()
        self.anvil.sleep(DELAY + 1)
        self.run()
        self.deliver()
        self.settle()

    def claim(self, name: str) -> None:
        """Somebody claims what the active list gives their wallet, and pays for it themselves."""
        with self.crossing.city.read() as session:
            call = lists.claiming(session, self.crossing.bridge, self.wallet(name))
        send(self.anvil, self.node, name, call.contract, call.data)

    def ticket(self, name: str) -> str:
        """A ticket for somebody's wallet."""
        self._keep_time()
        return self.crossing.ticket(name, to=self.wallet(name))

    def deposit(self, name: str, amount: int, ticket: str | None = None) -> client.Receipt:
        """Somebody deposits, with a fresh ticket unless one is given."""
        call = deposits.depositing(self.crossing.bridge, ticket or self.ticket(name), amount)
        return send(self.anvil, self.node, name, call.contract, call.data)

    def on_chain(self, name: str) -> int:
        """What somebody holds on the chain now, in minor units."""
        return int(self.read("balanceOf", self.wallet(name)))

    def standing(self) -> Standing:
        """The ledger's and the contract's figures as they are now, final or not."""
        claimed, deposited, count = self.read("totals")
        figures = Figures(self.read("totalSupply"), claimed, deposited, count, self.read("proposal")[0])
        with self.crossing.city.read() as session:
            return standing(session, bridges.get(session, CITY, CHAIN), figures)

    def _keep_time(self) -> None:
        clock = self.crossing.city.clock
        clock.now = max(clock.now, datetime.fromtimestamp(client.block(self.node, "latest").timestamp, UTC))


def send(anvil: Anvil, node: client.Node, name: str, to: str | None, data: bytes) -> client.Receipt:
    """Sign and send a transaction and wait until it is mined; Reverted if the contract refuses it."""
    key = anvil.keys[ROLES[name]]
    sender = address_of(key)
    gas = client.estimate_gas(node, TOKEN, sender, to, data)
    count = client.nonce(node, sender)
    signed = sign(Transaction(CHAIN, count, to, data, gas + gas // 4, client.fees(node)), key)
    client.broadcast(node, signed)
    anvil.mined(signed.hash)
    receipt = client.receipt(node, signed.hash)
    assert receipt is not None
    return receipt
