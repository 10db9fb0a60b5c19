"""How fast the pages are on slow 4G, in a browser that has seen none of them.

What a machine that is busy with something else cannot change is asserted hard: bytes on the wire, how many requests
stand before the first use, how many a tap takes, and the time that these cost on the simulated network (as Lighthouse
simulates: round trips and bytes, whatever the machine). The time that really passed is read from the browser's own
clock; a busy machine makes a page late, never early, so the best of `TRIES` counts and one is enough on a quiet one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.browser.site import SLOW_4G, Person, Site

FIRST_PAGE_BYTES = 100_000
USABLE_MS = 1_000
"""Until the page can be read and used."""

TRIES = 6
ROUND_TRIP_MS = float(SLOW_4G["latency"])
BYTES_PER_MS = float(SLOW_4G["downloadThroughput"]) / 1000
USABLE = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
"""The document is there, its style sheets as well, and its scripts, being modules, have run: buttons answer."""

BLOCKING = ("document", "stylesheet", "script")


@dataclass
class Start:
    """What it took to have a page: milliseconds until it could be used, bytes in all, and those that it waited for."""

    usable_ms: float
    total_bytes: int
    blocking_bytes: int
    blocking_requests: int

    @property
    def simulated_ms(self) -> float:
        """On slow 4G by the book: to connect, to ask for the page, to ask for all that it waits for, and the bytes."""
        return 3 * ROUND_TRIP_MS + self.blocking_bytes / BYTES_PER_MS


def cold_start(site: Site, address: str) -> Start:
    """Open a page in a fresh browser on slow 4G."""
    person = site.person(slow=True)
    kinds: dict[str, str] = {}
    sizes: dict[str, int] = {}
    wire = person.context.new_cdp_session(person.page)
    wire.send("Network.enable")
    wire.on("Network.responseReceived", lambda one: kinds.update({one["requestId"]: one["type"].lower()}))
    wire.on("Network.loadingFinished", lambda one: sizes.update({one["requestId"]: int(one["encodedDataLength"])}))
    person.page.goto(address, wait_until="networkidle")
    blocking = [size for request, size in sizes.items() if kinds[request] in BLOCKING]
    start = Start(person.page.evaluate(USABLE), sum(sizes.values()), sum(blocking), len(blocking))
    site.people.remove(person)
    person.leave()
    return start


def best(measure: Callable[[], float]) -> float:
    """The least of what was measured, with another try as long as it is not below a second."""
    times_ms = [measure()]
    while min(times_ms) >= USABLE_MS and len(times_ms) < TRIES:
        times_ms.append(measure())
    return min(times_ms)


def test_the_first_page_is_light_and_soon_there(site: Site) -> None:
    """The start page, a poster's page and what's on: below 100 kB with all they need, usable within a second."""
    for address in (site.server.url, site.poster(), f"{site.home}/"):
        starts: list[Start] = []

        def measure() -> float:
            starts.append(cold_start(site, address))
            return starts[-1].usable_ms

        time_ms = best(measure)
        for start in starts:
            assert 10_000 < start.total_bytes < FIRST_PAGE_BYTES, address
            assert start.blocking_requests >= 3, address
            assert start.simulated_ms < USABLE_MS, address
        assert time_ms < USABLE_MS, address


TAPPED = "addEventListener('submit', () => { sessionStorage.tapped = performance.timeOrigin + performance.now(); })"
SHOWN = """new Promise((told) => new PerformanceObserver((list, watching) => {
    const paint = list.getEntriesByName('first-contentful-paint')[0];
    if (!paint) return;
    watching.disconnect();
    told(performance.timeOrigin + paint.startTime - Number(sessionStorage.tapped));
}).observe({ type: 'paint', buffered: true }))"""


def tap(page: Page) -> float:
    """Tap the button; milliseconds from the tap until the page that it led to was painted, in the browser's clock."""
    page.evaluate(TAPPED)
    page.locator("main form button").first.click()
    page.wait_for_url("**/received/**")
    passed_ms: float = page.evaluate(SHOWN)
    return passed_ms


def test_a_tap_brings_the_tokens_within_a_second(site: Site) -> None:
    """On slow 4G, from the tap on a poster's page to "+5.00 KGO" painted: two questions to the server and no third."""
    poster = site.poster()

    def newcomer() -> float:
        person: Person = site.person(slow=True)
        person.page.goto(poster)
        asked: list[str] = []
        person.page.on("request", lambda one: asked.append(f"{one.method} {one.resource_type}"))
        passed_ms = tap(person.page)
        assert person.page.locator(".token b").inner_text() == "+5.00"
        assert [one for one in asked if one.split()[1] in BLOCKING and "document" in one] == [
            "POST document",
            "GET document",
        ]
        site.people.remove(person)
        person.leave()
        return passed_ms

    assert best(newcomer) < USABLE_MS
