"""How an entry comes to be: shape checked, persons blinded, leaf built, effects applied.

`append` takes an entry of any shape into the log; those that move one amount go by `moves.move`, which does the same
for many at a time. It is handed the postings with real accounts and what they do to balances; it writes the leaf
with handles in the place of persons. Nothing is staged unless everything holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ledger.book import accounts, blinding
from ledger.book.accounts import Effect
from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.proof.encoding import canonical
from ledger.proof.merkle import leaf_hash
from ledger.proof.rules import account_type, check_entry_shape
from ledger.rows import Rows

ENTRIES = Rows(Entry)


class Posting(NamedTuple):
    """`amount` minor units from `source` to `target`, and how far it moves or reserves.

    `posted` is what leaves the source and reaches the target; `held` is the change of the source's reservation.
    A transfer has (amount, 0), a hold (0, +amount), a release (0, -amount), a capture (captured, -held).
    """

    source: str
    target: str
    amount: int
    posted: int
    held: int = 0


class Posted(NamedTuple):
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
    seq, entry_id = unit.next_seq, unit.new_id()
    public, effects = _blinded(unit, postings, origin.entry_id if origin else entry_id)
    if origin:
        ref = {**(ref or {}), "origin": origin.seq}
    written = leaf(
        {
            "v": 1,
            "city": unit.city.id,
            "seq": seq,
            "id": entry_id,
            "kind": kind,
            "at": unit.now_text,
            "actor": actor,
            "key": unit.key_hash,
            "postings": public,
            "ref": ref or {},
            "evidence": evidence,
            "rule": rule,
        }
    )
    accounts.apply(unit, seq, effects)
    hashed = leaf_hash(written)
    case = origin.seq if origin else None
    unit.insert(ENTRIES, (unit.city.id, seq, entry_id, kind, unit.now_ms, case, written, hashed))
    unit.leaf_hashes.append(hashed)
    unit.kinds.append(kind)
    amount = sum([posting.amount for posting in postings])
    source, target = postings[0][:2] if postings else (None, None)
    return Posted(seq, entry_id, kind, unit.now, amount, source, target)


def leaf(entry: dict[str, Any]) -> bytes:
    """The canonical bytes of an entry, persons standing as handles in its postings.

    Raises:
        ValueError: the format does not allow it.
    """
    if fault := check_entry_shape(entry):
        raise ValueError(f"entry refused by its format: {fault}")
    return canonical(entry)


def _blinded(unit: Unit, postings: Sequence[Posting], case_entry_id: str) -> tuple[list[dict[str, Any]], list[Effect]]:
    """The postings as the public sees them, and their effects on the real accounts."""
    public: list[dict[str, Any]] = []
    effects: list[Effect] = []
    for line, (source, target, amount, posted, held) in enumerate(postings):
        giver, giver_nonce = blinding.shown(unit, source, account_type(source), case_entry_id)
        taker, taker_nonce = blinding.shown(unit, target, account_type(target), case_entry_id)
        if posted or held:
            effects.append(Effect(source, line, 0, -posted, held, giver_nonce))
        if posted:
            effects.append(Effect(target, line, 1, posted, 0, taker_nonce))
        public.append({"amount": amount, "from": giver, "to": taker})
    return public, effects
