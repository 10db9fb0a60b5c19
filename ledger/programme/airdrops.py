"""Airdrops: many learners rewarded from a list, out of one activity's budget, a chunk at a time.

    create ─→ draft ─→ confirm(sum) ─→ running ─→ proceed … proceed ─→ done
                └──────── cancel ────────┴─→ cancelled

`create` judges every row and moves nothing: that is the preview. `confirm` names the sum that was seen, so that what
was agreed to is what is paid. `proceed` pays the next `CHUNK` rows, one entry each, and marks each row with its entry
in the same transaction; whoever calls it next goes on from there. So an end at any moment loses nothing and pays
nothing twice, two callers at once pay different rows, and check-ins are served between the chunks. Within a chunk each
row is judged again (`airdrop_verdicts`); one that is refused then gets its verdict and does not stop the rest.

In the log each payment is a `reward` with the assurance `staff` and a salted commitment to list, line, learner and
activity. No policy priced it, so `rule` is null, and the caps on check-ins do not count it.

Bounds: `airdrop_files.MAX_ROWS` rows an airdrop, `CHUNK` entries a command.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import accounts, transfers
from ledger.book.unit import Unit
from ledger.db import Base, Instant, Json
from ledger.errors import NotFound, Refused
from ledger.people.learners import account_of
from ledger.people.roles import Principal, require
from ledger.programme import activities, airdrop_files, airdrop_verdicts
from ledger.programme.activities import Activity
from ledger.programme.airdrop_verdicts import (
    CANCELLED,
    DONE,
    DRAFT,
    OK,
    OVER_BUDGET,
    PAID,
    RUNNING,
    STOPPED,
    UNKNOWN_LEARNER,
    AirdropView,
)
from ledger.programme.checkins import commitment
from ledger.programme.policy import CityRules
from ledger.programme.views import DRAFT as UNPUBLISHED
from ledger.programme.views import budget_of
from ledger.rows import Look, Rows
from ledger.values import short_id

CHUNK = 100
"""Rows that one command pays; whoever else waits for the writer waits for so many, some tens of milliseconds."""

PERMISSION = "airdrop.manage"
ASSURANCE = "staff"


class Airdrop(Base):
    """One list and how far it is paid.

    Attributes:
        actor: the role that the leaves name; of whoever confirmed, until then of whoever brought the list.
        created_by, confirmed_by: the tokens of those who did; NULL for the installation itself.
        counts: how many rows have each verdict now.
        accepted: how many rows the preview found `ok`; `sum_minor` is their sum.
        left_minor: what the rows that are still `ok` come to.
        settled_line: no row up to this line is `ok` any more.
        salt: what the commitments of the payments are salted by.
    """

    __tablename__ = "airdrops"
    __table_args__ = (
        ForeignKeyConstraint(["city", "activity"], ["activities.city", "activities.id"], name="airdrops_activity"),
        CheckConstraint("state IN ('draft', 'running', 'done', 'cancelled')", name="airdrops_state"),
        CheckConstraint("left_minor >= 0 AND paid_minor >= 0", name="airdrops_amounts"),
        CheckConstraint("left_minor + paid_minor <= sum_minor", name="airdrops_sum"),
        Index("airdrops_created", "city", "created_at", "id"),
        Index("airdrops_running", "city", "state"),
        Index("airdrops_file", "city", "file_hash"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    activity: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(Text)
    confirmed_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    file_name: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[str] = mapped_column(Text)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    counts: Mapped[dict[str, int]] = mapped_column(Json)
    accepted: Mapped[int] = mapped_column(BigInteger)
    sum_minor: Mapped[int] = mapped_column(BigInteger)
    left_minor: Mapped[int] = mapped_column(BigInteger)
    paid_minor: Mapped[int] = mapped_column(BigInteger)
    settled_line: Mapped[int] = mapped_column(BigInteger)


class AirdropRow(Base):
    """One row of a list. `line` is that of the file; `given` the amount as it stands there; `entry` what paid it."""

    __tablename__ = "airdrop_rows"
    __table_args__ = (
        ForeignKeyConstraint(["city", "airdrop"], ["airdrops.city", "airdrops.id"], name="airdrop_rows_airdrop"),
        UniqueConstraint("city", "entry", name="airdrop_rows_entry"),
        CheckConstraint("(verdict = 'paid') = (entry IS NOT NULL)", name="airdrop_rows_paid"),
        CheckConstraint("amount_minor > 0", name="airdrop_rows_amount"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    airdrop: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    learner: Mapped[str] = mapped_column(Text)
    given: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(Text)
    entry: Mapped[int | None] = mapped_column(BigInteger)


@dataclass(frozen=True)
class NewAirdrop:
    """A list to reward by: its bytes, and whose budget pays."""

    activity: str
    content: bytes
    file_name: str = ""


def create(unit: Unit, principal: Principal, new: NewAirdrop) -> AirdropView:
    """Judge every row of a list and keep the result as a draft; nothing moves.

    Raises:
        NotFound: the city has no such activity.
        Refused: `activity_closed` (draft): it is not published yet.
        ValidationFailed: the list cannot be read; names the line and the remedy under `csv`.
    """
    require(principal, PERMISSION)
    activity = activities.row(unit.session, unit.city.id, new.activity)
    if activity.state == UNPUBLISHED:
        raise Refused("activity_closed", "draft")
    sheet = airdrop_files.read(new.content, unit.city.scale)
    known = _known(unit.session, unit.city.id, [one.learner for one in sheet.rows])
    cap = CityRules.of(unit.city.settings).assurance_caps.get(ASSURANCE, 0)
    rows = airdrop_verdicts.judge(sheet.rows, known, cap, accounts.state(unit, budget_of(activity.id)).available)
    accepted = [one.amount_minor or 0 for one in rows if one.verdict == OK]
    airdrop = Airdrop(
        city=unit.city.id,
        id=short_id(),
        activity=activity.id,
        state=DRAFT,
        actor=principal.actor(PERMISSION),
        created_by=principal.token_id,
        created_at=unit.now,
        file_name=airdrop_files.cleaned(new.file_name, airdrop_files.NAME_LENGTH),
        file_hash=sheet.sha256,
        salt=secrets.token_bytes(16),
        counts=dict(Counter(one.verdict for one in rows)),
        accepted=len(accepted),
        sum_minor=sum(accepted),
        left_minor=sum(accepted),
        paid_minor=0,
        settled_line=0,
    )
    unit.session.add(airdrop)
    unit.session.flush()
    _NEW.write(unit.session, [_NEW.row(city=airdrop.city, airdrop=airdrop.id, **vars(one)) for one in rows])
    return _seen(unit, airdrop)


def confirm(unit: Unit, principal: Principal, identifier: str, sum_minor: int) -> AirdropView:
    """Order what the preview showed to be paid; `proceed` does it. Repeating the same is harmless.

    Raises:
        NotFound: the city has no such airdrop.
        Refused: `airdrop_conflict` (sum: another sum than the preview's; empty: nothing to pay; cancelled), or
            `budget_exhausted` (airdrop): the budget no longer covers what the preview showed.
    """
    require(principal, PERMISSION)
    airdrop = row(unit.session, unit.city.id, identifier)
    if airdrop.state == CANCELLED:
        raise Refused("airdrop_conflict", "cancelled")
    if sum_minor != airdrop.sum_minor:
        raise Refused("airdrop_conflict", "sum", sum_minor=airdrop.sum_minor)
    if airdrop.state != DRAFT:
        return _seen(unit, airdrop)
    if not airdrop.accepted:
        raise Refused("airdrop_conflict", "empty")
    budget = budget_of(airdrop.activity)
    available = accounts.state(unit, budget).available
    if available < sum_minor:
        raise Refused("budget_exhausted", "airdrop", account=budget, available_minor=available, wanted_minor=sum_minor)
    airdrop.state = RUNNING
    airdrop.actor = principal.actor(PERMISSION)
    airdrop.confirmed_by = principal.token_id
    airdrop.confirmed_at = unit.now
    return _seen(unit, airdrop)


def proceed(unit: Unit, principal: Principal, identifier: str) -> AirdropView:
    """Pay the next `CHUNK` rows of a confirmed airdrop; one that has ended stays as it is.

    Raises:
        NotFound: the city has no such airdrop.
        Refused: `airdrop_conflict` (draft): it has not been confirmed.
    """
    require(principal, PERMISSION)
    airdrop = row(unit.session, unit.city.id, identifier)
    if airdrop.state == DRAFT:
        raise Refused("airdrop_conflict", "draft")
    if airdrop.state == RUNNING:
        _settle(unit, airdrop, activities.row(unit.session, unit.city.id, airdrop.activity))
    return _seen(unit, airdrop)


def cancel(unit: Unit, principal: Principal, identifier: str) -> AirdropView:
    """Pay no further row; what was paid stays paid. Repeating it is harmless.

    Raises:
        NotFound: the city has no such airdrop.
        Refused: `airdrop_conflict` (done): there is nothing left to cancel.
    """
    require(principal, PERMISSION)
    airdrop = row(unit.session, unit.city.id, identifier)
    if airdrop.state == DONE:
        raise Refused("airdrop_conflict", "done")
    if airdrop.state != CANCELLED:
        waiting = update(AirdropRow).where(*rows_of(airdrop), AirdropRow.verdict == OK)
        unit.session.execute(waiting.values(verdict=STOPPED), execution_options={"synchronize_session": False})
        counts = Counter(airdrop.counts)
        counts[STOPPED] = counts.pop(OK, 0)
        airdrop.counts = dict(+counts)
        airdrop.left_minor, airdrop.state, airdrop.ended_at = 0, CANCELLED, unit.now
    return _seen(unit, airdrop)


def _settle(unit: Unit, airdrop: Airdrop, activity: Activity) -> None:
    """Pay or refuse the next rows, and mark them, all in the running transaction."""
    turn = (
        select(*AirdropRow.__table__.c)
        .where(*rows_of(airdrop), AirdropRow.line > airdrop.settled_line, AirdropRow.verdict == OK)
        .order_by(AirdropRow.line)
        .limit(CHUNK)
    )
    found = unit.session.execute(turn).all()
    known = _known(unit.session, unit.city.id, [row.learner for row in found])
    unit.fetch(transfers.reads([budget_of(activity.id), *(account_of(row.learner) for row in found)]))
    counts, marked, paid_minor = Counter(airdrop.counts), [], 0
    for row in found:
        verdict, entry = UNKNOWN_LEARNER, None
        if row.learner in known:
            verdict, entry = _pay(unit, airdrop, activity, row)
        marked.append(_MARKED.row(**{**row._mapping, "verdict": verdict, "entry": entry}))
        counts[OK] -= 1
        counts[verdict] += 1
        paid_minor += row.amount_minor if verdict == PAID else 0
    _MARKED.write(unit.session, marked)
    airdrop.counts = dict(+counts)
    airdrop.paid_minor += paid_minor
    airdrop.left_minor -= sum(row.amount_minor for row in found)
    airdrop.settled_line = found[-1].line
    if not counts[OK]:
        airdrop.state, airdrop.ended_at = DONE, unit.now


def _pay(unit: Unit, airdrop: Airdrop, activity: Activity, row: Any) -> tuple[str, int | None]:
    """Pay one row: its verdict and the seq of its entry."""
    evidence = {
        "airdrop": airdrop.id,
        "file": airdrop.file_hash,
        "line": row.line,
        "learner": row.learner,
        "activity": activity.id,
    }
    salt = hmac.digest(airdrop.salt, str(row.line).encode(), hashlib.sha256)  # opening one row opens no other
    try:
        with unit.attempt(staged_only=True):
            posted = transfers.post(
                unit,
                "reward",
                budget_of(activity.id),
                account_of(row.learner),
                row.amount_minor,
                actor=airdrop.actor,
                ref={"activity": activity.id, "place": activity.place, "reason": "airdrop"},
                evidence={"assurance": ASSURANCE, "commitment": commitment(salt, evidence)},
            )
    except Refused as refusal:
        if refusal.code != "budget_exhausted":
            raise
        return OVER_BUDGET, None
    except NotFound:
        return UNKNOWN_LEARNER, None
    return PAID, posted.seq


def _known(session: Session, city: str, named: Sequence[str]) -> set[str]:
    """Which of these ids are learners of the city."""
    return {found for (found,) in _LEARNERS.find(session, [(one,) for one in named], city)}


def row(session: Session, city: str, identifier: str) -> Airdrop:
    """The row of an airdrop.

    Raises:
        NotFound: the city has no such airdrop.
    """
    airdrop = session.get(Airdrop, (city, identifier))
    if airdrop is None:
        raise NotFound("airdrop", identifier)
    return airdrop


def rows_of(airdrop: Airdrop) -> tuple[ColumnElement[bool], ...]:
    """What a query for the rows of an airdrop asks."""
    return AirdropRow.city == airdrop.city, AirdropRow.airdrop == airdrop.id


def _seen(unit: Unit, airdrop: Airdrop) -> AirdropView:
    """The view as the running command leaves it."""
    return view(unit.session, airdrop, accounts.state(unit, budget_of(airdrop.activity)).available)


def view(session: Session, airdrop: Airdrop, budget_minor: int) -> AirdropView:
    """An airdrop as it stands, with what its activity's budget holds."""
    earlier = session.scalar(
        select(Airdrop.id)
        .where(Airdrop.city == airdrop.city, Airdrop.file_hash == airdrop.file_hash, Airdrop.id != airdrop.id)
        .where(Airdrop.confirmed_at.is_not(None), Airdrop.created_at <= airdrop.created_at)
        .order_by(Airdrop.created_at.desc())
        .limit(1)
    )
    shared = {name: getattr(airdrop, name) for name in airdrop_verdicts.SHARED}
    return AirdropView(**shared, budget_minor=budget_minor, earlier=earlier)


_LEARNERS = Look("id", "learners WHERE city = ? AND id = keys.key", "key", unique=True)
_NEW = Rows(AirdropRow)
_MARKED = Rows(AirdropRow, replace=True)
