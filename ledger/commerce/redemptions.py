"""Redemption: a learner reserves a promotion, the shop sees what and how much, and confirms.

    reserve ──▶ pending ──confirm──▶ confirmed ──refund, in full──▶ refunded
                   ├──cancel──▶ cancelled
                   └──time────▶ expired

Everything is judged inside the writer's transaction, so that never more than the stock, the limit or the balance is
taken, whatever runs at once. `reserve` judges in this order and gives the first reason: the shop, the promotion's
pause and times, its stock, the learner's limit, the number of the learner's pending redemptions, the balance.

The learner shows one of two things, both bound to shop and amount and worthless once the redemption has ended: six
digits, unique among the shop's pending ones, or a QR with a secret of 128 random bits. A redemption that has ended is
reported as what it is, never as unknown. Look-ups by code are counted, see `attempts`.

`standing` tells how the state follows from the book, `receipts` what is shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case as sql_case
from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import holds
from ledger.book.cases import Case, CaseState, case
from ledger.book.unit import Unit
from ledger.commerce import attempts, promotions, receipts, shops, standing
from ledger.commerce.promotions import Promotion
from ledger.commerce.receipts import RedemptionView
from ledger.commerce.shops import APPROVED
from ledger.commerce.standing import CONFIRMED, EXPIRED, MAX_HOLD, PENDING, REFUNDED, Redemption
from ledger.errors import NotFound, Overloaded, Refused, ValidationFailed
from ledger.people.roles import LEARNER, Principal, require
from ledger.values import random_id

PENDING_LIMIT = 5
"""How many redemptions of one learner may be pending at once."""

CODE_TRIES = 100
_ARABIC_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789", " -\u200b")


@dataclass(frozen=True)
class Lookup:
    """What a look-up by code found. None is a miss, which has been counted; `tries_left` more may miss.

    A miss is a result and not an error, since an error would undo the count along with the command.
    """

    redemption: RedemptionView | None
    code: str
    tries_left: int | None = None

    def found(self) -> RedemptionView:
        """The redemption.

        Raises:
            NotFound: the code is not one of the shop's.
        """
        if self.redemption is None:
            raise NotFound("redemption_code", self.code)
        return self.redemption


def random_code() -> str:
    """Six random digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def reserve(
    unit: Unit, principal: Principal, promotion_id: str, *, draw: Callable[[], str] = random_code
) -> RedemptionView:
    """Reserve one unit of a promotion for the learner who asks, for the minutes that the city has set.

    Raises:
        Forbidden: the principal is no learner.
        NotFound: there is no such promotion.
        Refused: `shop_not_open`, `promotion_closed`, `out_of_stock`, `limit_reached` (of the promotion, or `pending`),
            `insufficient_funds`.
    """
    require(principal, "redemption.reserve")
    promotion = promotions.find(unit.session, unit.city.id, promotion_id)
    learner = principal.subject or ""
    _judge(unit, promotion, learner)
    code = _free_code(unit, promotion.shop, draw)
    minutes = timedelta(minutes=unit.city.settings["hold_minutes"])
    expires_at = unit.now + min(minutes, MAX_HOLD)
    hold = holds.place(
        unit,
        f"learner:{learner}",
        f"shop:{promotion.shop}",
        promotion.price_minor,
        expires_at=expires_at,
        actor=principal.actor(),
        ref={"promotion": promotion.id, "shop": promotion.shop},
    )
    redemption = Redemption(
        city=unit.city.id,
        id=random_id(),
        promotion=promotion.id,
        shop=promotion.shop,
        learner=learner,
        case_seq=hold.seq,
        code=code,
        secret=unit.city.code_prefix + random_id(),
        amount_minor=promotion.price_minor,
        offer={name: getattr(promotion, name) for name in ("title_th", "title_en", "benefit_th", "benefit_en")},
        created_at=unit.now,
        expires_at=expires_at,
    )
    unit.session.add(redemption)
    unit.session.flush()
    return receipts.view(unit.session, redemption, case(unit, hold.seq), unit.now)


def find_by_code(unit: Unit, principal: Principal, code: str) -> Lookup:
    """What the shop that asks has under these six digits: a pending redemption, or a miss, which is counted.

    Thai digits, spaces and hyphens are taken as people write them. Runs as a command of the writer, because of the
    count. Callers use `.found()` on the result after the commit.

    Raises:
        Forbidden: the principal is no shop.
        ValidationFailed: these are not six digits.
        Refused: `too_many_attempts`; `redemption_ended` and `redemption_expired` where the latest redemption with
            this code is over.
    """
    require(principal, "redemption.find")
    shop = principal.subject or ""
    digits = code.translate(_ARABIC_DIGITS)
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        raise ValidationFailed({"code": "Type the six digits that the customer's screen shows."})
    attempts.judge(unit, shop)
    query = (
        select(Redemption)
        .join(Case, standing.with_case())
        .where(Redemption.city == unit.city.id, Redemption.shop == shop, Redemption.code == digits)
        .order_by(sql_case((standing.is_pending(unit.now), 0), else_=1), Redemption.case_seq.desc())
        .limit(1)
    )
    redemption = unit.session.scalar(query)
    if redemption is None:
        return Lookup(None, digits, attempts.note(unit, shop))
    return Lookup(receipts.view(unit.session, redemption, _in_state(unit, redemption, PENDING), unit.now), digits)


def find_by_secret(session: Session, principal: Principal, secret: str, now: datetime) -> RedemptionView:
    """The redemption that a QR names, in whatever state; capital letters are as good as small ones.

    Raises:
        NotFound: this city has no such redemption.
        Unauthenticated, Forbidden: the principal is neither its learner nor its shop nor a steward.
    """
    query = select(Redemption).where(Redemption.city == principal.city, Redemption.secret == secret.lower())
    redemption = session.scalar(query)
    if redemption is None:
        raise NotFound("redemption", "secret")
    return _shown(session, principal, redemption, now)


def get(session: Session, principal: Principal, redemption_id: str, now: datetime) -> RedemptionView:
    """One redemption.

    Raises:
        NotFound: this city has no such redemption.
        Unauthenticated, Forbidden: the principal is neither its learner nor its shop nor a steward.
    """
    return _shown(session, principal, _find(session, principal.city, redemption_id), now)


def confirm(unit: Unit, principal: Principal, redemption_id: str, amount_minor: int | None = None) -> RedemptionView:
    """The shop gives the benefit and takes the amount, or less than that; the rest is free again.

    Raises:
        Forbidden: the principal is not the redemption's shop.
        NotFound: there is no such redemption.
        Refused: `shop_not_open` (suspended meanwhile), `redemption_ended`, `redemption_expired`.
        ValidationFailed: the amount is not positive, or more than was reserved.
    """
    redemption = _find(unit.session, unit.city.id, redemption_id)
    require(principal, "redemption.confirm", redemption.shop)
    _in_state(unit, redemption, PENDING)
    shop = shops.find(unit.session, unit.city.id, redemption.shop)
    if shop.state != APPROVED:
        raise Refused("shop_not_open", shop.state, shop=shop.id)
    holds.capture(unit, redemption.case_seq, amount_minor, actor=principal.actor())
    return receipts.view(unit.session, redemption, case(unit, redemption.case_seq), unit.now)


def cancel(unit: Unit, principal: Principal, redemption_id: str) -> RedemptionView:
    """The learner or the shop calls it off; the amount is free again and the unit back in stock.

    Raises:
        Forbidden: the principal is neither of the two.
        NotFound: there is no such redemption.
        Refused: `redemption_ended`, `redemption_expired`.
    """
    redemption = _find(unit.session, unit.city.id, redemption_id)
    require(principal, "redemption.cancel", _subject(principal, redemption))
    _in_state(unit, redemption, PENDING)
    holds.release(unit, redemption.case_seq, actor=principal.actor())
    return receipts.view(unit.session, redemption, case(unit, redemption.case_seq), unit.now)


def refund(unit: Unit, principal: Principal, redemption_id: str, amount_minor: int | None = None) -> RedemptionView:
    """The shop or a steward gives the amount back, or a part, as often as something is left of it.

    Raises:
        Forbidden: the principal is neither of the two.
        NotFound: there is no such redemption.
        Refused: `redemption_ended` (cancelled, or refunded in full), `redemption_expired`, `not_reversible`
            (`pending`: cancel it), `insufficient_funds` (the shop has spent what it got).
        ValidationFailed: the amount is not positive, or more than is left.
    """
    redemption = _find(unit.session, unit.city.id, redemption_id)
    require(principal, "redemption.refund", redemption.shop)
    if standing.state_of(case(unit, redemption.case_seq), unit.now) == PENDING:
        raise Refused("not_reversible", "pending", id=redemption.id)
    _in_state(unit, redemption, CONFIRMED)
    posted = holds.refund(unit, redemption.case_seq, amount_minor, actor=principal.actor("redemption.refund"))
    after = case(unit, redemption.case_seq)
    return receipts.view(unit.session, redemption, after, unit.now, refunded_by=[posted.seq])


def _judge(unit: Unit, promotion: Promotion, learner: str) -> None:
    session, city = unit.session, unit.city.id
    shop = shops.find(session, city, promotion.shop)
    taken = 0
    if promotion.stock is not None:
        taken = standing.taken(session, city, [promotion.id], unit.now).get(promotion.id, 0)
    if why_not := promotions.refusal(promotion, shop.state, taken, unit.now):
        raise why_not
    if promotion.per_learner is not None:
        own = standing.taken(session, city, [promotion.id], unit.now, learner).get(promotion.id, 0)
        if own >= promotion.per_learner:
            raise Refused("limit_reached", promotion=promotion.id, limit=promotion.per_learner)
    if standing.pending_count(session, city, learner, unit.now) >= PENDING_LIMIT:
        raise Refused("limit_reached", "pending", limit=PENDING_LIMIT)


def _free_code(unit: Unit, shop: str, draw: Callable[[], str]) -> str:
    """A code that no pending redemption of the shop has; nobody else draws while the city's writer runs."""
    for _ in range(CODE_TRIES):
        code = draw()
        query = (
            select(Redemption.id)
            .join(Case, standing.with_case())
            .where(Redemption.city == unit.city.id, Redemption.shop == shop, Redemption.code == code)
            .where(standing.is_pending(unit.now))
            .limit(1)
        )
        if unit.session.scalar(query) is None:
            return code
    raise Overloaded(retry_after_seconds=60)


def _find(session: Session, city: str, redemption_id: str) -> Redemption:
    redemption = session.get(Redemption, (city, redemption_id))
    if redemption is None:
        raise NotFound("redemption", redemption_id)
    return redemption


def _subject(principal: Principal, redemption: Redemption) -> str:
    """Whom the principal would have to be: the redemption's learner, or its shop."""
    return redemption.learner if principal.holds(LEARNER) else redemption.shop


def _shown(session: Session, principal: Principal, redemption: Redemption, now: datetime) -> RedemptionView:
    require(principal, "redemption.read", _subject(principal, redemption))
    its_case = session.get_one(Case, (redemption.city, redemption.case_seq))
    return receipts.view(session, redemption, its_case, now)


def _in_state(unit: Unit, redemption: Redemption, wanted: str) -> CaseState:
    """The redemption's case, in the state that the command needs; otherwise a refusal that names what it came to."""
    its_case = case(unit, redemption.case_seq)
    state = standing.state_of(its_case, unit.now)
    if state == wanted:
        return its_case
    if state == EXPIRED:
        raise Refused("redemption_expired", id=redemption.id, at=redemption.expires_at)
    entry, at = its_case.ended_by, its_case.ended_at
    if state == REFUNDED:
        entry, at = receipts.last_refund(unit.session, redemption)
    raise Refused("redemption_ended", state, id=redemption.id, at=at, entry=entry)
