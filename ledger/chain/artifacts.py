"""The city's compiled contracts: how to deploy them, call them, and read what they answer.

`contracts/artifacts` is loaded as `scripts/contracts` wrote it. An `Artifact` turns calls into bytes and bytes into
values, knows the names of the contract's errors and events, and tells whether some deployed code is its own. It needs
no node. Addresses are `0x` and 40 lower-case hexadecimal digits everywhere; amounts are minor units. `eth_abi` comes
with the extra `chain` and is imported when it is first used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ledger.chain.claims import keccak256

ARTIFACTS = Path(__file__).parents[2] / "contracts" / "artifacts"

Name = Literal["KgoToken", "KgoBadge"]


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """The constructor of `KgoToken`, in its order.

    Attributes:
        name: up to 31 bytes in UTF-8.
        symbol: likewise.
        decimals: the city's scale.
        origin_hash: SHA-256 of the origin of the city's log.
        supply_cap: most minor units that can be in circulation on the chain.
        increase_limit: most minor units by which the claimable total rises in one period.
        period: seconds.
        delay: seconds from a proposal to its activation; also for handing over the admin role.
        minimum_delay: seconds, at least 1.
        admin: address of who appoints, resumes, changes the delay.
        proposer: address of who proposes claims.
        guardian: address of who vetoes them, neither the admin's nor the proposer's.
        anchorer: address of who anchors checkpoints.
        pauser: address of who pauses.
    """

    name: str
    symbol: str
    decimals: int
    origin_hash: bytes
    supply_cap: int
    increase_limit: int
    period: int
    delay: int
    minimum_delay: int
    admin: str
    proposer: str
    guardian: str
    anchorer: str
    pauser: str

    def arguments(self) -> tuple[Any, ...]:
        """Return the constructor's arguments: one tuple."""
        return (tuple(getattr(self, field.name) for field in fields(self)),)


@dataclass(frozen=True)
class Artifact:
    """One compiled contract; get it with `artifact`.

    Attributes:
        name: of the contract.
        abi: its functions, events and errors, those of inherited contracts included.
        bytecode: what a deployment sends, before the constructor's arguments.
        runtime: the deployed code, with zeros where the constructor writes immutables.
        immutables: where that is: (start, length) in bytes.
    """

    name: Name
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]

    def creation(self, *arguments: Any) -> bytes:
        """Return the data of a transaction that deploys it."""
        constructor = next(entry for entry in self.abi if entry["type"] == "constructor")
        return self.bytecode + _encode(constructor["inputs"], arguments)

    def call_data(self, function: str, *arguments: Any) -> bytes:
        """Return the data of a call; the function is found by name and number of arguments."""
        entry = self._function(function, len(arguments))
        return selector(entry) + _encode(entry["inputs"], arguments)

    def result(self, function: str, count: int, output: bytes) -> Any:
        """Return what a function with `count` parameters returned: one value, or a tuple of several."""
        values = _decode(self._function(function, count)["outputs"], output)
        return values[0] if len(values) == 1 else tuple(values)

    def returns(self, function: str, count: int) -> bool:
        """Return whether a function with `count` parameters returns anything."""
        return bool(self._function(function, count)["outputs"])

    def error(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Return name and arguments of the error in some revert data; "reverted" for one that is not known."""
        for entry in self.abi:
            if entry["type"] == "error" and selector(entry) == data[:4]:
                return entry["name"], _named(entry["inputs"], _decode(entry["inputs"], data[4:]))
        return "reverted", {"data": "0x" + data.hex()}

    def topic(self, event: str) -> bytes:
        """Return the first topic of an event."""
        return keccak256(_signature(self._event(event)).encode())

    def event(self, event: str, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Return the arguments of an event by name."""
        inputs = self._event(event)["inputs"]
        indexed = [item for item in inputs if item["indexed"]]
        rest = [item for item in inputs if not item["indexed"]]
        values = [_decode([item], topic)[0] for item, topic in zip(indexed, topics[1:], strict=True)]
        found = {**_named(indexed, values), **_named(rest, _decode(rest, data))}
        return {item["name"]: found[item["name"]] for item in inputs}

    def is_code(self, code: bytes) -> bool:
        """Return whether some deployed code is this contract's, whatever its immutables are."""
        return len(code) == len(self.runtime) and self._without_immutables(code) == self.runtime

    def _without_immutables(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)

    def _function(self, name: str, count: int) -> dict[str, Any]:
        return self._entry("function", name, count)

    def _event(self, name: str) -> dict[str, Any]:
        return self._entry("event", name, None)

    def _entry(self, kind: str, name: str, count: int | None) -> dict[str, Any]:
        for entry in self.abi:
            if (entry["type"], entry.get("name")) == (kind, name) and count in (None, len(entry["inputs"])):
                return entry
        raise LookupError(f"{self.name} has no {kind} {name} of {count} parameters")


@cache
def artifact(name: Name) -> Artifact:
    """Return a contract of the city."""
    loaded = json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(
        name,
        tuple(loaded["abi"]),
        bytes.fromhex(loaded["bytecode"]),
        bytes.fromhex(loaded["runtime"]),
        tuple((start, length) for start, length in loaded["immutables"]),
    )


def selector(entry: dict[str, Any]) -> bytes:
    """Return the four bytes that a function or error of an ABI begins with."""
    return keccak256(_signature(entry).encode())[:4]


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def _types(items: Iterable[dict[str, Any]]) -> list[str]:
    return [_type(item) for item in items]


def _type(item: dict[str, Any]) -> str:
    kind: str = item["type"]
    if kind.startswith("tuple"):
        return f"({','.join(_types(item['components']))}){kind.removeprefix('tuple')}"
    return kind


def _named(items: Sequence[dict[str, Any]], values: Sequence[Any]) -> dict[str, Any]:
    return {item["name"]: value for item, value in zip(items, values, strict=True)}


def _encode(items: Iterable[dict[str, Any]], values: Sequence[Any]) -> bytes:
    from eth_abi.abi import encode

    return encode(_types(items), values)


def _decode(items: Iterable[dict[str, Any]], data: bytes) -> tuple[Any, ...]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        return decode(_types(items), data)
    except DecodingError as error:
        raise ValueError("these bytes are not of the contract's types") from error
