"""A node of an EVM chain, asked by JSON-RPC: the only place that imports web3, which takes 1.7 s.

Plain functions on a `Node`. Each is one question, asked once: nothing is repeated behind the caller's back, for only
the caller knows whether a lost answer matters. `Unreachable` means that it is not known whether a broadcast arrived.
Blocks are told by number and hash; what is not yet `finalized` can still change, event by event. Hashes and addresses
are `0x` and lower-case hexadecimal digits. A node's URL often holds a key: errors name its host alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ledger.chain.artifacts import Artifact
from ledger.chain.claims import keccak256
from ledger.chain.errors import NodeRefused, Reverted, Unreachable, WrongChain
from ledger.chain.keys import Fees, Signed

if TYPE_CHECKING:
    from web3 import HTTPProvider

TIMEOUT_SECONDS = 20.0

LOG_SPAN_BLOCKS = 5_000
"""How many blocks are searched for events at once; fewer where a node finds that too many."""

Tag = Literal["latest", "finalized", "pending", "earliest"]


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answered for its chain; `connect` makes it.

    Attributes:
        host: where it is, without path or keys.
        chain_id: of its chain.
    """

    host: str
    chain_id: int
    _provider: HTTPProvider


@dataclass(frozen=True, slots=True)
class Block:
    """A block; `timestamp` in seconds since 1970, `base_fee` in wei or None before EIP-1559."""

    number: int
    hash: str
    timestamp: int
    base_fee: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction that was mined.

    Attributes:
        hash: of the transaction.
        succeeded: whether the contract let it.
        block_number: where it was mined.
        block_hash: by which a reorganisation shows.
        gas_used: units.
        contract: the address of what it deployed, or None.
    """

    hash: str
    succeeded: bool
    block_number: int
    block_hash: str
    gas_used: int
    contract: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a contract: its name and arguments, and where it stands. `index` is unique within its block."""

    name: str
    arguments: dict[str, Any]
    block_number: int
    block_hash: str
    transaction: str
    index: int


def connect(url: str, *, chain_id: int | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Node:
    """Ask a node which chain it is of; WrongChain if another was expected."""
    from web3 import HTTPProvider

    provider = HTTPProvider(url, request_kwargs={"timeout": timeout_seconds}, exception_retry_configuration=None)
    host = urlsplit(url).hostname or "?"
    found = _ask_number(Node(host, 0, provider), "eth_chainId")
    if chain_id not in (None, found):
        raise WrongChain("chain_id", expected=chain_id, found=found)
    return Node(host, found, provider)


def confirm(node: Node, *contracts: str) -> None:
    """Make sure that the node is still one of its chain, and has code at some addresses; WrongChain otherwise.

    Addresses of nodes get mixed up, and test networks begin anew. Nobody signs by the word of the wrong chain: its
    nonces are others, and a call of an address without code succeeds.
    """
    if (found := _ask_number(node, "eth_chainId")) != node.chain_id:
        raise WrongChain("chain_id", expected=node.chain_id, found=found)
    for address in contracts:
        if not _code(node, address):
            raise WrongChain("no_code", address=address)


def ask(node: Node, method: str, *parameters: Any) -> Any:
    """Ask one question of JSON-RPC; Unreachable or NodeRefused instead of an answer."""
    import requests
    from web3.exceptions import Web3Exception
    from web3.types import RPCEndpoint

    try:
        answer: Any = node._provider.make_request(RPCEndpoint(method), parameters)
    except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
        # The original would tell the whole URL.
        raise Unreachable(node.host, method, type(error).__name__) from None
    if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
        raise Unreachable(node.host, method, "neither result nor error")
    if (refusal := answer.get("error")) is None:
        return answer["result"]
    if not isinstance(refusal, dict):
        raise NodeRefused(method, 0, str(refusal))
    with _understood(node, method):
        number, data = int(refusal.get("code", 0)), _revert_data(refusal.get("data"))
    raise NodeRefused(method, number, str(refusal.get("message", "")), data)


def block(node: Node, which: int | Tag) -> Block:
    """Return a block; NodeRefused where there is none, or the node does not know the tag."""
    found = ask(node, "eth_getBlockByNumber", _block_parameter(which), False)
    if found is None:
        raise NodeRefused("eth_getBlockByNumber", 0, f"the block {which} does not exist")
    with _understood(node, "eth_getBlockByNumber"):
        base_fee = found.get("baseFeePerGas")
        return Block(
            int(found["number"], 16),
            found["hash"],
            int(found["timestamp"], 16),
            None if base_fee is None else int(base_fee, 16),
        )


def finalized(node: Node) -> Block:
    """Return the newest block that the chain will not take back."""
    return block(node, "finalized")


def code_hash(node: Node, address: str) -> str | None:
    """Return the Keccak-256 of the code at an address; None where there is none."""
    code = _code(node, address)
    return "0x" + keccak256(code).hex() if code else None


def check_code(node: Node, address: str, contract: Artifact, *, expected_hash: str | None = None) -> str:
    """Return the hash of the code at an address; WrongChain unless it is the contract's, and that hash if given."""
    code = _code(node, address)
    if not code:
        raise WrongChain("no_code", address=address)
    found = "0x" + keccak256(code).hex()
    if not contract.is_code(code) or expected_hash not in (None, found):
        raise WrongChain("code", address=address, contract=contract.name, found=found)
    return found


def read(
    node: Node, contract: Artifact, address: str, function: str, *arguments: Any, at: int | Tag = "latest",
    sender: str | None = None,
) -> Any:  # fmt: skip
    """Return what a function returns at a block, without a transaction; Reverted if the contract refuses.

    A function that writes is tried in the same way: as `sender`, changing nothing.
    """
    call = {"to": address, "data": "0x" + contract.call_data(function, *arguments).hex()}
    call |= {"from": sender} if sender else {}
    try:
        output = _ask_bytes(node, "eth_call", call, _block_parameter(at))
    except NodeRefused as refused:
        raise _reverted(refused, contract) from None
    if not output and contract.returns(function, len(arguments)):
        raise WrongChain("no_code", address=address)
    with _understood(node, "eth_call"):
        return contract.result(function, len(arguments), output)


def attempt(
    node: Node, contract: Artifact, sender: str, to: str, data: bytes, *, at: int | Tag = "latest"
) -> None:  # fmt: skip
    """Try a call at a block, changing nothing; Reverted if the contract refuses it."""
    call = {"from": sender, "to": to, "data": "0x" + data.hex()}
    try:
        ask(node, "eth_call", call, _block_parameter(at))
    except NodeRefused as refused:
        raise _reverted(refused, contract) from None


def estimate_gas(node: Node, contract: Artifact, sender: str, to: str | None, data: bytes) -> int:
    """Return the gas that a transaction would need now; Reverted if the contract would refuse it."""
    call = {"from": sender, "data": "0x" + data.hex(), **({"to": to} if to else {})}
    try:
        return _ask_number(node, "eth_estimateGas", call)
    except NodeRefused as refused:
        raise _reverted(refused, contract) from None


def fees(node: Node) -> Fees:
    """Return what gets a transaction mined soon: twice the base fee and the tip that the node suggests."""
    base_fee = block(node, "latest").base_fee
    if base_fee is None:
        return Fees(_ask_number(node, "eth_gasPrice"), None)
    try:
        tip = _ask_number(node, "eth_maxPriorityFeePerGas")
    except NodeRefused:
        tip = max(_ask_number(node, "eth_gasPrice") - base_fee, 1)
    return Fees(2 * base_fee + tip, tip)


def nonce(node: Node, address: str, at: int | Tag = "latest") -> int:
    """Return how many transactions of an account are mined; with "pending", also those the node holds (it may err)."""
    return _ask_number(node, "eth_getTransactionCount", address, _block_parameter(at))


def balance(node: Node, address: str) -> int:
    """Return what an account has to pay for gas, in wei."""
    return _ask_number(node, "eth_getBalance", address, "latest")


def broadcast(node: Node, signed: Signed) -> None:
    """Hand a signed transaction to the node.

    A NodeRefused of kind "known" or "nonce_used" is no failure: it means that every attempt has to be looked up.
    """
    answered = ask(node, "eth_sendRawTransaction", "0x" + signed.raw.hex())
    if answered != signed.hash:
        raise Unreachable(node.host, "eth_sendRawTransaction", "the hash of another transaction")


def receipt(node: Node, transaction: str) -> Receipt | None:
    """Return what became of a transaction; None while it is not mined, or not any more."""
    found = ask(node, "eth_getTransactionReceipt", transaction)
    if found is None:
        return None
    with _understood(node, "eth_getTransactionReceipt"):
        if found["blockHash"] is None:
            return None
        contract = found.get("contractAddress")
        return Receipt(
            transaction,
            int(found["status"], 16) == 1,
            int(found["blockNumber"], 16),
            found["blockHash"],
            int(found["gasUsed"], 16),
            contract.lower() if contract else None,
        )


def is_known(node: Node, transaction: str) -> bool:
    """Return whether the node has a transaction, mined or waiting."""
    return ask(node, "eth_getTransactionByHash", transaction) is not None


def events(node: Node, contract: Artifact, address: str, name: str, first: int, last: int) -> Iterator[Event]:
    """Return the events of one name in the blocks `first` to `last`, both included, in their order.

    Those up to `finalized(node).number` stay. A node that lags may leave some out without a word: hold their count
    against the contract's own at the same block.
    """
    span = LOG_SPAN_BLOCKS
    wanted = {"address": address, "topics": ["0x" + contract.topic(name).hex()]}
    while first <= last:
        end = min(first + span - 1, last)
        try:
            found = ask(node, "eth_getLogs", {**wanted, "fromBlock": hex(first), "toBlock": hex(end)})
        except NodeRefused as refused:
            if refused.reason != "too_many" or end == first:
                raise
            span = max((end - first + 1) // 2, 1)
            continue
        with _understood(node, "eth_getLogs"):
            events = [_event(contract, name, log) for log in found]
        yield from sorted(events, key=lambda e: (e.block_number, e.index))
        first = end + 1


@contextmanager
def _understood(node: Node, method: str) -> Iterator[None]:
    """What has another shape than an answer must have is none."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unreachable(node.host, method, "an answer of another shape") from error


def _ask_number(node: Node, method: str, *parameters: Any) -> int:
    answer = ask(node, method, *parameters)
    with _understood(node, method):
        return int(answer, 16)


def _ask_bytes(node: Node, method: str, *parameters: Any) -> bytes:
    answer = ask(node, method, *parameters)
    with _understood(node, method):
        return bytes.fromhex(answer.removeprefix("0x"))


def _event(contract: Artifact, name: str, log: dict[str, Any]) -> Event:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    return Event(
        name,
        contract.event(name, topics, bytes.fromhex(log["data"][2:])),
        int(log["blockNumber"], 16),
        log["blockHash"],
        log["transactionHash"],
        int(log["logIndex"], 16),
    )


def _code(node: Node, address: str) -> bytes:
    return _ask_bytes(node, "eth_getCode", address, "latest")


def _block_parameter(which: int | Tag) -> str:
    return hex(which) if isinstance(which, int) else which


def _reverted(refused: NodeRefused, contract: Artifact) -> Reverted | NodeRefused:
    """The contract's own refusal, where the node's answer tells one."""
    if refused.data:
        return Reverted(*contract.error(refused.data))
    if "revert" in str(refused.params["message"]).lower():
        return Reverted("reverted", {"message": refused.params["message"]})
    return refused


def _revert_data(data: Any) -> bytes:
    """The bytes that a contract reverted with; nodes put them in one of two places."""
    if isinstance(data, dict):
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        return bytes.fromhex(data[2:])
    return b""
