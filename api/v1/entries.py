"""`/entries`: the treasurer's entries, in; every entry with its proof, out to anybody."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, cast

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items
from api.schemas.money import (
    BatchOut,
    EntriesIn,
    EntryIn,
    EntryOut,
    Order,
    Orders,
    PostedOut,
    ProofOut,
    Reversal,
)
from ledger.book import accounts, entries, seal, transfers, tree
from ledger.book.commands import Steps
from ledger.book.journal import Posted
from ledger.book.moves import Transfer
from ledger.book.unit import Unit
from ledger.errors import LedgerError, ValidationFailed
from ledger.people.roles import Principal
from ledger.proof.checkpoint import parse

routes = Operations("entries", "The book: the treasurer's entries, and every entry of the public log.")
PERMISSION = "entry.post"
MONEY = ("insufficient_funds", "budget_exhausted", "not_allowed", "not_reversible")


def _reads(orders: Sequence[Order]) -> Steps | None:
    """The accounts that these move between; None where one is reversed, whose accounts only its entry tells."""
    moves = [order for order in orders if isinstance(order, Transfer)]
    if len(moves) < len(orders):
        return None
    paths = _paths(moves)
    return [lambda _unit: transfers.reads(paths)]


def _paths(moves: Sequence[Transfer]) -> set[str]:
    """The accounts of some movements, each once."""
    return {move.source for move in moves} | {move.target for move in moves}


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
    if isinstance(command, Reversal):
        return _reverse(unit, caller, command)
    _open_sponsors(unit, [command])
    return transfers.post(unit, *command[:4], actor=caller.actor(PERMISSION), ref=command.ref)


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
    posted: list[Posted] = []
    for kind, alike in groupby(command.entries, type):
        try:
            if kind is Transfer:
                moves = cast("list[Transfer]", list(alike))
                _open_sponsors(unit, moves)
                posted += transfers.post_many(unit, moves, actor=caller.actor(PERMISSION))
            else:
                for order in cast("Iterator[Reversal]", alike):
                    posted.append(_reverse(unit, caller, order))
        except ValidationFailed as refusal:
            index = len(posted) + refusal.params.pop("index", 0)
            fields = {f"entries.{index}.{name}": sentence for name, sentence in refusal.fields.items()}
            raise ValidationFailed(fields) from refusal
        except LedgerError as refusal:
            refusal.params["index"] = len(posted) + refusal.params.get("index", 0)
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


def _reverse(unit: Unit, caller: Principal, order: Reversal) -> Posted:
    return transfers.reverse(unit, order.origin, actor=caller.actor(PERMISSION), reason=order.reason)


def _open_sponsors(unit: Unit, moves: Sequence[Transfer]) -> None:
    """A sponsor's account begins with the first entry that names it."""
    for path in _paths(moves):
        if path.startswith("sponsor:"):
            accounts.open_account(unit, path)
