"""Reserving money for a while: place, then capture, release or let expire, and refund what was captured.

A hold reserves without moving: available = posted - held. It ends once. Capture moves what was held, or a part of
it, and frees the rest. Expiry needs no worker to be true: the writer expires what is due in the whole city before
every batch. All of them at once, not those of the command at hand: an expiry that stood beside its owner's next
entry would tell that two cases belong to one person.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ledger.book import journal
from ledger.book.cases import CAPTURED, CASES, EXPIRED, HELD, MOVED, RELEASED, CaseState, case, origin
from ledger.book.journal import Posted, Posting, moving
from ledger.book.unit import Unit
from ledger.errors import Refused, ValidationFailed
from ledger.proof.encoding import timestamp
from ledger.values import check_amount


def place(
    unit: Unit,
    source: str,
    target: str,
    amount: int,
    *,
    expires_at: datetime,
    actor: str,
    ref: dict[str, Any] | None = None,
) -> Posted:
    """Reserve `amount` minor units of `source` for `target` until `expires_at`.

    Raises:
        Refused: `insufficient_funds`.
        NotFound: an account has not been opened.
        ValidationFailed: the amount is not positive, or the end not after now.
    """
    check_amount("amount_minor", amount)
    if expires_at <= unit.now:
        raise ValidationFailed({"expires_at": "Give an instant in the future."})
    posting = Posting(source, target, amount, posted=0, held=amount)
    full_ref = {**(ref or {}), "expires_at": timestamp(expires_at)}
    posted = journal.append(unit, "hold", [posting], actor=actor, ref=full_ref)
    state = CaseState(posted.id, HELD, source, target, amount, 0, 0, None, expires_at, None, None)
    unit.put(CASES, posted.seq, state)
    return posted


def capture(unit: Unit, seq: int, amount: int | None = None, *, actor: str) -> Posted:
    """Move what hold `seq` reserved, or `amount` of it, and free the rest.

    Raises:
        NotFound: there is no such hold.
        Refused: `case_closed`, with how the hold ended.
        ValidationFailed: the amount is not positive, or more than was held.
    """
    held = _open_hold(unit, seq)
    amount = held.amount_minor if amount is None else check_amount("amount_minor", amount)
    if amount > held.amount_minor:
        raise ValidationFailed({"amount_minor": f"Give at most {held.amount_minor}, which is what was reserved."})
    posting = Posting(held.source, held.target, amount, posted=amount, held=-held.amount_minor)
    posted = journal.append(unit, "capture", [posting], actor=actor, origin=origin(seq, held))
    unit.put(CASES, seq, _ended(held, CAPTURED, posted, moved_minor=amount))
    return posted


def release(unit: Unit, seq: int, *, actor: str) -> Posted:
    """Free what hold `seq` reserved.

    Raises:
        NotFound: there is no such hold.
        Refused: `case_closed`, with how the hold ended.
    """
    return _free(unit, seq, _open_hold(unit, seq), "release", RELEASED, actor)


def expire(unit: Unit, seq: int) -> Posted:
    """End hold `seq`, which has run out."""
    return _free(unit, seq, case(unit, seq), "hold_expire", EXPIRED, "system")


def refund(unit: Unit, seq: int, amount: int | None = None, *, actor: str) -> Posted:
    """Move back what the case that began at `seq` moved, or `amount` of it, as often as something is left.

    Raises:
        NotFound: there is no such case.
        Refused: `case_closed` (nothing moved, or nothing is left to refund), `insufficient_funds`.
        ValidationFailed: the amount is not positive, or more than is left.
    """
    state = case(unit, seq)
    left = state.moved_minor - state.refunded_minor
    if state.state not in (CAPTURED, MOVED) or state.reversed_by is not None or left == 0:
        raise Refused("case_closed", state.state, entry=seq, at=state.ended_at)
    amount = left if amount is None else check_amount("amount_minor", amount)
    if amount > left:
        raise ValidationFailed({"amount_minor": f"Give at most {left}, which is what is left to refund."})
    posted = journal.append(
        unit, "refund", [moving(state.target, state.source, amount)], actor=actor, origin=origin(seq, state)
    )
    unit.put(CASES, seq, state._replace(refunded_minor=state.refunded_minor + amount))
    return posted


def _open_hold(unit: Unit, seq: int) -> CaseState:
    held = case(unit, seq)
    if held.state != HELD:
        raise Refused("case_closed", held.state, entry=seq, by=held.ended_by, at=held.ended_at)
    return held


def _free(unit: Unit, seq: int, held: CaseState, kind: str, end: str, actor: str) -> Posted:
    posting = Posting(held.source, held.target, held.amount_minor, posted=0, held=-held.amount_minor)
    posted = journal.append(unit, kind, [posting], actor=actor, origin=origin(seq, held))
    unit.put(CASES, seq, _ended(held, end, posted))
    return posted


def _ended(held: CaseState, end: str, posted: Posted, moved_minor: int = 0) -> CaseState:
    return held._replace(state=end, moved_minor=moved_minor, ended_by=posted.seq, ended_at=posted.at)
