"""The learner's phone: scan, tap, tokens; spend them; find them again on another phone, and without a network."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.covering import Look, in_looks
from tests.browser.keys import press, skip_to_content
from tests.browser.looks import check_with_axe
from tests.browser.site import LAPTOP, Person, Site, read_symbols

HELD = "11:00"
"""Longer than a reservation is held, minutes and seconds."""

KEPT = """async (path) => {
    const found = await caches.match(path, { cacheName: 'kgo-pages-1' });
    return found ? found.text() : '';
}"""


def reserve(person: Person, site: Site) -> None:
    """Choose the first promotion that is within reach, and reserve it."""
    person.page.goto(f"{site.home}/promotions")
    person.page.locator("li.card h3 a").first.click()
    person.page.locator("form[action*=reserve] button").click()
    person.page.wait_for_url("**/redemptions/**")


WHAT = {
    "th": ("เดินเรียนรู้ถนนศรีจันทร์", "ประตูเมือง", "ภาคีเครือข่าย"),
    "en": ("Sri Chan road learning walk", "City gate", "Partners of the learning city"),
}


@in_looks("learner")
def test_from_the_scan_to_the_code(site: Site, look: Look) -> None:
    """On slow 4G: one tap, "+5.00 KGO" with what for, where and by whom; the wallet with its receipt; a code to show.

    How soon the tokens are there is measured in `test_speed.py`.
    """
    person = site.person(*look, slow=True)
    page = person.page
    page.goto(site.poster())
    check_with_axe(page)
    page.locator("main form button").click()
    expect(page.locator(".token b")).to_have_text("+5.00")
    for words in WHAT[look.language]:
        expect(page.locator("main")).to_contain_text(words)
    check_with_axe(page)
    page.locator("main .buttons a[href$=wallet]").click()
    expect(page.locator(".cloth b")).to_have_text("5.00KGO")
    check_with_axe(page)
    page.locator(".lines a.line").first.click()
    expect(page.locator(".token b")).to_have_text("+5.00")
    reserve(person, site)
    clock = page.locator("[data-until]")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    assert re.fullmatch(r"\d{6}", page.locator("p.code").inner_text())
    (symbol,) = read_symbols(page.locator(".qr").screenshot())
    assert "/r/" in symbol
    check_with_axe(page)
    page.locator("form[action$=cancel] button").click()
    expect(page.locator("#redemption")).to_have_attribute("data-state", "cancelled-0")
    expect(page.locator("main")).to_contain_text("5.00 KGO")
    check_with_axe(page)


def test_a_second_scan_needs_no_tap_and_is_friendly(site: Site) -> None:
    """The page of somebody with a wallet sends itself; having been here shows as a success with the first time."""
    person = site.learner()
    person.page.goto(site.poster())
    person.page.wait_for_url("**again=1")
    expect(person.page.locator(".notice.good")).to_be_visible()
    expect(person.page.locator(".token b")).to_have_text("+5.00")


def test_the_recovery_code_survives_a_reload_and_moves_the_wallet(site: Site) -> None:
    """Shown until "I have written it down"; typed on a second phone it brings the wallet there."""
    first, second = site.learner(), site.person()
    code = first.page.locator("#recovery").inner_text()
    first.page.reload()
    expect(first.page.locator("#recovery")).to_have_text(code)
    first.page.get_by_role("button", name="จดไว้แล้ว").click()
    expect(first.page.locator("#recovery")).to_have_count(0)
    second.page.goto(f"{site.home}/recover")
    second.page.get_by_label("รหัสกู้คืน").fill(code.lower())
    second.page.locator("main form button").click()
    expect(second.page.locator(".cloth b")).to_have_text("5.00KGO")
    first.page.reload()
    expect(first.page.get_by_text("เครื่องนี้ยังไม่มีกระเป๋า")).to_be_visible()


def test_what_i_can_afford_stands_first(site: Site) -> None:
    """With 5.00 KGO the first heading holds what costs no more, the second what is missing how much."""
    person = site.learner(language="en")
    person.page.goto(f"{site.home}/promotions")
    prices = person.page.locator("li.card .pill.gold").all_inner_texts()
    amounts = [float(price.split()[0]) for price in prices]
    assert amounts == sorted(amounts)
    assert amounts[0] <= 5
    expect(person.page.get_by_text("You need 3.00 KGO more")).to_be_visible()


def test_what_is_on_can_be_found_by_time_and_by_place(site: Site) -> None:
    """What is open comes first; the road has its seven stops in order, and a stop leads to what is on there."""
    page = site.person(LAPTOP, "en").page
    page.goto(f"{site.home}/")
    expect(page.locator("h2.section").first).to_have_text("Open now")
    first = page.locator("h2.section + .grid").first
    assert first.locator("li.card").count() >= 2, "at any hour"
    expect(first.locator(".open-word")).to_have_count(first.locator("li.card").count())
    page.get_by_role("link", name="By place").click()
    stops = page.locator(".road .stop-name a")
    expect(stops).to_have_count(7)
    expect(stops.first).to_have_text("City gate")
    stops.first.click()
    expect(page.locator("h1")).to_have_text("City gate")
    expect(page.locator("li.card h3")).to_have_count(1)


def test_what_is_near_is_counted_in_stops(site: Site) -> None:
    """The learner says once where they are, without being asked for a position; the phone knows it the next time."""
    page = site.person(language="en").page
    page.goto(f"{site.home}/?by=near")
    check_with_axe(page)
    page.get_by_role("link", name="Kaen building").click()
    expect(page.locator("h2.section").first).to_have_text("Near you")
    expect(page.locator(".stop .pill.info").first).to_have_text("2 stops away")
    check_with_axe(page)
    page.goto(f"{site.home}/?by=near")
    expect(page.locator(".where summary")).to_contain_text("Kaen building")


def test_a_phone_that_slept_shows_the_truth(site: Site) -> None:
    """The time left is computed from the end: after a sleep of eleven minutes the code is gone at once, by itself."""
    person = site.learner(language="en")
    person.page.clock.install()
    reserve(person, site)
    expect(person.page.locator(".qr")).to_be_visible()
    expect(person.page.locator(".when-ended").first).to_be_hidden()
    person.cut_off()
    person.page.clock.fast_forward(HELD)
    expect(person.page.locator(".when-ended").first).to_be_visible()
    expect(person.page.locator(".qr")).to_be_hidden()


def slept(page: Page) -> None:
    """Wait until the worker is there and has kept the wallet."""
    page.wait_for_function(f"async () => (await ({KEPT})(location.pathname)) !== ''")


@in_looks("offline")
def test_without_a_network_the_wallet_and_the_code_are_there(site: Site, look: Look) -> None:
    """Both are shown as they were and when, without the recovery code; a scan is kept for one tap and not sent."""
    person = site.learner(*look)
    page, poster = person.page, site.poster()
    reserve(person, site)
    code, ticket = page.locator("p.code").inner_text(), page.url
    page.reload()
    slept(page)
    page.goto(f"{site.home}/wallet")
    expect(page.locator("#recovery")).to_be_visible()
    slept(page)
    assert 'id="recovery"' not in page.evaluate(KEPT, page.url.removeprefix(site.server.url))
    person.cut_off()
    page.reload()
    expect(page.locator(".cloth b")).to_have_text("2.00KGO")
    expect(page.locator("#as-of")).to_contain_text("256" if look.language == "th" else "20")
    check_with_axe(page)
    page.goto(ticket)
    expect(page.locator("p.code")).to_have_text(code)
    expect(page.locator("[data-until]")).to_contain_text(re.compile(r"\d:\d\d"))
    check_with_axe(page)
    page.locator("form[action$=cancel] button").click()
    expect(page.locator("[data-kind=send] .of-send")).to_be_visible()
    check_with_axe(page)
    page.goto(poster)
    expect(page.locator("[data-kind=scan] .of-scan")).to_be_visible()
    expect(page.locator(".of-read")).to_be_hidden()
    check_with_axe(page)
    page.goto(f"{site.home}/wallet")
    expect(page.locator("#scans a")).to_have_count(1)
    person.reconnect()
    expect(page.locator("#as-of")).to_be_hidden()
    page.locator("#scans a").click()
    page.wait_for_url("**again=1")
    page.goto(ticket)
    expect(page.locator("#redemption")).to_have_attribute("data-state", "pending-0")
    page.goto(f"{site.home}/wallet")
    expect(page.locator("#scans")).to_be_hidden()


def test_the_home_screen_is_told_what_it_needs(site: Site) -> None:
    """The manifest names the city in the reader's language, starts in the wallet and covers the whole installation."""
    page = site.person().page
    page.goto(f"{site.home}/")
    address = page.locator("link[rel=manifest]").get_attribute("href") or ""
    told = page.request.get(site.server.url + address).json()
    assert (told["name"], told["scope"], told["display"]) == ("KGO ขอนแก่น", "/", "standalone")
    assert told["start_url"] == "/c/khon-kaen/wallet"
    for icon in told["icons"]:
        assert page.request.get(site.server.url + icon["src"]).headers["content-type"] == "image/png"
    wire = page.context.new_cdp_session(page)
    lacking = wire.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {one["errorId"] for one in lacking} <= {"in-incognito"}


@in_looks("learner by keyboard")
def test_from_the_scan_to_the_code_by_keyboard(site: Site, look: Look) -> None:
    """Tab and Enter lead from the poster's link to a reserved code, and what has the focus is always framed."""
    page = site.person(*look).page
    page.goto(site.poster())
    skip_to_content(page)
    press(page, "main form button")
    press(page, "main a[href$='/promotions']")
    press(page, "li.card h3 a")
    press(page, "form[action$=reserve] button")
    expect(page.locator("p.code")).to_be_visible()


def test_everything_works_without_script(site: Site) -> None:
    """With JavaScript off one button does what the script did, for the newcomer and for the second scan."""
    page, address = site.person(java_script_enabled=False).page, site.poster()
    page.goto(address)
    page.locator("main form button").click()
    expect(page.locator(".token b")).to_have_text("+5.00")
    page.goto(address)
    page.locator("main form button").click()
    expect(page.locator(".notice.good")).to_be_visible()
