"""`/learners`: beginning, moving to another phone, keeping the recovery code."""

from __future__ import annotations

from typing import Any

from api.operations import CITY, Operations
from api.schemas.people import JoinedOut, RecoverIn, SecuredOut
from ledger.book.unit import Unit
from ledger.people import learners
from ledger.people.learners import Joined
from ledger.people.roles import Principal

routes = Operations("learners", "People who learn: an account in one call, and a recovery code to keep.")


@routes.write(
    "POST",
    f"{CITY}/learners",
    permission="learner.join",
    response=JoinedOut(),
    status=201,
    summary="Begin as a learner",
    description="Needs nothing: answers with an account, a sign-in for this device, and a recovery code.",
)
def join(unit: Unit, caller: Principal, command: Any) -> Joined:
    """Begin."""
    return learners.join(unit)


@routes.write(
    "POST",
    f"{CITY}/learners/recover",
    permission="learner.recover",
    request=RecoverIn(),
    response=JoinedOut(),
    summary="Move an account to this device",
    description="Ends every earlier sign-in of the learner. Having the code counts as keeping it: the account is "
    "secured.",
)
def recover(unit: Unit, caller: Principal, command: dict[str, str]) -> Joined:
    """Recover."""
    return learners.recover(unit, command["recovery_code"])


@routes.write(
    "POST",
    f"{CITY}/learners/secure",
    permission="learner.secure",
    response=SecuredOut(),
    summary="Confirm that the recovery code is kept",
    description="Lifts the cap on what an unsecured device account may earn.",
)
def secure(unit: Unit, caller: Principal, command: Any) -> dict[str, bool]:
    """Secure."""
    learners.secure(unit, caller.subject or "")
    return {}
