"""Districts and learning spaces."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import Forbidden, NotFound, ValidationFailed
from ledger.people.roles import Principal
from ledger.programme import places
from ledger.programme.places import NewDistrict, NewPlace, PlaceView
from tests.factories import CITY, Installation, add_city
from tests.programme.town import STEWARD, Town

GATE = NewPlace("ประตูเมือง", "City gate", id="city-gate", kind="street", street_order=1, district="mueang")


def _create(installation: Installation, new: NewPlace) -> PlaceView:
    return installation.run(lambda unit: places.create(unit, STEWARD, new))


@pytest.fixture
def province(installation: Installation) -> Installation:
    """A city with one district."""
    installation.run(lambda unit: places.create_district(unit, STEWARD, NewDistrict("mueang", "เมือง", "Mueang")))
    return installation


def test_places_stand_in_street_order(province: Installation) -> None:
    """Those along the street come first and in order; the street is they alone; what was given comes back."""
    _create(province, NewPlace("ออนไลน์", "Online", id="online", note_th="เว็บ"))
    _create(province, NewPlace("ตึกแก่น", "Kaen building", id="kaen", kind="street", street_order=3))
    created = _create(province, GATE)
    with province.read() as session:
        assert [view.id for view in places.list_(session, CITY)] == ["city-gate", "kaen", "online"]
        assert [view.id for view in places.street(session, CITY)] == ["city-gate", "kaen"]
        assert places.get(session, CITY, "city-gate") == created
        assert [view.name_th for view in places.districts(session, CITY)] == ["เมือง"]
    assert (created.name_th, created.district, created.street_order) == ("ประตูเมือง", "mueang", 1)


def test_a_place_without_an_id_gets_one(province: Installation) -> None:
    """Two of them get two."""
    assert _create(province, NewPlace("ก", "A")).id != _create(province, NewPlace("ก", "A")).id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name_th": " "}, "name_th"),
        ({"name_en": "x" * 121}, "name_en"),
        ({"id": "City Gate"}, "id"),
        ({"id": "city-gate"}, "id"),
        ({"kind": "A street"}, "kind"),
        ({"district": "yala"}, "district"),
        ({"street_order": 0}, "street_order"),
        ({"street_order": 1}, "street_order"),
    ],
)
def test_a_place_that_cannot_be(province: Installation, changes: dict[str, Any], field: str) -> None:
    """Each fault names its field, and leaves no place behind."""
    _create(province, GATE)
    fine: dict[str, Any] = {"name_th": "ตึก", "name_en": "House", "id": "house"}
    with pytest.raises(ValidationFailed) as refusal:
        _create(province, NewPlace(**{**fine, **changes}))
    assert set(refusal.value.fields) == {field}
    _create(province, NewPlace(**fine))


def test_a_district_stands_once(province: Installation) -> None:
    """The same id again is refused."""
    with pytest.raises(ValidationFailed):
        province.run(lambda unit: places.create_district(unit, STEWARD, NewDistrict("mueang", "อีก", "Again")))


def test_a_place_belongs_to_its_city(province: Installation) -> None:
    """Another city does not find it, and may use the same id."""
    _create(province, GATE)
    add_city(province.database, province.keys, "yala", code_prefix="yl")
    with province.read() as session, pytest.raises(NotFound):
        places.get(session, "yala", "city-gate")
    steward = Principal("yala", frozenset({"steward"}))
    new = NewPlace("ประตู", "Gate", id="city-gate", street_order=1)
    assert province.run(lambda unit: places.create(unit, steward, new), "yala").district is None


def test_only_stewards_add_places(province: Installation) -> None:
    """A shop may not."""
    shop = Principal(CITY, frozenset({"shop"}), "noodles")
    with pytest.raises(Forbidden):
        province.run(lambda unit: places.create(unit, shop, GATE))
    with pytest.raises(Forbidden):
        province.run(lambda unit: places.create_district(unit, shop, NewDistrict("ban-fang", "บ้านฝาง", "Ban Fang")))


def test_a_place_is_described_anew(town: Town) -> None:
    """All its fields but the id; its own number on the street is not in its way, another's is."""

    def described(identifier: str, name: str, order: int | None) -> PlaceView:
        return town.run(lambda unit: places.change(unit, STEWARD, identifier, NewPlace("ชื่อ", name, street_order=order)))

    town.run(lambda unit: places.create(unit, STEWARD, NewPlace("ข", "B", id="second", street_order=2)))
    assert described("art-house", "Gallery", 1).name_en == "Gallery"
    assert described("art-house", "Gallery", 1).street_order == 1
    with pytest.raises(ValidationFailed, match="street_order"):
        described("art-house", "Gallery", 2)
    assert described("second", "B", None).street_order is None
    with pytest.raises(NotFound):
        described("nowhere", "N", None)
