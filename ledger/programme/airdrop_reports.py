"""Reading airdrops back: one, the newest, those under way, and the rows with their verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import accounts
from ledger.programme import airdrop_files, airdrops
from ledger.programme.airdrop_verdicts import REFUSALS, RUNNING, AirdropView, Row
from ledger.programme.airdrops import Airdrop, AirdropRow
from ledger.programme.views import budget_of

NEWEST = 50
"""How many airdrops a list has."""


@dataclass(frozen=True)
class RowPage:
    """Some rows by line, and the cursor of the next page, None on the last."""

    items: list[Row]
    next: int | None


def get(session: Session, city: str, identifier: str) -> AirdropView:
    """One airdrop.

    Raises:
        NotFound: the city has no such airdrop.
    """
    airdrop = airdrops.row(session, city, identifier)
    return airdrops.view(session, airdrop, accounts.balance(session, city, budget_of(airdrop.activity)).available_minor)


def list_(session: Session, city: str, limit: int = NEWEST) -> list[AirdropView]:
    """The newest airdrops of a city."""
    found = session.scalars(
        select(Airdrop).where(Airdrop.city == city).order_by(Airdrop.created_at.desc(), Airdrop.id.desc()).limit(limit)
    ).all()
    paths = {budget_of(airdrop.activity) for airdrop in found}
    budgets = {path: accounts.balance(session, city, path).available_minor for path in paths}
    return [airdrops.view(session, airdrop, budgets[budget_of(airdrop.activity)]) for airdrop in found]


def running(session: Session, city: str) -> list[str]:
    """The airdrops that were confirmed and are not yet paid to the end, oldest first."""
    query = select(Airdrop.id).where(Airdrop.city == city, Airdrop.state == RUNNING)
    return list(session.scalars(query.order_by(Airdrop.confirmed_at, Airdrop.id)))


def rows(
    session: Session, city: str, identifier: str, *, cursor: int = 0, limit: int = 50, refused: bool = False
) -> RowPage:
    """The rows below the line `cursor`, `limit` of them by line; those that were refused alone if so asked.

    Raises:
        NotFound: the city has no such airdrop.
    """
    airdrop = airdrops.row(session, city, identifier)
    query = select(*_SHOWN).where(*airdrops.rows_of(airdrop), AirdropRow.line > cursor)
    if refused:
        query = query.where(AirdropRow.verdict.in_(REFUSALS))
    found = [Row(*row) for row in session.execute(query.order_by(AirdropRow.line).limit(limit + 1))]
    return RowPage(found[:limit], found[limit - 1].line if len(found) > limit else None)


def verdicts_csv(session: Session, city: str, identifier: str) -> str:
    """Every row with its verdict, as a CSV for a spreadsheet.

    Raises:
        NotFound: the city has no such airdrop.
    """
    airdrop = airdrops.row(session, city, identifier)
    found = session.execute(select(*_SHOWN).where(*airdrops.rows_of(airdrop)).order_by(AirdropRow.line))
    return "".join(airdrop_files.write(Row(*row) for row in found))


_SHOWN = (
    AirdropRow.line,
    AirdropRow.learner,
    AirdropRow.given,
    AirdropRow.amount_minor,
    AirdropRow.note,
    AirdropRow.verdict,
    AirdropRow.entry,
)
