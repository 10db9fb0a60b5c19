"""`/accounts`: balances now and at any time, and statements."""

from __future__ import annotations

from api.operations import CITY, Ask, Operations
from api.schemas.money import STATEMENT, BalanceOut, BalanceQuery, StatementQuery
from ledger.book import accounts, statements
from ledger.book.accounts import Balance
from ledger.book.statements import Page
from ledger.people.roles import require_account

routes = Operations(
    "accounts", "Balances and statements. The city's own accounts are public; others are their owner's."
)
ONE = f"{CITY}/accounts/<account>"


@routes.read(
    f"{ONE}/balance",
    permission="log.read",
    query=BalanceQuery(),
    response=BalanceOut(),
    problems=("unauthenticated", "forbidden"),
    summary="Get a balance, now or at any time",
)
def balance(ask: Ask, account: str) -> Balance:
    """The balance."""
    require_account(ask.caller, account)
    return accounts.balance(ask.session, ask.city.id, account, ask.query.get("at"))


@routes.read(
    f"{ONE}/statement",
    permission="log.read",
    query=StatementQuery(),
    response=STATEMENT,
    problems=("unauthenticated", "forbidden"),
    summary="Get a statement, newest first",
)
def statement(ask: Ask, account: str) -> Page:
    """A page of the statement."""
    require_account(ask.caller, account)
    return statements.statement(ask.session, ask.city.id, account, **ask.query)
