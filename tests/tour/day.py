"""The scenes of the day in their order: each person does in the browser what they do in life, and pictures are taken.

A scene that depends on what a page says (a code, a QR symbol) reads it from the page, as people and cameras do. What
does not come out as it should is an AssertionError, so that no picture shows a day that went wrong.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import BrowserType, Page, expect

from tests import memory
from tests.browser.site import LAPTOP, Person, read_symbols
from tests.tour import life, opening
from tests.tour.album import QUALITY, Album, look
from tests.tour.town import ADDRESS, PATIENCE_MS, Town, at, open_town, tap

SHOP, OFFER = "sample-som-tam", "ส้มตำริมทาง"
PAPER = (703, 1032)
"""A4 within its margins of 12 mm, in CSS pixels."""

OTHERS = 14
"""How many others learn or spend in an hour of the day."""

AIR_PX = 20
"""Between the top of the window and what is scrolled to."""


@dataclass
class Day:
    """What the scenes share: the town and its life, the album, who is about, what was read off a page."""

    town: Town
    story: life.Story
    album: Album
    people: dict[str, Person] = field(default_factory=dict)
    poster: str = ""
    opening_desk: bytes = b""

    def page(self, who: str) -> Page:
        """The page that somebody has before them."""
        return self.people[who].page

    def show(self, who: str, part: str) -> None:
        """Scroll until a part of the page stands at the top of the window."""
        scroll = "(part, margin) => scrollTo(0, part.getBoundingClientRect().top + scrollY - margin)"
        self.page(who).locator(part).first.evaluate(scroll, AIR_PX)

    def take(self, who: str, name: str, part: str | None = None) -> None:
        """A picture of it, or of a part of it at its full height."""
        self.album.take(self.page(who), name, part)


def morning_at_the_desk(day: Day) -> None:
    """The steward looks at the desk, asks what an activity will cost, and funds it."""
    day.town.set("08:30")
    life.apply(day.town)
    day.people["steward"] = day.town.worker("steward", "treasurer")
    page = day.page("steward")
    page.goto(f"{day.town.home}/steward/")
    day.take("steward", "desk")
    page.goto(f"{day.town.home}/steward/activities/{life.PHOTOGRAPHS}/cost")
    page.locator("#f-est_usual").fill("80")
    page.locator("#f-est_people").fill("120")
    tap(page, "main form button")
    day.take("steward", "cost")
    page.goto(f"{day.town.home}/steward/activities/{life.PHOTOGRAPHS}")
    page.locator("#f-fund_amount").fill("600")
    tap(page, "form[action$=fund] button")
    day.take("steward", "fund")
    tap(page, "main form button.large")
    expect(page.locator(".figures dd").first).to_have_text("600.00 KGO")


def a_session_and_its_poster(day: Day) -> None:
    """The session is opened for the day, and the poster printed; its QR is read off the paper."""
    page, local = day.page("steward"), "%Y-%m-%dT%H:%M"
    page.locator("#f-starts_at").fill(at("09:00").strftime(local))
    page.locator("#f-ends_at").fill(at("17:00").strftime(local))
    page.locator("#f-seats").fill("120")
    tap(page, "form[action$=sessions] button")
    day.take("steward", "session")
    tap(page, "a[href$='/poster']")
    _on_paper(day, "poster", ".poster")
    (symbol,) = read_symbols(page.locator(".poster .qr").screenshot(scale="css"))
    day.poster = ADDRESS + "/q/" + symbol.rpartition("/q/")[2]


def slips_for_the_workshop(day: Day) -> None:
    """A sheet of one-time codes for the weaving in the afternoon."""
    page = day.page("steward")
    page.goto(f"{day.town.home}/steward/activities/{life.WEAVING}/codes")
    page.locator("#f-count").fill("24")
    tap(page, "main form button")
    _on_paper(day, "slips", ".slips")


def _on_paper(day: Day, name: str, part: str) -> None:
    """A picture of the first sheet of a page as it is printed."""
    page = day.page("steward")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
    day.take("steward", name, part)
    page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
    page.emulate_media(media="screen")


def the_first_scan(day: Day) -> None:
    """A newcomer opens the poster's QR, taps once and has five tokens."""
    day.town.set("09:45")
    life.arrive(day.town, life.PHOTOGRAPHS, 6, at("09:10"))
    day.people["learner"] = day.town.person()
    page = day.page("learner")
    page.goto(day.poster)
    day.take("learner", "join")
    tap(page, "main form button")
    expect(page.locator(".token b")).to_have_text("+5.00")
    day.take("learner", "received")


def what_is_on(day: Day) -> None:
    """The learner looks for more; somebody else reads the same in English, by place."""
    page = day.page("learner")
    page.goto(f"{day.town.home}/")
    day.take("learner", "today")
    day.people["visitor"] = day.town.person(language="en")
    day.page("visitor").goto(f"{day.town.home}/?by=place")
    day.take("visitor", "road")


def the_kiosk_at_the_door(day: Day) -> None:
    """The tablet at the living museum shows a QR that changes; the learner scans it and has ten more."""
    life.arrive(day.town, life.MUSEUM, 14, at("10:20"))
    day.town.set("10:55")
    day.people["kiosk"] = day.town.worker("kiosk", subject=life.MUSEUM)
    tablet = day.page("kiosk")
    expect(tablet.locator("#symbol svg")).to_be_visible()
    day.take("kiosk", "kiosk")
    (symbol,) = read_symbols(tablet.locator("#symbol").screenshot(scale="css"))
    page = day.page("learner")
    page.goto(ADDRESS + "/q/" + symbol.rpartition("/q/")[2])
    page.wait_for_url("**/received/**")
    expect(page.locator(".token b")).to_have_text("+10.00")
    page.goto(f"{day.town.home}/wallet")
    expect(page.locator(".cloth b")).to_contain_text("15.00")
    page.get_by_role("button", name="จดไว้แล้ว").click()
    expect(page.locator("#recovery")).to_have_count(0)
    page.goto(f"{day.town.home}/wallet")
    day.take("learner", "wallet")


def a_promotion_is_reserved(day: Day) -> None:
    """At noon the learner chooses what is within reach, and has a code for ten minutes."""
    day.story.hour(at("11:05"), OTHERS)
    day.town.set("12:05")
    page = day.page("learner")
    page.goto(f"{day.town.home}/promotions")
    day.take("learner", "promotions")
    page.locator("li.card", has_text=OFFER).locator("h3 a").click()
    tap(page, "form[action*=reserve] button")
    expect(page.locator("p.code")).to_be_visible()
    day.take("learner", "reserved")


def at_the_counter(day: Day) -> None:
    """The shop types the six digits, sees what and how much, and confirms; the learner's page notices."""
    day.people["shop"] = day.town.worker("shop", subject=SHOP, size=(390, 844))
    till = day.page("shop")
    till.goto(f"{day.town.home}/shop/")
    day.take("shop", "till")
    till.locator("#code").press_sequentially("".join(day.page("learner").locator("p.code").inner_text().split()))
    till.wait_for_url("**/shop/redemptions/**")
    expect(till.locator(".token b")).to_have_text("3.00")
    day.take("shop", "look")
    tap(till, "form[action$=confirm] button")
    expect(till.locator(".verdict.good")).to_be_visible()
    day.take("shop", "taken")
    done = day.page("learner").locator("#redemption[data-state=confirmed-0]")
    expect(done).to_be_visible(timeout=PATIENCE_MS)
    day.take("learner", "spent")


def the_shop_counts(day: Day) -> None:
    """At the end of its day the shop looks at the month and asks the city to settle all that it has received."""
    day.story.hour(at("16:20"), OTHERS)
    day.town.set("17:20")
    till = day.page("shop")
    till.goto(f"{day.town.home}/shop/sales?by=month")
    expect(till.locator(".chart svg[role=img]").first).to_be_visible()
    day.take("shop", "sales")
    till.goto(f"{day.town.home}/shop/tokens")
    received = till.locator(".cloth b").inner_text().split("KGO")[0].strip()
    till.locator("[name=settle]").fill(received)
    tap(till, "form[action$=settle] button")
    day.take("shop", "ask")
    tap(till, "form[action$=settle] button")
    expect(till.locator(".pill.gold")).to_have_text(f"{received} KGO")


def the_city_settles(day: Day) -> None:
    """The treasurer takes the tokens back, and the steward reads the city's figures."""
    day.town.set("17:45")
    page = day.page("steward")
    page.goto(f"{day.town.home}/steward/treasury")
    tap(page, "main a[href*=settlements]")
    day.take("steward", "settle")
    tap(page, "form[action$=settle] button")
    expect(page.locator(".notice.good")).to_be_visible()
    page.goto(f"{day.town.home}/steward/figures?weeks=13")
    page.set_viewport_size({"width": opening.DESK[0], "height": opening.DESK[1]})
    day.opening_desk = look(page)
    page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
    day.show("steward", "dl.figures")
    day.take("steward", "figures")
    day.show("steward", "main section.card >> nth=1")
    day.take("steward", "flows")


def anybody_checks(day: Day) -> None:
    """A stranger reads the public log; the learner's own browser checks a receipt."""
    day.town.set("18:30")
    day.people["auditor"] = day.town.person(LAPTOP, "en")
    page = day.page("auditor")
    page.goto(f"{day.town.home}/audit/")
    day.take("auditor", "audit")
    day.show("auditor", "#flows")
    day.take("auditor", "threads")
    own = day.page("learner")
    own.goto(f"{day.town.home}/wallet")
    tap(own, ".lines a.line:has(.amount.in)")
    tap(own, "main a[href*='/audit/entries/']")
    expect(own.locator(".notice.good[data-verdict]")).to_be_visible()
    day.take("learner", "receipt")


def at_home(day: Day) -> None:
    """In the evening, dark and without a network, the wallet is still there."""
    day.town.set("20:15")
    learner = day.people["learner"]
    learner.page.emulate_media(color_scheme="dark")
    learner.page.goto(f"{day.town.home}/wallet")
    learner.page.wait_for_function(
        "async () => !!(await caches.match(location.pathname, { cacheName: 'kgo-pages-1' }))"
    )
    learner.cut_off()
    learner.page.reload()
    expect(learner.page.locator("#as-of")).to_be_visible()
    learner.page.evaluate("scrollTo(0, 0)")
    day.take("learner", "evening")
    learner.reconnect()


def the_opening_picture(day: Day) -> None:
    """What the README opens with: the city's figures on a desk, and the first tokens on a phone."""
    phone = day.album.read("received")
    picture = opening.compose(day.town.browser, desk=day.opening_desk, phone=phone, quality=QUALITY)
    day.album.keep("day", picture)


Scene = Callable[[Day], None]

SCENES: tuple[Scene, ...] = (
    morning_at_the_desk,
    a_session_and_its_poster,
    slips_for_the_workshop,
    the_first_scan,
    what_is_on,
    the_kiosk_at_the_door,
    a_promotion_is_reserved,
    at_the_counter,
    the_shop_counts,
    the_city_settles,
    anybody_checks,
    at_home,
    the_opening_picture,
)


def play(
    chromium: BrowserType, program: Path, album: Album, *, weeks: int, people: int, tell: Callable[[str], None]
) -> None:
    """The whole day, after so many weeks with so many learners; `tell` hears of each scene that is over."""
    begun, directory = time.monotonic(), memory.directory()
    try:
        with open_town(chromium, program, directory / "data", at("06:00", -7 * weeks)) as town:
            day = Day(town, life.play(town, weeks, people), album)
            for scene in SCENES:
                before = len(album.taken)
                scene(day)
                tell(f"{time.monotonic() - begun:5.1f} s  {scene.__name__}: {', '.join(album.taken[before:])}")
            town.leave()
    finally:
        shutil.rmtree(directory)
