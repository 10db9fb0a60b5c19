"""How near a space is: by stops, by district, online, or elsewhere."""

from __future__ import annotations

import pytest

from ledger.programme.nearness import Distance, Reach, choices, distance, find
from ledger.programme.places import DistrictView, PlaceView


def space(identifier: str, district: str | None = None, kind: str = "space", order: int | None = None) -> PlaceView:
    """A learning space."""
    return PlaceView(identifier, identifier, identifier, district, kind, order, "", "")


GATE, MALL = space("gate", "centre", "street", 1), space("mall", "centre", "street", 4)
HALL, FARM = space("hall", "centre"), space("farm", "north")
ONLINE, LOOSE = space("online", kind="online"), space("loose")
KNOWN = [GATE, MALL, HALL, FARM, ONLINE, LOOSE]
DISTRICTS = [DistrictView("centre", "centre", "Centre"), DistrictView("north", "north", "North")]


@pytest.mark.parametrize(
    ("here", "place", "expected"),
    [
        ("gate", GATE, Distance(Reach.HERE)),
        ("gate", MALL, Distance(Reach.STREET, 3)),
        ("mall", GATE, Distance(Reach.STREET, 3)),
        ("gate", HALL, Distance(Reach.DISTRICT)),
        ("hall", GATE, Distance(Reach.DISTRICT)),
        ("gate", ONLINE, Distance(Reach.ONLINE)),
        ("gate", FARM, Distance(Reach.ELSEWHERE)),
        ("gate", LOOSE, Distance(Reach.ELSEWHERE)),
        ("centre", MALL, Distance(Reach.DISTRICT)),
        ("north", FARM, Distance(Reach.DISTRICT)),
        ("north", LOOSE, Distance(Reach.ELSEWHERE)),
    ],
)
def test_the_distance_between_somebody_and_a_space(here: str, place: PlaceView, expected: Distance) -> None:
    """From a space or from a district; two spaces without a district are not near each other."""
    found = find(KNOWN, DISTRICTS, here)
    assert found is not None
    assert distance(found, place) == expected


def test_the_nearer_sorts_first() -> None:
    """Here, then along the street by stops, then the district, then online, then elsewhere."""
    here = find(KNOWN, DISTRICTS, "gate")
    assert here is not None
    shuffled = [LOOSE, ONLINE, HALL, MALL, GATE]
    assert sorted(shuffled, key=lambda place: distance(here, place)) == [GATE, MALL, HALL, ONLINE, LOOSE]


@pytest.mark.parametrize("identifier", ["online", "loose", "nowhere", ""])
def test_nobody_can_be_where_there_is_no_place(identifier: str) -> None:
    """What is online or of no known district is no answer to where somebody is."""
    assert find(KNOWN, DISTRICTS, identifier) is None
    assert choices(KNOWN) == [GATE, MALL, HALL, FARM]
