"""`/check-ins`: a scanned code becomes a reward, in the transaction that records the check-in."""

from __future__ import annotations

from api.operations import CITY, Operations
from api.schemas.places import CheckInIn
from api.schemas.street import CheckedInOut
from ledger.book.unit import Unit
from ledger.people.roles import Principal
from ledger.programme import checkins
from ledger.programme.checkins import CheckIn, Recorded

routes = Operations("check-ins", "Earning: a learner checks in at an activity and is rewarded at once.")


@routes.write(
    "POST",
    f"{CITY}/check-ins",
    permission="checkin.record",
    request=CheckInIn(),
    response=CheckedInOut(),
    status=201,
    problems=(
        "code_invalid",
        "code_expired",
        "code_used",
        "already_checked_in",
        "activity_closed",
        "cap_reached",
        "budget_exhausted",
    ),
    summary="Check in with a scanned code",
    reads=checkins.reads,
    description="One reward per learner, activity and session: another try answers `already_checked_in` with the "
    "first entry, which is good news and may be shown as such.",
)
def record(unit: Unit, caller: Principal, command: CheckIn) -> Recorded:
    """Check in."""
    return checkins.record(unit, caller, command)
