"""Deploys a city's contracts through the outbox: begun again after it broke off, it goes on instead of deploying twice.

A deployment is known by its creation code, settings and addresses of the roles included, and by a number that the
operator raises to deploy the same once more (see "Moving to a new contract" in `docs/chain.md`). The city's file is
written when both contracts are final and their code was checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from ledger.book import cities
from ledger.chain import client, deployment, outbox
from ledger.chain.artifacts import Name, TokenSettings, artifact
from ledger.chain.claims import ClaimsError, check_address
from ledger.chain.client import Node
from ledger.chain.deployment import Contract, Deployment, RoleKeys
from ledger.chain.errors import ChainError
from ledger.chain.keys import KeyUnusable
from ledger.chain.outbox import Call, Role, Wish
from ledger.chain.sender import Sender
from ledger.errors import ValidationFailed
from ledger.installation import Installation
from ledger.values import AMOUNT_LIMIT

PURPOSE = "deploy"
DAY_SECONDS = 86_400
LONGEST_DELAY_SECONDS = 30 * DAY_SECONDS
_LIMITS = {
    "supply_cap": AMOUNT_LIMIT,
    "increase_limit": AMOUNT_LIMIT,
    **dict.fromkeys(("period", "minimum_delay", "anchor_seconds", "anchor_entries", "confirmations"), 2**32),
}
LOCAL_BALANCE_WEI = 1_000 * 10**18
NEEDED: tuple[Role, ...] = ("admin", "proposer", "guardian", "anchorer", "pauser")


class DeploymentFailed(ChainError):
    """The chain refused a contract; `reason` says why."""

    code = "chain_deployment_failed"


@dataclass(frozen=True)
class Plan:
    """What to deploy, and where; amounts in minor units.

    Attributes:
        city: the city's id.
        rpc: the URL of a node.
        addresses: who has which role; where one is left out, the key on this machine says.
        supply_cap: most that the contract lets circulate.
        increase_limit: most by which the claimable total rises in one period.
        period: seconds.
        delay: seconds from a proposal to its activation.
        minimum_delay: seconds; the delay is never set below it.
        badge_uri: what the address of a badge's description begins with.
        explorer: see `Deployment`.
        confirmations: see `Deployment`.
        anchor_seconds: see `Deployment`.
        anchor_entries: see `Deployment`.
        number: raised to deploy the same once more.
        local: whether the node is a development node, on which keys are made and get money.
    """

    city: str
    rpc: str
    addresses: dict[Role, str]
    supply_cap: int = 100_000_000
    increase_limit: int = 1_000_000
    period: int = 7 * DAY_SECONDS
    delay: int = 2 * DAY_SECONDS
    minimum_delay: int = DAY_SECONDS
    badge_uri: str = ""
    explorer: str | None = None
    confirmations: int | None = None
    anchor_seconds: int = deployment.ANCHOR_SECONDS
    anchor_entries: int = deployment.ANCHOR_ENTRIES
    number: int = 0
    local: bool = False


def deploy(
    installation: Installation, plan: Plan, *, pause: Callable[[float], None] = time.sleep, rounds: int = 1_200
) -> Deployment:
    """Deploy token and badges, wait until both are final, and write the city's file; one that is there is kept.

    Raises:
        ValidationFailed: an option cannot be meant so.
        KeyUnusable: the key of a role is missing.
        DeploymentFailed: the chain refuses, or takes longer than `rounds` seconds; the next call goes on.
        ChainError: the node does not answer, or is of another chain than the file says.
    """
    check(plan)
    known = deployment.load(installation.settings, plan.city)
    if known is not None and plan.number == 0:
        with installation.database.read() as session:
            deployment.open_site(known, cities.get(session, plan.city))
        return known
    node, keys = client.connect(plan.rpc), RoleKeys(installation.settings, plan.city)
    if plan.local:
        _furnish(node, keys)
    who = {role: plan.addresses.get(role) or keys.address(role) for role in NEEDED}
    if missing := [role for role, address in who.items() if address is None]:
        raise KeyUnusable(f"name an address for {', '.join(missing)}, or make a key: kgo chain key --role ROLE")
    if who["guardian"] in (who["admin"], who["proposer"]):
        raise ValidationFailed({"--guardian": "name somebody else than the admin and the proposer, whom it guards"})
    if "admin" not in keys:
        raise KeyUnusable("the admin's key deploys, and is not here")
    with installation.database.read() as session:
        city = cities.get(session, plan.city)
    origin = deployment.origin_hash(city)
    roles = [str(who[role]) for role in NEEDED]
    token = TokenSettings(
        f"{city.symbol} {city.name_en}"[:31], city.symbol, city.scale, origin, plan.supply_cap, plan.increase_limit,
        plan.period, plan.delay, plan.minimum_delay, *roles,
    )  # fmt: skip
    uri = plan.badge_uri or f"{installation.settings.public_url}/c/{city.id}/badges/"
    badge = (f"{city.symbol} badge"[:31], f"{city.symbol}B", uri, origin, plan.delay, roles[0], roles[1])
    wishes = [
        _wish(installation, plan, node, "KgoToken", artifact("KgoToken").creation(*token.arguments())),
        _wish(installation, plan, node, "KgoBadge", artifact("KgoBadge").creation(*badge)),
    ]

    def ask_final() -> client.Block:
        return deployment.final(node, plan.confirmations)

    sender = Sender(installation.database, plan.city, node, keys, installation.writer.clock, ask_final)
    for _ in range(rounds):
        sender.drain()
        calls = [_call(installation, plan.city, wanted) for wanted in wishes]
        if failed := [call for call in calls if call.state == outbox.REVERTED]:
            raise DeploymentFailed(failed[0].reason, contract=failed[0].wish.contract)
        if all(call.state == outbox.DONE for call in calls):
            return _write(installation, plan, node, calls)
        pause(1.0)
    raise DeploymentFailed("not_final_yet", remedy="call it again; nothing is deployed twice")


def check(plan: Plan) -> None:
    """Refuse what the contracts would refuse without telling which of it, and what nobody can mean.

    Raises:
        ValidationFailed: by the options' names.
    """
    wrong: dict[str, str] = {}
    for name, limit in _LIMITS.items():
        value = getattr(plan, name)
        if value is not None and not 0 < value < limit:
            wrong[name] = f"give a whole number from 1 to {limit - 1}"
    if "minimum_delay" not in wrong and not plan.minimum_delay <= plan.delay <= LONGEST_DELAY_SECONDS:
        wrong["delay"] = f"give at least --minimum-delay, {plan.minimum_delay}, and at most {LONGEST_DELAY_SECONDS}"
    for name in ("rpc", "explorer"):
        url = getattr(plan, name)
        if url is not None and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
            wrong[name] = "give a URL that begins with http:// or https://"
    for role, address in plan.addresses.items():
        try:
            check_address(address)
        except ClaimsError:
            wrong[role] = "give an address: 0x and 40 hexadecimal digits"
    if wrong:
        raise ValidationFailed({f"--{name.replace('_', '-')}": remedy for name, remedy in wrong.items()})


def _furnish(node: Node, keys: RoleKeys) -> None:
    """Make every key, and give it money, as only a development node does."""
    for role in deployment.ROLES:
        client.ask(node, "anvil_setBalance", keys.create(role, worthless=True), hex(LOCAL_BALANCE_WEI))


def _wish(installation: Installation, plan: Plan, node: Node, name: Name, creation: bytes) -> Wish:
    key = f"{name} {sha256(creation).hexdigest()[:16]} {plan.number} {node.chain_id}"
    wanted = Wish(PURPOSE, key, node.chain_id, "admin", name, None, creation)
    with installation.database.write() as session:
        outbox.wish(session, plan.city, wanted, installation.writer.clock())
        session.commit()
    return wanted


def _call(installation: Installation, city: str, wanted: Wish) -> Call:
    with installation.database.read() as session:
        return outbox.get(session, city, wanted.purpose, wanted.key)


def _write(installation: Installation, plan: Plan, node: Node, calls: list[Call]) -> Deployment:
    """Check the code that was deployed, and write where it is."""
    made: list[Contract] = []
    for call in calls:
        address = call.deployed or ""
        code_hash = client.check_code(node, address, artifact(call.wish.contract))
        made.append(Contract(address, code_hash, call.block_number or 0))
    found = Deployment(
        plan.city, plan.rpc, node.chain_id, made[0], made[1], plan.explorer, plan.confirmations,
        anchor_seconds=plan.anchor_seconds, anchor_entries=plan.anchor_entries,
    )  # fmt: skip
    deployment.save(installation.settings, found)
    return found
