"""What a city's contract says of its log, asked of any node of the chain by plain JSON-RPC over HTTP.

Everything is read at one block, the newest that the chain calls final: each anchor (the root that the log had at a
size, of which the contract made sure that it extends the one before), the size of the newest, the lists of claims that
it was offered, and the tokens that came, went and circulate. A node may lie or leave out; what it leaves out shows,
since anchors hang together and the contract's own state says where they end. Whoever does not trust one node asks
another.

The four-byte names of functions and the topics of events are constants, for the standard library has no Keccak; a
test computes them.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.verifier.web import TIMEOUT_S, opener

ANCHORED_TOPIC = "0x7efb645089c13cff3d84f896f1bf50411e06ae8453a771bd7e3ea45ffb97ac38"
PROPOSED_TOPIC = "0x60a9183b81f755fba79acbb184e4cd59d4a0b1554c2a8db0afb5557a643921f8"
VETOED_TOPIC = "0x50085cad05db6fffbb99e8ee4acc605325337afbb34802ae6e3cbeac8a7f032d"
SELECTORS = {
    "anchored": "0x49c809d5", "originHash": "0x67a32810", "totalSupply": "0x18160ddd", "totals": "0xc038a38e",
    "proposal": "0x753ec103",
}  # fmt: skip
MAX_ANSWER_BYTES = 1 << 25
FIRST_SPAN_BLOCKS = 50_000
"""How many blocks are searched for anchors at once; fewer where a node finds that too many."""
OTHER_FORM = "the node answers in another form than JSON-RPC has"
_WORD = 32
_DATA_WORDS = {ANCHORED_TOPIC: 1, PROPOSED_TOPIC: 3, VETOED_TOPIC: 0}  # of an event, which has three topics
_address = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch


class ChainFault(Exception):
    """The chain cannot be read, or does not fit; the message says how."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A list of claims that the contract was offered in `block`: `total` minor units, of the first `size` entries."""

    number: int
    root: bytes
    total: int
    size: int
    block: int
    vetoed: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What a contract says at one block.

    Attributes:
        chain_id: of the chain.
        block: the block's number.
        is_final: whether the chain says that it stays.
        anchors: (size, root), ascending.
        supply: minor units in circulation.
        origin_hash: SHA-256 of the origin of the log that it is for.
        contract: its address, in lower case.
        claimed: minor units that it has ever paid out.
        deposited: minor units that it has ever taken back.
        proposals: the lists that it was offered, ascending.
    """

    chain_id: int
    block: int
    is_final: bool
    anchors: tuple[tuple[int, bytes], ...]
    supply: int
    origin_hash: bytes
    contract: str
    claimed: int
    deposited: int
    proposals: tuple[Proposal, ...]

    def is_for(self, origin: str) -> bool:
        """Return whether the contract is that log's."""
        return self.origin_hash == sha256(origin.encode()).digest()


@dataclass(frozen=True, slots=True)
class Contract:
    """Where to ask: a node's URL, the token's address, and a block before which it was not deployed."""

    rpc: str
    address: str
    first_block: int = 0

    def __post_init__(self) -> None:
        if not _address(self.address):
            raise ValueError(f"{self.address!r} is no address: write 0x and 40 hexadecimal digits")
        if not self.rpc.startswith(("http://", "https://")):
            raise ValueError("a node's URL begins with http:// or https://")


def read(contract: Contract) -> Reading:
    """Read all that a contract says.

    Raises:
        ChainFault: no answer, no such contract, or anchors that do not hang together.
    """
    chain_id = _number(_ask(contract, "eth_chainId"))
    block, is_final = _block(contract)
    anchored = _call(contract, "anchored", block, 2)
    newest = int.from_bytes(anchored[:_WORD], "big"), anchored[_WORD:]
    anchors: list[tuple[int, bytes]] = []
    for event in _events(contract, ANCHORED_TOPIC, block):
        old, size, root = _number(event["topics"][1]), _number(event["topics"][2]), _bytes(event["data"])
        if old != (anchors[-1][0] if anchors else 0) or size <= old:
            raise ChainFault(f"the node leaves out the anchors between {anchors[-1][0] if anchors else 0} and {old}")
        anchors.append((size, root))
    if (anchors[-1] if anchors else (0, bytes(_WORD))) != newest:
        raise ChainFault(f"the node leaves out the newest anchor, of {newest[0]} entries")
    supply = int.from_bytes(_call(contract, "totalSupply", block, 1), "big")
    claimed, deposited, _ = _words(_call(contract, "totals", block, 3))
    return Reading(
        chain_id, block, is_final, tuple(anchors), supply, _call(contract, "originHash", block, 1),
        contract.address.lower(), claimed, deposited, _proposals(contract, block),
    )  # fmt: skip


def time_of(contract: Contract, block: int) -> int:
    """Return the time of a block, in seconds since 1970; ChainFault if the node does not tell."""
    found = _ask(contract, "eth_getBlockByNumber", hex(block), False)
    return _number(found.get("timestamp") if isinstance(found, dict) else None)


def _proposals(contract: Contract, block: int) -> tuple[Proposal, ...]:
    count = _words(_call(contract, "proposal", block, 5))[0]
    if not count:
        return ()
    vetoed = {_number(event["topics"][1]) for event in _events(contract, VETOED_TOPIC, block)}
    found = []
    for event in _events(contract, PROPOSED_TOPIC, block):
        number, (total, size, _) = _number(event["topics"][1]), _words(_bytes(event["data"]))
        root, at = _bytes(event["topics"][2]), _number(event["blockNumber"])
        found.append(Proposal(number, root, total, size, at, number in vetoed))
    if [one.number for one in found] != list(range(1, count + 1)):
        raise ChainFault(f"the node leaves out some of {count} proposals")
    return tuple(found)


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[place : place + _WORD], "big") for place in range(0, len(data), _WORD)]


def _block(contract: Contract) -> tuple[int, bool]:
    """The newest final block, or, where the chain tells none, the newest."""
    for tag in ("finalized", "latest"):
        try:
            found = _ask(contract, "eth_getBlockByNumber", tag, False)
        except _RefusedError:
            continue
        if isinstance(found, dict):
            return _number(found.get("number")), tag == "finalized"
    raise ChainFault("the node tells no newest block")


def _call(contract: Contract, name: str, block: int, words: int) -> bytes:
    call = {"to": contract.address, "data": SELECTORS[name]}
    answer = _bytes(_ask(contract, "eth_call", call, hex(block)))
    if len(answer) != words * _WORD:
        raise ChainFault(f"at {contract.address} is no contract of a city's token")
    return answer


def _events(contract: Contract, topic: str, last: int) -> list[dict[str, Any]]:
    """The events of one kind, in the order of the chain."""
    found: list[dict[str, Any]] = []
    first, span = contract.first_block, FIRST_SPAN_BLOCKS
    while first <= last:
        end = min(first + span - 1, last)
        wanted = {"address": contract.address, "topics": [topic], "fromBlock": hex(first), "toBlock": hex(end)}
        try:
            logs = _ask(contract, "eth_getLogs", wanted)
        except _RefusedError:
            if end == first:
                raise
            span = max((end - first + 1) // 4, 1)
            continue
        try:
            found += sorted(logs, key=lambda one: (_number(one["blockNumber"]), _number(one["logIndex"])))
            shapes = {(len(one["topics"]), len(_bytes(one["data"]))) for one in found}
        except (TypeError, KeyError) as error:
            raise ChainFault(OTHER_FORM) from error
        if shapes - {(3, _WORD * _DATA_WORDS[topic])}:
            raise ChainFault(OTHER_FORM)
        first = end + 1
    return found


class _RefusedError(ChainFault):
    """The node answered with an error."""


def _ask(contract: Contract, method: str, *parameters: Any) -> Any:
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    request = urllib.request.Request(  # noqa: S310 - http and https alone, see `Contract`
        contract.rpc, json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    try:
        with opener().open(request, timeout=TIMEOUT_S) as response:
            data = response.read(MAX_ANSWER_BYTES + 1)
        answer = json.loads(data) if len(data) <= MAX_ANSWER_BYTES else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # The original may tell the whole URL, which often holds a key.
        raise ChainFault(f"the node gives no answer ({type(error).__name__})") from None
    if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
        raise ChainFault(OTHER_FORM)
    if answer.get("error") is not None:
        refusal = answer["error"]
        message = refusal.get("message") if isinstance(refusal, dict) else refusal
        raise _RefusedError(f"the node refuses {method}: {str(message)[:200]}")
    return answer["result"]


def _number(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        raise ChainFault(OTHER_FORM) from None


def _bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise ChainFault(OTHER_FORM) from None
