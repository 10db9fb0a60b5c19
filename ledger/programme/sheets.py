"""Sheets of one-time codes: printed, cut up and handed out, each code serving one person once.

A sheet is a range of serial numbers of one activity; the codes themselves are computed whenever the sheet is looked at
(`codes.issue_serial`) and stand nowhere. That a code serves once is the check-in's unique `single_code`; that it was
given out at all, and not withdrawn since, is read here (`SHEETS`). Serials count from 1, without a gap, and are never
given out twice, so that two sheets of an activity never share a code.

A sheet is withdrawn by itself, or with everything printed for its activity when that gets a new code; what was used
before stays.

Bounds: a sheet has 1 to `MOST` codes, an activity `codes.SERIALS` serials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKeyConstraint,
    Integer,
    Text,
    UniqueConstraint,
    and_,
    func,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.cities import City, CityKeys
from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import NotFound, ValidationFailed
from ledger.people.roles import Principal, require
from ledger.programme import activities, codes, posters
from ledger.programme.attendance import Attendance
from ledger.programme.codes import FIRST_SERIAL, SERIALS, Code
from ledger.rows import Look, Where

MOST = 240
"""The most codes of one sheet: twenty pages of twelve."""

Numbered = tuple[str, int]
"""An activity, and a serial number of it."""


class CodeSheet(Base):
    """A range of serials that was given out. `code_version` is the activity's of that moment."""

    __tablename__ = "code_sheets"
    __table_args__ = (
        ForeignKeyConstraint(["city", "activity"], ["activities.city", "activities.id"], name="code_sheets_activity"),
        UniqueConstraint("city", "activity", "first_serial", name="code_sheets_first_serial"),
        CheckConstraint("number > 0 AND first_serial > 0", name="code_sheets_numbers"),
        CheckConstraint("first_serial <= last_serial", name="code_sheets_order"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    activity: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_serial: Mapped[int] = mapped_column(BigInteger)
    last_serial: Mapped[int] = mapped_column(BigInteger)
    code_version: Mapped[int] = mapped_column(Integer)
    made_at: Mapped[datetime] = mapped_column(Instant)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True)
class SheetView:
    """A sheet as its steward sees it.

    Attributes:
        number: counts the activity's sheets from 1.
        used: how many of its codes have served.
        withdrawn: whether the rest of them serve no more.
    """

    number: int
    first_serial: int
    last_serial: int
    made_at: datetime
    used: int
    withdrawn: bool

    @property
    def count(self) -> int:
        """How many codes it has."""
        return self.last_serial - self.first_serial + 1

    @property
    def left(self) -> int:
        """How many of its codes may still serve."""
        return 0 if self.withdrawn else self.count - self.used


@dataclass(frozen=True)
class OneTimeCode:
    """A code of a sheet, and whether it has served."""

    serial: int
    code: Code
    used: bool


def make(unit: Unit, principal: Principal, activity: str, count: int) -> SheetView:
    """Give out the next serials of an activity as a sheet.

    Raises:
        NotFound: the city has no such activity.
        ValidationFailed: too many codes, or the activity takes check-ins in another way.
    """
    require(principal, "activity.write")
    row = activities.row(unit.session, unit.city.id, activity)
    if row.mode != activities.CODE:
        raise ValidationFailed({"count": "Let people check in with one-time codes first; this activity does not."})
    if not 0 < count <= MOST:
        raise ValidationFailed({"count": f"Give 1 to {MOST} codes; make another sheet for more."})
    last = select(func.max(CodeSheet.number), func.max(CodeSheet.last_serial)).where(_of(unit.city.id, activity))
    number, serial = unit.session.execute(last).one()
    first = (serial or 0) + 1
    if first + count > SERIALS:
        raise ValidationFailed({"count": "Make another activity; this one has used up its serial numbers."})
    made = CodeSheet(
        city=unit.city.id,
        activity=activity,
        number=(number or 0) + 1,
        first_serial=first,
        last_serial=first + count - 1,
        code_version=row.code_version,
        made_at=unit.now,
    )
    unit.session.add(made)
    unit.session.flush()
    return _view(made, row.code_version, 0)


def withdraw(unit: Unit, principal: Principal, activity: str, number: int) -> None:
    """Take no code of a sheet any more; what has served stays. Doing it twice changes nothing.

    Raises:
        NotFound: there is no such sheet.
    """
    require(principal, "activity.write")
    sheet = _row(unit.session, unit.city.id, activity, number)
    sheet.withdrawn_at = sheet.withdrawn_at or unit.now
    unit.session.flush()


def list_(session: Session, city: str, activity: str) -> list[SheetView]:
    """The sheets of an activity, newest first."""
    version = activities.row(session, city, activity).code_version
    used = (
        select(func.count())
        .where(
            Attendance.city == CodeSheet.city,
            Attendance.activity == CodeSheet.activity,
            Attendance.single_code >= FIRST_SERIAL + CodeSheet.first_serial,
            Attendance.single_code <= FIRST_SERIAL + CodeSheet.last_serial,
        )
        .correlate(CodeSheet)
        .scalar_subquery()
    )
    query = select(CodeSheet, used).where(_of(city, activity)).order_by(CodeSheet.number.desc())
    return [_view(sheet, version, count) for sheet, count in session.execute(query)]


def left(session: Session, city: str, activity: str) -> int:
    """How many one-time codes of an activity may still serve."""
    return sum(sheet.left for sheet in list_(session, city, activity))


def printed(
    session: Session,
    city: City,
    keys: CityKeys,
    principal: Principal,
    activity: str,
    number: int,
    public_url: str,
) -> list[OneTimeCode]:
    """The codes of a sheet, for printing; none of a sheet that was withdrawn, so that nobody prints what is void.

    Raises:
        Forbidden: the principal may not read codes.
        NotFound: there is no such sheet, or it was withdrawn.
    """
    require(principal, "code.read", activity)
    row, sheet = activities.row(session, city.id, activity), _row(session, city.id, activity, number)
    if sheet.withdrawn_at is not None or sheet.code_version != row.code_version:
        raise NotFound("sheet", str(number))
    issuer = posters.issuer_of(city, keys, row)
    served = select(Attendance.single_code).where(
        Attendance.city == city.id,
        Attendance.activity == activity,
        Attendance.single_code.between(FIRST_SERIAL + sheet.first_serial, FIRST_SERIAL + sheet.last_serial),
    )
    used = set(session.scalars(served))
    return [
        OneTimeCode(serial, codes.issue_serial(issuer, public_url, serial), FIRST_SERIAL + serial in used)
        for serial in range(sheet.first_serial, sheet.last_serial + 1)
    ]


class _Sheets:
    """Whether a serial stands on a sheet that was not withdrawn; one that does not is not among the answers."""

    def ask(self, where: Where, city: str, keys: Sequence[Numbered]) -> Callable[[], dict[Numbered, bool]]:
        found = _LOOK.ask(where, keys, city)
        return lambda: {(activity, int(serial)): True for activity, serial in found()}


SHEETS = _Sheets()

_LOOK = Look(
    "keys.activity, keys.serial",
    "code_sheets AS sheet WHERE sheet.city = ? AND sheet.activity = keys.activity "
    "AND sheet.first_serial <= CAST(keys.serial AS BIGINT) AND sheet.last_serial >= CAST(keys.serial AS BIGINT) "
    "AND sheet.withdrawn_at IS NULL",
    "activity",
    "serial",
)


def _of(city: str, activity: str) -> ColumnElement[bool]:
    return and_(CodeSheet.city == city, CodeSheet.activity == activity)


def _row(session: Session, city: str, activity: str, number: int) -> CodeSheet:
    sheet = session.get(CodeSheet, (city, activity, number))
    if sheet is None:
        raise NotFound("sheet", str(number))
    return sheet


def _view(sheet: CodeSheet, version: int, used: int) -> SheetView:
    withdrawn = sheet.withdrawn_at is not None or sheet.code_version != version
    return SheetView(sheet.number, sheet.first_serial, sheet.last_serial, sheet.made_at, used, withdrawn)
