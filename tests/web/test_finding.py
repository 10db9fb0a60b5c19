"""Finding one's way: what is on by time and by place, what one can have and until when, a receipt for each line."""

from __future__ import annotations

from datetime import timedelta

from api.web.words import NO_BREAK
from ledger.book.unit import Unit
from ledger.commerce import promotions, shops
from ledger.commerce.promotions import NewPromotion
from ledger.commerce.shops import NewShop
from ledger.people.roles import Principal
from ledger.programme import activities, places
from ledger.programme.activities import NewActivity
from ledger.programme.places import NewDistrict, NewPlace
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


def neighbourhood(unit: Unit) -> None:
    """A street of three stops, a space in the same district, one online and one of which only the city is known."""
    system = Principal.system(CITY)
    for identifier in ("centre", "north"):
        places.create_district(unit, system, NewDistrict(identifier, identifier, identifier.title()))
    found = (
        ("gate", "Gate", "centre", "street", 11),
        ("shrine", "Shrine", "centre", "street", 12),
        ("mall", "Mall", "centre", "street", 13),
        ("hall", "Hall", "centre", "space", None),
        ("web", "Web", None, "online", None),
        ("somewhere", "Somewhere", None, "space", None),
    )
    for identifier, name, district, kind, order in found:
        places.create(unit, system, NewPlace(name, name, identifier, district, kind, order))
        new = NewActivity(identifier, name, f"Class at {name}", Policy(500), daily_from="00:00", daily_until="24:00")
        activities.create(unit, system, new)


def test_what_is_near_stands_first_and_the_phone_remembers_where_one_is(town: Town) -> None:
    """By stops along the street, then the district, then what is online; a second visit needs no answer."""
    town.installation.run(neighbourhood)
    visitor = town.visitor()
    asked = visitor.get(f"{HOME}/?by=near&lang=en")
    assert "Where are you?" in asked.text
    assert "Class at" not in asked.text
    assert f"{HOME}/?near=gate" in asked.links
    assert f"{HOME}/?near=web" not in asked.links
    told = visitor.get(f"{HOME}/?near=gate").text
    order = ("Class at Gate", "Class at Shrine", "Class at Mall", "Class at Hall", "From anywhere", "Class at Web")
    found = [told.index(words) for words in (*order, "Elsewhere in the city", "Class at Somewhere")]
    assert found == sorted(found)
    assert "the next stop" in told
    assert "2 stops away" in told
    assert "Class at Gate" in visitor.get(f"{HOME}/?by=near").text
    assert "Where are you?" in visitor.get(f"{HOME}/?near=").text
    assert "Where are you?" in visitor.get(f"{HOME}/?by=near").text


def test_an_unknown_place_changes_nothing(town: Town) -> None:
    """An address with a place that the city does not have neither fails nor forgets what the phone knows."""
    town.installation.run(neighbourhood)
    visitor = town.visitor()
    visitor.get(f"{HOME}/?near=north&lang=en")
    assert "Where are you?" in visitor.get(f"{HOME}/?near=nowhere").text
    again = visitor.get(f"{HOME}/?by=near").text
    assert "You are near North" in again
    assert "Nothing is planned right there yet" in again


def test_promotions_of_the_district_one_is_in_stand_first(town: Town) -> None:
    """Within what can be had, a dearer one around the corner comes before a cheaper one far away."""
    town.installation.run(neighbourhood)

    def offer(unit: Unit) -> None:
        system = Principal.system(CITY)
        shops.apply(unit, system, NewShop("ร้านเหนือ", "North shop", id="far", district="north"))
        shops.approve(unit, system, "far")
        promotions.create(unit, system, NewPromotion("far", "Around the corner", 400))

    town.installation.run(offer)
    visitor = town.visitor()
    far = visitor.get(f"{HOME}/promotions?lang=en").text
    visitor.get(f"{HOME}/?near=north")
    near = visitor.get(f"{HOME}/promotions").text
    assert far.index("Around the corner") > far.index("Coffee")
    assert near.index("Around the corner") < near.index("Coffee")
    assert "Near you" in near


def test_a_wrong_address_below_a_city_leads_back_into_it(town: Town) -> None:
    """The page that says so keeps the city's ways and its help; elsewhere help is one tap away too."""
    visitor = town.visitor()
    lost = visitor.get(f"{HOME}/nowhere")
    assert lost.status == 404
    assert {f"{HOME}/wallet", f"{HOME}/help"} <= set(lost.links)
    assert "/help" in visitor.get("/c/atlantis/nowhere").links
    assert visitor.get("/help", follow=False).address == f"{HOME}/help"


def test_a_page_that_only_takes_forms_says_what_to_do(town: Town) -> None:
    """Somebody who reloads such an address is not told about methods."""
    page = town.visitor().get(f"{HOME}/join?lang=en")
    assert page.status == 405
    assert "Go back and begin again" in page.text


def test_an_activity_without_tokens_says_so_before_anybody_goes_there(town: Town) -> None:
    """An open activity whose budget is used up promises nothing, in the list and on its page."""
    town.installation.run(neighbourhood)
    visitor = town.visitor()
    assert "no tokens left" in visitor.get(f"{HOME}/?lang=en").text
    link = next(one for one in visitor.get(f"{HOME}/?place=gate").links if "/activities/" in one)
    assert "used up for now" in visitor.get(link).text
    assert "used up for now" not in visitor.get(f"{HOME}/activities/walk").text


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


def test_a_heading_breaks_between_its_phrases(town: Town) -> None:
    """Thai headings are cut at their spaces, a number stays with what it counts; nothing of a name is taken as HTML."""

    def offer(unit: Unit) -> None:
        new = NewPromotion("cafe", "ข้าวเหนียวฟรี 1 กระติบ <b>", 100, id="rice")
        promotions.create(unit, Principal.system(CITY), new)

    town.installation.run(offer)
    page = town.visitor().get(f"{HOME}/promotions/rice").html
    heading = page[page.index("<h1>") + 4 : page.index("</h1>")]
    assert heading == " ".join(
        f'<span class="phrase">{phrase}</span>' for phrase in ("ข้าวเหนียวฟรี", "1 กระติบ", "&lt;b&gt;")
    )


def test_a_date_breaks_only_where_it_must(town: Town) -> None:
    """It is a phrase in English too: a block of its own, with spaces at which it may break in a narrow window."""
    page = town.visitor().get(f"{HOME}/audit/entries?lang=en").html
    assert '<span class="phrase">2 Mar 2026, 10:00</span>' in page


def test_amounts_and_dates_stay_in_one_line(town: Town) -> None:
    """An amount is never parted from its symbol, nor a day from its month."""
    page = town.learner().get(f"{HOME}/wallet?lang=en").html
    assert "5.00\N{NO-BREAK SPACE}KGO" in page
    assert "2\N{NO-BREAK SPACE}Mar\N{NO-BREAK SPACE}2026" in page


def test_a_meeting_of_today_or_tomorrow_is_told_without_a_date(town: Town) -> None:
    """Thai writes the word and the day as one; the days after have a date."""

    def stage(unit: Unit) -> None:
        system = Principal.system(CITY)
        for hours in (1, 24, 48):
            identifier, begin = f"in-{hours}", unit.now + timedelta(hours=hours)
            activities.create(unit, system, NewActivity("kaen", "วง", "Ring", Policy(500), id=identifier))
            activities.add_session(unit, system, identifier, begin, begin + timedelta(hours=1))

    town.installation.run(stage)
    told = {
        (hours, speech): town.visitor().get(f"{HOME}/activities/in-{hours}?lang={speech}").text
        for hours in (1, 24, 48)
        for speech in ("en", "th")
    }
    assert "opens today, " in told[1, "en"]
    assert "opens tomorrow, " in told[24, "en"]
    assert "เปิดวันนี้ " in told[1, "th"]
    assert "เปิดพรุ่งนี้ " in told[24, "th"]
    assert "opens 2" not in told[24, "en"]
    page = town.visitor().get(f"{HOME}/activities/in-1?lang=th").html
    assert '<span class="phrase">2 มี.ค. 2569</span> <span class="phrase">11:00–12:00' in page
    assert f"opens {(START + timedelta(hours=48)).day}" in told[48, "en"].replace(NO_BREAK, " ")


def test_where_there_is_nothing_one_is_not_led_in_circles(town: Town) -> None:
    """Nothing on leads to the promotions; no promotion at all says so to a learner too, and not that more is needed."""
    learner = town.learner()
    empty = "Nothing is planned yet."

    def close(unit: Unit) -> None:
        system = Principal.system(CITY)
        for one in ("walk", "circle", "slips"):
            activities.close(unit, system, one)
        shops.suspend(unit, system, "cafe")

    assert empty not in learner.get(f"{HOME}/?near=kaen&lang=en").text
    town.installation.run(close)
    page = learner.get(f"{HOME}/?near=kaen&lang=en")
    assert f"{empty} See the promotions" in page.text
    assert "No shop has a promotion just now." in learner.get(f"{HOME}/promotions?lang=en").text
    gone = learner.get(f"{HOME}/promotions/coffee?lang=en")
    assert (gone.status, "There is no such promotion" in gone.text, "coffee" in gone.text) == (404, True, False)
