"""The steward's desk: money in two steps, activities, posters, kiosks, shops."""

from __future__ import annotations

import re

from tests.web.conftest import HOME, Town
from tests.web.visitor import Page

BOTH = {"steward", "treasurer"}


def link_in(page: Page) -> str:
    """The one-time link that a page shows."""
    found = re.search(r"https://kgo\.example(/l/[a-z0-9_]+)", page.html)
    assert found
    return found[1]


def test_money_moves_only_after_a_second_look(town: Town) -> None:
    """The first form shows both balances as they would be and writes nothing; the button there funds, once."""
    steward = town.worker(BOTH)
    before = town.kinds()
    page = steward.get(f"{HOME}/steward/activities/walk")
    review = steward.send(page.form("/fund"), fund_amount="12.50")
    assert town.kinds() == before
    assert "787.50 KGO" in review.text
    assert "112.50 KGO" in review.text
    confirm = review.form("/fund")
    done = steward.send(confirm)
    steward.send(confirm)
    assert town.kinds() == [*before, "fund"]
    assert "112.50 KGO" in done.text


def test_more_than_the_treasury_holds_is_refused_at_once(town: Town) -> None:
    """No review of what cannot be; the amount stays in its field."""
    steward = town.worker(BOTH)
    treasury = steward.get(f"{HOME}/steward/treasury?lang=en")
    assert '<option value="" selected>' in treasury.html
    page = steward.send(treasury.form("/fund"), activity="walk", fund_amount="801")
    assert page.status == 422
    assert "The treasury has only 800.00 KGO." in page.text
    assert page.form("/fund").fields["fund_amount"] == "801"


def test_a_steward_without_the_treasury_s_key_moves_nothing(town: Town) -> None:
    """The pages have no money forms for a mere steward, and a form sent all the same is refused."""
    rich, plain = town.worker(BOTH), town.worker({"steward"})
    assert not plain.get(f"{HOME}/steward/treasury").forms
    form = rich.get(f"{HOME}/steward/treasury").form("/grant")
    assert plain.send(form, grant_amount="5", confirmed="1").status == 403
    assert rich.send(form, grant_amount="5", confirmed="1").status == 200


def test_an_activity_from_idea_to_poster(town: Town) -> None:
    """Make it, fund it, open a session, print the poster, and a learner is rewarded by it."""
    steward = town.worker(BOTH)
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    bad = steward.send(form, name_th="พิพิธภัณฑ์มีชีวิต", amount="7")
    assert bad.status == 422
    assert bad.form("/new").fields["name_th"] == "พิพิธภัณฑ์มีชีวิต"
    asked = steward.send(bad.form("/new"), name_en="Living museum")
    made = steward.send(asked.form("/new"), confirmed="1")
    steward.send(steward.send(made.form("/fund"), fund_amount="70").form("/fund"))
    now = town.installation.clock.now
    begin, end = f"{now.year - 1}-01-01T09:00", f"{now.year + 1}-01-01T17:00"
    opened = steward.send(made.form("/sessions"), starts_at=begin, ends_at=end, seats="2")
    assert opened.status == 200
    sheet = steward.get(next(link for link in opened.links if link.endswith("/poster")))
    address = re.search(r"https://kgo\.example(/q/[a-z2-7]{20})", sheet.html)
    assert address
    learner = town.visitor()
    assert "+7.00" in learner.send(learner.get(address[1]).form()).text


def test_a_session_that_ends_before_it_begins_is_refused_at_its_field(town: Town) -> None:
    """The domain's own words, in the reader's language, at the field."""
    steward = town.worker(BOTH)
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    made = steward.send(steward.send(form, name_th="ก", name_en="A", amount="1").form("/new"), confirmed="1")
    bad = steward.send(made.form("/sessions"), starts_at="2030-01-02T10:00", ends_at="2030-01-02T09:00")
    assert bad.status == 422
    assert 'id="e-ends_at"' in bad.html


def test_a_new_code_withdraws_the_printed_posters(town: Town) -> None:
    """The old address is refused from then on, the new one rewards."""
    steward, learner, old = town.worker(BOTH), town.visitor(), town.code("walk")
    steward.send(steward.get(f"{HOME}/steward/activities/walk").form("/new-code"))
    assert learner.get(old).status == 422
    assert "+5.00" in learner.send(learner.get(town.code("walk")).form()).text


def test_a_session_can_be_ended(town: Town) -> None:
    """Taken away or ended, the activity takes nobody in any more."""
    steward = town.worker(BOTH)
    form = steward.get(f"{HOME}/steward/activities/new").form("/new")
    made = steward.send(steward.send(form, name_th="ก", name_en="A", amount="1").form("/new"), confirmed="1")
    now = town.installation.clock.now
    begin, end = f"{now.year - 1}-01-01T09:00", f"{now.year + 1}-01-01T17:00"
    opened = steward.send(made.form("/sessions"), starts_at=begin, ends_at=end)
    asked = steward.get(next(link for link in opened.links if link.endswith("/end")))
    assert [link for link in steward.get(opened.address).links if link.endswith("/end")]  # asking ends nothing
    ended = steward.send(asked.form("/end"))
    assert ended.status == 200
    assert not [link for link in ended.links if link.endswith("/end")]
    again = steward.get(asked.address)  # an old page of somebody else leads on
    assert (again.status, again.address.partition("?")[0]) == (200, opened.address.partition("?")[0])
    planned = steward.send(
        again.form("/sessions"), starts_at=f"{now.year + 1}-01-01T09:00", ends_at=f"{now.year + 1}-01-01T17:00"
    )
    taken_away = steward.send(steward.get(next(link for link in planned.links if link.endswith("/end"))).form("/end"))
    assert ("done=session-ended" in ended.address, "done=session-gone" in taken_away.address) == (True, True)


def test_a_tablet_s_link_opens_the_kiosk_and_nothing_else(town: Town) -> None:
    """The link is shown once; the tablet sees the rotating QR of its activity, not the desk, nor another kiosk."""
    steward, tablet = town.worker(BOTH), town.visitor()
    made = steward.send(steward.get(f"{HOME}/steward/activities/circle").form("/kiosk-link"))
    secret = link_in(made)
    assert secret not in steward.get(f"{HOME}/steward/activities/circle").html
    screen = tablet.send(tablet.get(secret).form())
    assert 'id="kiosk"' in screen.html
    now = tablet.client.get(f"{HOME}/kiosk/circle/now").get_json()
    assert 0 < now["left_ms"] <= now["lasts_ms"] == 30_000
    assert tablet.get(f"{HOME}/steward/").status == 403
    assert tablet.get(f"{HOME}/kiosk/walk").status == 403
    assert tablet.get(secret).status == 410


def test_the_desk_says_who_waits(town: Town) -> None:
    """An applicant, and a session that is open without a budget, are called at the top, each with its page."""
    steward, stranger = town.worker(BOTH), town.visitor()
    before = steward.get(f"{HOME}/steward/?lang=en").text
    assert "wait for your decision" not in before
    assert "“Slips” is open, but its budget is empty" in before
    stranger.send(stranger.get(f"{HOME}/shop/apply").form("/apply"), name_th="ร้านใหม่")
    page = steward.get(f"{HOME}/steward/?lang=en")
    assert "Shops that wait for your decision: 1" in page.text
    slips = steward.get(f"{HOME}/steward/activities/slips?lang=en")
    assert "whoever scans now receives nothing" in slips.text
    assert "whoever scans now receives nothing" not in steward.get(f"{HOME}/steward/activities/walk?lang=en").text


def test_who_manages_nothing_is_offered_nothing_that_is_refused(town: Town) -> None:
    """Every way in an auditor's and a treasurer's desk and treasury opens."""
    for role in ("auditor", "treasurer"):
        reader = town.worker({role})
        for path in ("steward/", "steward/treasury"):
            content = reader.get(f"{HOME}/{path}").html.partition("<main")[2].partition("</main")[0]
            ways = set(re.findall(r'<a [^>]*href="(/[^"#]+)"', content))
            assert {reader.get(way).status for way in ways} <= {200}, (role, path)
            assert path != "steward/" or f"{HOME}/steward/figures" in ways


def test_activities_are_sifted(town: Town) -> None:
    """The list by state; a part in which nothing is leads back to all; an unknown part is all of them."""
    steward = town.worker(BOTH)
    assert "Walk" in steward.get(f"{HOME}/steward/activities?lang=en&show=open").text
    none = steward.get(f"{HOME}/steward/activities?lang=en&show=draft")
    assert "Walk" not in none.text
    assert "No activity here." in none.text
    assert "Walk" in steward.get(f"{HOME}/steward/activities?lang=en&show=everything").text


def test_a_suspended_shop_is_approved_again(town: Town) -> None:
    """Suspending says what it does, names the shop to whoever only hears the button, and can be undone."""
    steward = town.worker(BOTH)
    page = steward.get(f"{HOME}/steward/shops?lang=en")
    assert "its till takes no tokens" in page.text
    assert "Suspend : The cafe" in page.text
    suspended = steward.send(page.form("/cafe/suspend"))
    assert "Approve again : The cafe" in suspended.text
    assert "Suspend : The cafe" in steward.send(suspended.form("/cafe/approve")).text


def test_a_declined_shop_stands_apart_from_the_suspended(town: Town) -> None:
    """It never was in: it has a heading of its own, is not said to be suspended, and can be approved after all."""
    stranger, steward = town.visitor(), town.worker(BOTH)
    stranger.send(stranger.get(f"{HOME}/shop/apply").form("/apply"), name_th="ร้านใหม่", name_en="Newcomer")
    declined = steward.send(steward.get(f"{HOME}/steward/shops?lang=en").form("/suspend"))
    assert "Declined. It stands below" in declined.text
    assert not re.search("<h2[^>]*>Suspended", declined.html)
    both = steward.send(declined.form("/cafe/suspend"))
    assert "Suspended. Its promotions no longer show." in both.text
    suspended, _, rest = both.html.partition('">Suspended</h2>')[2].partition('">Declined</h2>')
    assert ("The cafe" in suspended, "The cafe" in rest) == (True, False)
    assert ("Newcomer" in suspended, "Newcomer" in rest) == (False, True)
    assert "Approve after all : Newcomer" in both.text


def test_a_shop_applies_is_approved_and_opens_its_till(town: Town) -> None:
    """From the public form through the steward's decision to the till, by a link that works once."""
    stranger, steward, shop = town.visitor(), town.worker(BOTH), town.visitor()
    applied = stranger.send(stranger.get(f"{HOME}/shop/apply").form("/apply"), name_th="ร้านใหม่")
    shop_id = applied.address.rpartition("=")[2]
    assert shop_id in applied.text
    assert "ร้านใหม่" in steward.get(f"{HOME}/steward/shops").text
    approved = steward.send(steward.get(f"{HOME}/steward/shops").form(f"/{shop_id}/approve"))
    handed = steward.send(approved.form(f"/{shop_id}/link"))
    till = shop.send(shop.get(link_in(handed)).form())
    assert till.address.endswith("/shop/")
    assert "ร้านใหม่" in till.text


def test_looking_at_a_link_does_not_use_it_up(town: Town) -> None:
    """A chat preview opens the address; the shop's own tap still signs in, and only the first."""
    steward = town.worker(BOTH)
    secret = link_in(steward.send(steward.get(f"{HOME}/steward/shops").form("/cafe/link")))
    assert town.visitor().get(secret).status == 200
    first, second = town.visitor(), town.visitor()
    form = first.get(secret).form()
    assert first.send(form).address.endswith("/shop/")
    assert second.send(form, key="another-key-of-some-length").status == 410


def test_one_browser_plays_every_part(town: Town) -> None:
    """Learner, shop and steward are signed in side by side, and signing out ends one of them."""
    browser = town.learner()
    steward = town.worker(BOTH)
    shop_link = link_in(steward.send(steward.get(f"{HOME}/steward/shops").form("/cafe/link")))
    browser.send(browser.get(shop_link).form())
    assert browser.get(f"{HOME}/wallet").form("/secure")
    till = browser.get(f"{HOME}/shop/")
    assert till.status == 200
    asked = browser.get(next(link for link in till.links if "/sign-out" in link))
    assert browser.get(f"{HOME}/shop/").status == 200  # asking ends nothing
    browser.send(asked.form("/sign-out"))
    assert browser.get(f"{HOME}/shop/").status == 403
    assert browser.get(f"{HOME}/wallet").status == 200
