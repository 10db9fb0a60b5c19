"""How near a learning space is to somebody who says where they are. Pure: values in, values out.

No device is asked for its position. Somebody names a space or a district, and nearness is counted in what the city
knows of itself: the same space, the stops between two spaces along the street, the same district. What is held
online is near to everybody. A space of which only the city is known lies elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ledger.programme.places import DistrictView, PlaceView

ONLINE = "online"
"""The kind of the spaces that have no address."""


class Reach(IntEnum):
    """How far it is, nearest first."""

    HERE = 0
    STREET = 1
    DISTRICT = 2
    ONLINE = 3
    ELSEWHERE = 4


@dataclass(frozen=True, order=True)
class Distance:
    """How far it is; `stops` counts along the street and is 0 elsewhere."""

    reach: Reach
    stops: int = 0


@dataclass(frozen=True)
class Here:
    """Where somebody says they are: at a space, or somewhere in a district."""

    id: str
    name_th: str
    name_en: str
    district: str | None
    street_order: int | None = None


def find(known: list[PlaceView], districts: list[DistrictView], identifier: str) -> Here | None:
    """The space or the district of this id; None for what the city does not know or what has no address."""
    for place in choices(known):
        if place.id == identifier:
            return Here(place.id, place.name_th, place.name_en, place.district, place.street_order)
    for district in districts:
        if district.id == identifier:
            return Here(district.id, district.name_th, district.name_en, district.id)
    return None


def choices(known: list[PlaceView]) -> list[PlaceView]:
    """The spaces that somebody can be at: those that stand along the street or in a district."""
    return [one for one in known if one.kind != ONLINE and (one.street_order is not None or one.district)]


def distance(here: Here, place: PlaceView) -> Distance:
    """How far a space is from somebody."""
    if place.id == here.id:
        return Distance(Reach.HERE)
    if place.kind == ONLINE:
        return Distance(Reach.ONLINE)
    if here.street_order is not None and place.street_order is not None:
        return Distance(Reach.STREET, abs(here.street_order - place.street_order))
    if place.district is not None and place.district == here.district:
        return Distance(Reach.DISTRICT)
    return Distance(Reach.ELSEWHERE)
