"""`kgo chain …`: what the operator's commands do. Each returns the text to print, and nothing here prints.

All of it goes through the same outbox as the jobs, so that a command may be broken off, repeated, or run beside a
server. What only signs with a key that is on another machine is queued here and waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from ledger.book import cities, entries, tree
from ledger.book.unit import Unit
from ledger.chain import anchors, bridges, client, deploying, deployment, deposits, outbox, wallets
from ledger.chain.artifacts import artifact
from ledger.chain.deploying import NEEDED, Plan
from ledger.chain.deployment import Deployment, DeploymentUnusable, RoleKeys, Site
from ledger.chain.deposits import Deposit, DepositTicket
from ledger.chain.errors import ChainError
from ledger.chain.keys import KeyUnusable
from ledger.chain.operating import Chains, cross
from ledger.chain.outbox import DONE, QUEUED, Call, Role, Wish
from ledger.chain.sender import Drained
from ledger.errors import LedgerError, ValidationFailed
from ledger.installation import Installation

ETHER_WEI = 10**18
FOREIGN = "ALARM      what is anchored is not of this log: the database is an older copy, or the address is another's"


@dataclass(frozen=True)
class Answer:
    """What a command says, and whether all went well."""

    text: str
    ok: bool = True


def make_key(installation: Installation, city: str, role: Role) -> Answer:
    """Make a role's key in a keystore file, unless it is there; its address."""
    with installation.database.read() as session:
        cities.get(session, city)
    return Answer(RoleKeys(installation.settings, city).create(role))


def deploy(installation: Installation, options: Mapping[str, Any]) -> Answer:
    """Deploy the contracts as the options of the command say, and wait until they are final."""
    names = {field.name for field in fields(Plan)} - {"addresses"}
    addresses = {role: str(options[role]).lower() for role in NEEDED if options.get(role)}
    plan = Plan(addresses=addresses, **{name: value for name, value in options.items() if name in names})
    found = deploying.deploy(installation, plan)
    Chains(installation).judge(found.city)
    badge = found.badge.address if found.badge else "(none)"
    return Answer(f"{found.city}: token {found.token.address}, badges {badge}, chain {found.chain_id}")


@dataclass(frozen=True)
class _Heard:
    """What the node tells: lines of the contracts and of the money of the keys, and what is anchored last."""

    contracts: list[str]
    purses: list[str]
    size: int
    root: bytes

    def anchored(self, session: Session, city: str, log_size: int) -> tuple[str, bool]:
        """The line of the last anchor, and whether it is of this log, which has so many entries now."""
        agrees = self.size <= log_size and (self.size == 0 or tree.root_at(session, city, self.size) == self.root)
        return f"anchored   {self.size} of {log_size} entries, root {self.root.hex()[:16]}…", agrees


def status(installation: Installation, city: str) -> Answer:
    """How the city stands with its chain: contracts, anchors, keys and their money, what waits, what is amiss.

    What is known here is told even while the node is silent. It is one snapshot, later than the node's answer: an
    entry that is appended and anchored meanwhile is no alarm.
    """
    purses: list[str] = []
    heard: _Heard | None = None
    try:
        heard = _asked(installation, city, Chains(installation))
        lines, purses = heard.contracts, heard.purses
    except ChainError as fault:
        lines = [f"ALARM      {fault}"]
    agrees = heard is not None
    described = deployment.known(installation.settings, city)
    with installation.database.read() as session:
        log_size = entries.size(session, city)
        waiting = outbox.open_(session, city)
        known = anchors.list_(session, city, 1)
        crossing = [one for one in bridges.all_(session, city) if one.chain_id == described.chain_id]
        suspended = {one.chain_id: len(deposits.in_suspense(session, one)) for one in crossing}
        if heard is not None:
            anchored, agrees = heard.anchored(session, city, log_size)
            lines += [anchored] if agrees else [anchored, FOREIGN]
    lines.append(f"final      {known[0].size if known else 0} of {log_size} entries")
    lines.append(f"compare    kgo verify {_comparing(installation, described)}")
    if known and known[0].agrees is not True:
        agrees = False
        lines.append("ALARM      the last final anchor is not of this log: nothing is signed until it is (see Restore)")
    for bridge in crossing:
        last = f", heard {bridge.checked_at:%F %T}" if bridge.checked_at else ""
        lines.append(f"bridge     followed to block {bridge.block}, {bridge.deposits} deposits{last}")
        if bridges.silent_since(bridge, installation.writer.clock()):
            agrees = False
            lines.append("ALARM      no new final block since then: is the node well, does kgo serve or kgo jobs run?")
        if held := suspended.get(bridge.chain_id):
            lines.append(f"suspense   {held} deposits wait for somebody: kgo chain suspense --city {city}")
        if bridge.paused_at is not None:
            agrees = False
            lines.append(f"ALARM      bridging is paused since {bridge.paused_at:%F %T}: {bridge.pause_reason}")
    lines += purses + ([_line(call) for call in waiting] or ["waiting    nothing"])
    return Answer("\n".join(lines), agrees)


def _asked(installation: Installation, city: str, chains: Chains) -> _Heard:
    """What the node tells of the contracts, of their last anchor and of the money of the keys."""
    site, keys = chains.site(city), chains.keys(city)
    node, token = site.node, artifact("KgoToken")
    latest, final = client.block(node, "latest"), site.final()
    size, root = client.read(node, token, site.token, "anchored")
    supply = client.read(node, token, site.token, "totalSupply")
    paused = client.read(node, token, site.token, "paused")
    purses = []
    for role in keys:
        address = keys.address(role) or ""
        purses.append(f"{role:<10} {address}, {client.balance(node, address) / ETHER_WEI:.4f} for gas")
    contracts = [
        f"chain      {node.chain_id} at {node.host}, block {latest.number}, final {final.number}",
        f"token      {site.token}, {supply} minor units in circulation{', PAUSED' if paused else ''}",
        f"badges     {site.deployment.badge.address if site.deployment.badge else '(none)'}",
    ]
    return _Heard(contracts, purses, size, root)


def _comparing(installation: Installation, described: Deployment) -> str:
    """What anybody gives `kgo verify`; a node's URL may hold a key, unless it is one of this machine."""
    rpc = described.rpc if urlsplit(described.rpc).hostname in ("127.0.0.1", "localhost", "::1") else "URL"
    log = f"{installation.settings.public_url}/log/{described.city}"
    return f"{log} --rpc {rpc} --contract {described.token.address} --first-block {described.token.block}"


def _line(call: Call) -> str:
    where = "waits" if call.state == QUEUED else f"sent with nonce {call.nonce}"
    why = f": {call.reason}" if call.reason else ""
    return f"waiting    {call.wish.purpose} {call.wish.key} ({call.wish.role}) {where}{why}"


def anchor(installation: Installation, city: str, *, wait: Callable[[], bool]) -> Answer:
    """Anchor the newest checkpoint now, due or not."""
    chains = Chains(installation)
    site, database = chains.site(city), installation.database
    chains.judge(city)
    wanted = anchors.wish(database, city, site, installation.writer.clock(), insist=True)
    if wanted is None:
        with database.read() as session:
            known = [one.wish for one in outbox.open_(session, city, anchors.PURPOSE)]
        if not known:
            return Answer("the newest checkpoint is anchored")
        wanted = known[0]
    answer = carry_out(chains, city, wanted, wait)
    anchors.follow(database, city, site)
    return answer


def stop(
    installation: Installation, city: str, *, resume: bool, now: datetime, wait: Callable[[], bool]
) -> Answer:  # fmt: skip
    """Pause bridging, in the ledger and on the contract, or resume it; anchors and vetoes always go on.

    The ledger's side comes first, for it needs neither a node nor a key. If the contract's fails, both are told.
    """
    with installation.database.read() as session:
        cities.get(session, city)
    chain_id = deployment.known(installation.settings, city).chain_id
    here = installation.writer.run(city, partial(_stop_ledger, chain_id=chain_id, resume=resume))
    try:
        there = _stop_contract(installation, city, resume=resume, now=now, wait=wait)
    except (LedgerError, DeploymentUnusable, KeyUnusable) as fault:
        stands = "is STILL paused" if resume else "is NOT paused, claims and deposits go on there"
        first = "set KGO_CHAIN_PASSWORD to the password of the keys, then " if isinstance(fault, KeyUnusable) else ""
        there = Answer(f"contract   {stands}: {fault}\nremedy     {first}give the same command again", ok=False)
    return Answer(f"ledger     {here}\n{there.text}", there.ok)


def _stop_contract(
    installation: Installation, city: str, *, resume: bool, now: datetime, wait: Callable[[], bool]
) -> Answer:  # fmt: skip
    """The contract's side. What an earlier command left on its way is carried on: the contract obeys it once."""
    chains = Chains(installation)
    site, token = chains.site(city), artifact("KgoToken")
    role: Role = "admin" if resume else "pauser"
    name = "unpause" if resume else "pause"
    data = token.call_data(name)
    wanted = Wish("pause", f"{name} {now.isoformat()}", site.node.chain_id, role, "KgoToken", site.token, data)
    with installation.database.read() as session:
        left = [one for one in outbox.open_(session, city, "pause") if one.wish.address == site.token]
    is_paused = client.read(site.node, token, site.token, "paused")
    if is_paused is not resume and all(one.state == QUEUED and one.wish.data == data for one in left):
        return Answer(f"contract   is {'not paused' if resume else 'paused already'}")
    if left and left[-1].wish.data == data:
        wanted = left[-1].wish
    with installation.database.write() as session:
        outbox.wish(session, city, wanted, now)
        session.commit()
    if role not in chains.keys(city):
        stands = "is STILL paused" if resume else "is NOT paused"
        return Answer(f"contract   {stands}: queued, for the key of the {role} is not on this machine", ok=False)
    return carry_out(chains, city, wanted, wait)


def _stop_ledger(unit: Unit, chain_id: int, *, resume: bool) -> str:
    """The ledger's side; how it stands now."""
    if not any(one.chain_id == chain_id for one in bridges.all_(unit.session, unit.city.id)):
        return "has no bridge yet"
    if resume:
        bridges.resume(unit, chain_id)
        return "bridging goes on"
    bridges.pause(unit, chain_id, "operator")
    bridge = bridges.get(unit.session, unit.city.id, chain_id)
    return (
        f"bridging is paused since {bridge.paused_at:%F %T} ({bridge.pause_reason}): nothing moves to or from the chain"
    )


def suspense(installation: Installation, city: str) -> Answer:
    """The deposits that wait in suspense: what came, from which wallet, and why nobody was credited."""
    with installation.database.read() as session:
        lines = [
            f"{one.number:>6}  {one.amount_minor:>12} minor units  from {one.wallet}  ticket {one.outcome}"
            f"  {_whose(session, city, one)}"
            for bridge in bridges.all_(session, city)
            for one in deposits.in_suspense(session, bridge)
        ]
    return Answer("\n".join(lines) or "nothing is in suspense")


def _whose(session: Session, city: str, deposit: Deposit) -> str:
    """Who drew the ticket, and whose the wallet is: what speaks for somebody. It is staff who decide."""
    ticket = session.get(DepositTicket, (city, deposit.chain_id, deposit.ticket))
    drawn = f"drawn by {ticket.learner}" if ticket else "drawn by nobody"
    owners = wallets.owners(session, city, deposit.wallet)
    return f"{drawn}, wallet of {', '.join(owners) if owners else 'nobody here'}"


def resolve(installation: Installation, city: str, options: Mapping[str, Any]) -> Answer:
    """Move a deposit out of suspense to the learner whose it turned out to be, with an entry in the log."""
    number, chain_id, learner = options["deposit"], options["chain_id"], options["learner"].removeprefix("learner:")

    def run(unit: Unit) -> int:
        known = bridges.all_(unit.session, city)
        place = chain_id if chain_id is not None or len(known) != 1 else known[0].chain_id
        return deposits.resolve(unit, place or 0, number, learner, actor="operator")

    seq = installation.writer.run(city, run)
    return Answer(f"deposit {number} is the learner's now, by entry {seq}")


def propose(installation: Installation, city: str) -> Answer:
    """Let the bridge list what can be claimed next, and send what follows from it."""
    chains = Chains(installation)
    anchors.follow(installation.database, city, chains.site(city))
    ran = cross(installation, city, chains.site(city))
    chains.sender(city).drain()
    listed = "no new list" if ran.listed is None else f"a new list, entry {ran.listed}"
    paused = f"; PAUSED: {ran.paused}" if ran.paused else ""
    return Answer(f"followed to block {ran.block}: {ran.credited} new deposits, {listed}{paused}", ran.paused is None)


def watch(installation: Installation, city: str) -> Answer:
    """One round of all that the jobs do for the city."""
    tended = Chains(installation).tend_city(city)
    return Answer(f"{tended.anchors} anchors became final; {_told(tended.calls)}")


def watching(installation: Installation, city: str, every: timedelta) -> Iterator[Answer]:
    """Rounds without end; what each did, or what went wrong in it."""
    if every <= timedelta():
        raise ValidationFailed({"--every": "give seconds, more than 0"})
    chains = Chains(installation)
    while True:
        tended = chains.guarded(city)
        yield Answer(tended.problem or f"{tended.anchors} anchors became final; {_told(tended.calls)}")
        time.sleep(every.total_seconds())


def carry_out(chains: Chains, city: str, wanted: Wish, wait: Callable[[], bool]) -> Answer:
    """Go rounds until a wish is settled, or until `wait` returns False."""
    while True:
        chains.sender(city).drain()
        call = chains.call(city, wanted)
        if call.ended_at is not None:
            return Answer(f"{wanted.purpose}: {call.state} {call.reason or ''}".rstrip() + _place(chains, city, call),
                          call.state == DONE)  # fmt: skip
        if not wait():
            return Answer(f"{_line(call)}; it goes on with the jobs", ok=True)


def _place(chains: Chains, city: str, call: Call) -> str:
    site: Site = chains.site(city)
    return f" in {site.deployment.link(call.transaction) or call.transaction}" if call.transaction else ""


def _told(calls: Drained | None) -> str:
    return ", ".join(f"{count} {name}" for name, count in vars(calls or Drained()).items())
