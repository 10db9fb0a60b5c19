"""Check-ins: somebody was there, and is rewarded in the transaction that records it.

`record` writes through the unit alone, so that a batch of check-ins needs no savepoints. The judgement goes from the
code to the person to the money:

    code readable, of this city, of an activity here, signed      code_invalid
    activity published                                            activity_closed
    not yet checked in for this session                           already_checked_in (names the first entry)
    poster, fresh, or opened in time (a turn)                     code_expired
    one-time code of a sheet that was made and not withdrawn      code_invalid
    a session is open                                             activity_closed
    code and turn not used up, a seat left                        code_used, cap_reached (seats)
    caps of the activity, the day, the city, the unsecured        cap_reached
    the budget                                                    budget_exhausted, out of the book

"Already checked in" comes before expiry, so that scanning a kiosk again minutes later is answered kindly. With a
turn the session is that of the moment of opening: whoever scanned in time keeps the session too.

What a check-in will read is known beforehand (`reads`), so that a batch of them asks the database once a question,
and not once a question and check-in. All of it is judged in the writer's transaction, so that nothing slips between
check and act; the invariants stand in the database as well (`attendance`).

What proved the participation stays here, salted; the log carries only the commitment
SHA-256(salt || canonical JSON of the evidence) and the level of assurance.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from ledger.book import accounts, transfers
from ledger.book.accounts import Balance
from ledger.book.commands import Command, Steps
from ledger.book.unit import Place, Unit
from ledger.errors import NotFound, Refused
from ledger.people.learners import account_of
from ledger.people.roles import Principal, require
from ledger.programme import activities, codes, posters, sessions, windows
from ledger.programme import policy as policies
from ledger.programme.activities import Activity
from ledger.programme.attendance import CODE, SEATS, STANDINGS, TURN, USES, Attendance, Evidence, Use
from ledger.programme.codes import Parts, Turn
from ledger.programme.occasions import OCCASIONS
from ledger.programme.policy import CityRules, Policy
from ledger.programme.sheets import SHEETS
from ledger.programme.views import DRAFT, PUBLISHED, budget_of, hours_of
from ledger.programme.windows import Window
from ledger.proof.encoding import canonical, timestamp
from ledger.rows import Rows
from ledger.values import to_milliseconds

SALT_BYTES = 16

_ATTENDANCES, _EVIDENCES = Rows(Attendance), Rows(Evidence)
_EVIDENCE = '{"activity":"%s","code":"%s","learner":"%s","moment":"%s","session":"%s"}'
"""The canonical JSON of what proved a participation; none of its parts has a character that JSON would escape."""


class CheckIn(NamedTuple):
    """The command: a code as scanned or typed, and the turn that the opened page carries, if any."""

    code: str
    turn: str | None = None


class Recorded(NamedTuple):
    """A check-in that stands once the batch commits. `balance` is the learner's after the reward."""

    entry: int
    at: datetime
    amount_minor: int
    balance: Balance
    activity: str
    name_th: str
    name_en: str
    session: str


@dataclass(frozen=True)
class _Claim:
    """A readable, signed code of a published activity, and the moment that it speaks for.

    `window` is the session open at that moment, if any; `day` the date in the city's zone; `rules` the city's limits.
    One claim serves all of a batch who bring the same code.
    """

    parts: Parts
    turn: Turn | None
    moment: datetime
    day: str
    activity: Activity
    window: Window | None
    policy: Policy
    rules: CityRules

    @cached_property
    def assurance(self) -> str:
        """How well the code proves that somebody was there."""
        if self.parts.serial is not None:
            return activities.CODE
        return activities.KIOSK if self.parts.rotating else activities.POSTER

    @cached_property
    def points(self) -> int:
        """What it pays, minor units."""
        return policies.points_for(self.policy, self.rules.assurance_caps, self.assurance)

    @cached_property
    def single_code(self) -> int | None:
        """The moment in the code, where each code serves once: by its kind, or by the policy."""
        if self.parts.serial is not None:
            return self.parts.seconds
        return self.parts.seconds if self.policy.code_once and self.parts.rotating else None

    @cached_property
    def occasion(self) -> tuple[str, str, str]:
        """Activity, session and day: what a learner's record is asked about."""
        return self.activity.id, self.window.session if self.window else "", self.day

    @cached_property
    def ref(self) -> dict[str, str]:
        """What the entry tells of it."""
        session = self.window.session if self.window else ""
        return {"activity": self.activity.id, "session": session, "place": self.activity.place}

    @cached_property
    def evidence(self) -> tuple[str, str]:
        """What proves that somebody was there, as it is committed to; the learner stands between the two parts."""
        _, session, _ = self.occasion
        told = _EVIDENCE % (self.activity.id, self.parts.text, "\0", timestamp(self.moment), session)
        before, _, after = told.partition("\0")
        return before, after

    @cached_property
    def uses(self) -> list[Use]:
        """What one more check-in would use up."""
        uses, activity = [], self.activity.id
        if self.single_code is not None:
            uses.append(Use(CODE, activity, str(self.single_code), 1))
        if self.turn is not None:
            uses.append(Use(TURN, activity, self.turn.nonce, 1))
        if self.window is not None and self.window.seats is not None:
            uses.append(Use(SEATS, activity, self.window.session, self.window.seats))
        return uses


def record(unit: Unit, principal: Principal, command: CheckIn) -> Recorded:
    """Check the learner in and post the reward.

    Raises:
        Forbidden: the principal is no learner.
        Refused: see the order of judgement above.
    """
    require(principal, "checkin.record")
    learner = principal.subject or ""
    claim = _claim(unit, command)
    place = (learner, *claim.occasion)
    if unit.catch_up(("learner", learner)):
        unit.forget(STANDINGS, place)
    standing = unit.get(STANDINGS, place)
    if standing is None:
        raise NotFound("learner", learner)
    if standing.first:
        raise Refused("already_checked_in", activity=claim.activity.id, **standing.first)
    codes.check_time(claim.parts, claim.activity.mode, unit.now, claim.turn)
    if claim.parts.serial is not None and not unit.get(SHEETS, (claim.activity.id, claim.parts.serial)):
        raise Refused("code_invalid", "forged")
    if claim.window is None:
        raise _closed(unit, claim)
    _use_up(unit, claim)
    policies.judge_caps(claim.policy, claim.rules, standing.earned, claim.points, secured=standing.secured)
    return _reward(unit, principal, learner, claim)


def reads(principal: Principal, command: CheckIn) -> Steps:
    """What `record` will read: first what the code and the learner lead to, then what the activity leads to."""
    learner = principal.subject or ""

    def named(unit: Unit) -> list[Place]:
        parts, _, moment = _presented(unit, command)
        return [(OCCASIONS, (parts.tag, to_milliseconds(moment))), *transfers.reads([account_of(learner)])]

    def found(unit: Unit) -> list[Place]:
        claim = _claim(unit, command)
        budget = transfers.reads([budget_of(claim.activity.id)])
        serial = claim.parts.serial
        sheet = [] if serial is None else [(SHEETS, (claim.activity.id, serial))]
        return [(STANDINGS, (learner, *claim.occasion)), *budget, *((USES, use) for use in claim.uses), *sheet]

    return named, found


def command(principal: Principal, check_in: CheckIn) -> Command[Recorded]:
    """`record` as a command of the writer."""
    return Command(lambda unit: record(unit, principal, check_in), staged_only=True, reads=reads(principal, check_in))


def _presented(unit: Unit, command: CheckIn) -> tuple[Parts, Turn | None, datetime]:
    """The code, the turn that speaks for it, and the moment it is to be judged at."""

    def read() -> tuple[Parts, Turn | None, datetime]:
        parts = codes.read(command.code)
        if parts.prefix != unit.city.code_prefix:
            posters.check_city(unit.session, unit.city, parts)
        turn = codes.read_turn(unit.keys.derive("turn"), unit.city.id, command.turn, parts, unit.now)
        return parts, turn, turn.opened_at if turn else unit.now

    return unit.once(("presented", command), read)


def _claim(unit: Unit, command: CheckIn) -> _Claim:
    """What the code says, as far as it is true whoever asks and however late; judged once a batch for all it serves."""
    return unit.once(("claim", command), lambda: _judged(unit, command))


def _judged(unit: Unit, command: CheckIn) -> _Claim:
    parts, turn, moment = _presented(unit, command)
    found = unit.get(OCCASIONS, (parts.tag, to_milliseconds(moment)))
    if found is None:
        raise Refused("code_invalid", "unknown")
    activity, window = found
    hours = hours_of(activity, unit.city.zone)
    if hours:
        window = windows.current(hours.around(moment), moment)
    codes.check_mac(parts, posters.issuer_of(unit.city, unit.keys, activity))
    if activity.state != PUBLISHED:
        raise Refused("activity_closed", "draft" if activity.state == DRAFT else "over")
    day = windows.day_of(moment, unit.city.zone).isoformat()
    rules = CityRules.of(unit.city.settings)
    return _Claim(parts, turn, moment, day, activity, window, Policy.from_json(activity.policy), rules)


def _use_up(unit: Unit, claim: _Claim) -> None:
    """Count one more use of what serves a number of times: a code or a turn once, a session as it has seats.

    The counts are held by the unit; what they count is saved by the check-in.

    Raises:
        Refused: `code_used`, `cap_reached` (`seats`).
    """
    for use in claim.uses:
        count = unit.get(USES, use) or 0
        if count >= use.limit:
            if use.what == SEATS:
                raise Refused("cap_reached", "seats", limit=use.limit)
            raise Refused("code_used")
        unit.put(USES, use, count + 1)


def _reward(unit: Unit, principal: Principal, learner: str, claim: _Claim) -> Recorded:
    """Post the reward and keep what it was for."""
    activity, account = claim.activity, account_of(learner)
    salt = unit.random(SALT_BYTES)
    before, after = claim.evidence
    evidence = f"{before}{learner}{after}"
    _, session, _ = claim.occasion
    posted = transfers.post(
        unit,
        "reward",
        budget_of(activity.id),
        account,
        claim.points,
        actor=principal.actor(),
        ref=claim.ref,
        evidence={"assurance": claim.assurance, "commitment": _committed(salt, evidence.encode())},
        rule=policies.rule_hash(claim.policy),
    )
    row = _ATTENDANCES.row(
        city=unit.city.id,
        learner=learner,
        activity=activity.id,
        session=session,
        entry=posted.seq,
        amount_minor=claim.points,
        at=unit.now_ms,
        day=claim.day,
        code_seconds=claim.parts.seconds,
        single_code=claim.single_code,
        turn=claim.turn.nonce if claim.turn else None,
        assurance=claim.assurance,
    )
    unit.insert(_ATTENDANCES, row)
    unit.insert(_EVIDENCES, (unit.city.id, posted.seq, salt, evidence))
    names = activity.name_th, activity.name_en
    balance = accounts.current(unit, account)
    return Recorded(posted.seq, posted.at, claim.points, balance, activity.id, *names, session)


def commitment(salt: bytes, evidence: dict[str, Any]) -> str:
    """What the log says of the evidence: SHA-256(salt || canonical JSON), in hexadecimal."""
    return _committed(salt, canonical(evidence))


def _committed(salt: bytes, evidence: bytes) -> str:
    return hashlib.sha256(salt + evidence).hexdigest()


def _closed(unit: Unit, claim: _Claim) -> Refused:
    """Why no session is open."""
    hours = hours_of(claim.activity, unit.city.zone)
    known = hours.around(claim.moment) if hours else sessions.of(unit.session, unit.city.id, claim.activity.id)
    return windows.closed(known, claim.moment)
