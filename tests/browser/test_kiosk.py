"""The kiosk at the door: a symbol that changes, that a phone can read, and that comes back after a cut or a sleep."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from tests.browser.covering import Look, in_looks
from tests.browser.looks import check_with_axe
from tests.browser.site import CITY, KIOSK, LAPTOP, PHONE, Site, read_symbols

ROTATION = "00:40"
"""Longer than a code is shown, minutes and seconds."""

SOURCE = f"**/c/{CITY}/kiosk/{KIOSK}/now"


def cut(route: Route) -> None:
    """The network is away."""
    route.abort()


def arrivals(page: Page) -> int:
    """How many have come, as the screen says."""
    return int(re.sub(r"\D", "", page.locator("#arrivals").inner_text()) or "0")


@in_looks("kiosk")
def test_a_phone_reads_the_screen_and_is_rewarded(site: Site, look: Look) -> None:
    """An independent reader finds the code in a picture of the screen; who opens it is counted there by themselves."""
    role = ("--role", "kiosk", "--activity", KIOSK)
    page = site.worker(*role, size=look.size, language=look.language, scheme=look.scheme, slow=True).page
    expect(page.locator("#symbol svg")).to_be_visible()
    came = arrivals(page)
    if not came:
        expect(page.locator("#latest-line")).to_be_hidden()
    check_with_axe(page)
    (symbol,) = read_symbols(page.screenshot())
    learner = site.person(*look, slow=True)
    learner.page.goto(site.server.url + "/q/" + symbol.rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    expect(learner.page.locator(".token b")).to_have_text("+10.00")
    expect(page.locator("#arrivals")).to_contain_text(str(came + 1))
    expect(page.locator("#latest")).to_contain_text(re.compile(r"\d\d:\d\d"))
    check_with_axe(page)


def test_the_screen_comes_back_by_itself(site: Site) -> None:
    """While the network is away the screen says so; when it is back a new symbol stands there without a touch."""
    steward = site.steward()
    steward.is_cut_off = True
    steward.page.route(SOURCE, cut)
    steward.page.goto(f"{site.home}/kiosk/{KIOSK}")
    first = steward.page.locator("#symbol path").get_attribute("d") or ""
    expect(steward.page.locator("#trouble")).to_be_visible()
    steward.page.unroute(SOURCE, cut)
    expect(steward.page.locator("#trouble")).to_be_hidden()
    expect(steward.page.locator("#symbol path")).not_to_have_attribute("d", first)


def test_a_symbol_that_has_ended_is_never_shown(site: Site) -> None:
    """A tablet that slept, or lost its network, takes the old symbol away at once; a fresh one takes its place."""
    steward = site.steward()
    page = steward.page
    page.clock.install()
    page.goto(f"{site.home}/kiosk/{KIOSK}")
    expect(page.locator("#symbol svg")).to_be_visible()
    steward.is_cut_off = True
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
