"""Cities, places and activities, in and out."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validates_schema

from api.schemas.base import Choice, Flag, In, Instant, Money, Out, Text, Whole, amount, is_plain_text
from ledger.programme import activities
from ledger.programme.activities import ActivityChange, NewActivity
from ledger.programme.checkins import CheckIn
from ledger.programme.policy import CAP_LIMIT, Policy

COUNT = f"Give 1 to {CAP_LIMIT}, or leave it empty for no limit."
SEATS = "Give a whole number from 1, or leave it empty for no limit."
ALL_DAY = ("00:00", "24:00")
SESSION_LIMIT = 200
CODE_LENGTH = 300
TURN_LENGTH = 200
_POLICY = ("amount_minor", "max_per_person", "max_per_day", "code_once")


class CityOut(Out):
    """A city, and what a verifier needs to know of its log."""

    id = fields.String(metadata={"example": "khon-kaen"})
    name_th = fields.String(metadata={"example": "ขอนแก่น"})
    name_en = fields.String(metadata={"example": "Khon Kaen"})
    symbol = fields.String(metadata={"example": "KGO"})
    scale = fields.Integer(metadata={"example": 2})
    zone = fields.String(metadata={"example": "Asia/Bangkok"})
    origin = fields.String(metadata={"description": "The name of the city's log and of its key."})
    vkey = fields.String(metadata={"description": "The verifier key (C2SP signed note) that auditors pin."})


class PlaceOut(Out):
    """A learning space."""

    id = fields.String()
    name_th = fields.String()
    name_en = fields.String()
    district = fields.String(allow_none=True)
    kind = fields.String()
    street_order = fields.Integer(allow_none=True)
    note_th = fields.String()
    note_en = fields.String()


class PolicyOut(Out):
    """What a check-in earns, and how often."""

    amount_minor = fields.Integer()
    max_per_person = fields.Integer(allow_none=True)
    max_per_day = fields.Integer(allow_none=True)
    code_once = fields.Boolean()


class SessionOut(Out):
    """A stretch of time in which an activity takes check-ins."""

    id = fields.String(attribute="session")
    starts_at = Instant()
    ends_at = Instant()
    seats = fields.Integer(allow_none=True)


class ActivityOut(Money):
    """An activity as it stands now."""

    id = fields.String()
    place = fields.String(attribute="place.id")
    place_name_th = fields.String(attribute="place.name_th")
    place_name_en = fields.String(attribute="place.name_en")
    name_th = fields.String()
    name_en = fields.String()
    about_th = fields.String()
    about_en = fields.String()
    organiser_th = fields.String()
    organiser_en = fields.String()
    mode = fields.String(metadata={"enum": list(activities.MODES)})
    state = fields.String(metadata={"enum": list(activities.STATES)})
    open = fields.Boolean(attribute="is_open", metadata={"description": "Takes check-ins now."})
    funded = fields.Boolean(attribute="is_funded", metadata={"description": "The budget pays for one more."})
    session = fields.Nested(SessionOut, attribute="window", allow_none=True)
    next_opens_at = Instant(allow_none=True)
    sessions = fields.List(fields.Nested(SessionOut))
    daily_from = fields.String(allow_none=True, metadata={"example": "09:00"})
    daily_until = fields.String(allow_none=True, metadata={"example": "17:00"})
    amount_minor = fields.Integer(metadata={"description": "What a check-in earns now.", "example": 500})
    budget_minor = fields.Integer(metadata={"description": "What is left in the budget."})
    policy = fields.Nested(PolicyOut)
    sample = fields.Boolean()


class ActivitiesQuery(In):
    """Which activities."""

    everything = Flag(load_default=False, metadata={"description": "Drafts and closed ones too; for stewards."})


class PolicyIn(In):
    """What a check-in earns, and how often."""

    amount_minor = amount(required=True)
    max_per_person = Whole(least=1, most=CAP_LIMIT, message=COUNT, allow_none=True)
    max_per_day = Whole(least=1, most=CAP_LIMIT, message=COUNT, allow_none=True)
    code_once = Flag()

    command = Policy


class SessionIn(In):
    """A meeting."""

    id = Text(longest=40)
    starts_at = Instant(required=True)
    ends_at = Instant(required=True)
    seats = Whole(least=1, most=1_000_000, message=SEATS, allow_none=True)


class _ActivityIn(In):
    """What creating and changing an activity have in common."""

    about_th = Text(longest=2_000)
    about_en = Text(longest=2_000)
    organiser_th = Text(longest=200)
    organiser_en = Text(longest=200)
    mode = Choice(*activities.MODES)
    state = Choice(*activities.STATES)
    amount_minor = amount()
    max_per_person = Whole(least=1, most=CAP_LIMIT, message=COUNT, allow_none=True)
    max_per_day = Whole(least=1, most=CAP_LIMIT, message=COUNT, allow_none=True)
    code_once = Flag()
    policy = fields.Nested(PolicyIn, metadata={"description": "Or its four members beside the other fields."})
    daily_from = Text(longest=5, metadata={"example": "09:00", "description": "HH:MM, the city's clock."})
    daily_until = Text(longest=5, metadata={"example": "17:00"})
    sessions = fields.List(fields.Nested(SessionIn), error_messages={"invalid": "Give a list."})

    changes: ClassVar[bool] = False

    @validates_schema
    def _check(self, data: dict[str, Any], **_: Any) -> None:
        faults = {}
        flat = [name for name in _POLICY if name in data]
        if "policy" in data and flat:
            faults["policy"] = ["Give the policy, or its members beside the other fields, not both."]
        elif "amount_minor" not in data and "policy" not in data and (flat or not self.changes):
            faults["amount_minor"] = ["Fill this in."]
        if ("daily_from" in data) != ("daily_until" in data):
            missing = "daily_until" if "daily_from" in data else "daily_from"
            faults[missing] = ["Give both times of day, or neither."]
        if data.get("daily_from") and data.get("sessions"):
            faults["sessions"] = ["Give daily hours or sessions, not both."]
        if len(data.get("sessions", ())) > SESSION_LIMIT:
            faults["sessions"] = [f"Give at most {SESSION_LIMIT} sessions."]
        if faults:
            raise ValidationError(faults)

    @staticmethod
    def pop_policy(data: dict[str, Any]) -> Policy | None:
        """The policy, taken out of the loaded fields."""
        flat = {name: data.pop(name) for name in _POLICY if name in data}
        given: Policy | None = data.pop("policy", None)
        return given or (Policy(**flat) if flat else None)


class ActivityIn(_ActivityIn):
    """A new activity: a place, two names and an amount are enough. Without hours or sessions it is open all day."""

    id = Text(longest=40, metadata={"description": "A slug; made up if not given.", "example": "old-town-walk"})
    place = Text(required=True, longest=40)
    name_th = Text(required=True, longest=120, metadata={"example": "เดินเมืองเก่า"})
    name_en = Text(required=True, longest=120, metadata={"example": "Old town walk"})

    def build(self, data: dict[str, Any]) -> tuple[NewActivity, list[dict[str, Any]]]:
        """The activity and the sessions to begin with."""
        sessions = data.pop("sessions", [])
        policy = self.pop_policy(data)
        if not sessions and not data.get("daily_from"):
            data["daily_from"], data["daily_until"] = ALL_DAY
        return NewActivity(policy=policy, **data), sessions  # type: ignore[arg-type]


class ActivityChangeIn(_ActivityIn):
    """What is to change; `sessions` are added to those that stand. Empty daily times take the hours away."""

    place = Text(longest=40)
    name_th = Text(longest=120)
    name_en = Text(longest=120)

    changes = True

    def build(self, data: dict[str, Any]) -> tuple[ActivityChange, list[dict[str, Any]]]:
        """The change and the sessions to add."""
        sessions = data.pop("sessions", [])
        policy = self.pop_policy(data)
        if sessions and "daily_from" not in data:
            data["daily_from"] = data["daily_until"] = ""
        return ActivityChange(policy=policy, **data), sessions


class CodeOut(Out):
    """A code to show: a poster's does not expire."""

    code = fields.String(attribute="text", metadata={"example": "kkm3p4aaaaaaq7w2xk5z"})
    url = fields.String(metadata={"description": "What the QR symbol says."})
    expires_at = Instant(allow_none=True)


class CheckInIn(In):
    """A scanned code: its 20 characters, or the whole address."""

    code = Text(required=True, longest=CODE_LENGTH, metadata={"example": "kkm3p4aaaaaaq7w2xk5z"})
    turn = Text(longest=TURN_LENGTH, metadata={"description": "From the page that the code opened, if it did."})

    command = CheckIn

    def plain(self, data: dict[str, Any]) -> CheckIn | None:
        """A code alone, or with a turn."""
        code, turn = data.get("code"), data.get("turn")
        if not is_plain_text(code, CODE_LENGTH):
            return None
        if len(data) == 1:
            return CheckIn(code.strip())
        if len(data) == 2 and is_plain_text(turn, TURN_LENGTH):
            return CheckIn(code.strip(), turn.strip())
        return None
