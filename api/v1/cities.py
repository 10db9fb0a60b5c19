"""`/cities`: which learning cities there are, and their learning spaces."""

from __future__ import annotations

from api.operations import CITY, Ask, Operations
from api.schemas.base import Items, items_of
from api.schemas.places import CityOut, PlaceOut
from api.services import CityFacts, services
from ledger.book import cities
from ledger.programme import places

routes = Operations("cities", "Learning cities: each a ledger and a log of its own.")


@routes.read(
    "/cities",
    permission="city.read",
    response=items_of(CityOut, "Cities"),
    summary="List the cities",
    cache="public, max-age=60",
)
def list_(ask: Ask) -> Items:
    """Every city."""
    known = services()
    return Items([known.facts(row) for row in cities.all_(ask.session)])


@routes.read(CITY, permission="city.read", response=CityOut(), summary="Show a city", cache="public, max-age=60")
def show(ask: Ask) -> CityFacts:
    """One city."""
    return ask.city


@routes.read(
    f"{CITY}/places",
    permission="place.read",
    response=items_of(PlaceOut, "Places"),
    summary="List the learning spaces",
    description="Those along the city's street come first, in order.",
    cache="public, max-age=60",
)
def list_places(ask: Ask) -> Items:
    """Every place."""
    return Items(places.list_(ask.session, ask.city.id))
