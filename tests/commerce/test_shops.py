"""Shops: applying, being decided upon, being seen."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.commerce import shops
from ledger.commerce.shops import NewShop, ShopChange, ShopView
from ledger.people.roles import Principal
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY


def _apply(street: Street, **fields: Any) -> shops.ShopView:
    new = NewShop(**{"name_th": "ร้านกาแฟ", **fields})
    return street.installation.run(lambda unit: shops.apply(unit, ANONYMOUS, new))


def test_anybody_may_apply_and_the_application_waits(street: Street) -> None:
    """An application without an account of any kind is kept as `applied`, under an id that is made up."""
    shop = _apply(street, about_th="  กาแฟ \n สด ", district="mueang")
    assert shop.state == "applied"
    assert (shop.name_th, shop.name_en, shop.about_th) == ("ร้านกาแฟ", "ร้านกาแฟ", "กาแฟ สด")
    assert len(shop.id) == 10


def test_an_application_shows_to_stewards_and_to_itself_alone(street: Street) -> None:
    """What nobody has read yet is not shown in public; after the approval it is."""
    till = street.shop("coffee", approved=False)
    other = street.shop("tea", approved=False)
    with street.installation.read() as session:
        assert shops.list_(session, CITY) == []
        assert [shop.id for shop in shops.list_(session, CITY, state=None)] == ["coffee", "tea"]
        assert shops.get(session, CITY, "coffee", STEWARD) == shops.get(session, CITY, "coffee", till)
        for who in (None, ANONYMOUS, other):
            refused("not_found", shops.get, session, CITY, "coffee", who)
    street.approve("coffee")
    with street.installation.read() as session:
        assert [shop.id for shop in shops.list_(session, CITY)] == ["coffee"]
        assert shops.get(session, CITY, "coffee", None).state == "approved"


def test_a_steward_approves_and_an_account_opens(street: Street) -> None:
    """Before the approval there is no account; afterwards it is there and empty. Approving twice changes nothing."""
    till = street.shop("coffee", approved=False)
    refused("not_found", street.balance, till)
    assert street.approve("coffee") == street.approve("coffee")
    assert street.balance(till) == (0, 0)
    refused("not_found", street.approve, "nowhere")


def test_nobody_else_decides(street: Street) -> None:
    """Neither the shop itself nor a learner nor somebody unknown approves or suspends."""
    till = street.shop("coffee", approved=False)
    for decide in (street.approve, street.suspend):
        for who in (till, street.learner(0)):
            refused("forbidden", decide, "coffee", who)
        refused("unauthenticated", decide, "coffee", ANONYMOUS)


def test_a_suspended_shop_can_come_back(street: Street) -> None:
    """Suspension hides a shop and keeps its account; a new approval shows it again."""
    till = street.shop("coffee")
    street.installation.give("shop:coffee", 700)
    assert street.suspend("coffee").state == street.suspend("coffee").state == "suspended"
    with street.installation.read() as session:
        assert shops.list_(session, CITY) == []
    assert street.balance(till) == (700, 0)
    assert street.approve("coffee").state == "approved"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name_th": " \n "}, "name_th"),
        ({"name_th": "ก" * 81}, "name_th"),
        ({"name_en": "a\x00b"}, "name_en"),
        ({"name_en": "a\u202eb"}, "name_en"),
        ({"about_th": "ก" * 601}, "about_th"),
        ({"district": "Mueang!"}, "district"),
        ({"category": ""}, "category"),
        ({"id": "Big Shop"}, "id"),
        ({"id": "taken"}, "id"),
    ],
)
def test_each_field_says_what_is_wrong(street: Street, fields: dict[str, str], field: str) -> None:
    """A field that is empty, too long, unprintable or taken is named, and nothing is kept."""
    _apply(street, id="taken", name_th="ก" * 80, about_th="ก" * 600)
    assert set(refused("validation_failed", _apply, street, **fields)["fields"]) == {field}
    with street.installation.read() as session:
        assert len(shops.list_(session, CITY, state=None)) == 1


def test_only_so_many_applications_wait(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the next application is refused and says so; a decision, either way, makes room."""
    monkeypatch.setattr(shops, "WAITING_LIMIT", 2)
    _apply(street, id="one")
    _apply(street, id="two")
    assert refused("limit_reached[applications]", _apply, street) == {"limit": 2}
    street.suspend("one")
    _apply(street, id="three")
    refused("limit_reached[applications]", _apply, street)


def test_the_list_is_filtered_and_read_in_pages(street: Street) -> None:
    """District and category narrow the list; `after` goes on behind a shop."""
    for name, category in (("a", "food"), ("b", "craft"), ("c", "food")):
        _apply(street, id=name, category=category, district="phon" if name == "c" else "mueang")
        street.approve(name)
    with street.installation.read() as session:
        assert [shop.id for shop in shops.list_(session, CITY, category="food")] == ["a", "c"]
        assert [shop.id for shop in shops.list_(session, CITY, district="mueang")] == ["a", "b"]
        assert [shop.id for shop in shops.list_(session, CITY, after="a", limit=1)] == ["b"]


def test_a_shop_says_anew_what_it_is(street: Street) -> None:
    """About, district, category and telephone change; the approved name and state do not."""
    noodles = street.shop()
    wanted = ShopChange("เส้นสด", "Fresh noodles", "", "food", "081 234 5678")
    after = street.installation.run(lambda unit: shops.change(unit, noodles, "noodles", wanted))
    assert (after.about_th, after.about_en, after.category, after.phone) == (
        "เส้นสด",
        "Fresh noodles",
        "food",
        "0812345678",
    )
    assert (after.name_en, after.state) == ("noodles", "approved")


def test_another_shop_cannot_speak_for_it(street: Street) -> None:
    """Neither another shop nor a stranger changes the words; a bad number changes nothing at all."""
    noodles, tea = street.shop(), street.shop("tea")

    def change(who: Principal, phone: str = "") -> ShopView:
        wanted = ShopChange("ของฉัน", "Mine", "", "food", phone)
        return street.installation.run(lambda unit: shops.change(unit, who, "noodles", wanted))

    refused("forbidden", change, tea)
    refused("unauthenticated", change, ANONYMOUS)
    refused("validation_failed", change, noodles, "12")
    with street.installation.read() as session:
        assert shops.get(session, CITY, "noodles").about_en == ""
