"""`/airdrops`: many learners rewarded from a list. Bring it, look at the verdicts, confirm, drive it to its end."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Ask, Operations
from api.schemas.airdrops import ROWS, AirdropConfirmIn, AirdropIn, AirdropOut, AirdropRowsQuery
from ledger.book.unit import Unit
from ledger.people.roles import Principal
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrop_reports import RowPage
from ledger.programme.airdrop_verdicts import AirdropView
from ledger.programme.airdrops import NewAirdrop

routes = Operations("airdrops", "Rewarding many learners from a list, out of an activity's budget.")
ONE = f"{CITY}/airdrops/<airdrop>"
PERMISSION = airdrops.PERMISSION


@routes.write(
    "POST",
    f"{CITY}/airdrops",
    permission=PERMISSION,
    request=AirdropIn(),
    response=AirdropOut(),
    status=201,
    problems=("activity_closed",),
    summary="Preview an airdrop",
    description="Every row is judged and nothing is paid. `airdrops/{airdrop}/rows` has the verdicts.",
    example={"activity": "old-town-walk", "csv": "learner,amount\nabcdefghijklmnopqrstuvwxyz,12.50\n"},
)
def create(unit: Unit, caller: Principal, command: NewAirdrop) -> AirdropView:
    """Preview."""
    return airdrops.create(unit, caller, command)


@routes.read(ONE, permission=PERMISSION, response=AirdropOut(), summary="Show an airdrop and its progress")
def show(ask: Ask, airdrop: str) -> AirdropView:
    """One airdrop."""
    return airdrop_reports.get(ask.session, ask.city.id, airdrop)


@routes.read(
    f"{ONE}/rows",
    permission=PERMISSION,
    query=AirdropRowsQuery(),
    response=ROWS,
    summary="List an airdrop's rows with their verdicts",
)
def rows(ask: Ask, airdrop: str) -> RowPage:
    """A page of the rows."""
    return airdrop_reports.rows(ask.session, ask.city.id, airdrop, **ask.query)


@routes.read(
    f"{ONE}/verdicts.csv",
    permission=PERMISSION,
    media="text/csv",
    filename="airdrop.csv",
    summary="Get all rows with their verdicts as CSV",
)
def verdicts(ask: Ask, airdrop: str) -> str:
    """All rows, for a spreadsheet."""
    return airdrop_reports.verdicts_csv(ask.session, ask.city.id, airdrop)


@routes.write(
    "POST",
    f"{ONE}/confirm",
    permission=PERMISSION,
    request=AirdropConfirmIn(),
    response=AirdropOut(),
    problems=("airdrop_conflict", "budget_exhausted"),
    summary="Confirm an airdrop",
    description="Names the sum of the preview; another sum is refused. Nothing is paid yet: `continue` does that, "
    "and so does the server by itself, though later. Confirming again is harmless.",
)
def confirm(unit: Unit, caller: Principal, command: dict[str, int], airdrop: str) -> AirdropView:
    """Confirm."""
    return airdrops.confirm(unit, caller, airdrop, command["sum_minor"])


@routes.write(
    "POST",
    f"{ONE}/continue",
    permission=PERMISSION,
    response=AirdropOut(),
    problems=("airdrop_conflict",),
    summary="Pay the next rows of a confirmed airdrop",
    description=f"At most {airdrops.CHUNK} of them, each by an entry of its own. Repeat it while `state` is `running`; "
    "anybody may go on where somebody stopped, and no row is ever paid twice.",
)
def continue_(unit: Unit, caller: Principal, command: Any, airdrop: str) -> AirdropView:
    """Continue."""
    return airdrops.proceed(unit, caller, airdrop)


@routes.write(
    "POST",
    f"{ONE}/cancel",
    permission=PERMISSION,
    response=AirdropOut(),
    problems=("airdrop_conflict",),
    summary="Cancel what is not paid yet",
    description="What was paid stays paid; the treasurer can reverse an entry.",
)
def cancel(unit: Unit, caller: Principal, command: Any, airdrop: str) -> AirdropView:
    """Cancel."""
    return airdrops.cancel(unit, caller, airdrop)
