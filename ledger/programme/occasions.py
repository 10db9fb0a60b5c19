"""Which activity a code names, and which of its sessions a moment falls into: read for many codes at once."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.programme.activities import Activity
from ledger.programme.windows import Window
from ledger.rows import Entities, Look, Where
from ledger.values import from_milliseconds

Moment = tuple[str, int]
"""The tag of a code, and an instant in milliseconds."""


class _Occasions:
    """Activities with the explicit session of a moment, if there is one; daily hours are the reader's to judge."""

    def load(self, where: Where, city: str, keys: Sequence[Moment]) -> dict[Moment, tuple[Activity, Window | None]]:
        found: dict[Moment, tuple[Activity, Window | None]] = {}
        for tag, moment, meeting, starts_at, ends_at, seats, *activity in _LOOK.find(where, keys, city):
            window = None
            if meeting is not None:
                window = Window(meeting, from_milliseconds(starts_at), from_milliseconds(ends_at), seats)
            found[tag, int(moment)] = _ACTIVITIES.of(*activity), window
        return found


OCCASIONS = _Occasions()

_ACTIVITIES = Entities(Activity)
_LOOK = Look(
    f"keys.tag, keys.moment, meeting.id, meeting.starts_at, meeting.ends_at, meeting.seats, {_ACTIVITIES.columns}",
    "activities LEFT JOIN activity_sessions AS meeting "
    "ON meeting.city = activities.city AND meeting.activity = activities.id "
    "AND meeting.starts_at <= CAST(keys.moment AS BIGINT) AND meeting.ends_at > CAST(keys.moment AS BIGINT) "
    "WHERE activities.city = ? AND activities.code_tag = keys.tag",
    "tag",
    "moment",
)
