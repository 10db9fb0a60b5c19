"""Which activity a code names, and which of its sessions a moment falls into: read for many codes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ledger.programme.activities import Activity
from ledger.programme.windows import Window
from ledger.rows import Entities, Look, Where
from ledger.values import from_milliseconds

Moment = tuple[str, int]
"""The tag of a code, and an instant in milliseconds."""

Occasion = tuple[Activity, Window | None]


class _Occasions:
    """Activities with the explicit session of a moment, if there is one; daily hours are the reader's to judge."""

    def ask(self, where: Where, city: str, keys: Sequence[Moment]) -> Callable[[], dict[Moment, Occasion]]:
        found = _LOOK.ask(where, keys, city)
        return lambda: dict(_occasion(*row) for row in found())


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
    unique=True,
)


def _occasion(
    tag: str, moment: str, meeting: str | None, starts_at: int, ends_at: int, seats: int | None, *activity: Any
) -> tuple[Moment, Occasion]:
    window = None
    if meeting is not None:
        window = Window(meeting, from_milliseconds(starts_at), from_milliseconds(ends_at), seats)
    return (tag, int(moment)), (_ACTIVITIES.of(*activity), window)
