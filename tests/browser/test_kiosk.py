"""The kiosk at the door: a symbol that changes, that a phone can read, and that comes back after a cut or a sleep."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.site import CITY, KIOSK, LAPTOP, PHONE, Site, read_symbols

AFTER_CUT_MS = 8_000
NOTICED_MS = 9_000
ROTATION = "00:40"
"""Longer than a code is shown, minutes and seconds."""

SOURCE = f"**/c/{CITY}/kiosk/{KIOSK}/now"


def cut(route: Route) -> None:
    """The network is away."""
    route.abort()


def test_a_phone_reads_the_screen_and_is_rewarded(site: Site) -> None:
    """An independent reader finds the code in a picture of the screen; who opens it is counted there by themselves."""
    tablet = site.worker("--role", "kiosk", "--activity", KIOSK, size=LAPTOP)
    expect(tablet.page.locator("#symbol svg")).to_be_visible()
    expect(tablet.page.locator("#latest-line")).to_be_hidden()
    symbols = read_symbols(tablet.page.screenshot())
    assert len(symbols) == 1
    learner = site.person()
    learner.page.goto(site.server.url + "/q/" + symbols[0].rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    expect(learner.page.locator(".token b")).to_have_text("+10.00")
    expect(tablet.page.locator("#arrivals")).to_have_text("มาแล้ว 1 คน", timeout=NOTICED_MS)
    expect(tablet.page.locator("#latest")).to_have_text(re.compile(r"^\d\d:\d\d\sน\.$"))


def test_the_screen_comes_back_by_itself(site: Site) -> None:
    """While the network is away the screen says so; when it is back a new symbol stands there without a touch."""
    steward = site.steward()
    steward.page.route(SOURCE, cut)
    steward.page.goto(f"{site.home}/kiosk/{KIOSK}")
    first = steward.page.locator("#symbol path").get_attribute("d") or ""
    expect(steward.page.locator("#trouble")).to_be_visible()
    steward.page.unroute(SOURCE, cut)
    expect(steward.page.locator("#trouble")).to_be_hidden(timeout=AFTER_CUT_MS)
    expect(steward.page.locator("#symbol path")).not_to_have_attribute("d", first)
    steward.complaints.clear()


def test_a_symbol_that_has_ended_is_never_shown(site: Site) -> None:
    """A tablet that slept, or lost its network, takes the old symbol away at once; a fresh one takes its place."""
    steward = site.steward()
    page = steward.page
    page.clock.install()
    page.goto(f"{site.home}/kiosk/{KIOSK}")
    expect(page.locator("#symbol svg")).to_be_visible()
    page.route(SOURCE, cut)
    page.clock.fast_forward(ROTATION)
    expect(page.locator("#symbol")).to_be_hidden()
    expect(page.locator("#trouble")).to_be_visible()
    assert read_symbols(page.screenshot()) == []
    page.unroute(SOURCE, cut)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#symbol svg")).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()
    assert len(read_symbols(page.screenshot())) == 1
    steward.complaints.clear()


def test_the_screen_is_kept_awake(site: Site) -> None:
    """The browser is asked at once; where it refuses, a button offers it, and a touch on it asks again."""
    steward = site.steward()
    steward.page.add_init_script("""
        window.asked = 0;
        navigator.wakeLock.request = async () => {
            asked += 1;
            if (asked === 1) throw new DOMException('a touch first', 'NotAllowedError');
            return Object.assign(new EventTarget(), { released: false });
        };
    """)
    steward.page.goto(f"{site.home}/kiosk/{KIOSK}")
    expect(steward.page.locator("#awake")).to_be_visible()
    steward.page.locator("#awake").click()
    expect(steward.page.locator("#awake")).to_be_hidden()


def test_the_whole_screen_fits(site: Site) -> None:
    """Nothing has to be scrolled to on a tablet lying or standing, or on a phone, in either language."""
    steward = site.steward()
    for width, height in (LAPTOP, (800, 1280), (1024, 600), PHONE):
        for language in ("th", "en"):
            steward.page.set_viewport_size({"width": width, "height": height})
            steward.page.goto(f"{site.home}/kiosk/{KIOSK}?lang={language}")
            assert steward.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), (width, language)
