"""How an entry comes to be: shape checked, persons blinded, leaf built, effects applied.

`append` is the only way into the log. It is handed the postings with real accounts and what they do to balances;
it writes the leaf with handles in the place of persons. Nothing is staged unless everything holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.book import accounts, blinding
from ledger.book.accounts import Effect
from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.proof.encoding import canonical, timestamp
from ledger.proof.merkle import leaf_hash
from ledger.proof.rules import account_type, check_entry_shape, read_plain
from ledger.values import random_id

_dump = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Posting:
    """`amount` minor units from `source` to `target`, and how far it moves or reserves.

    `posted` is what leaves the source and reaches the target; `held` is the change of the source's reservation.
    A transfer has (amount, 0), a hold (0, +amount), a release (0, -amount), a capture (captured, -held).
    """

    source: str
    target: str
    amount: int
    posted: int
    held: int = 0


@dataclass(frozen=True)
class Posted:
    """An entry that stands, once the batch commits. `amount_minor` is the sum over its postings."""

    seq: int
    id: str
    kind: str
    at: datetime
    amount_minor: int
    source: str | None
    target: str | None


@dataclass(frozen=True)
class Origin:
    """The first entry of the case that an entry goes on with."""

    seq: int
    entry_id: str


def moving(source: str, target: str, amount: int) -> Posting:
    """A posting that moves its whole amount."""
    return Posting(source, target, amount, posted=amount)


def append(
    unit: Unit,
    kind: str,
    postings: Sequence[Posting] = (),
    *,
    actor: str,
    origin: Origin | None = None,
    ref: dict[str, Any] | None = None,
    evidence: dict[str, str] | None = None,
    rule: str | None = None,
) -> Posted:
    """Append one entry and stage what it does to the accounts.

    Raises:
        Refused: an account's floor (`insufficient_funds`, `budget_exhausted`).
        NotFound: an account has not been opened.
        ValueError: the entry is not one the format allows; a fault of the caller, not of a user.
    """
    seq, entry_id = unit.next_seq, random_id()
    case_entry_id = origin.entry_id if origin else entry_id
    public, effects = _blinded(unit, postings, case_entry_id)
    full_ref = dict(ref or {})
    if origin:
        full_ref["origin"] = origin.seq
    entry = {
        "v": 1,
        "city": unit.city.id,
        "seq": seq,
        "id": entry_id,
        "kind": kind,
        "at": timestamp(unit.now),
        "actor": actor,
        "key": unit.key_hash,
        "postings": public,
        "ref": full_ref,
        "evidence": evidence,
        "rule": rule,
    }
    leaf = _leaf(entry)
    accounts.apply(unit, seq, effects)
    hashed = leaf_hash(leaf)
    unit.insert(
        Entry,
        seq=seq,
        id=entry_id,
        kind=kind,
        at=unit.now,
        origin=origin.seq if origin else None,
        leaf=leaf,
        leaf_hash=hashed,
    )
    unit.leaf_hashes.append(hashed)
    first = postings[0] if postings else None
    return Posted(
        seq=seq,
        id=entry_id,
        kind=kind,
        at=unit.now,
        amount_minor=sum(posting.amount for posting in postings),
        source=first.source if first else None,
        target=first.target if first else None,
    )


def _leaf(entry: dict[str, Any]) -> bytes:
    """The canonical bytes of an entry that the format allows.

    Nearly every entry is plain: one fast dump, whose bytes `read_plain` finds canonical and well-shaped, will do.
    """
    plain = _dump(entry).encode()
    if read_plain(plain) is not None:
        return plain
    if fault := check_entry_shape(entry):
        raise ValueError(f"entry refused by its format: {fault}")
    return canonical(entry)


def _blinded(unit: Unit, postings: Sequence[Posting], case_entry_id: str) -> tuple[list[dict[str, Any]], list[Effect]]:
    """The postings as the public sees them, and their effects on the real accounts."""
    public: list[dict[str, Any]] = []
    effects: list[Effect] = []
    for line, posting in enumerate(postings):
        shown = {"amount": posting.amount}
        changes = ((posting.source, -posting.posted, posting.held), (posting.target, posting.posted, 0))
        for side, (account, posted, held) in enumerate(changes):
            name, nonce = account, None
            if account_type(account) == "learner":
                name, nonce = blinding.blind(unit, account, case_entry_id)
            shown[("from", "to")[side]] = name  # type: ignore[assignment]
            if posted or held:
                effects.append(Effect(account, line, side, posted, held, nonce))
        public.append(shown)
    return public, effects
