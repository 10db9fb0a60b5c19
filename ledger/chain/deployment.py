"""Where a city's contracts are, and who may speak to them: one file a city in the data directory, read at start.

`<data>/chain/<city>.toml`, written by `kgo chain deploy` and readable by the operator alone, for a node's URL often
holds a key. Without it the city has no chain, and nothing of the chain is imported. Private keys are in none of these
files and never in the database: they come from keystore files, `<data>/chain/keys/<city>/<role>.json`, whose password
is in `KGO_CHAIN_PASSWORD`, or from `KGO_CHAIN_KEYS`. No key has two roles, or serves two cities: a nonce has one
owner. A machine need not hold all keys; what needs one that is elsewhere waits.

`open_site` asks the node who it is before anything else is done: the chain's id, the hash of each contract's code, the
origin and the scale that the token was deployed with.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, cast, get_args

from ledger.book.cities import City
from ledger.chain import client, keys
from ledger.chain.artifacts import Name, artifact
from ledger.chain.claims import Claim
from ledger.chain.client import Block, Node
from ledger.chain.errors import ChainError, WrongChain
from ledger.chain.outbox import Role
from ledger.config import Settings
from ledger.errors import NotFound

ROLES: tuple[Role, ...] = get_args(Role)

FEE_LIMIT_GWEI = 500
ANCHOR_SECONDS = 3_600
ANCHOR_ENTRIES = 1_000


class DeploymentUnusable(ValueError):
    """A city's file of the chain that cannot be used; the message names the file and the remedy."""


class KeysShared(ChainError):
    """One key has two roles, or serves two cities; `params` name them."""

    code = "chain_keys_shared"


@dataclass(frozen=True)
class Contract:
    """A deployed contract: its address, the Keccak-256 of its code, and the block that it was deployed in."""

    address: str
    code_hash: str
    block: int


@dataclass(frozen=True)
class Deployment:
    """A city's contracts on one chain.

    Attributes:
        city: its id.
        rpc: the URL of a node, which may hold a key.
        chain_id: of the chain.
        token: the city's `KgoToken`.
        badge: its `KgoBadge`, if it has one.
        explorer: the address below which a site shows transactions (`<explorer>/tx/<hash>`); None for none.
        confirmations: how many blocks make one final, on a chain that tells none; None for the chain's own word.
        fee_limit_gwei: the most to offer for a unit of gas.
        anchor_seconds: how long after an anchor the next one is due, if there is anything to anchor.
        anchor_entries: after how many new entries it is due in any case.
    """

    city: str
    rpc: str = field(repr=False)
    chain_id: int
    token: Contract
    badge: Contract | None = None
    explorer: str | None = None
    confirmations: int | None = None
    fee_limit_gwei: int = FEE_LIMIT_GWEI
    anchor_seconds: int = ANCHOR_SECONDS
    anchor_entries: int = ANCHOR_ENTRIES

    def link(self, transaction: str) -> str | None:
        """Where people can look at a transaction."""
        return f"{self.explorer.rstrip('/')}/tx/{transaction}" if self.explorer else None


def load(settings: Settings, city: str) -> Deployment | None:
    """A city's deployment; None if it has none.

    Raises:
        DeploymentUnusable: the file cannot be understood.
    """
    path = settings.chain / f"{city}.toml"
    if not path.exists():
        return None
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        _check_names("the file", found, Deployment, "city")
        _check_numbers(found)
        contracts = {name: _contract(name, found[name]) for name in _CONTRACTS & found.keys()}
        return Deployment(city=city, **{**found, **contracts})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, KeyError, ValueError) as fault:
        raise DeploymentUnusable(f"{path}: {fault}; see docs/chain.md") from None


def known(settings: Settings, city: str) -> Deployment:
    """The same, where there must be one.

    Raises:
        NotFound: the city has none.
        DeploymentUnusable: the file cannot be understood.
    """
    found = load(settings, city)
    if found is None:
        raise NotFound("chain", city, remedy=f"there is no {settings.chain / city}.toml; kgo chain deploy writes it")
    return found


def cities_with_a_chain(settings: Settings) -> list[str]:
    """The ids of the cities that have a file, in their order."""
    return sorted(path.stem for path in settings.chain.glob("*.toml"))


def save(settings: Settings, deployment: Deployment) -> Path:
    """Write a city's file, whole or not at all; the path."""
    folder = settings.chain
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{deployment.city}.toml"
    lines = ["# Written by kgo chain deploy; see docs/chain.md."]
    plain = ("rpc", "chain_id", "explorer", "confirmations", "fee_limit_gwei", "anchor_seconds", "anchor_entries")
    lines += [f"{name} = {json.dumps(value)}" for name in plain if (value := getattr(deployment, name)) is not None]
    for name in sorted(_CONTRACTS):
        contract: Contract | None = getattr(deployment, name)
        if contract is not None:
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in vars(contract).items())]
    draft = path.with_suffix(f".{os.getpid()}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


@dataclass(frozen=True)
class Site:
    """A city's contracts, with a node that was asked who it is.

    Attributes:
        deployment: where they are.
        node: which answers.
    """

    deployment: Deployment
    node: Node

    @property
    def token(self) -> str:
        """The token's address."""
        return self.deployment.token.address

    def final(self) -> Block:
        """The newest block that the chain will not take back."""
        return final(self.node, self.deployment.confirmations)


def final(node: Node, confirmations: int | None) -> Block:
    """The newest block that the chain will not take back: by its own word, or that many blocks behind the newest."""
    if confirmations is None:
        return client.finalized(node)
    return client.block(node, max(client.block(node, "latest").number - confirmations, 0))


def open_site(deployment: Deployment, city: City) -> Site:
    """Connect to a city's contracts.

    Raises:
        WrongChain: another chain, other code, or a token of another log or scale.
        Unreachable, NodeRefused: the node does not answer.
    """
    node = client.connect(deployment.rpc, chain_id=deployment.chain_id)
    for name, contract in (("KgoToken", deployment.token), ("KgoBadge", deployment.badge)):
        if contract is not None:
            code = artifact(cast("Name", name))
            client.check_code(node, contract.address, code, expected_hash=contract.code_hash)
    token = artifact("KgoToken")
    origin = client.read(node, token, deployment.token.address, "originHash")
    if origin != origin_hash(city):
        raise WrongChain("origin", city=city.id, address=deployment.token.address)
    if client.read(node, token, deployment.token.address, "decimals") != city.scale:
        raise WrongChain("decimals", city=city.id, address=deployment.token.address)
    return Site(deployment, node)


def origin_hash(city: City) -> bytes:
    """What binds a contract to a city's log."""
    return sha256(city.origin.encode()).digest()


class RoleKeys(Mapping[Role, bytes]):
    """The private keys of a city that this machine has; each is read, and decrypted, when it is first wanted."""

    def __init__(self, settings: Settings, city: str) -> None:
        self._folder = settings.chain / "keys" / city
        self._password = settings.chain_password
        given = _given(settings.chain_keys)
        self._known = {role: key for (owner, role), key in given.items() if owner == city}
        self._addresses = {role: keys.address_of(key) for role, key in self._known.items()}
        for path in sorted(self._folder.glob("*.json")):
            if path.stem in ROLES and path.stem not in self._known:
                self._addresses[path.stem] = _address_in(path)
        others: dict[str, tuple[str, str]] = {
            keys.address_of(key): place for place, key in given.items() if place[0] != city
        }
        for path in sorted(self._folder.parent.glob("*/*.json")):
            if path.parent != self._folder:
                others[_address_in(path)] = (path.parent.name, path.stem)
        seen: dict[str, tuple[str, str]] = dict(others)
        for role, address in self._addresses.items():
            if address in seen:
                raise KeysShared(address=address, one=" ".join(seen[address]), other=f"{city} {role}")
            seen[address] = (city, role)

    def __getitem__(self, role: Role) -> bytes:
        """The key of a role; KeyError if it is not here, KeyUnusable if the password does not open it."""
        if role not in self._known:
            if role not in self._addresses:
                raise KeyError(role)
            if not self._password:
                raise keys.KeyUnusable(f"{self._folder / role}.json needs its password: set KGO_CHAIN_PASSWORD")
            self._known[role] = keys.read_keystore(self._folder / f"{role}.json", self._password)
        return self._known[role]

    def __iter__(self) -> Iterator[Role]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def address(self, role: Role) -> str | None:
        """The address of a role's key; None if it is not here. Nothing is decrypted."""
        return self._addresses.get(role)

    def create(
        self, role: Role, random: Callable[[int], bytes] = os.urandom, *, worthless: bool = False
    ) -> str:  # fmt: skip
        """Make a role's key unless there is one, in a keystore file; its address. See `keys.keystore`."""
        if role in self._addresses:
            return self._addresses[role]
        if not self._password:
            raise keys.KeyUnusable("a new key needs a password: set KGO_CHAIN_PASSWORD")
        key = random(keys.KEY_BYTES)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{role}.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(keys.keystore(key, self._password, worthless=worthless))
            file.flush()
            os.fsync(file.fileno())
        self._known[role], self._addresses[role] = key, keys.address_of(key)
        return self._addresses[role]


_CONTRACTS = {"token", "badge"}
_NUMBERS = {"chain_id", "confirmations", "fee_limit_gwei", "anchor_seconds", "anchor_entries"}


def _check_names(where: str, found: dict[str, Any], kind: type[Deployment | Contract], given: str = "") -> None:
    """Name what is missing or unknown in a part of the file."""
    known = {one.name: one.default is MISSING for one in fields(kind) if one.name != given}
    if strange := sorted(found.keys() - known.keys()):
        raise ValueError(f"{where} has unknown names: {', '.join(strange)}")
    if missing := [name for name, is_needed in known.items() if is_needed and name not in found]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")


def _check_numbers(found: dict[str, Any]) -> None:
    for name in sorted(_NUMBERS & found.keys()):
        if type(found[name]) is not int or found[name] <= 0:
            raise ValueError(f"{name}: give a whole number greater than 0")


def _contract(name: str, found: Any) -> Contract:
    if not isinstance(found, dict):
        raise TypeError(f"{name} is no table: write [{name}] above its lines")
    _check_names(f"[{name}]", found, Contract)
    contract = Contract(**found)
    Claim(contract.address, 1)  # refuses what is no address
    return contract


def _given(text: str) -> dict[tuple[str, Role], bytes]:
    """The keys in `KGO_CHAIN_KEYS`: `<city>/<role>=<64 hexadecimal digits>`, separated by commas or spaces."""
    found: dict[tuple[str, Role], bytes] = {}
    for item in text.replace(",", " ").split():
        place, _, key = item.partition("=")
        city, _, role = place.partition("/")
        if role not in ROLES or not city:
            raise keys.KeyUnusable("KGO_CHAIN_KEYS: write city/role=key, and a role of " + ", ".join(ROLES))
        found[city, role] = keys.read_key(key)
    return found


def _address_in(path: Path) -> str:
    try:
        return "0x" + str(json.loads(path.read_text("utf-8"))["address"]).lower().removeprefix("0x")
    except (ValueError, KeyError, TypeError) as fault:
        raise keys.KeyUnusable(f"{path} is no keystore file that tells its address") from fault
