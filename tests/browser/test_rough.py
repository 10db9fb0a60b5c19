"""The learner's phone on a bad day.

Taps that come twice, the back button, two tabs, a network that hangs, a clock that is wrong, a phone that was locked,
a browser that keeps nothing, and files that changed since a page was kept.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scene import reserved, send
from tests.browser.site import Person, Site
from tests.browser.test_learner import KEPT, reserve, slept

HELD_SECONDS = 600


def seconds_left(page: Page) -> int:
    """What the countdown shows."""
    shown = re.fullmatch(r"(\d+):(\d\d)", page.locator("[data-until]").first.inner_text())
    assert shown
    return 60 * int(shown[1]) + int(shown[2])


def lines(site: Site, person: Person) -> int:
    """How many lines the wallet has."""
    person.page.goto(f"{site.home}/wallet")
    return person.page.locator("a.line .amount, a.line .soft").count()


def test_two_taps_count_once(site: Site) -> None:
    """On a poster's page and on a reservation the second tap of an impatient thumb changes nothing."""
    person = site.person(slow=True)
    person.page.goto(site.poster())
    person.page.locator("main form button").dblclick()
    person.page.wait_for_url("**/received/**")
    person.page.goto(f"{site.home}/promotions/sample-sticky-rice")
    person.page.locator("form[action*=reserve] button").dblclick()
    person.page.wait_for_url("**/redemptions/**")
    assert lines(site, person) == 2
    expect(person.page.locator(".cloth b")).to_have_text("2.00KGO")


def test_the_back_button_is_no_trap_and_repeats_nothing(site: Site) -> None:
    """From "+5.00" back through the poster's page to where one came from; from a code back to a form that works."""
    person = site.person()
    page = person.page
    page.goto(f"{site.home}/")
    page.goto(site.poster())
    page.locator("main form button").click()
    page.wait_for_url("**/received/**")
    for _ in range(3):
        if urlsplit(page.url).path == f"{urlsplit(site.home).path}/":
            break
        page.go_back(wait_until="networkidle")
    assert urlsplit(page.url).path == f"{urlsplit(site.home).path}/"
    reserve(person, site)
    page.go_back()
    expect(page.locator("h1")).to_be_visible()
    page.go_forward()
    expect(page.locator("p.code")).to_be_visible()
    assert lines(site, person) == 2


def test_two_tabs_agree(site: Site) -> None:
    """What one tab cancels, the other shows as cancelled by itself; its own button then does no harm."""
    person = site.learner(language="en")
    reserve(person, site)
    other = person.context.new_page()
    other.goto(person.page.url)
    expect(other.locator("p.code")).to_be_visible()
    person.page.locator("form[action$=cancel] button").click()
    expect(other.locator("#redemption")).to_have_attribute("data-state", "cancelled-0")
    other.goto(f"{site.home}/wallet")
    expect(other.locator(".cloth b")).to_have_text("5.00KGO")


def test_two_tabs_of_a_newcomer_open_one_wallet(site: Site) -> None:
    """The same link is open twice, and both tabs are tapped before either has its answer: one wallet, one code."""
    person = site.person(slow=True)
    tabs = person.page, person.context.new_page()
    for tab in tabs:
        tab.goto(site.poster())
    for tab in tabs:
        tab.evaluate("() => { setTimeout(() => document.querySelector('main form button').click()); }")
    for tab in tabs:
        tab.wait_for_url("**/received/**")
    assert tabs[0].locator("#recovery").inner_text() == tabs[1].locator("#recovery").inner_text()
    assert {"again=1" in tab.url for tab in tabs} == {True, False}
    for tab in tabs:
        tab.goto(f"{site.home}/wallet")
        expect(tab.locator(".cloth b")).to_have_text("5.00KGO")
        expect(tab.locator("a.line .amount")).to_have_count(1)


def test_the_wallet_follows_a_reservation_by_itself(site: Site) -> None:
    """Time left is live; when the shop has confirmed the wallet says what is left, without a touch."""
    person, shop = site.learner(language="en"), site.shop()
    taken = reserved(site, person)
    person.page.goto(f"{site.home}/wallet")
    assert HELD_SECONDS - 60 < seconds_left(person.page) <= HELD_SECONDS
    expect(person.page.locator("#standing h2")).to_have_text("Expiring soon")
    send(site, shop, f"shop/redemptions/{taken}/confirm")
    expect(person.page.locator("#standing [data-until]")).to_have_count(0)
    expect(person.page.locator(".cloth b")).to_have_text("2.00KGO")
    expect(person.page.locator("a.line")).to_have_count(3)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_shows_the_right_time_left(site: Site, hours: int) -> None:
    """The countdown keeps to the server's clock, in the wallet as well, and without a network."""
    person = site.learner(language="en")
    page = person.page
    page.clock.install(time=datetime.now(UTC) + timedelta(hours=hours))
    reserve(person, site)
    ticket = page.url
    assert HELD_SECONDS - 60 < seconds_left(page) <= HELD_SECONDS
    page.reload()
    slept(page)
    page.goto(f"{site.home}/wallet")
    assert HELD_SECONDS - 60 < seconds_left(page) <= HELD_SECONDS
    person.cut_off()
    page.goto(ticket)
    assert HELD_SECONDS - 60 < seconds_left(page) <= HELD_SECONDS
    expect(page.locator(".qr")).to_be_visible()


def test_a_locked_phone_finds_out_when_it_wakes(site: Site) -> None:
    """A frozen page asks nothing; the shop confirms meanwhile, and on waking the page knows."""
    person, shop = site.learner(), site.shop()
    reserve(person, site)
    wire = person.context.new_cdp_session(person.page)
    wire.send("Page.setWebLifecycleState", {"state": "frozen"})
    send(site, shop, f"shop/redemptions/{person.page.url.rpartition('/')[2]}/confirm")
    wire.send("Page.setWebLifecycleState", {"state": "active"})
    expect(person.page.locator("#redemption")).to_have_attribute("data-state", "confirmed-0")


def test_an_answer_that_never_came_leaves_no_dead_button(site: Site) -> None:
    """After a while the button may be pressed again, and the same reservation comes of it."""
    person = site.person(service_workers="block")  # a worker would ask where the route does not see it
    page = person.page
    page.goto(site.poster())
    page.locator("main form button").click()
    page.wait_for_url("**/received/**")
    page.goto(f"{site.home}/promotions/sample-sticky-rice")
    page.clock.install()
    button = page.locator("form[action*=reserve] button")
    page.route("**/reserve", lambda route: route.abort("aborted"), times=1)  # as the browser's stop button does
    button.click()
    expect(button).to_have_attribute("aria-busy", "true")
    page.clock.fast_forward("00:15")
    expect(button).not_to_have_attribute("aria-busy", "true")
    button.click()
    page.wait_for_url("**/redemptions/**")
    assert lines(site, person) == 2


def test_a_browser_that_stores_nothing_still_works(site: Site) -> None:
    """Without local storage, caches and worker the pages do all that they do online, and complain of nothing."""
    person = site.person(service_workers="block")
    person.context.add_init_script("""
        const refuse = () => { throw new DOMException('denied', 'SecurityError'); };
        Object.defineProperty(window, 'localStorage', { get: refuse });
        Object.defineProperty(window, 'sessionStorage', { get: refuse });
        CacheStorage.prototype.open = async () => refuse();
    """)
    person.page.goto(site.poster())
    person.page.locator("main form button").click()
    person.page.wait_for_url("**/received/**")
    reserve(person, site)
    assert HELD_SECONDS - 60 < seconds_left(person.page) <= HELD_SECONDS
    person.page.goto(f"{site.home}/wallet")
    expect(person.page.locator(".cloth b")).to_have_text("2.00KGO")


def test_a_browser_without_cookies_is_told_before_it_loses_a_wallet(site: Site) -> None:
    """Where no cookie is kept a tap would open a wallet that nobody finds again; elsewhere nothing is said."""
    person = site.person()
    person.page.goto(site.poster())
    expect(person.page.locator("[data-without-cookies]")).to_be_hidden()
    wire = person.context.new_cdp_session(person.page)
    wire.send("Emulation.setDocumentCookieDisabled", {"disabled": True})
    person.page.reload()
    expect(person.page.locator("[data-without-cookies]")).to_be_visible()
    person.page.goto(f"{site.home}/wallet")
    expect(person.page.locator("[data-without-cookies]")).to_be_visible()


OLDER_FILES = """async (path) => {
    const pages = await caches.open('kgo-pages-1');
    const kept = await pages.match(path);
    const text = (await kept.text()).replace(/[.](css|js)[?]v=[0-9a-f]+/g, '.$1?v=0ld');
    await pages.put(path, new Response(text, { headers: kept.headers }));
}"""


def test_a_page_kept_before_an_update_keeps_its_looks(site: Site) -> None:
    """The worker has thrown the older files away; without a network the page is drawn with those of now."""
    person = site.learner()
    page, path = person.page, urlsplit(f"{site.home}/wallet").path
    page.goto(f"{site.home}/wallet")
    page.reload()
    slept(page)
    page.evaluate(OLDER_FILES, path)
    person.cut_off()
    page.reload()
    expect(page.locator("#as-of")).to_be_visible()
    assert "?v=0ld" in page.content()
    assert page.locator(".cloth").evaluate("part => getComputedStyle(part).textAlign") == "center"


class Line:
    """A line to the server; every answer takes `delay` seconds longer, and `asked` has the first lines of requests."""

    def __init__(self, port: int) -> None:
        self.target, self.delay = port, 0.0
        self.asked: list[str] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._door.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._pass, args=(caller, server, self._hear), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, caller, self._wait), daemon=True).start()

    def _hear(self, data: bytes) -> None:
        self.asked.append(data.partition(b"\r\n")[0].decode("latin-1"))

    def _wait(self, _data: bytes) -> None:
        time.sleep(self.delay)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, before: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                before(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that listens on it

    def close(self) -> None:
        """Take no more callers."""
        self._door.close()


@pytest.fixture
def line(site: Site) -> Iterator[Line]:
    """A line to the site's server."""
    port = urlsplit(site.server.url).port
    assert port
    made = Line(port)
    yield made
    made.close()


ASKED = "async (path) => (await fetch(path)).status"


def test_a_network_slower_than_our_patience_does_not_go_in_circles(site: Site, line: Line) -> None:
    """The kept wallet shows at once and becomes fresh once; the page does not load itself again and again."""
    person = site.person()
    person.server = f"http://127.0.0.1:{line.port}"
    home = f"{person.server}/c/{site.home.rpartition('/')[2]}"
    page = person.page
    page.goto(f"{home}/?lang=en")
    page.goto(f"{home}/wallet")
    page.locator("form[action$=join] button").click()
    page.wait_for_url("**/wallet**")
    page.goto(f"{home}/wallet")
    slept(page)
    page.evaluate("""async () => {
        const pages = await caches.open('kgo-pages-1');
        const kept = await pages.match(location.pathname);
        const headers = new Headers(kept.headers);
        headers.set('KGO-Kept-At', '0');
        await pages.put(location.pathname, new Response(await kept.text(), { headers }));
    }""")
    page.clock.install()
    line.delay = 6.0
    page.goto(f"{home}/wallet")
    expect(page.locator("#as-of")).to_be_visible()
    expect(page.locator("#as-of")).to_be_hidden()
    line.asked.clear()
    page.clock.run_for(15_000)
    line.delay = 0.0
    assert page.evaluate(ASKED, "/help") == 200  # what the page asked before this is on its way too
    assert [one for one in line.asked if "/wallet" in one] == []
    assert page.evaluate(KEPT, urlsplit(page.url).path)
