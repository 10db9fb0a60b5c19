"""`/entries`: the treasurer's entries, in; every entry with its proof, out to anybody."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items
from api.schemas.money import (
    REVERSE,
    BatchOut,
    EntriesIn,
    EntryIn,
    EntryOut,
    Order,
    Orders,
    PostedOut,
    ProofOut,
)
from ledger.book import accounts, entries, seal, transfers, tree
from ledger.book.commands import Steps
from ledger.book.journal import Posted
from ledger.book.unit import Unit
from ledger.errors import LedgerError, ValidationFailed
from ledger.people.roles import Principal
from ledger.proof.checkpoint import parse

routes = Operations("entries", "The book: the treasurer's entries, and every entry of the public log.")
PERMISSION = "entry.post"
MONEY = ("insufficient_funds", "budget_exhausted", "not_allowed", "not_reversible")


def _reads(orders: Sequence[Order]) -> Steps | None:
    """The accounts that these move between; None where one is reversed, whose accounts only its entry tells."""
    if any(order.kind == REVERSE for order in orders):
        return None
    return [lambda _unit: transfers.reads(path for order in orders for path in (order.source, order.target))]


@routes.write(
    "POST",
    f"{CITY}/entries",
    permission=PERMISSION,
    request=EntryIn(),
    response=PostedOut(),
    status=201,
    problems=MONEY,
    summary="Grant, fund, transfer or reverse",
    reads=lambda _caller, order: _reads([order]),
    example={"kind": "fund", "activity": "old-town-walk", "amount_minor": 500000},
)
def post(unit: Unit, caller: Principal, command: Order) -> Posted:
    """One entry."""
    return _post(unit, caller.actor(PERMISSION), command)


@routes.write(
    "POST",
    f"{CITY}/entries:batch",
    permission=PERMISSION,
    request=EntriesIn(),
    response=BatchOut(),
    status=201,
    problems=MONEY,
    summary="Post up to 1,000 entries, all or none",
    reads=lambda _caller, orders: _reads(orders.entries),
    description="A refusal names the entry by its `index`, or the field as `entries.<index>.<field>`.",
)
def post_batch(unit: Unit, caller: Principal, command: Orders) -> Items:
    """All of them, or none."""
    actor, posted = caller.actor(PERMISSION), []
    for index, order in enumerate(command.entries):
        try:
            posted.append(_post(unit, actor, order))
        except ValidationFailed as refusal:
            fields = {f"entries.{index}.{name}": sentence for name, sentence in refusal.fields.items()}
            raise ValidationFailed(fields) from refusal
        except LedgerError as refusal:
            refusal.params["index"] = index
            raise
    return Items(posted)


@routes.read(
    f"{CITY}/entries/<int:seq>",
    permission="log.read",
    response=EntryOut(),
    summary="Show an entry of the public log",
    cache="public, max-age=3600",
)
def show(ask: Ask, seq: int) -> dict[str, Any]:
    """One entry, with the bytes of its leaf."""
    leaf = entries.leaf(ask.session, ask.city.id, seq)
    return {**json.loads(leaf), "leaf": base64.b64encode(leaf).decode()}


@routes.read(
    f"{CITY}/entries/<int:seq>/proof",
    permission="log.read",
    response=ProofOut(),
    summary="Prove that an entry is in the log",
)
def proof(ask: Ask, seq: int) -> dict[str, Any]:
    """The inclusion proof up to the newest checkpoint."""
    entries.leaf(ask.session, ask.city.id, seq)
    note = seal.latest(ask.session, ask.city.id).note
    size = parse(note).size
    path = tree.inclusion(ask.session, ask.city.id, seq, size)
    return {
        "leaf_index": seq,
        "tree_size": size,
        "inclusion": [base64.b64encode(node).decode() for node in path],
        "checkpoint": note,
    }


def _post(unit: Unit, actor: str, order: Order) -> Posted:
    if order.kind == REVERSE:
        return transfers.reverse(unit, order.origin, actor=actor, reason=order.reason)
    for path in (order.source, order.target):
        if path.startswith("sponsor:"):
            accounts.open_account(unit, path)
    return transfers.post(unit, order.kind, order.source, order.target, order.amount_minor, actor=actor, ref=order.ref)
