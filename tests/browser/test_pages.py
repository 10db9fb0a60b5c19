"""Every page in all its looks (sizes, languages, schemes): it fits, and neither browser nor axe complains."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.looks import PAGES, check, check_with_axe
from tests.browser.site import CITY, LAPTOP, PHONE, Person, Site

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WITH_AXE = (("th", PHONE, "light"), ("en", LAPTOP, "dark"))
FIRST_PAGE_BYTES = 100_000
DOUBLE = "document.documentElement.style.fontSize = '212.5%'"
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
"""150 ms there and back, 1.6 Mbit/s down: what Lighthouse calls slow 4G. Bytes per second."""

USABLE_MS = 1_000
"""Until the first page can be read and used on it, with nothing in the cache."""


@pytest.mark.parametrize("language", ["th", "en"])
def test_every_page_fits(site: Site, language: str) -> None:
    """On phone and laptop, in light and dark, nothing is too wide, small or faint; axe finds nothing serious."""
    people = {
        "stranger": site.person(PHONE, language),
        "learner": site.learner(PHONE, language),
        "steward": site.steward(PHONE, language),
        "shop": site.worker("--role", "shop", "--shop", "sample-som-tam", size=PHONE, language=language),
    }
    for role, person in people.items():
        for address in PAGES[role]:
            person.page.goto(f"{site.home}/{address}")
            look_all_over(person.page, language)
    for address in ("/", "/offline", f"/c/{CITY}/nowhere"):
        people["stranger"].page.goto(site.server.url + address)
        look_all_over(people["stranger"].page, language)


def look_all_over(page: Page, language: str) -> None:
    """One page at two sizes and in two schemes; axe sees the Thai phone in light and the English laptop in dark."""
    for width, height in (PHONE, LAPTOP):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            seen = (language, (width, height), scheme)
            (check_with_axe if seen in WITH_AXE else check)(page)


FAULTS = {
    "a button without a name": "part = document.createElement('button')",
    "a picture without words": "part = Object.assign(document.createElement('img'), { src: '/assets/mark.svg' })",
    "an amount that is clear enough for words only": """
        part = Object.assign(document.createElement('p'), { className: 'amount', textContent: '5.00' });
        part.style.color = '#666';
    """,
}


def test_the_look_finds_what_is_wrong(site: Site) -> None:
    """The helper that all pages are looked at with passes the page as it is, and sees each fault put into it."""
    page = site.person().page
    page.goto(f"{site.home}/help")
    check_with_axe(page)
    for fault in FAULTS.values():
        page.evaluate(f"() => {{ let part; {fault}; part.id = 'fault'; document.querySelector('main').append(part); }}")
        with pytest.raises(AssertionError):
            check_with_axe(page)
        page.evaluate("document.getElementById('fault').remove()")
    check_with_axe(page)


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
    pages = (
        "",
        "?by=place",
        "?near=city-gate",
        "wallet",
        "promotions",
        "help",
        "audit/",
        "audit/entries/12",
        "audit/check",
    )
    for address in pages:
        person.page.goto(f"{site.home}/{address}")
        assert doubled(person.page), address
