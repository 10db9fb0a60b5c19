"""What is near: the learner names a space or a district once, and the phone remembers it in a cookie.

No browser is asked for a position. The cookie `near.<city>` holds the id of a space or a district and nothing else;
`?near=<id>` sets it, `?near=` forgets it. How near something is, `ledger.programme.nearness` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask import after_this_request, request
from werkzeug import Response

from api.services import services
from api.web.shell import Visit
from api.web.words import N_, say
from ledger.programme import nearness, places
from ledger.programme.nearness import Here, Reach
from ledger.programme.places import DistrictView, PlaceView
from ledger.programme.views import ActivityView

REMEMBERED_SECONDS = 31_536_000

SECTIONS = {
    Reach.HERE: N_("Near you"),
    Reach.STREET: N_("Near you"),
    Reach.DISTRICT: N_("Near you"),
    Reach.ONLINE: N_("From anywhere"),
    Reach.ELSEWHERE: N_("Elsewhere in the city"),
}
"""The headings under which spaces stand, nearest first."""


@dataclass(frozen=True)
class Spot:
    """A space with what is on there, and how far it is in words."""

    place: PlaceView
    far: str
    activities: list[ActivityView]


@dataclass(frozen=True)
class Surroundings:
    """Where the visitor is, if they said so, and where else they may say they are."""

    here: Here | None
    spaces: list[PlaceView]
    districts: list[DistrictView]

    @property
    def district(self) -> str | None:
        """The district that they are in."""
        return self.here.district if self.here else None


def look_around(visit: Visit) -> Surroundings:
    """Where the visitor says they are: now in the address, or once on this phone. What was said now is remembered."""
    known, districts = places.list_(visit.session, visit.city.id), places.districts(visit.session, visit.city.id)
    said = request.args.get("near")
    wanted = request.cookies.get(_cookie(visit), "") if said is None else said
    here = nearness.find(known, districts, wanted)
    if said is not None and (here or not said):
        _remember(visit, here)
    return Surroundings(here, nearness.choices(known), districts)


def arrange(here: Here, views: Iterable[ActivityView]) -> list[tuple[str, list[Spot]]]:
    """What is on by how near it is, under headings; what has no time yet is left out. At one space the open first."""
    at: dict[str, list[ActivityView]] = {}
    known: dict[str, PlaceView] = {}
    for one in views:
        if one.is_open or one.next_opens_at:
            at.setdefault(one.place.id, []).append(one)
            known[one.place.id] = one.place
    sections: dict[str, list[Spot]] = {}
    for place in sorted(known.values(), key=lambda place: nearness.distance(here, place)):
        found = sorted(at[place.id], key=lambda one: (not one.is_open, one.next_opens_at is not None, one.id))
        section = SECTIONS[nearness.distance(here, place).reach]
        sections.setdefault(section, []).append(Spot(place, _far(here, place), found))
    return list(sections.items())


def _far(here: Here, place: PlaceView) -> str:
    away = nearness.distance(here, place)
    if away.reach is Reach.HERE:
        return say(N_("You are here"))
    if away.reach is Reach.STREET:
        return say(N_("the next stop")) if away.stops == 1 else say(N_("{count} stops away"), count=away.stops)
    return say(N_("the same district")) if away.reach is Reach.DISTRICT else ""


def _cookie(visit: Visit) -> str:
    return f"near.{visit.city.id}"


def _remember(visit: Visit, here: Here | None) -> None:
    """Keep it on the phone, for the pages of this city alone."""
    name, path = _cookie(visit), f"/c/{visit.city.id}/"

    @after_this_request
    def keep(response: Response) -> Response:
        if here is None:
            response.delete_cookie(name, path=path)
        else:
            lifetime, secure = REMEMBERED_SECONDS, services().secure
            response.set_cookie(name, here.id, lifetime, path=path, httponly=True, samesite="Lax", secure=secure)
        return response
