"""Entries that move one whole amount each, many at a time: what check-ins, transfers, batches and airdrops are made of.

What `journal.append` does for one entry of any shape, `move` does for a list of such entries in one walk: balances are
kept at hand and staged once for each account, rows of a table are staged together, and a leaf is filled into a mould
that was judged once. All of them hold, or nothing is staged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.book import accounts, blinding, journal
from ledger.book.accounts import LEGS, OPENINGS, State
from ledger.book.journal import ENTRIES, Posted
from ledger.book.unit import Unit
from ledger.errors import LedgerError, Refused
from ledger.proof.encoding import canonical
from ledger.proof.merkle import leaf_hash
from ledger.proof.rules import ALLOWED, FOLLOWING, NAMED_ACCOUNTS, REF_IDS, STILL, account_type, check_entry_shape
from ledger.rows import Row
from ledger.values import check_amount

_DIRECT = frozenset(move for move in ALLOWED if move[0] not in FOLLOWING | STILL)
"""What may be moved here; the steps of a case have verbs of their own, which keep the case."""

_LASTING = REF_IDS | {"reason"}
"""The references that come again and again, unlike the totals of an attestation or the end of a hold."""

_EVIDENCE = frozenset({"assurance", "commitment"})
_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch

AT_ONCE = 128
"""How many entries are made before they may leave for the database while the next ones are made."""

_Mould = tuple[str, str, str, str, str, str]
"""The canonical text of entries of a shape, cut where time, evidence, id, key and amount, and seq stand."""


class Transfer(NamedTuple):
    """One movement of `amount_minor` from `source` to `target`, accounts by their paths; and what its entry tells."""

    kind: str
    source: str
    target: str
    amount_minor: int
    ref: Mapping[str, Any] | None = None
    evidence: Mapping[str, str] | None = None
    rule: str | None = None


def move(unit: Unit, transfers: Sequence[Transfer], *, actor: str, numbered: bool = False) -> list[Posted]:
    """Append an entry for each, in order, and stage what they do to the accounts: all, or none for who `attempt`s it.

    With `numbered`, a refusal bears the `index` of its transfer in its params.

    Raises:
        Refused: `not_allowed` (the allow-list knows no such movement), or an account's floor.
        NotFound: an account has not been opened.
        ValidationFailed: an amount is not positive, or a balance would become too large.
        ValueError: a path is not of the book's grammar, or the format allows no such entry; a fault of the caller.
    """
    city, seq, now, now_ms = unit.city.id, unit.next_seq, unit.now, unit.now_ms
    leaves = Leaves(city, unit.now_text, actor, unit.key_hash)
    after: dict[str, State] = {}
    posted: list[Posted] = []
    try:
        for start in range(0, len(transfers), AT_ONCE):
            rows: list[Row] = []
            legs: list[Row] = []
            openings: list[Row] = []
            for transfer in transfers[start : start + AT_ONCE]:
                kind, source, target, amount = transfer[:4]
                check_amount("amount_minor", amount)
                giver_type, taker_type = account_type(source), account_type(target)
                if source == target or (kind, giver_type, taker_type) not in _DIRECT:
                    raise Refused("not_allowed", kind=kind, source=source, target=target)
                entry_id = unit.new_id()
                giver, giver_nonce = blinding.shown(unit, source, giver_type, entry_id)
                taker, taker_nonce = blinding.shown(unit, target, taker_type, entry_id)
                leaf = leaves.make(transfer, seq, entry_id, giver_type, giver, taker_type, taker)
                before = after.get(source) or accounts.state(unit, source)
                after[source] = given = accounts.changed(source, before, -amount, 0)
                before = after.get(target) or accounts.state(unit, target)
                after[target] = taken = accounts.changed(target, before, amount, 0)
                leg: Row = (city, source, given[2], seq, 0, 0, -amount, 0, given[0], given[1])
                if giver_nonce is None:
                    legs.append(leg)
                else:
                    openings.append((*leg, giver_nonce))
                leg = (city, target, taken[2], seq, 0, 1, amount, 0, taken[0], taken[1])
                if taker_nonce is None:
                    legs.append(leg)
                else:
                    openings.append((*leg, taker_nonce))
                rows.append((city, seq, entry_id, kind, now_ms, None, leaf, leaf_hash(leaf)))
                posted.append(Posted(seq, entry_id, kind, now, amount, source, target))
                seq += 1
            unit.insert_all(LEGS, legs)
            unit.insert_all(OPENINGS, openings)
            unit.insert_all(ENTRIES, rows)
            unit.leaf_hashes += [row[-1] for row in rows]
            unit.kinds += [row[3] for row in rows]
            if len(posted) < len(transfers):
                unit.go_ahead()
    except LedgerError as refusal:
        if numbered:
            refusal.params["index"] = len(posted)
        raise
    unit.put_all(accounts.ACCOUNTS, after)
    return posted


class Leaves:
    """Makes the leaves of one command's entries.

    Entries of one shape differ by what is known to be of the right form: time, id and handles are made here, and
    amount, commitment and key are checked. To fill them in takes a tenth of the time of judging them anew.

    Args:
        city, at, actor, key: as they stand in each entry.
    """

    def __init__(self, city: str, at: str, actor: str, key: str | None) -> None:
        self._city = city
        self._at = at
        self._actor = actor
        self._key = key
        self._quoted_key = "null" if key is None else f'"{key}"'
        self._is_plain = key is None or _is_hash(key) is not None

    def make(
        self, transfer: Transfer, seq: int, entry_id: str, giver_type: str, giver: str, taker_type: str, taker: str
    ) -> bytes:
        """The canonical bytes of an entry between `giver` and `taker`, accounts or handles.

        Raises:
            ValueError: the format does not allow it.
        """
        kind, _, _, amount, ref, evidence, rule = transfer
        proof, assurance = "null", None
        is_plain = self._is_plain and (not ref or ref.keys() <= _LASTING)
        if evidence is not None:
            assurance, commitment = evidence.get("assurance"), evidence.get("commitment")
            is_plain = is_plain and evidence.keys() == _EVIDENCE and _is_hash(commitment or "") is not None
            proof = f'{{"assurance":"{assurance}","commitment":"{commitment}"}}'
        told = tuple(ref.items()) if ref else ()
        if is_plain and (mould := _mould(self._city, kind, self._actor, giver_type, taker_type, told, assurance, rule)):
            start, city, id_, key, postings, end = mould
            return (
                f"{start}{self._at}{city}{proof}{id_}{entry_id}{key}{self._quoted_key}{postings}{amount}"
                f',"from":"{giver}","to":"{taker}"{end}{seq},"v":1}}'
            ).encode()
        return journal.leaf(
            {
                "v": 1,
                "city": self._city,
                "seq": seq,
                "id": entry_id,
                "kind": kind,
                "at": self._at,
                "actor": self._actor,
                "key": self._key,
                "postings": [{"amount": amount, "from": giver, "to": taker}],
                "ref": dict(told),
                "evidence": None if evidence is None else dict(evidence),
                "rule": rule,
            }
        )


@lru_cache(maxsize=4_096)
def _mould(
    city: str,
    kind: str,
    actor: str,
    giver_type: str,
    taker_type: str,
    ref: tuple[tuple[str, Any], ...],
    assurance: str | None,
    rule: str | None,
) -> _Mould | None:
    """What entries of one shape have in common; None where the format allows no such entry."""
    hash_, names = "0" * 64, dict.fromkeys(NAMED_ACCOUNTS, "x") | {"learner": f"~{'a' * 52}"}
    giver, taker = (f"{kind}:{names[kind]}" if kind in names else kind for kind in (giver_type, taker_type))
    sample = {
        "v": 1,
        "city": city,
        "seq": 0,
        "id": "a" * 26,
        "kind": kind,
        "at": "2026-01-01T00:00:00.000Z",
        "actor": actor,
        "key": None,
        "postings": [{"from": giver, "to": f"{taker}y" if taker == giver else taker, "amount": 1}],
        "ref": dict(ref),
        "evidence": {"assurance": assurance, "commitment": hash_} if assurance else None,
        "rule": rule,
    }
    if check_entry_shape(sample) is not None:
        return None
    known = {name: canonical(sample[name]).decode() for name in ("actor", "city", "kind", "ref", "rule")}
    return (
        f'{{"actor":{known["actor"]},"at":"',
        f'","city":{known["city"]},"evidence":',
        ',"id":"',
        '","key":',
        f',"kind":{known["kind"]},"postings":[{{"amount":',
        f'}}],"ref":{known["ref"]},"rule":{known["rule"]},"seq":',
    )
