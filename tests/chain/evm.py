"""An EVM in the tests' own process (py-evm through eth-tester), and the city's contracts on it.

`Contract.send` mines a transaction in a block of its own and returns its receipt; a refusal raises `Refused` with the
name of the contract's error. `Contract.refusal` says what would be refused without mining anything, in a tenth of the
time.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from eth_abi.abi import decode, encode
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.abi import abi_to_signature, collapse_if_tuple
from eth_utils.crypto import keccak

from ledger.proof.merkle import Frontier
from ledger.proving import consistency_proof
from tests.servers import ROOT

ARTIFACTS = ROOT / "contracts" / "artifacts"

GAS = 5_000_000
"""More than any call needs."""

DAY = 86_400

ORIGIN_HASH = sha256(b"log.example.org/khon-kaen").digest()

ROLES = ("admin", "proposer", "guardian", "anchorer", "pauser")
PEOPLE = ("alice", "bob", "carol", "mallory")

SETTINGS: dict[str, Any] = {
    "name": "KGO Token",
    "symbol": "KGO",
    "decimals": 2,
    "originHash": ORIGIN_HASH,
    "supplyCap": 100_000_000,
    "increaseLimit": 1_000_000,
    "period": 7 * DAY,
    "delay": 2 * DAY,
    "minimumDelay": 3600,
}
"""As a city of ordinary size sets up its contract; the roles are added by `Evm.token`."""


class Refused(Exception):
    """A contract refused: the name of its error, and the error's arguments."""

    def __init__(self, name: str, *arguments: object) -> None:
        super().__init__(name, *arguments)
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Receipt:
    """A mined transaction: what it cost, the events of its contract in order, and when it was mined (Unix seconds)."""

    gas_used: int
    events: list[tuple[str, dict[str, Any]]]
    at: int


@cache
def artifact(name: str) -> dict[str, Any]:
    """The committed artifact of a contract."""
    loaded: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return loaded


@dataclass
class Evm:
    """One chain. Every test of a module shares it, each on a snapshot of its own (`fresh`)."""

    chain_id: int = 31_337
    tester: EthereumTester = field(init=False)
    who: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Start the chain, with money for everybody."""
        backend = PyEVMBackend()
        type(backend.chain).chain_id = self.chain_id  # The class is made anew for each backend.
        self.tester = EthereumTester(backend)
        addresses = [address.lower() for address in self.tester.get_accounts()]
        self.who = dict(zip((*ROLES, *PEOPLE), addresses, strict=False))

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Undo at the end whatever happens inside."""
        snapshot = self.tester.take_snapshot()
        yield
        self.tester.revert_to_snapshot(snapshot)

    @property
    def now(self) -> int:
        """The time of the newest block, in Unix seconds."""
        return int(self.tester.get_block_by_number("latest")["timestamp"])

    def sleep(self, seconds: int) -> None:
        """Let time pass."""
        self.tester.time_travel(self.now + seconds)
        self.tester.mine_block()

    def deploy(self, name: str, *arguments: Any) -> Contract:
        """Deploy a contract from its artifact, as the admin; Refused if its constructor refuses."""
        contract = Contract(self, "", artifact(name)["abi"])
        constructor = next(item for item in contract.abi if item["type"] == "constructor")
        code = bytes.fromhex(artifact(name)["bytecode"]) + encode(_types(constructor["inputs"]), arguments)
        receipt = contract.transact("admin", code)
        contract.address = receipt["contract_address"].lower()
        contract.deployment_gas = receipt["gas_used"]
        return contract

    def token(self, **changes: Any) -> Contract:
        """Deploy a token with `SETTINGS`, but for `changes`."""
        settings = {**SETTINGS, **{role: self.who[role] for role in ROLES}, **changes}
        return self.deploy("KgoToken", tuple(settings.values()))

    def badge(self) -> Contract:
        """Deploy the badges; the proposer awards them."""
        who = self.who
        uri = "https://city.example/badges/"
        return self.deploy("KgoBadge", "KGO Badge", "KGOB", uri, ORIGIN_HASH, DAY, who["admin"], who["proposer"])


@dataclass
class Contract:
    """A deployed contract; senders are named as in `Evm.who`."""

    evm: Evm
    address: str
    abi: list[dict[str, Any]]
    deployment_gas: int = 0

    def send(self, sender: str, function: str, *arguments: Any) -> Receipt:
        """Send a transaction; Refused if the contract refuses it."""
        data = self.data(function, *arguments)
        receipt = self.transact(sender, data)
        return Receipt(receipt["gas_used"], [self._event(log) for log in receipt["logs"]], self.evm.now)

    def read(self, function: str, *arguments: Any, sender: str = "mallory") -> Any:
        """What a function returns now: one value, or a tuple; Refused if it refuses."""
        output = self._call(sender, self.data(function, *arguments))
        values = decode(_types(self._entry("function", function, len(arguments))["outputs"]), output)
        return values[0] if len(values) == 1 else values

    def refusal(self, sender: str, function: str, *arguments: Any) -> str:
        """The name of the error that a transaction would meet; AssertionError if it would succeed."""
        try:
            self._call(sender, self.data(function, *arguments))
        except Refused as refused:
            return refused.name
        raise AssertionError(f"{function} is not refused")

    def data(self, function: str, *arguments: Any) -> bytes:
        """The call data of a function, found by name and number of arguments."""
        entry = self._entry("function", function, len(arguments))
        return _selector(entry) + encode(_types(entry["inputs"]), arguments)

    def transact(self, sender: str, data: bytes) -> Any:
        """Mine a transaction and return eth-tester's receipt; Refused if it failed."""
        transaction = self._transaction(sender, data)
        receipt = self.evm.tester.get_transaction_receipt(self.evm.tester.send_transaction(transaction))
        if receipt["status"] != 1:
            self._call(sender, data)
            raise AssertionError("a transaction failed, and its repetition does not")
        return receipt

    def _call(self, sender: str, data: bytes) -> bytes:
        try:
            output = self.evm.tester.call(self._transaction(sender, data))
        except TransactionFailed as failed:
            raise self._refused(str(failed.args[0])) from None
        return bytes.fromhex(output[2:])

    def _transaction(self, sender: str, data: bytes) -> dict[str, Any]:
        to = {"to": self.address} if self.address else {}
        return {"from": self.evm.who[sender], "gas": GAS, "data": "0x" + data.hex(), **to}

    def _refused(self, message: str) -> Refused:
        """What the revert data say; eth-tester gives the Python literal of them."""
        if not message.startswith(("b'", 'b"')):
            return Refused(message)
        data: bytes = ast.literal_eval(message)
        for entry in self.abi:
            if entry["type"] == "error" and _selector(entry) == data[:4]:
                return Refused(entry["name"], *decode(_types(entry["inputs"]), data[4:]))
        return Refused(f"0x{data.hex()}")

    def _event(self, log: Any) -> tuple[str, dict[str, Any]]:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        for entry in self.abi:
            if entry["type"] == "event" and keccak(text=abi_to_signature(entry)) == topics[0]:  # type: ignore[arg-type]
                indexed = [item for item in entry["inputs"] if item["indexed"]]
                rest = [item for item in entry["inputs"] if not item["indexed"]]
                values = decode(_types(rest), bytes.fromhex(log["data"][2:]))
                found = {item["name"]: value for item, value in zip(rest, values, strict=True)}
                for item, topic in zip(indexed, topics[1:], strict=True):
                    found[item["name"]] = decode([item["type"]], topic)[0]
                return entry["name"], found
        raise AssertionError(f"an event that is not in the ABI: {topics[0].hex()}")

    def _entry(self, kind: str, name: str, count: int) -> dict[str, Any]:
        return next(
            entry
            for entry in self.abi
            if entry["type"] == kind and entry["name"] == name and len(entry["inputs"]) == count
        )


def _types(items: list[dict[str, Any]]) -> list[str]:
    return [collapse_if_tuple(item) for item in items]


def _selector(entry: dict[str, Any]) -> bytes:
    return keccak(text=abi_to_signature(entry))[:4]  # type: ignore[arg-type]


class History:
    """A log of random leaves that grows, with its roots and consistency proofs. `fork` rewrites one of its leaves."""

    def __init__(self, seed: bytes, size: int, *, fork: int | None = None) -> None:
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._roots: dict[int, bytes] = {}
        self._seed, self._fork, self._frontier = seed, fork, Frontier()
        self.grow(size)

    def grow(self, size: int) -> None:
        """Append leaves up to `size`."""
        for index in range(self._frontier.size, size):
            leaf = sha256(b"%b %d %d" % (self._seed, index, index == self._fork)).digest()
            self._frontier = self._frontier.append([leaf], self._note)
            self._roots[index + 1] = self._frontier.root()

    def _note(self, level: int, first: int, hashes: list[bytes]) -> None:
        self._nodes |= {(level, index): node for index, node in enumerate(hashes, first)}

    def root(self, size: int) -> bytes:
        """The root at `size`."""
        return self._roots[size]

    def peak(self, level: int, index: int) -> bytes:
        """The root of the perfect subtree over the leaves [index << level, (index + 1) << level)."""
        return self._nodes[level, index]

    def proof(self, old: int, new: int) -> list[bytes]:
        """The consistency proof between two sizes."""
        return consistency_proof(old, new, lambda level, index: self._nodes[level, index])

    def step(self, old: int, new: int) -> tuple[int, int, bytes, list[bytes]]:
        """The arguments of `anchor`."""
        return old, new, self.root(new), self.proof(old, new)
