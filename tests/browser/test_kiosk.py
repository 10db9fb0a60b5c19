"""The kiosk at the door: a symbol that changes, that a phone can read, and that comes back after a cut."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.browser.site import CITY, KIOSK, LAPTOP, Site, read_symbols

AFTER_CUT_MS = 8_000


def test_a_phone_reads_the_screen_and_is_rewarded(site: Site) -> None:
    """An independent reader finds the code in a picture of the screen; a newcomer who opens it receives 10.00 KGO."""
    tablet = site.worker("--role", "kiosk", "--activity", KIOSK, size=LAPTOP)
    expect(tablet.page.locator("#symbol svg")).to_be_visible()
    symbols = read_symbols(tablet.page.screenshot())
    assert len(symbols) == 1
    learner = site.person()
    learner.page.goto(site.server.url + "/q/" + symbols[0].rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    expect(learner.page.locator(".token b")).to_have_text("+10.00")
    tablet.page.reload()
    expect(tablet.page.locator("#arrivals")).to_have_text("มาแล้ว 1 คน")


def test_the_screen_comes_back_by_itself(site: Site) -> None:
    """While the network is away the screen says so; when it is back a new symbol stands there without a touch."""
    steward = site.steward()
    source = f"**/c/{CITY}/kiosk/{KIOSK}/now"

    def cut(route: Route) -> None:
        route.abort()

    steward.page.route(source, cut)
    steward.page.goto(f"{site.home}/kiosk/{KIOSK}")
    first = steward.page.locator("#symbol path").get_attribute("d") or ""
    expect(steward.page.locator("#trouble")).to_be_visible()
    steward.page.unroute(source, cut)
    expect(steward.page.locator("#trouble")).to_be_hidden(timeout=AFTER_CUT_MS)
    expect(steward.page.locator("#symbol path")).not_to_have_attribute("d", first)
    steward.complaints.clear()


def test_the_whole_screen_fits(site: Site) -> None:
    """Nothing has to be scrolled to on a tablet lying or standing."""
    steward = site.steward()
    for width, height in ((1280, 800), (800, 1280)):
        steward.page.set_viewport_size({"width": width, "height": height})
        steward.page.goto(f"{site.home}/kiosk/{KIOSK}")
        assert steward.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
