"""Every page in all its looks (sizes, languages, schemes): it fits, and neither browser nor axe complains."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.looks import PAGES, check, check_with_axe
from tests.browser.site import CITY, LAPTOP, PHONE, Person, Site

LOOKS = [(PHONE, "th", "light"), (LAPTOP, "en", "dark"), (PHONE, "en", "dark"), (LAPTOP, "th", "light")]
WITH_AXE = LOOKS[:2]
FIRST_PAGE_BYTES = 100_000
DOUBLE = "document.documentElement.style.fontSize = '212.5%'"
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
"""150 ms there and back, 1.6 Mbit/s down: what Lighthouse calls slow 4G. Bytes per second."""

USABLE_MS = 1_000
"""Until the first page can be read and used on it, with nothing in the cache."""


@pytest.mark.parametrize(("size", "language", "scheme"), LOOKS)
def test_every_page_fits(site: Site, size: tuple[int, int], language: str, scheme: str) -> None:
    """Nothing is too wide, too small or too faint; with axe in a light and in a dark look nothing serious is found."""
    look = check_with_axe if (size, language, scheme) in WITH_AXE else check
    people = {
        "stranger": site.person(size, language),
        "learner": site.learner(size, language),
        "steward": site.steward(size, language),
        "shop": site.worker("--role", "shop", "--shop", "sample-som-tam", size=size, language=language),
    }
    for role, person in people.items():
        person.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for address in PAGES[role]:
            person.page.goto(f"{site.home}/{address}")
            look(person.page)
    stranger = people["stranger"].page
    for address in ("/", "/offline", f"/c/{CITY}/nowhere"):
        stranger.goto(site.server.url + address)
        look(stranger)


def cold_start(site: Site) -> tuple[float, int]:
    """Milliseconds until the first page can be used on slow 4G, and its bytes on the wire, in a fresh browser."""
    person = site.person()
    sizes: dict[str, float] = {}
    wire = person.context.new_cdp_session(person.page)
    wire.send("Network.enable")
    wire.send("Network.emulateNetworkConditions", SLOW_4G)
    wire.on("Network.loadingFinished", lambda one: sizes.update({one["requestId"]: one["encodedDataLength"]}))
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.page.goto(site.server.url, wait_until="networkidle")
    assert all(address.startswith(site.server.url) for address in asked)
    usable = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    return person.page.evaluate(usable), int(sum(sizes.values()))


def test_the_first_page_is_light(site: Site) -> None:
    """Below 100 kB with all it needs, nothing from anywhere else, and usable within a second on slow 4G.

    A machine that is busy with something else makes a page late, never early: the best of three tries counts.
    """
    times_ms: list[float] = []
    while not times_ms or (times_ms[-1] >= USABLE_MS and len(times_ms) < 3):
        usable_ms, total_bytes = cold_start(site)
        assert 10_000 < total_bytes < FIRST_PAGE_BYTES
        times_ms.append(usable_ms)
    assert min(times_ms) < USABLE_MS


def doubled(page: Page) -> bool:
    """Whether a reader who doubles the letters has to scroll down only."""
    page.evaluate(DOUBLE)
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits


def test_text_at_double_size_still_fits(site: Site) -> None:
    """A reader who doubles the letters scrolls down, never sideways."""
    person: Person = site.learner()
    for address in ("", "?by=place", "wallet", "promotions", "help", "audit/"):
        person.page.goto(f"{site.home}/{address}")
        assert doubled(person.page), address
