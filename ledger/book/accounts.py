"""Accounts and their balances, now and at any time.

available = posted - held. Every change of an account is a *leg* that carries the balances after it and the
account's version, which counts up from 1 without a gap; hence a balance at any time is one index look-up.
`accounts` is the projection that the floor is checked against; only `issuance` may go below zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import blinding, entries, seal
from ledger.book.legs import Leg, Opening
from ledger.book.unit import Unit
from ledger.db import Base, Ordered
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.proof.replay import SUMS
from ledger.proof.rules import NAMED_ACCOUNTS, TOTALS, account_type
from ledger.rows import Look, Rows, Where
from ledger.values import AMOUNT_LIMIT


class Account(Base):
    """The current balances of one account, in minor units: a projection of its legs."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("posted - held >= 0 OR path = 'issuance'", name="accounts_floor"),
        CheckConstraint("held >= 0", name="accounts_held"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str] = mapped_column(Ordered, primary_key=True)
    posted: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)


class State(NamedTuple):
    """An account's balances inside a unit of work, minor units."""

    posted: int
    held: int
    version: int

    @property
    def available(self) -> int:
        """What may be spent."""
        return self.posted - self.held


class Balance(NamedTuple):
    """Balances in minor units as of the entry `as_of_seq` (-1 before the first)."""

    account: str
    posted_minor: int
    held_minor: int
    as_of_seq: int

    @property
    def available_minor(self) -> int:
        """What may be spent."""
        return self.posted_minor - self.held_minor


class Effect(NamedTuple):
    """What one side of a posting does to an account. `nonce` opens the handle of a personal account."""

    account: str
    line: int
    side: int
    posted_change: int
    held_change: int
    nonce: bytes | None


class _Accounts:
    """The projection of balances, keyed by path."""

    def ask(self, where: Where, city: str, keys: Sequence[str]) -> Callable[[], dict[str, State]]:
        found = _LOOK.ask(where, [(key,) for key in keys], city)
        return lambda: {row[0]: State(*row[1:]) for row in found()}

    def save(self, where: Where, city: str, changed: list[tuple[str, State]]) -> None:
        _ROWS.write(where, [(city, path, *state) for path, state in changed])


ACCOUNTS = _Accounts()

_ROWS = Rows(Account, replace=True)
LEGS, OPENINGS = Rows(Leg), Rows(Opening)
_LOOK = Look("path, posted, held, version", "accounts WHERE city = ? AND path = keys.key", "key", unique=True)


def open_account(unit: Unit, path: str) -> None:
    """Make an account exist, with a blinding key of its own where it is a person's; does nothing to one that does.

    Raises:
        ValueError: the path is not one of the book's grammar.
    """
    kind = account_type(path)
    if unit.get(ACCOUNTS, path) is None:
        unit.put(ACCOUNTS, path, State(0, 0, 0))
        if kind == "learner":
            blinding.create_key(unit, path)


def state(unit: Unit, path: str) -> State:
    """The balances of an account inside the unit of work.

    Raises:
        NotFound: the account has not been opened.
    """
    found = unit.get(ACCOUNTS, path)
    if found is None:
        raise NotFound("account", path)
    return found


def current(unit: Unit, path: str) -> Balance:
    """The balance of an account as the running command leaves it."""
    now = state(unit, path)
    return Balance(path, now.posted, now.held, unit.next_seq - 1)


def apply(unit: Unit, seq: int, effects: Sequence[Effect]) -> None:
    """Stage the legs of entry `seq`; all or none.

    Raises:
        NotFound: an account has not been opened.
        Refused: `insufficient_funds`, or `budget_exhausted` where the account is a budget.
        ValidationFailed: a balance would leave the range that every reader of JSON reads exactly.
    """
    after: dict[str, State] = {}
    legs: list[tuple[Effect, State]] = []
    for effect in effects:
        account, _, _, posted_change, held_change, _ = effect
        before = after.get(account) or state(unit, account)
        after[account] = now = changed(account, before, posted_change, held_change)
        legs.append((effect, now))
    unit.put_all(ACCOUNTS, after)
    city = unit.city.id
    for (account, line, side, posted_change, held_change, nonce), (posted, held, version) in legs:
        row = (city, account, version, seq, line, side, posted_change, held_change, posted, held)
        if nonce is None:
            unit.insert(LEGS, row)
        else:
            unit.insert(OPENINGS, (*row, nonce))


def changed(path: str, before: State, posted_change: int, held_change: int) -> State:
    """What becomes of an account.

    Raises:
        Refused, ValidationFailed: as `apply`.
    """
    posted, held = before[0] + posted_change, before[1] + held_change
    if posted < held and posted_change < held_change and path != "issuance":
        code = "budget_exhausted" if account_type(path) == "budget" else "insufficient_funds"
        wanted = held_change - posted_change
        raise Refused(code, account=path, available_minor=before.available, wanted_minor=wanted)
    if not -AMOUNT_LIMIT < posted < AMOUNT_LIMIT:
        raise ValidationFailed({"amount_minor": "Give less: a balance stays below 2**53 minor units."})
    return State(posted, held, before[2] + 1)


def balance(session: Session, city: str, path: str, at: datetime | None = None) -> Balance:
    """The balance now, or as it was at the instant `at`, in two index look-ups however long the log.

    Raises:
        NotFound: the account has not been opened.
    """
    row = session.execute(
        select(Account.posted, Account.held).where(Account.city == city, Account.path == path)
    ).one_or_none()
    if row is None:
        raise NotFound("account", path)
    if at is None:
        return Balance(path, row.posted, row.held, entries.size(session, city) - 1)
    as_of = seal.last_seq_at(session, city, at)
    legs = legs_table(path)
    leg = session.execute(
        select(legs.posted_after, legs.held_after)
        .where(legs.city == city, legs.account == path, legs.seq <= as_of)
        .order_by(legs.seq.desc(), legs.line.desc(), legs.side.desc())
        .limit(1)
    ).one_or_none()
    posted, held = leg or (0, 0)
    return Balance(path, posted, held, as_of)


def legs_table(path: str) -> type[Leg] | type[Opening]:
    """Where the legs of an account stand."""
    return Opening if account_type(path) == "learner" else Leg


def totals(session: Session, city: str) -> dict[str, int]:
    """The supply in minor units: issued = circulating + redeemed + bridged + expired; held is part of circulating."""
    sums = dict.fromkeys(TOTALS, 0)
    for kind, total in SUMS.items():
        within = [Account.path == kind, (Account.path > f"{kind}:") & (Account.path < f"{kind};")]
        posted, held = session.execute(
            select(func.coalesce(func.sum(Account.posted), 0), func.coalesce(func.sum(Account.held), 0)).where(
                Account.city == city, within[kind in NAMED_ACCOUNTS]
            )
        ).one()
        sums[total] += int(posted)
        sums["held"] += int(held)
    sums["issued"] = -sums["issued"]
    return sums


def with_prefix(session: Session, city: str, prefix: str) -> list[Balance]:
    """Every account whose path begins with `prefix`, by path, as it is now."""
    as_of = entries.size(session, city) - 1
    rows = session.execute(
        select(Account.path, Account.posted, Account.held)
        .where(Account.city == city, Account.path >= prefix, Account.path < prefix + "\x7f")
        .order_by(Account.path)
    )
    return [Balance(row.path, row.posted, row.held, as_of) for row in rows]
