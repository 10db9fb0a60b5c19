"""How an entry comes to be: shape checked, persons blinded, leaf built, effects applied.

`append` is the only way into the log. It is handed the postings with real accounts and what they do to balances;
it writes the leaf with handles in the place of persons. Nothing is staged unless everything holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.book import accounts, blinding
from ledger.book.accounts import Effect
from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.proof.encoding import base32_lower, canonical
from ledger.proof.merkle import leaf_hash
from ledger.proof.rules import MAX_AMOUNT, NAMED_ACCOUNTS, REF_IDS, account_type, check_entry_shape
from ledger.rows import Rows
from ledger.values import ID_BYTES

_ENTRIES = Rows(Entry)
_EVIDENCE = frozenset({"assurance", "commitment"})
_LASTING = REF_IDS | {"reason"}
"""The references that come again and again, unlike the seq of a case or the end of a hold."""

_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch


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
    seq, entry_id = unit.next_seq, base32_lower(unit.random(ID_BYTES))
    public, effects = _blinded(unit, postings, origin.entry_id if origin else entry_id)
    if origin:
        ref = {**(ref or {}), "origin": origin.seq}
    entry = {
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
    leaf = _leaf(entry)
    accounts.apply(unit, seq, effects)
    hashed = leaf_hash(leaf)
    case = origin.seq if origin else None
    unit.insert(_ENTRIES, (unit.city.id, seq, entry_id, kind, unit.now_ms, case, leaf, hashed))
    unit.leaf_hashes.append(hashed)
    unit.kinds.append(kind)
    amount = sum([posting.amount for posting in postings])
    source, target = postings[0][:2] if postings else (None, None)
    return Posted(seq, entry_id, kind, unit.now, amount, source, target)


def _leaf(entry: dict[str, Any]) -> bytes:
    """The canonical bytes of an entry.

    Raises:
        ValueError: the format does not allow it.
    """
    leaf = _ordinary(entry)
    if leaf is None:
        if fault := check_entry_shape(entry):
            raise ValueError(f"entry refused by its format: {fault}")
        leaf = canonical(entry)
    return leaf


def _ordinary(entry: dict[str, Any]) -> bytes | None:
    """The same for an entry of a shape that has been judged before; None for one that has none.

    Entries of one shape differ by what is known to be of the right form: time, id and handles are made here, and
    amount, commitment and key are checked. To fill them in takes a tenth of the time of judging them anew.
    """
    postings, ref, evidence, key = entry["postings"], entry["ref"], entry["evidence"], entry["key"]
    if len(postings) != 1 or not ref.keys() <= _LASTING:
        return None
    (posting,) = postings
    giver, taker, amount = posting["from"], posting["to"], posting["amount"]
    assurance = commitment = None
    if evidence is not None:
        if evidence.keys() != _EVIDENCE or not _is_hash(evidence["commitment"]):
            return None
        assurance, commitment = evidence["assurance"], evidence["commitment"]
    if giver == taker or not 0 < amount <= MAX_AMOUNT or not (key is None or _is_hash(key)):
        return None
    shape = _Shape(
        entry["city"],
        entry["kind"],
        entry["actor"],
        account_type(giver),
        account_type(taker),
        tuple(ref.items()),
        assurance,
        entry["rule"],
    )
    mould = _mould(shape)
    if mould is None:
        return None
    proof = "null" if evidence is None else f'{{"assurance":"{assurance}","commitment":"{commitment}"}}'
    quoted = "null" if key is None else f'"{key}"'
    return (mould % (entry["at"], proof, entry["id"], quoted, amount, giver, taker, entry["seq"])).encode()


class _Shape(NamedTuple):
    """What entries of one shape have in common."""

    city: str
    kind: str
    actor: str
    giver: str
    taker: str
    ref: tuple[tuple[str, Any], ...]
    assurance: str | None
    rule: str | None


@lru_cache(maxsize=4_096)
def _mould(shape: _Shape) -> str | None:
    """The canonical text of entries of a shape, with places for time, evidence, id, key, amount, accounts and seq.

    None where the format allows no such entry.
    """
    hash_, names = "0" * 64, dict.fromkeys(NAMED_ACCOUNTS, "x") | {"learner": f"~{'a' * 52}"}
    giver, taker = (f"{kind}:{names[kind]}" if kind in names else kind for kind in (shape.giver, shape.taker))
    sample = {
        "v": 1,
        "city": shape.city,
        "seq": 0,
        "id": "a" * 26,
        "kind": shape.kind,
        "at": "2026-01-01T00:00:00.000Z",
        "actor": shape.actor,
        "key": None,
        "postings": [{"from": giver, "to": f"{taker}y" if taker == giver else taker, "amount": 1}],
        "ref": dict(shape.ref),
        "evidence": {"assurance": shape.assurance, "commitment": hash_} if shape.assurance else None,
        "rule": shape.rule,
    }
    if check_entry_shape(sample) is not None:
        return None
    known = {name: canonical(sample[name]).decode() for name in ("actor", "city", "kind", "ref", "rule")}
    return (
        '{{"actor":{actor},"at":"%s","city":{city},"evidence":%s,"id":"%s","key":%s,"kind":{kind},'
        '"postings":[{{"amount":%d,"from":"%s","to":"%s"}}],"ref":{ref},"rule":{rule},"seq":%d,"v":1}}'
    ).format_map(known)


def _blinded(unit: Unit, postings: Sequence[Posting], case_entry_id: str) -> tuple[list[dict[str, Any]], list[Effect]]:
    """The postings as the public sees them, and their effects on the real accounts."""
    public: list[dict[str, Any]] = []
    effects: list[Effect] = []
    for line, (source, target, amount, posted, held) in enumerate(postings):
        giver, giver_nonce = _shown(unit, source, case_entry_id)
        taker, taker_nonce = _shown(unit, target, case_entry_id)
        if posted or held:
            effects.append(Effect(source, line, 0, -posted, held, giver_nonce))
        if posted:
            effects.append(Effect(target, line, 1, posted, 0, taker_nonce))
        public.append({"amount": amount, "from": giver, "to": taker})
    return public, effects


def _shown(unit: Unit, account: str, case_entry_id: str) -> tuple[str, bytes | None]:
    """An account's name in the log, and the nonce that opens it where it is a person's."""
    return blinding.blind(unit, account, case_entry_id) if account_type(account) == "learner" else (account, None)
