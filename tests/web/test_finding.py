"""Finding one's way: what is on by time and by place, what one can have and until when, a receipt for each line."""

from __future__ import annotations

from datetime import timedelta

from ledger.book.unit import Unit
from ledger.commerce import promotions
from ledger.commerce.promotions import NewPromotion
from ledger.people.roles import Principal
from ledger.programme import activities, places
from ledger.programme.activities import NewActivity
from ledger.programme.places import NewPlace
from ledger.programme.policy import Policy
from tests.factories import CITY, START
from tests.web.conftest import HOME, Town
from tests.web.test_redeeming import reserve


def evening(unit: Unit) -> None:
    """Another place, with an activity that opens later the same day and one without a date."""
    system = Principal.system(CITY)
    places.create(unit, system, NewPlace("หอศิลป์", "Art house", id="art"))
    for identifier, name, opens in (("night", "Night class", "20:00"), ("some-day", "Some day", None)):
        closes = "22:00" if opens else None
        new = NewActivity("art", name, name, Policy(500), id=identifier, daily_from=opens, daily_until=closes)
        activities.create(unit, system, new)


def test_what_is_on_is_told_by_time(town: Town) -> None:
    """Open now, later today, no date: in this order, each activity under one heading."""
    town.installation.run(evening)
    text = town.visitor().get(f"{HOME}/?lang=en").text
    order = ("Open now", "Circle", "Later today", "Night class", "No date yet", "Some day")
    found = [text.rindex(words) if words in ("Night class", "Some day") else text.index(words) for words in order]
    assert found == sorted(found)
    assert "Coming up" not in text


def test_what_is_on_is_told_by_place(town: Town) -> None:
    """Every place with what is on there; one place alone at its own address; an unknown place is passed over."""
    town.installation.run(evening)
    visitor = town.visitor()
    by_place = visitor.get(f"{HOME}/?by=place&lang=en")
    assert by_place.text.index("Kaen building") < by_place.text.index("Walk") < by_place.text.index("Art house")
    alone = visitor.get(f"{HOME}/?place=art")
    assert "Night class" in alone.text
    assert "Walk" not in alone.text
    assert "Walk" in visitor.get(f"{HOME}/?place=nowhere").text


def test_the_start_page_shows_what_is_on_and_nothing_without_a_date(town: Town) -> None:
    """What nobody can go to yet does not stand under what is on."""
    town.installation.run(evening)
    text = town.visitor().get("/?lang=en").text
    assert "Night class" in text
    assert "Some day" not in text


def test_a_promotion_that_ends_within_days_says_so(town: Town) -> None:
    """Three days before its end a promotion says when it ends; one that has more time does not."""

    def offer(unit: Unit) -> None:
        system = Principal.system(CITY)
        for name, days in (("soon", 2), ("later", 9)):
            ends = START + timedelta(days=days)
            new = NewPromotion("cafe", name, 100, id=name, ends_at=ends)
            promotions.create(unit, system, new)

    town.installation.run(offer)
    text = town.visitor().get(f"{HOME}/promotions?lang=en").text
    assert "ends 4 Mar 2026" in text
    assert "ends 11 Mar 2026" not in text


def test_each_line_of_the_wallet_leads_to_its_receipt(town: Town) -> None:
    """A reward to its check-in, a reservation to its redemption; lines stand under their days, newest first."""
    learner = town.learner()
    code = reserve(learner).address
    town.installation.clock.advance(days=1)
    page = learner.get(f"{HOME}/wallet?lang=en")
    assert code in page.links
    assert any("/received/" in link for link in page.links)
    assert "Yesterday, 2 Mar 2026" in page.text
