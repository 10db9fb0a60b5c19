"""Promotions: offered, changed, paused, shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ledger.commerce import promotions
from ledger.commerce.promotions import NewPromotion
from ledger.people.roles import Principal
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY, START

HOUR = timedelta(hours=1)


def _list(street: Street, **narrowing: Any) -> list[tuple[str, str]]:
    with street.installation.read() as session:
        found = promotions.list_(session, CITY, street.clock.now, **narrowing)
    return [(promotion.id, promotion.status) for promotion in found]


def test_a_shop_offers_for_itself_and_a_steward_for_all(street: Street) -> None:
    """The shop and a steward may create and change; another shop, a learner and a stranger may not."""
    noodles, other = street.shop("noodles"), street.shop("tea")
    new = NewPromotion("noodles", "ก๋วยเตี๋ยว", 500, benefit_th="ลด 20 บาท")
    made = street.offer(noodles, new)
    assert (made.title_en, made.benefit_en, made.shop_name_en, made.status) == (
        "ก๋วยเตี๋ยว",
        "ลด 20 บาท",
        "noodles",
        "open",
    )
    assert street.change(made, noodles, price_minor=600).price_minor == 600
    assert street.change(made, STEWARD, price_minor=700).price_minor == 700
    for who, code in ((other, "forbidden"), (street.learner(0), "forbidden"), (ANONYMOUS, "unauthenticated")):
        refused(code, street.offer, who, new)
        refused(code, street.change, made, who, price_minor=1)
    assert street.show(made).price_minor == 700


def test_what_a_change_does_not_name_stays(street: Street) -> None:
    """A change touches the fields it names; None takes a bound away, which is not the same as leaving it."""
    street.shop()
    made = street.promotion(stock=3, per_learner=1, ends_at=START + HOUR)
    assert street.change(made, title_en="Noodles").stock == 3
    changed = street.change(made, stock=None, ends_at=None)
    assert (changed.stock, changed.left, changed.ends_at, changed.per_learner) == (None, None, None, 1)
    assert changed.title_en == "Noodles"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title_th": " "}, "title_th"),
        ({"title_th": "ก" * 121}, "title_th"),
        ({"benefit_en": "x" * 401}, "benefit_en"),
        ({"price_minor": 0}, "price_minor"),
        ({"price_minor": 2**53}, "price_minor"),
        ({"stock": -1}, "stock"),
        ({"stock": 1_000_001}, "stock"),
        ({"per_learner": 0}, "per_learner"),
        ({"starts_at": START + HOUR, "ends_at": START + HOUR}, "ends_at"),
    ],
)
def test_each_field_has_its_bounds(street: Street, fields: dict[str, Any], field: str) -> None:
    """A value out of bounds is refused under its field's name, in a new promotion as in a change."""
    street.shop()
    made = street.promotion(id="good")
    for act in (lambda: street.promotion(**fields), lambda: street.change(made, **fields)):
        assert set(refused("validation_failed", act)["fields"]) == {field}
    assert _list(street) == [("good", "open")]


def test_a_new_promotion_has_an_id_of_its_own_and_an_end_to_come(street: Street) -> None:
    """A taken id and an end in the past are refused; so is a promotion of no shop."""
    street.shop()
    street.promotion(id="good")
    assert set(refused("validation_failed", street.promotion, id="good")["fields"]) == {"id"}
    assert set(refused("validation_failed", street.promotion, ends_at=START)["fields"]) == {"ends_at"}
    refused("not_found", street.promotion, "nowhere")
    refused("validation_failed", street.change, street.promotion(), state="gone")


def test_the_stock_never_falls_below_what_is_taken(street: Street) -> None:
    """With two units taken the stock may become two and not one; a cancelled unit may go."""
    noodles = street.shop()
    made = street.promotion(stock=5)
    first, second = (street.reserve(street.learner(), made) for _ in range(2))
    street.confirm(noodles, first.id)
    fields = refused("validation_failed", street.change, made, stock=1)["fields"]
    assert "2" in fields["stock"]
    assert street.change(made, stock=2).left == 0
    street.cancel(noodles, second.id)
    assert street.change(made, stock=1).status == "sold_out"


def test_the_open_come_first_and_the_hidden_do_not_show(street: Street) -> None:
    """The public sees open, coming and sold-out promotions of approved shops, in this order and the cheapest first.

    The paused, the over, and those of shops that are not approved show only where everything is asked for.
    """
    street.shop()
    street.shop("waiting", approved=False)
    street.promotion(id="dear", price_minor=900)
    street.promotion(id="cheap", price_minor=100)
    street.promotion(id="coming", price_minor=50, starts_at=START + HOUR)
    street.reserve(street.learner(), street.promotion(id="gone", price_minor=10, stock=1))
    street.change(street.promotion(id="paused"), state="paused")
    street.promotion(id="over", ends_at=START + timedelta(minutes=1))
    hidden = street.promotion("waiting", id="unseen")
    street.clock.advance(minutes=1)
    public = [("cheap", "open"), ("dear", "open"), ("coming", "not_yet"), ("gone", "sold_out")]
    assert _list(street) == public
    behind = [("paused", "paused"), ("over", "over")]
    assert _list(street, everything=True) == [*public, *behind, ("unseen", "shop_closed")]
    assert _list(street, shop="noodles", everything=True) == [*public, *behind]
    assert _list(street, affordable_minor=100) == [("cheap", "open"), ("coming", "not_yet"), ("gone", "sold_out")]
    refused("not_found", street.show, hidden)
    street.clock.advance(hours=1)
    assert _list(street)[0] == ("gone", "open"), "the reservation has run out, its unit is back"


def _ending(street: Street, learner: Principal, affordable_minor: int = 1_000, days: int = 7) -> list[str]:
    now = street.clock.now
    with street.installation.read() as session:
        found = promotions.ending(
            session,
            CITY,
            now,
            now + timedelta(days=days),
            learner=learner.subject or "",
            affordable_minor=affordable_minor,
        )
    return [promotion.id for promotion in found]


def test_what_ends_soon_and_is_within_reach(street: Street) -> None:
    """The first to end first; not what ends later or never, costs more, is gone, paused, to come or used up by me."""
    street.shop()
    street.shop("waiting", approved=False)
    mine, other = street.learner(), street.learner()
    day = timedelta(days=1)
    for id_, price, ends in (("later", 100, 6 * day), ("sooner", 1_000, HOUR), ("edge", 100, 7 * day)):
        street.promotion(id=id_, price_minor=price, ends_at=START + ends)
    street.promotion(id="endless")
    street.promotion(id="far", ends_at=START + 7 * day + HOUR)
    street.promotion(id="dear", price_minor=1_001, ends_at=START + day)
    street.promotion(id="coming", starts_at=START + HOUR, ends_at=START + day)
    street.promotion("waiting", id="unseen", ends_at=START + day)
    street.change(street.promotion(id="paused", ends_at=START + day), state="paused")
    street.reserve(other, street.promotion(id="gone", stock=1, ends_at=START + day))
    street.reserve(mine, street.promotion(id="once", per_learner=1, ends_at=START + 2 * HOUR))
    assert _ending(street, mine) == ["sooner", "later", "edge"]
    assert _ending(street, other) == ["sooner", "once", "later", "edge"]
    assert _ending(street, mine, affordable_minor=999, days=6) == ["later"]
    street.clock.advance(hours=1)
    assert "sooner" not in _ending(street, mine), "at its last instant it is over"


def test_only_the_first_to_end_are_told(street: Street) -> None:
    """A wallet lists a handful, whatever the street offers."""
    street.shop()
    for hours in range(promotions.ENDING_LIMIT + 1, 0, -1):
        street.promotion(id=f"in-{hours}", ends_at=START + hours * HOUR)
    assert _ending(street, street.learner()) == [f"in-{n}" for n in range(1, promotions.ENDING_LIMIT + 1)]


def test_a_shop_has_only_so_many_promotions(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound neither a new one nor a resumed one is let in; pausing makes room."""
    monkeypatch.setattr(promotions, "SHOP_LIMIT", 1)
    street.shop()
    first = street.promotion()
    refused("limit_reached[promotions]", street.promotion)
    street.change(first, state="paused")
    street.promotion()
    refused("limit_reached[promotions]", street.change, first, state="active")
