"""Entries, balances and statements, in and out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields, validates_schema

from api.schemas.base import (
    ACCOUNT_LENGTH,
    COUNT_MESSAGE,
    AccountPath,
    Choice,
    In,
    Instant,
    Items,
    Money,
    Out,
    Text,
    Whole,
    amount,
    is_account,
    items_of,
    money_text,
    plain_instant,
    quoted,
)
from api.services import CityFacts
from ledger.book.accounts import Balance
from ledger.book.journal import Posted
from ledger.book.moves import Transfer
from ledger.values import AMOUNT_LIMIT, SLUG

GRANT, FUND, TRANSFER, REVERSE = "grant", "fund", "transfer", "reverse"
BATCH_LIMIT = 1_000
PAGE_LIMIT = 200
_REASON = re.compile(r"[a-z_]{1,64}")
_DEFAULT_SOURCE = {GRANT: "issuance", FUND: "treasury"}


class Reversal(NamedTuple):
    """The reversal of an entry that the treasurer wants."""

    origin: int
    reason: str | None


Order = Transfer | Reversal
"""An entry that the treasurer wants."""


@dataclass(frozen=True)
class Orders:
    """Entries that are posted all or none."""

    entries: tuple[Order, ...]


class EntryIn(In):
    """One entry. `grant` goes from issuance to the treasury and `fund` out of the treasury unless said otherwise."""

    kind = Choice(GRANT, FUND, TRANSFER, REVERSE, required=True, metadata={"example": FUND})
    source = AccountPath(data_key="from", metadata={"example": "treasury"})
    target = AccountPath(data_key="to", metadata={"example": "budget:old-town-walk"})
    amount_minor = amount()
    activity = Text(longest=40, metadata={"description": "For `fund`: short for `to: budget:<activity>`."})
    origin = Whole(message=COUNT_MESSAGE, metadata={"description": "For `reverse`: the seq of the entry."})
    reason = Text(longest=64, metadata={"description": "A word of a-z and _ that stands in the public entry."})

    @validates_schema
    def _check(self, data: dict[str, Any], **_: Any) -> None:
        kind = data.get("kind")
        if kind is None:
            return
        wanted = {"origin"} if kind == REVERSE else {"amount_minor", *_open_ends(kind, data)}
        foreign = {"activity", "amount_minor", "origin", "source", "target"} - wanted
        faults = {_NAMES.get(name, name): ["Fill this in."] for name in wanted if name not in data}
        allowed = set() if kind == REVERSE else {"source", "target", *({"activity"} if kind == FUND else ())}
        for name in foreign - allowed:
            if name in data:
                faults[_NAMES.get(name, name)] = ["Leave this out for an entry of this kind."]
        if "activity" in data and "target" in data:
            faults["to"] = ["Give either the activity or the account, not both."]
        if not SLUG.fullmatch(data.get("activity", "x")):
            faults["activity"] = ["Use 1 to 40 of a-z, 0-9 and '-', not beginning or ending with '-'."]
        if not _REASON.fullmatch(data.get("reason", "x")):
            faults["reason"] = ["Use 1 to 64 of a-z and '_'."]
        if faults:
            raise ValidationError(faults)

    def plain(self, data: dict[str, Any]) -> Order | None:
        """Two accounts and an amount, nothing else."""
        if data.keys() != _PLAIN_ENTRY:
            return None
        kind, source, target, amount_minor = data["kind"], data["from"], data["to"], data["amount_minor"]
        if type(amount_minor) is not int or not 0 < amount_minor < AMOUNT_LIMIT:
            return None
        if type(source) is not str or type(target) is not str or type(kind) is not str or kind not in _PLAIN_KINDS:
            return None
        if not _is_plain_account(source) or not _is_plain_account(target):
            return None
        if target.startswith("budget:"):
            return Transfer(kind, source, target, amount_minor, {"activity": target[7:]})
        return Transfer(kind, source, target, amount_minor)

    def build(self, data: dict[str, Any]) -> Order:
        """The order, its accounts filled in."""
        kind, activity, reason = data["kind"], data.get("activity"), data.get("reason")
        if kind == REVERSE:
            return Reversal(data["origin"], reason)
        source = data.get("source") or _DEFAULT_SOURCE.get(kind, "")
        target = data.get("target") or ("treasury" if kind == GRANT else f"budget:{activity}")
        ref = {}
        if target.startswith("budget:"):
            ref["activity"] = target.partition(":")[2]
        if reason:
            ref["reason"] = reason
        return Transfer(kind, source, target, data["amount_minor"], ref or None)


_NAMES = {"source": "from", "target": "to"}
_PLAIN_KINDS = frozenset({GRANT, FUND, TRANSFER})
_PLAIN_ENTRY = frozenset({"kind", "from", "to", "amount_minor"})


@lru_cache(maxsize=65_536)
def _is_plain_account(path: str) -> bool:
    return len(path) <= ACCOUNT_LENGTH and is_account(path)


def _open_ends(kind: str, data: dict[str, Any]) -> set[str]:
    """Which ends of an entry have to be named."""
    if kind == GRANT:
        return set()
    if kind == FUND:
        return set() if "activity" in data else {"target"}
    return {"source", "target"}


_ENTRY = EntryIn()


class EntriesIn(In):
    """A batch: all of it is posted, or none."""

    command = Orders
    entries = fields.List(
        fields.Nested(EntryIn), required=True, error_messages={"required": "Fill this in.", "invalid": "Give a list."}
    )

    @validates_schema(pass_original=True)
    def _check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        given = original.get("entries") if isinstance(original, dict) else None
        if isinstance(given, list) and not 1 <= len(given) <= BATCH_LIMIT:
            raise ValidationError({"entries": [f"Give 1 to {BATCH_LIMIT} entries."]})

    def plain(self, data: dict[str, Any]) -> Orders | None:
        """Plain entries alone."""
        given = data.get("entries")
        if len(data) != 1 or type(given) is not list or not 1 <= len(given) <= BATCH_LIMIT:
            return None
        plain = _ENTRY.plain
        orders = [plain(one) if type(one) is dict else None for one in given]
        return None if None in orders else Orders(tuple(orders))  # type: ignore[arg-type]

    def build(self, data: dict[str, Any]) -> Orders:
        """The orders."""
        return Orders(tuple(data["entries"]))


class PostedOut(Money):
    """An entry that was posted: durable, in the tree, covered by a signed checkpoint."""

    entry = fields.Integer(attribute="seq", metadata={"description": "The seq in the log.", "example": 42})
    id = fields.String()
    kind = fields.String(metadata={"example": "fund"})
    at = Instant()
    amount_minor = fields.Integer(metadata={"example": 500000})
    source = fields.Function(
        lambda posted: _public(posted.source),
        data_key="from",
        metadata={"type": ["string", "null"], "description": "null where it is a person's"},
    )
    target = fields.Function(
        lambda posted: _public(posted.target),
        data_key="to",
        metadata={"type": ["string", "null"], "description": "null where it is a person's"},
    )

    def plain(self, value: Posted, city: CityFacts) -> dict[str, Any]:
        """As declared above."""
        return {
            "symbol": city.symbol,
            "scale": city.scale,
            "entry": value.seq,
            "id": value.id,
            "kind": value.kind,
            "at": plain_instant(value.at),
            "amount_minor": value.amount_minor,
            "from": _public(value.source),
            "to": _public(value.target),
        }

    def text(self, value: Posted, city: CityFacts) -> str:
        """The same as JSON."""
        return _posted_text(money_text(city), value)


def _posted_text(start: str, posted: Posted) -> str:
    seq, id_, kind, at, amount, source, target = posted
    return (
        f'{start},"entry":{seq},"id":{quoted(id_)},"kind":{quoted(kind)},"at":"{plain_instant(at)}",'
        f'"amount_minor":{amount},"from":{_quoted_account(source)},"to":{_quoted_account(target)}}}'
    )


def _public(path: str | None) -> str | None:
    """An account as staff may see it: a person's is not told, since a reversal would open its handle."""
    return None if path is None or path.startswith("learner:") else path


def _quoted_account(path: str | None) -> str:
    public = _public(path)
    return "null" if public is None else quoted(public)


class BatchOut(Out):
    """Entries of a batch, in the order in which they were asked for."""

    items = fields.List(fields.Nested(PostedOut))
    next = fields.Integer(allow_none=True, metadata={"description": "Always null: a batch comes at once."})

    def plain(self, value: Items, city: CityFacts) -> dict[str, Any]:
        """As declared above."""
        return {"items": [_POSTED.plain(one, city) for one in value.items], "next": value.next}

    def text(self, value: Items, city: CityFacts) -> str:
        """The same as JSON, for it may be long."""
        start = money_text(city)
        items = [_posted_text(start, posted) for posted in value.items]
        return f'{{"items":[{",".join(items)}],"next":{"null" if value.next is None else value.next}}}'


_POSTED = PostedOut()


class EntryOut(Money):
    """A public entry, as its leaf says it; `leaf` is the leaf's bytes in base64, to be hashed."""

    v = fields.Integer()
    city = fields.String()
    seq = fields.Integer()
    id = fields.String()
    kind = fields.String()
    at = fields.String()
    actor = fields.String()
    key = fields.String(allow_none=True)
    postings = fields.Raw(
        metadata={"type": "array", "items": {"type": "object"}, "description": "from, to, amount in minor units"}
    )
    ref = fields.Dict()
    evidence = fields.Dict(allow_none=True)
    rule = fields.String(allow_none=True)
    leaf = fields.String(metadata={"format": "byte"})


class ProofOut(Out):
    """That an entry is in the log: RFC 9162 inclusion proof to the root of a signed checkpoint."""

    leaf_index = fields.Integer()
    tree_size = fields.Integer()
    inclusion = fields.List(fields.String(metadata={"format": "byte"}))
    checkpoint = fields.String(metadata={"description": "C2SP signed note over size and root."})


class BalanceQuery(In):
    """When the balance is asked for."""

    at = Instant(metadata={"description": "An instant, RFC 3339; now if not given."})


class BalanceOut(Money):
    """A balance: available = posted - held."""

    account = fields.String()
    posted_minor = fields.Integer(metadata={"example": 1500})
    held_minor = fields.Integer(metadata={"example": 500})
    available_minor = fields.Integer(metadata={"example": 1000})
    as_of_seq = fields.Integer(metadata={"description": "The last entry that counts; -1 before the first."})


def plain_balance(value: Balance, city: CityFacts) -> dict[str, Any]:
    """What `BalanceOut` dumps."""
    return {
        "symbol": city.symbol,
        "scale": city.scale,
        "account": value.account,
        "posted_minor": value.posted_minor,
        "held_minor": value.held_minor,
        "available_minor": value.available_minor,
        "as_of_seq": value.as_of_seq,
    }


def balance_text(value: Balance, city: CityFacts) -> str:
    """The same as JSON."""
    account, posted, held, as_of_seq = value
    return (
        f'{money_text(city)},"account":{quoted(account)},"posted_minor":{posted},"held_minor":{held},'
        f'"available_minor":{posted - held},"as_of_seq":{as_of_seq}}}'
    )


def page_limit(what: str) -> Whole:
    """How many lines, rows and the like a page is asked to have."""
    return Whole(
        query=True,
        least=1,
        most=PAGE_LIMIT,
        message=f"Give a whole number from 1 to {PAGE_LIMIT}.",
        load_default=50,
        metadata={"description": f"{what} per page."},
    )


class StatementQuery(In):
    """Which page of a statement."""

    cursor = Whole(query=True, message=COUNT_MESSAGE, metadata={"description": "`next` of the page before."})
    limit = page_limit("Lines")


class StatementLineOut(Money):
    """One change of an account, with the balances after it."""

    entry = fields.Integer()
    id = fields.String()
    kind = fields.String()
    at = Instant()
    amount_minor = fields.Integer(metadata={"description": "What moved, signed.", "example": -500})
    held_change_minor = fields.Integer(metadata={"description": "What was reserved (+) or freed (-)."})
    posted_minor = fields.Integer()
    held_minor = fields.Integer()
    counterparty = fields.String()
    ref = fields.Dict()


STATEMENT = items_of(StatementLineOut, "Statement")
