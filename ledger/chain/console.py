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

from ledger.book import entries
from ledger.book.unit import Unit
from ledger.chain import anchors, bridges, client, deploying, outbox
from ledger.chain.artifacts import artifact
from ledger.chain.deploying import NEEDED, Plan
from ledger.chain.deployment import RoleKeys, Site
from ledger.chain.operating import Chains, bridge_part, cross
from ledger.chain.outbox import DONE, QUEUED, Call, Role, Wish
from ledger.chain.sender import Drained
from ledger.installation import Installation

ETHER_WEI = 10**18


@dataclass(frozen=True)
class Answer:
    """What a command says, and whether all went well."""

    text: str
    ok: bool = True


def make_key(installation: Installation, city: str, role: Role) -> Answer:
    """Make a role's key in a keystore file, unless it is there; its address."""
    return Answer(RoleKeys(installation.settings, city).create(role))


def deploy(installation: Installation, options: Mapping[str, Any]) -> Answer:
    """Deploy the contracts as the options of the command say, and wait until they are final."""
    names = {field.name for field in fields(Plan)} - {"addresses"}
    addresses = {role: str(options[role]).lower() for role in NEEDED if options.get(role)}
    plan = Plan(addresses=addresses, **{name: value for name, value in options.items() if name in names})
    found = deploying.deploy(installation, plan)
    badge = found.badge.address if found.badge else "(none)"
    return Answer(f"{found.city}: token {found.token.address}, badges {badge}, chain {found.chain_id}")


def status(installation: Installation, city: str) -> Answer:
    """How the city stands with its chain: contracts, anchors, keys and their money, what waits, what is amiss."""
    chains = Chains(installation)
    site = chains.site(city)
    node, token = site.node, artifact("KgoToken")
    latest, final = client.block(node, "latest"), site.final()
    size, root = client.read(node, token, site.token, "anchored")
    supply = client.read(node, token, site.token, "totalSupply")
    paused = client.read(node, token, site.token, "paused")
    with installation.database.read() as session:
        log_size = entries.size(session, city)
        waiting = outbox.open_(session, city)
        known = anchors.list_(session, city, 1)
        crossing = [one for one in bridges.all_(session, city) if one.chain_id == node.chain_id]
    lines = [
        f"chain      {node.chain_id} at {node.host}, block {latest.number}, final {final.number}",
        f"token      {site.token}, {supply} minor units in circulation{', PAUSED' if paused else ''}",
        f"badges     {site.deployment.badge.address if site.deployment.badge else '(none)'}",
        f"anchored   {size} of {log_size} entries, root {root.hex()[:16]}…",
        f"final      {known[0].size if known else 0} entries",
    ]
    first = f"--contract {site.token} --first-block {site.deployment.token.block}"
    lines.append(f"compare    kgo verify LOG --rpc URL {first}")
    agrees = not known or known[0].agrees is True
    if not agrees:
        lines.append("ALARM      the last final anchor is not of this log")
    for bridge in crossing:
        lines.append(f"bridge     followed to block {bridge.block}, {bridge.deposits} deposits")
        if bridge.paused_at is not None:
            agrees = False
            lines.append(f"ALARM      bridging is paused since {bridge.paused_at:%F %T}: {bridge.pause_reason}")
    keys = chains.keys(city)
    for role in keys:
        address = keys.address(role) or ""
        ether = client.balance(node, address) / ETHER_WEI
        lines.append(f"{role:<10} {address}, {ether:.4f} for gas")
    lines += [_line(call) for call in waiting] or ["waiting    nothing"]
    return Answer("\n".join(lines), agrees)


def _line(call: Call) -> str:
    where = "waits" if call.state == QUEUED else f"sent with nonce {call.nonce}"
    why = f": {call.reason}" if call.reason else ""
    return f"waiting    {call.wish.purpose} {call.wish.key} ({call.wish.role}) {where}{why}"


def anchor(installation: Installation, city: str, *, wait: Callable[[], bool]) -> Answer:
    """Anchor the newest checkpoint now, due or not."""
    chains = Chains(installation)
    site, database = chains.site(city), installation.database
    anchors.follow(database, city, site)
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
    """Pause bridging, in the ledger and on the contract, or resume it; anchors and vetoes always go on."""
    chains = Chains(installation)
    site = chains.site(city)
    installation.writer.run(city, partial(_stop_ledger, chain_id=site.node.chain_id, resume=resume))
    role: Role = "admin" if resume else "pauser"
    name = "unpause" if resume else "pause"
    data = artifact("KgoToken").call_data(name)
    wanted = Wish("pause", f"{name} {now.isoformat()}", site.node.chain_id, role, "KgoToken", site.token, data)
    with installation.database.write() as session:
        outbox.wish(session, city, wanted, now)
        session.commit()
    if role not in chains.keys(city):
        return Answer(f"queued; the key of the {role} is not on this machine", ok=False)
    return carry_out(chains, city, wanted, wait)


def _stop_ledger(unit: Unit, chain_id: int, *, resume: bool) -> None:
    if not any(one.chain_id == chain_id for one in bridges.all_(unit.session, unit.city.id)):
        return
    if resume:
        bridges.resume(unit, chain_id)
    else:
        bridges.pause(unit, chain_id, "operator")


def propose(installation: Installation, city: str) -> Answer:
    """Let the bridge list what can be claimed next, and send what follows from it."""
    if bridge_part("bridging") is None:
        return Answer("this installation has no bridge", ok=False)
    chains = Chains(installation)
    anchors.follow(installation.database, city, chains.site(city))
    ran = cross(installation, city, chains.site(city))
    chains.sender(city).drain()
    return Answer(str(ran) if ran is not None else f"{city} has no bridge to this chain", ran is not None)


def watch(installation: Installation, city: str) -> Answer:
    """One round of all that the jobs do for the city."""
    tended = Chains(installation).tend_city(city)
    return Answer(f"{tended.anchors} anchors became final; {_told(tended.calls)}")


def watching(installation: Installation, city: str, every: timedelta) -> Iterator[Answer]:
    """Rounds without end; what each did, or what went wrong in it."""
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
