"""Moving money: one entry that moves, many at once, and the reversal of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from ledger.book import entries, journal
from ledger.book.accounts import ACCOUNTS
from ledger.book.blinding import KEYS
from ledger.book.cases import CASES, MOVED, CaseState
from ledger.book.journal import Origin, Posted, moving
from ledger.book.legs import SIDES, Opening
from ledger.book.moves import Transfer, move
from ledger.book.unit import Place, Unit
from ledger.errors import Refused
from ledger.proof.rules import REVERSIBLE


def post(
    unit: Unit,
    kind: str,
    source: str,
    target: str,
    amount: int,
    *,
    actor: str,
    ref: Mapping[str, Any] | None = None,
    evidence: Mapping[str, str] | None = None,
    rule: str | None = None,
) -> Posted:
    """Move `amount` minor units in one entry.

    Raises:
        Refused: `not_allowed` (the allow-list knows no such movement), `insufficient_funds`, `budget_exhausted`.
        NotFound: an account has not been opened.
        ValidationFailed: the amount is not positive.
        ValueError: a path is not of the book's grammar.
    """
    (posted,) = move(unit, [Transfer(kind, source, target, amount, ref, evidence, rule)], actor=actor)
    if kind == "redeem":
        _open_case(unit, posted)
    return posted


def post_many(unit: Unit, transfers: Sequence[Transfer], *, actor: str) -> list[Posted]:
    """Move each in an entry of its own, all or none: the first refusal, with `index` in its params, ends it.

    Raises:
        Refused, NotFound, ValidationFailed: as `post`; nothing was staged.
    """
    unit.fetch(reads(path for transfer in transfers for path in transfer[1:3]))
    posted = move(unit, transfers, actor=actor, numbered=True)
    for one in posted:
        if one.kind == "redeem":
            _open_case(unit, one)
    return posted


def _open_case(unit: Unit, posted: Posted) -> None:
    """What a purchase without a hold begins, so that it may be refunded."""
    amount, source, target = posted.amount_minor, posted.source or "", posted.target or ""
    unit.put(CASES, posted.seq, CaseState(posted.id, MOVED, source, target, amount, amount, 0, None, None, None, None))


def reads(paths: Iterable[str]) -> Iterator[Place]:
    """What a movement between some accounts will read: the balances, and the blinding keys of persons."""
    for path in paths:
        yield ACCOUNTS, path
        if path.startswith("learner:"):
            yield KEYS, path


def reverse(unit: Unit, seq: int, *, actor: str, reason: str | None = None) -> Posted:
    """Move everything that entry `seq` moved back again, once.

    Raises:
        NotFound: there is no such entry.
        Refused: `not_reversible` (its kind never is; `reversed` or `refunded` already), or the floor of an account
            that the reversal would break.
    """
    entry = entries.parsed(unit.session, unit.city.id, seq)
    if entry["kind"] not in REVERSIBLE:
        raise Refused("not_reversible", "kind", entry=seq, kind=entry["kind"])
    state = unit.get(CASES, seq)
    if state is not None and state.reversed_by is not None:
        raise Refused("not_reversible", "reversed", entry=seq, by=state.reversed_by)
    if state is not None and state.refunded_minor:
        raise Refused("not_reversible", "refunded", entry=seq)
    back = [
        moving(posting["to"], posting["from"], posting["amount"]) for posting in _opened(unit, seq, entry["postings"])
    ]
    posted = journal.append(
        unit,
        "reverse",
        back,
        actor=actor,
        origin=Origin(seq, entry["id"]),
        ref={"reason": reason} if reason else None,
    )
    _note_reversal(unit, seq, entry["id"], posted)
    return posted


def _note_reversal(unit: Unit, seq: int, entry_id: str, posted: Posted) -> None:
    amount = posted.amount_minor
    before = unit.get(CASES, seq)
    state = CaseState(
        entry_id,
        before.state if before else MOVED,
        posted.target or "",
        posted.source or "",
        before.amount_minor if before else amount,
        before.moved_minor if before else amount,
        0,
        posted.seq,
        None,
        posted.seq,
        posted.at,
    )
    unit.put(CASES, seq, state)


def _opened(unit: Unit, seq: int, postings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The postings of a leaf with the accounts of persons in the place of their handles."""
    rows = unit.session.execute(
        select(Opening.line, Opening.side, Opening.account).where(Opening.city == unit.city.id, Opening.seq == seq)
    )
    opened = [dict(posting) for posting in postings]
    for line, side, account in rows:
        opened[line][SIDES[side]] = account
    return opened
