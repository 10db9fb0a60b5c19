"""Reads what a contract did for good, and makes the ledger follow.

`look` asks a node about one final block: the contract's figures there, and every event up to it since the last look.
The figures say how many events there must be, so that a node that leaves some out without a word is noticed (`Behind`),
or a chain that took back what was final, and nothing is taken from it. `follow` applies a look in the city's writer:
deposits are credited, lists go on, payments are noted, and last of all the place is moved from which the next look
begins. Any step may be repeated.

What the contract did and the ledger never asked for (a proposal that is no list of ours) or undid (a veto) pauses the
bridge: somebody has to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.chain import bridges, client, deposits, lists, withdrawals
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Bridge
from ledger.chain.client import Block, Event, Node
from ledger.chain.deposits import Arrival
from ledger.errors import LedgerError

CHUNK = 64
"""How many deposits are credited in one command, so that check-ins do not wait for a flood of them."""


@dataclass(frozen=True)
class Figures:
    """The contract's own figures at one block; amounts in minor units.

    Attributes:
        supply_minor: in circulation there.
        claimed_minor: ever claimed.
        deposited_minor: ever deposited.
        deposits: how many deposits there were.
        proposals: how many proposals there were.
    """

    supply_minor: int
    claimed_minor: int
    deposited_minor: int
    deposits: int
    proposals: int


@dataclass(frozen=True)
class Look:
    """What a finalized block tells. `since` is the block up to which was read before."""

    chain_id: int
    since: int
    block: Block
    figures: Figures
    events: tuple[Event, ...]

    def named(self, *names: str) -> list[Event]:
        """The events of some names, in their order."""
        return [event for event in self.events if event.name in names]


class Behind(LedgerError):
    """A node does not tell all that the contract's figures speak of; `reason` is the event. Another look will."""

    code = "chain_behind"


def look(node: Node, bridge: Bridge, block: Block) -> Look | None:
    """Read what became final since the last look, up to a final block; None if nothing did.

    Raises:
        Behind: events are missing.
        ChainError: the node does not answer, or refuses.
    """
    if block.number <= bridge.block:
        return None
    token = artifact("KgoToken")
    read = partial(client.read, node, token, bridge.contract, at=block.number)
    claimed, deposited, count = read("totals")
    figures = Figures(read("totalSupply"), claimed, deposited, count, read("proposal")[0])
    events: list[Event] = []
    wanted = {
        "Proposed": figures.proposals != bridge.proposals,
        "Vetoed": True,
        "Activated": True,
        "Claimed": claimed != bridge.claimed_minor,
        "Deposited": count != bridge.deposits,
    }
    for name in [name for name, some in wanted.items() if some]:
        events += client.events(node, token, bridge.contract, name, bridge.block + 1, block.number)
    events.sort(key=lambda event: (event.block_number, event.index))
    found = Look(bridge.chain_id, bridge.block, block, figures, tuple(events))
    _check_complete(found, bridge)
    return found


def follow(writer: Writer, city: str, seen: Look) -> int:
    """Make the ledger follow a look; how many deposits were new.

    Raises:
        LedgerError: what a step refused with; the same look, or a later one, can be followed again.
    """
    arrivals = [_arrival(event) for event in seen.named("Deposited")]
    fresh = 0
    for start in range(0, len(arrivals), CHUNK):
        chunk = arrivals[start : start + CHUNK]
        credited = Command(partial(deposits.credit, chain_id=seen.chain_id, arrivals=chunk))
        fresh += writer.submit(city, credited).value or 0
    writer.submit(city, Command(partial(_apply, seen=seen)))
    return fresh


def _check_complete(seen: Look, bridge: Bridge) -> None:
    figures = seen.figures
    arrived = [(event.arguments["seq"], event.arguments["amount"]) for event in seen.named("Deposited")]
    fresh = [amount for number, amount in arrived if number >= bridge.deposits]
    numbers = [number for number, _ in arrived if number >= bridge.deposits]
    if numbers != list(range(bridge.deposits, figures.deposits)):
        raise Behind("deposited", found=len(numbers), expected=figures.deposits - bridge.deposits)
    if bridge.deposited_minor + sum(fresh) != figures.deposited_minor:
        raise Behind("deposited", found_minor=sum(fresh), total_minor=figures.deposited_minor)
    claimed = sum(event.arguments["amount"] for event in seen.named("Claimed"))
    if bridge.claimed_minor + claimed != figures.claimed_minor:
        raise Behind("claimed", found_minor=claimed, total_minor=figures.claimed_minor)
    ids = [event.arguments["id"] for event in seen.named("Proposed")]
    if figures.proposals < bridge.proposals or ids != list(range(bridge.proposals + 1, figures.proposals + 1)):
        raise Behind("proposed", found=len(ids), expected=figures.proposals - bridge.proposals)


def _apply(unit: Unit, seen: Look) -> None:
    """All of a look but its deposits, which are credited before."""
    bridge = bridges.get(unit.session, unit.city.id, seen.chain_id)
    if bridge.block != seen.since:
        return  # another process looked as well, and was first
    for event in seen.events:
        told = event.arguments
        if event.name == "Claimed":
            withdrawals.paid(unit, bridge, told["account"].lower(), told["cumulative"], event.transaction)
        elif event.name == "Proposed":
            _propose(unit, bridge, told)
        elif event.name in ("Activated", "Vetoed"):
            ours = lists.ended(unit, bridge, told["id"], lists.ACTIVE if event.name == "Activated" else lists.VETOED)
            if not ours or event.name == "Vetoed":
                bridges.pause(unit, bridge.chain_id, "vetoed" if event.name == "Vetoed" else "foreign_list")
        unit.session.flush()
    figures = seen.figures
    bridge.block, bridge.claimed_minor, bridge.proposals = seen.block.number, figures.claimed_minor, figures.proposals


def _propose(unit: Unit, bridge: Bridge, told: dict[str, Any]) -> None:
    active_at = datetime.fromtimestamp(told["activeAt"], UTC)
    if not lists.proposed(unit, bridge, told["claimsRoot"], told["total"], told["atSize"], told["id"], active_at):
        bridges.pause(unit, bridge.chain_id, "foreign_list")


def _arrival(event: Event) -> Arrival:
    told = event.arguments
    return Arrival(
        told["seq"], told["account"].lower(), "0x" + told["ref"].hex(), told["amount"], event.transaction,
        event.block_number,
    )  # fmt: skip
