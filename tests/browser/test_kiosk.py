"""The kiosk at the door: a symbol that changes, that a phone can read, and that comes back after a cut or a sleep."""

from __future__ import annotations

import re
from datetime import timedelta

from playwright.sync_api import Page, Route, expect

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.people import tokens
from ledger.people.roles import Principal
from ledger.programme import activities
from ledger.programme.activities import NewActivity
from ledger.programme.policy import Policy
from tests import counts
from tests.browser.covering import Look, in_looks
from tests.browser.looks import check_with_axe
from tests.browser.scene import opened
from tests.browser.site import CITY, KIOSK, LAPTOP, PATIENCE_MS, PHONE, Person, Site, read_symbols

ROTATION = "00:40"
"""Longer than a code is shown, minutes and seconds."""

ASKS_MS = 5_100
"""After so long the screen has asked again."""

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


def quickened(kiosk: Person) -> Page:
    """A screen whose clock can be put forward, so that nobody waits until it asks."""
    kiosk.page.clock.install()
    kiosk.page.reload()
    return kiosk.page


def check_in(site: Site, page: Page) -> Person:
    """Somebody new scans the screen and joins."""
    (symbol,) = read_symbols(page.screenshot())
    learner = site.person()
    learner.page.goto(site.server.url + "/q/" + symbol.rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    return learner


def test_it_goes_on_by_itself_and_through_a_cut(site: Site) -> None:
    """Rotation after rotation another symbol stands there, each readable, and a phone is taken in by the last.

    When the network goes the screen says so below a symbol that still serves; when it is back all is as before.
    """
    kiosk = site.worker("--role", "kiosk", "--activity", KIOSK)
    page = quickened(kiosk)
    shape, seen = page.locator("#symbol path"), set(read_symbols(page.screenshot()))
    for _ in range(4 if counts.is_long() else 1):
        before = shape.get_attribute("d") or ""
        page.clock.run_for(ASKS_MS)
        expect(shape).not_to_have_attribute("d", before, timeout=2 * PATIENCE_MS)
        seen |= set(read_symbols(page.screenshot()))
        expect(page.locator("#trouble")).to_be_hidden()
    assert len(seen) == (5 if counts.is_long() else 2)
    expect(check_in(site, page).page.locator(".token b")).to_have_text("+10.00")
    kiosk.cut_off()
    page.clock.run_for(ASKS_MS)
    expect(page.locator("#trouble")).to_be_visible()
    kiosk.reconnect()
    expect(page.locator("#trouble")).to_be_hidden()
    assert len(read_symbols(page.screenshot())) == 1


def test_seats_and_arrivals_are_told_until_it_closes(site: Site) -> None:
    """The seats go down to none and arrivals come without a reload; full or closed, nothing can be scanned."""
    system = Principal.system(CITY)

    def stage(unit: Unit) -> str:
        policy = Policy(1_000)
        new = NewActivity(id="small", place="city-gate", name_th="วง", name_en="Ring", mode="kiosk", policy=policy)
        activities.create(unit, system, new)
        unit.flush()
        transfers.post(unit, "fund", "treasury", "budget:small", 10_000, actor="system")
        begin, end = unit.now - timedelta(hours=1), unit.now + timedelta(hours=1)
        return activities.add_session(unit, system, "small", begin, end, 2).session

    with opened(site) as installation:
        session = installation.writer.run(CITY, stage)
    page = quickened(site.worker("--role", "kiosk", "--activity", "small", language="en"))
    expect(page.locator("#seats")).to_have_text("2 seats left")
    expect(check_in(site, page).page.locator(".token b")).to_have_text("+10.00")
    page.clock.run_for(ASKS_MS)
    expect(page.locator("#seats")).to_have_text("1 seat left")
    expect(check_in(site, page).page.locator(".token b")).to_have_text("+10.00")
    page.clock.run_for(ASKS_MS)
    expect(page.locator("#closed")).to_have_text("All seats are taken")
    expect(page.locator("#seats")).to_be_hidden()
    expect(page.locator(".taken")).to_be_visible()
    expect(page.locator(".when")).to_be_hidden()
    assert read_symbols(page.screenshot()) == [], "nobody is called to a seat that is not there"
    expect(page.locator("#latest")).to_have_text(re.compile(r"\d\d:\d\d · \d\d:\d\d"))
    with opened(site) as installation:
        installation.writer.run(CITY, lambda unit: activities.end_session(unit, system, "small", session))
    page.clock.run_for(ASKS_MS)
    expect(page.locator("#closed")).to_contain_text("Not open just now")
    expect(page.locator(".when")).to_be_visible()
    expect(page.locator(".taken")).to_be_hidden()
    assert read_symbols(page.screenshot()) == []


def test_a_screen_whose_sign_in_has_ended_says_so(site: Site) -> None:
    """Within seconds it tells what to do, shows no symbol, and a new one-time link brings it back."""
    kiosk = site.worker("--role", "kiosk", "--activity", KIOSK, language="en")
    expect(kiosk.page.locator("#symbol svg")).to_be_visible()
    with opened(site) as installation:
        installation.writer.run(CITY, lambda unit: tokens.revoke_all(unit, "kiosk", KIOSK))
    expect(kiosk.page.locator("h1")).to_have_text("This screen is no longer signed in")
    assert read_symbols(kiosk.page.screenshot()) == []
    check_with_axe(kiosk.page)
    printed = site.deployment.here("link create", "--city", CITY, "--role", "kiosk", "--activity", KIOSK).split()[-1]
    kiosk.page.goto(f"{site.server.url}/l/{printed.rpartition('/l/')[2]}")
    kiosk.page.locator("main form button").click()
    expect(kiosk.page.locator("#symbol svg")).to_be_visible()


SPY = """
    window.locks = [];
    const request = navigator.wakeLock.request.bind(navigator.wakeLock);
    navigator.wakeLock.request = async (kind) => { const lock = await request(kind); locks.push(lock); return lock; };
"""


def test_the_browser_really_holds_the_screen_awake_and_fills_it(site: Site) -> None:
    """The lock is granted, is asked for again when it was lost, and the button fills the screen and goes."""
    page = site.worker("--role", "kiosk", "--activity", KIOSK).page
    page.add_init_script(SPY)
    page.reload()
    page.wait_for_function("locks.length === 1 && !locks[0].released")
    expect(page.locator("#awake")).to_be_hidden()
    page.evaluate("locks[0].release()")
    expect(page.locator("#awake")).to_be_visible()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("locks.length === 2 && !locks[1].released")
    expect(page.locator("#awake")).to_be_hidden()
    page.locator("#full").click()
    page.wait_for_function("document.fullscreenElement !== null")
    expect(page.locator("#full")).to_be_hidden()
    page.evaluate("document.exitFullscreen()")
    expect(page.locator("#full")).to_be_visible()


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
