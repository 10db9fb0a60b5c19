"""The wallet: what it shows, how it moves to another phone, and in which language."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from ledger.book import cities
from ledger.book.unit import Unit
from ledger.commerce import promotions
from ledger.commerce.promotions import NewPromotion
from ledger.people.roles import Principal
from tests.factories import CITY
from tests.web.conftest import HOME, Town


def test_the_wallet_shows_what_came_and_went(town: Town) -> None:
    """Each line names what it was for and leads to its receipt, and that to the public log, where nobody is named."""
    learner = town.learner()
    page = learner.get(f"{HOME}/wallet")
    assert "เดินเมือง" in page.text
    assert "+5.00 KGO" in page.text
    receipt = learner.get(next(link for link in page.links if "/received/" in link))
    entry = next(link for link in receipt.links if "/audit/entries/" in link)
    assert "learner:~" in learner.get(entry).text


def test_the_wallet_says_what_ends_soon(town: Town) -> None:
    """A reservation leads to its code, a promotion that ends within a week to its page; tokens do not end at all."""
    now = town.installation.clock.now
    for id_, days in (("tea", 2), ("soup", 8)):
        new = NewPromotion("cafe", id_, 100, f"The {id_}", ends_at=now + timedelta(days=days), id=id_)
        town.installation.run(lambda unit, new=new: promotions.create(unit, Principal.system(CITY), new))  # type: ignore[misc]
    learner = town.learner()
    before = learner.get(f"{HOME}/wallet?lang=en")
    assert "Your tokens never expire." in before.text
    assert "The tea" in before.text
    assert "The soup" not in before.text
    reserved = learner.send(learner.get(f"{HOME}/promotions/coffee").form("/reserve"))
    after = learner.get(f"{HOME}/wallet")
    assert after.text.index("Expiring soon") < after.text.index("Coffee") < after.text.index("The tea")
    assert urlsplit(reserved.address).path in after.links


def test_help_has_a_telephone_where_the_city_gives_one(town: Town) -> None:
    """The number reads as Thais write it and can be dialled; without one the page says whom to ask, and no more."""
    visitor = town.visitor()
    assert "tel:" not in visitor.get(f"{HOME}/help").html

    def give(unit: Unit) -> None:
        city = cities.get(unit.session, CITY)
        city.settings = {**city.settings, "help_phone": "043123456", "help_th": "ทุกวัน 9–16 น."}

    town.installation.run(give)
    page = visitor.get(f"{HOME}/help")
    assert "tel:+6643123456" in page.links
    assert "โทร 043-123-456" in page.text
    assert "ทุกวัน 9–16 น." in page.text
    assert "ทุกวัน 9–16 น." in visitor.get(f"{HOME}/help?lang=en").text, "better Thai than nothing"


def test_without_a_wallet_the_page_says_how_to_get_one(town: Town) -> None:
    """No dead end: what is on, an empty wallet, or the recovery code of an old one."""
    page = town.visitor().get(f"{HOME}/wallet")
    assert page.form("/join")
    assert any(link.endswith("/recover") for link in page.links)


def test_a_recovery_code_moves_the_wallet(town: Town) -> None:
    """On the new phone the wallet opens; the old phone is signed out."""
    old = town.learner()
    code = old.cookie(f"welcome.{CITY}", f"{HOME}/") or ""
    new = town.visitor()
    page = new.send(new.get(f"{HOME}/recover").form(), recovery_code=code.lower().replace("-", " "))
    assert page.address.startswith(f"{HOME}/wallet")
    assert "5.00" in page.text
    assert "ยังไม่มีกระเป๋า" in old.get(f"{HOME}/wallet").text


def test_a_wrong_recovery_code_stays_in_the_field(town: Town) -> None:
    """The error stands once, at the field, in the reader's language, and what was typed is kept."""
    visitor = town.visitor()
    form = visitor.get(f"{HOME}/recover?lang=en").form()
    short = visitor.send(form, recovery_code="ABCD")
    unknown = visitor.send(form, recovery_code="ABCD-EFGH-JKMN-PQRS")
    assert (short.status, unknown.status) == (422, 422)
    assert short.form().fields["recovery_code"] == "ABCD"
    assert unknown.text.count("No wallet has this code") == 1


def test_recovering_goes_on_to_the_scanned_code_and_nowhere_else(town: Town) -> None:
    """`then` may be one of our own codes; any other address is dropped."""
    visitor = town.visitor()
    code = town.code("circle").removeprefix("https://kgo.example")
    assert visitor.get(f"{HOME}/recover?then={code}").form().fields["then"] == code
    assert visitor.get(f"{HOME}/recover?then=https://evil.example/q/").form().fields["then"] == ""


def test_thai_first_and_english_one_tap_away(town: Town) -> None:
    """Whatever the browser asks for, pages begin in Thai with Buddhist years; `?lang=en` stays chosen."""
    learner = town.learner()
    thai = learner.client.get(f"{HOME}/wallet", headers={"Accept-Language": "en"}).get_data(as_text=True)
    year = town.installation.clock.now.year
    assert '<html lang="th"' in thai
    assert str(year + 543) in thai
    learner.get(f"{HOME}/wallet?lang=en")
    english = learner.get(f"{HOME}/wallet").html
    assert '<html lang="en"' in english
    assert str(year) in english
    assert str(year + 543) not in english
