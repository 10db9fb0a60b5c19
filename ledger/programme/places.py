"""Districts and learning spaces: where activities take place.

Some places stand along the city's street and have an order there, no two the same. A place may lie in a district
of the province or in none.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Integer, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.unit import Unit
from ledger.db import Base
from ledger.errors import NotFound, ValidationFailed
from ledger.people.roles import Principal, require
from ledger.values import check_slug, short_id


class District(Base):
    """A district of the province."""

    __tablename__ = "districts"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name_th: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)


class Place(Base):
    """A learning space. `kind` is a slug for grouping; `street_order` counts along the city's street."""

    __tablename__ = "places"
    __table_args__ = (
        UniqueConstraint("city", "street_order", name="places_street_order"),
        CheckConstraint("street_order > 0", name="places_street_order_positive"),
        ForeignKeyConstraint(["city", "district"], ["districts.city", "districts.id"], name="places_district"),
    )

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name_th: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    district: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    street_order: Mapped[int | None] = mapped_column(Integer)
    note_th: Mapped[str] = mapped_column(Text)
    note_en: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class NewDistrict:
    """A district to create."""

    id: str
    name_th: str
    name_en: str


@dataclass(frozen=True)
class NewPlace:
    """A learning space to create; without an id it gets a random one."""

    name_th: str
    name_en: str
    id: str | None = None
    district: str | None = None
    kind: str = "space"
    street_order: int | None = None
    note_th: str = ""
    note_en: str = ""


@dataclass(frozen=True)
class DistrictView:
    """A district."""

    id: str
    name_th: str
    name_en: str


@dataclass(frozen=True)
class PlaceView:
    """A learning space."""

    id: str
    name_th: str
    name_en: str
    district: str | None
    kind: str
    street_order: int | None
    note_th: str
    note_en: str


def create_district(unit: Unit, principal: Principal, new: NewDistrict) -> DistrictView:
    """Add a district.

    Raises:
        ValidationFailed: a name is missing, or the id is malformed or taken.
    """
    require(principal, "place.write")
    check_names(new.name_th, new.name_en)
    check_slug("id", new.id)
    if unit.session.get(District, (unit.city.id, new.id)):
        raise ValidationFailed({"id": "Choose another id: this one is taken."})
    unit.session.add(District(city=unit.city.id, id=new.id, name_th=new.name_th, name_en=new.name_en))
    unit.session.flush()
    return DistrictView(new.id, new.name_th, new.name_en)


def create(unit: Unit, principal: Principal, new: NewPlace) -> PlaceView:
    """Add a learning space.

    Raises:
        ValidationFailed: names each field and the remedy.
    """
    require(principal, "place.write")
    identifier = check_slug("id", new.id) if new.id else short_id()
    if unit.session.get(Place, (unit.city.id, identifier)):
        raise ValidationFailed({"id": "Choose another id: this one is taken."})
    place = Place(city=unit.city.id, id=identifier)
    with unit.session.no_autoflush:
        _describe(unit, place, new)
    unit.session.add(place)
    unit.session.flush()
    return view_of(place)


def change(unit: Unit, principal: Principal, identifier: str, new: NewPlace) -> PlaceView:
    """Describe a learning space anew, in all its fields but the id.

    Raises:
        NotFound: the city has no such place.
        ValidationFailed: names each field and the remedy.
    """
    require(principal, "place.write")
    place = unit.session.get(Place, (unit.city.id, identifier))
    if place is None:
        raise NotFound("place", identifier)
    with unit.session.no_autoflush:
        _describe(unit, place, new)
    unit.session.flush()
    return view_of(place)


def list_(session: Session, city: str) -> list[PlaceView]:
    """Every learning space: first those along the street in order, then the others by Thai name."""
    places = session.scalars(select(Place).where(Place.city == city))
    views = [view_of(place) for place in places]
    return sorted(views, key=lambda view: (view.street_order is None, view.street_order or 0, view.name_th))


def street(session: Session, city: str) -> list[PlaceView]:
    """The places along the city's street, in order."""
    return [view for view in list_(session, city) if view.street_order is not None]


def districts(session: Session, city: str) -> list[DistrictView]:
    """The districts of the province, by id."""
    rows = session.scalars(select(District).where(District.city == city).order_by(District.id))
    return [DistrictView(row.id, row.name_th, row.name_en) for row in rows]


def get(session: Session, city: str, identifier: str) -> PlaceView:
    """One learning space.

    Raises:
        NotFound: the city has no such place.
    """
    place = session.get(Place, (city, identifier))
    if place is None:
        raise NotFound("place", identifier)
    return view_of(place)


def view_of(place: Place) -> PlaceView:
    """The view of a row."""
    return PlaceView(
        place.id,
        place.name_th,
        place.name_en,
        place.district,
        place.kind,
        place.street_order,
        place.note_th,
        place.note_en,
    )


def check_names(name_th: str, name_en: str) -> None:
    """Refuse a name that is missing in either language, or longer than a poster holds.

    Raises:
        ValidationFailed: names each field and the remedy.
    """
    fields = {
        field: "Give a name of 1 to 120 characters."
        for field, value in (("name_th", name_th), ("name_en", name_en))
        if not 0 < len(value.strip()) <= 120
    }
    if fields:
        raise ValidationFailed(fields)


def _describe(unit: Unit, place: Place, new: NewPlace) -> None:
    """Check the fields of a place and put them into its row."""
    check_names(new.name_th, new.name_en)
    check_slug("kind", new.kind)
    if new.district and unit.session.get(District, (unit.city.id, new.district)) is None:
        raise ValidationFailed({"district": "Name a district of this city, or leave it empty."})
    if new.street_order is not None and new.street_order != place.street_order:
        _check_street_order(unit, new.street_order)
    place.name_th, place.name_en = new.name_th.strip(), new.name_en.strip()
    place.note_th, place.note_en = new.note_th.strip(), new.note_en.strip()
    place.district, place.kind, place.street_order = new.district or None, new.kind, new.street_order


def _check_street_order(unit: Unit, order: int) -> None:
    if order < 1:
        raise ValidationFailed({"street_order": "Give a whole number from 1, or leave it empty."})
    taken = unit.session.scalar(select(Place.id).where(Place.city == unit.city.id, Place.street_order == order))
    if taken:
        raise ValidationFailed({"street_order": f"Choose another number: '{taken}' has this one."})
