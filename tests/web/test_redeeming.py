"""A promotion from the learner's tap to the shop's confirmation and back."""

from __future__ import annotations

import re

from ledger.commerce import trading
from ledger.people.roles import Principal
from tests.factories import CITY
from tests.web.conftest import HOME, PUBLIC_URL, Town
from tests.web.visitor import Page, Visitor


def reserve(learner: Visitor, promotion: str = "coffee") -> Page:
    """Reserve a promotion; the page with the code."""
    return learner.send(learner.get(f"{HOME}/promotions/{promotion}").form("/reserve"))


def code_of(page: Page) -> str:
    """The six digits on a reservation's page."""
    found = re.search(r'class="code"[^>]*><span>(\d{3})</span><span>(\d{3})</span>', page.html)
    assert found
    return found[1] + found[2]


def test_the_shop_sees_before_it_confirms(town: Town) -> None:
    """Looking up moves nothing and shows title and amount; confirming captures, and the learner's page says so."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    reserved = reserve(learner)
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserved))
    assert "กาแฟ" in seen.text
    assert "3.00" in seen.text
    assert town.kinds()[-1] == "hold"
    done = shop.send(seen.form("/confirm"))
    assert town.kinds()[-1] == "capture"
    assert "3.00" in done.text
    after = learner.get(reserved.address)
    assert 'data-state="confirmed' in after.html
    assert "2.00 KGO" in after.text


def test_the_same_confirmation_twice_captures_once(town: Town) -> None:
    """A double tap on the big button moves the tokens once and shows the success both times."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner)))
    form = seen.form("/confirm")
    assert shop.send(form).status == shop.send(form).status == 200
    assert town.kinds().count("capture") == 1
    assert town.installation.balance("shop:cafe").posted_minor == 300


def test_the_qr_leads_the_shop_to_the_same_page_and_nobody_else(town: Town) -> None:
    """Its own shop sees the reservation, another shop does not, and a stranger is shown the shops' door."""
    learner, shop, other = town.learner(), town.worker({"shop"}, "cafe"), town.worker({"shop"}, "stall")
    reserve(learner)
    with town.installation.read() as session:
        secret = session.connection().exec_driver_sql("SELECT secret FROM redemptions").scalar_one()
    address = f"{PUBLIC_URL}/r/{secret}"
    assert shop.get(address).form("/confirm")
    assert other.get(address).status in (401, 403)
    assert town.visitor().get(address).status == 401
    assert "/redemptions/" in learner.get(address).address


def test_wrong_digits_are_counted_and_kept(town: Town) -> None:
    """A miss names the tries that are left; text that is no code costs none."""
    shop = town.worker({"shop"}, "cafe")
    form = shop.get(f"{HOME}/shop/").form("/find")
    assert shop.send(form, code="12").form("/find").fields["code"] == "12"
    assert "9 ครั้ง" in shop.send(form, code="000000").text
    assert "8 ครั้ง" in shop.send(form, code="๐๐๐ ๐๐๑").text


def test_a_shop_gives_back_a_part_and_says_so_first(town: Town) -> None:
    """A refund of 1.00 of 3.00 reaches the learner after a second look; more than is left is refused at the field."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    reserved = reserve(learner)
    done = shop.send(shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserved)).form("/confirm"))
    too_much = shop.send(done.form("/refund"), amount="9")
    assert too_much.status == 409
    assert "3.00 KGO" in too_much.text
    assert "refund" not in town.kinds()
    review = shop.send(done.form("/refund"), amount="1")
    assert "1.00 KGO" in review.text
    assert "refund" not in town.kinds()
    shop.send(review.form("/refund"))
    assert "1.00 KGO" in learner.get(reserved.address).text
    assert town.installation.balance("shop:cafe").posted_minor == 200


def test_a_refund_that_is_not_covered_is_refused_at_its_field(town: Town) -> None:
    """A shop that has spent what it took reads so at the amount, before and after its second look."""
    shop = town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/?lang=en").form("/find"), code=code_of(reserve(town.learner())))
    done = shop.send(seen.form("/confirm"))
    review = shop.send(done.form("/refund"), amount="3")
    town.installation.run(lambda unit: trading.spend(unit, Principal(CITY, frozenset({"shop"}), "cafe"), "stall", 200))
    for refused in (shop.send(done.form("/refund"), amount="3"), shop.send(review.form("/refund"))):
        assert refused.status == 409
        assert 'id="e-amount"' in refused.html
        assert "Not valid" not in refused.text
    assert "only 1.00 KGO left" in shop.send(done.form("/refund"), amount="3").text
    assert "refund" not in town.kinds()


def test_an_expired_reservation_is_shown_as_what_it_is(town: Town) -> None:
    """Neither learner nor shop is told "not found"; both read that the time ran out."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    reserved = reserve(learner)
    town.installation.clock.advance(minutes=30)
    assert 'data-state="expired' in learner.get(reserved.address).html
    late = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserved))
    assert "หมดเวลาแล้ว" in late.text


def test_a_learner_cancels_and_has_everything_back(town: Town) -> None:
    """Cancelled: the tokens are free, and the shop finds nothing to confirm."""
    learner = town.learner()
    reserved = reserve(learner)
    page = learner.send(reserved.form("/cancel"))
    assert 'data-state="cancelled' in page.html
    assert "5.00 KGO" in page.text


def test_what_one_cannot_afford_is_said_instead_of_offered(town: Town) -> None:
    """With 2.00 left the coffee's page has no button to reserve it, but says what is missing."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    shop.send(shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner))).form("/confirm"))
    page = learner.get(f"{HOME}/promotions/coffee")
    assert not page.forms
    assert "1.00 KGO" in page.text


def test_a_shop_makes_changes_and_pauses_a_promotion(town: Town) -> None:
    """New, changed, paused: the learner's list follows; a bad price is refused with the rest kept."""
    shop, reader = town.worker({"shop"}, "cafe"), town.visitor()
    form = shop.get(f"{HOME}/shop/promotions/new").form("/new")
    bad = shop.send(form, title_th="ชาเย็น", price="much")
    assert bad.status == 422
    assert bad.form("/new").fields["title_th"] == "ชาเย็น"
    shop.send(bad.form("/new"), price="2.50")
    assert "ชาเย็น" in reader.get(f"{HOME}/promotions").text
    mine = shop.get(f"{HOME}/shop/promotions")
    new = next(form for form in mine.forms if form.action.endswith("/state") and "coffee" not in form.action)
    shop.send(new, state="paused")
    assert "ชาเย็น" not in reader.get(f"{HOME}/promotions").text
