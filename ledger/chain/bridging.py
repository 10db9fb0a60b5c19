"""The claims job and the deposit watcher of one bridge: what a timer calls again and again.

    look → follow → invariant → list → activate

Each step is a command of its own in the city's writer; whatever breaks off between two is taken up by the next run, in
this process or another. Transactions are only staged here (`lists.Outbox`) and sent by others; what the contract has
refused for good is told by `ledger.chain.outbox`, and is tried anew once `RETRY` has passed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count

from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.chain import bridges, client, invariant, lists, watching
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Contract
from ledger.chain.client import Block, Node
from ledger.chain.deposits import NotInOrder
from ledger.chain.lists import Outbox
from ledger.chain.outbox import REVERTED, Call, find
from ledger.errors import Refused
from ledger.values import AMOUNT_LIMIT

PURPOSE = "bridge"
"""The purpose under which the outbox knows the calls that are staged here."""

RETRY = timedelta(minutes=10)
"""How long after the contract refused something for good it is asked again; each list is an entry in the log."""

FULL_RETRY = timedelta(hours=6)
"""The same where a period's increase is used up: periods last for days, and nothing but their end helps."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What one run did.

    Attributes:
        block: the finalized block up to which the ledger follows.
        credited: how many deposits were new.
        listed: the seq of the list that was made, if one was.
        paused: why bridging is paused, if it is.
    """

    block: int
    credited: int
    listed: int | None
    paused: str | None


def establish(writer: Writer, node: Node, city: str, address: str, block: int) -> None:
    """Make sure that a city has its bridge to a contract, deployed in `block`; asks the contract for its limits once.

    Raises:
        Refused: `bridge_exists`: the city has a bridge to that chain with another contract.
        ChainError: the node does not answer.
    """
    with writer.database.read() as session:
        known = [one.contract for one in bridges.all_(session, city) if one.chain_id == node.chain_id]
    if address in known:
        return
    cap, increase, _, _ = client.read(node, artifact("KgoToken"), address, "limits")
    contract = Contract(node.chain_id, address, block, min(cap, AMOUNT_LIMIT - 1), min(increase, AMOUNT_LIMIT - 1))
    writer.submit(city, Command(partial(_open, contract=contract)))


def run(
    writer: Writer, node: Node, city: str, chain_id: int, anchored: Sequence[int], outbox: Outbox, final: Block
) -> Run:
    """Follow the contract, check the identity, and go on with the next list.

    Args:
        writer: the installation's.
        node: of the chain.
        city: its id.
        chain_id: of the bridge.
        anchored: the sizes of the contract's last four anchors, as far as they are final.
        outbox: where transactions are staged.
        final: the newest block that the chain will not take back.

    Raises:
        NotFound: the city has no such bridge.
        Behind, ChainError: the node does not tell everything, or nothing; nothing is lost.
    """
    with writer.database.read() as session:
        bridge = bridges.get(session, city, chain_id)
    credited = _follow(writer, node, city, bridge, final)
    listed = _submit_unless_paused(writer, city, partial(_list, chain_id=chain_id, anchored=anchored, outbox=outbox))
    _submit_unless_paused(writer, city, partial(activate_due, chain_id=chain_id, outbox=outbox))
    with writer.database.read() as session:
        after = bridges.get(session, city, chain_id)
    return Run(after.block, credited, listed, after.pause_reason)


def activate_due(unit: Unit, chain_id: int, outbox: Outbox) -> int | None:
    """Stage the activation of the proposal whose delay is over; its id, or None."""
    bridge = bridges.working(unit, chain_id)
    due = lists.activatable(unit.session, bridge, unit.now)
    if due is None or due.proposal is None:
        return None
    data = artifact("KgoToken").call_data("activate", due.proposal)
    for attempt in count():
        key = f"activate {due.proposal} {attempt}" if attempt else f"activate {due.proposal}"
        refused = _refused(unit, key)
        if refused is None or refused.ended_at is None:
            outbox(unit, key=key, role="relayer", to=bridge.contract, data=data)
            break
        if unit.now < refused.ended_at + RETRY:
            break
    return due.proposal


def _follow(writer: Writer, node: Node, city: str, bridge: bridges.Bridge, final: Block) -> int:
    if bridge.paused_at is not None:
        return 0
    seen = watching.look(node, bridge, final)
    if seen is None:
        return 0
    try:
        credited = watching.follow(writer, city, seen)
    except (NotInOrder, Refused) as refusal:
        if refusal.code in ("bridge_paused", "overloaded"):
            return 0
        # What is final was another once, or more came back than ever left: one of the two is not what it seems.
        log.error("a deposit of %s from chain %s cannot be credited: %s", city, bridge.chain_id, refusal)  # noqa: TRY400
        writer.submit(city, Command(partial(bridges.pause, chain_id=bridge.chain_id, reason="deposits")))
        return 0
    check = partial(invariant.check, chain_id=bridge.chain_id, figures=seen.figures, block=seen.block.number)
    writer.submit(city, Command(check))
    return credited


def _list(unit: Unit, chain_id: int, anchored: Sequence[int], outbox: Outbox) -> int | None:
    bridge = bridges.working(unit, chain_id)
    latest = lists.newest(unit.session, bridge, (lists.COMMITTED, lists.FAILED))
    refused = _refused(unit, lists.proposal_key(latest)) if latest is not None else None
    if latest is not None and refused is not None and refused.ended_at is not None:
        lists.fail(unit, chain_id, latest.seq)
        wait = FULL_RETRY if refused.reason == "AboveIncreaseLimit" else RETRY
        if latest.state == lists.FAILED and unit.now < refused.ended_at + wait:
            return None
    made = lists.commit(unit, chain_id, anchored, outbox)
    return None if made is None else made.seq


def _open(unit: Unit, contract: Contract) -> None:
    bridges.open_bridge(unit, contract)


def _refused(unit: Unit, key: str) -> Call | None:
    """A staged call that the contract was seen to have refused for good; None if it has not."""
    call = find(unit.session, unit.city.id, PURPOSE, key)
    return call if call is not None and call.state == REVERTED else None


def _submit_unless_paused(writer: Writer, city: str, step: Callable[[Unit], int | None]) -> int | None:
    try:
        return writer.submit(city, Command(step)).value
    except Refused as refusal:
        if refusal.code != "bridge_paused":
            raise
        return None
