"""The steward's laptop: an activity from idea to a printed poster that a phone can read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Literal

import png as pypng
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.covering import Look, in_looks
from tests.browser.keys import fill_in, press, skip_to_content
from tests.browser.looks import check_with_axe
from tests.browser.site import LAPTOP, PHONE, Site, read_symbols

LOCAL = "%Y-%m-%dT%H:%M"
BANGKOK = timedelta(hours=7)
PAPER: ViewportSize = {"width": 703, "height": 1032}
"""A4 within its margins of 12 mm, in CSS pixels."""


@in_looks("steward")
def test_fund_open_print(site: Site, look: Look) -> None:
    """On slow 4G: new activity, funded after a second look, a session opened; the printed sheet decodes to its code."""
    page, now = site.steward(*look, slow=True).page, datetime.now(UTC) + BANGKOK
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("สานเสวนาริมทาง")
    page.locator("#f-name_en").fill("Street dialogue")
    page.locator("#f-amount").fill("7.50")
    page.locator("main form button.large").click()
    page.locator("#f-est_usual").fill("10")
    page.locator("#f-est_meetings").fill("2")
    page.locator("button[name=again][value=cost]").click()
    expect(page.locator(".forecast")).to_contain_text("150.00 KGO")
    check_with_axe(page)
    page.locator("button[name=confirmed]").click()
    page.locator("#f-fund_amount").fill("100")
    page.locator("form[action$=fund] button").click()
    expect(page.locator("table")).to_contain_text("100.00 KGO")
    page.locator("main form button.large").click()
    expect(page.locator(".figures")).to_contain_text("100.00 KGO")
    page.locator("#f-starts_at").fill((now - timedelta(hours=1)).strftime(LOCAL))
    page.locator("#f-ends_at").fill((now + timedelta(hours=1)).strftime(LOCAL))
    page.locator("form[action$=sessions] button").click()
    expect(page.locator(".notice.good")).to_be_visible()
    check_with_axe(page)
    page.locator("a[href$='/poster']").first.click()
    page.emulate_media(media="print", color_scheme="dark" if look.scheme == "dark" else "light")
    page.set_viewport_size(PAPER)
    expect(page.locator(".head")).to_be_hidden()
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1
    (address,) = read_symbols(at_300_px(page, ".poster .qr svg"))
    learner = site.person(*look, slow=True)
    learner.page.goto(site.server.url + "/q/" + address.rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    expect(learner.page.locator(".token b")).to_have_text("+7.50")


@in_looks("slips")
def test_slips_are_printed_read_used_once_and_withdrawn(site: Site, look: Look) -> None:
    """A sheet of one-time codes: each printed slip is read at 300 px and says its own code; one learner uses it."""
    scheme: Literal["dark", "light"] = "dark" if look.scheme == "dark" else "light"
    page = site.steward(*look).page
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("ทอผ้าไหมมัดหมี่")
    page.locator("#f-name_en").fill("Weaving mudmee silk")
    page.locator("#f-mode").select_option("code")
    page.locator("#f-amount").fill("15")
    page.locator("#f-daily_from").fill("00:00")
    page.locator("#f-daily_until").fill("24:00")
    page.locator("main form button.large").click()
    check_with_axe(page)
    page.locator("button[name=confirmed]").click()
    page.locator("#f-fund_amount").fill("30")
    page.locator("form[action$=fund] button").click()
    check_with_axe(page)
    page.locator("main form button.large").click()
    page.locator("a[href$='/codes']").click()
    page.locator("#f-count").fill("13")
    page.locator("main form button").click()
    check_with_axe(page)
    page.emulate_media(media="print", color_scheme=scheme)
    page.set_viewport_size(PAPER)
    expect(page.locator(".slips")).to_have_count(2)
    shown = [at_300_px(page, f".slip >> nth={index} >> .qr svg") for index in (0, 6, 12)]
    read = [text for picture in shown for text in read_symbols(picture)]
    printed = page.locator(".slip .address").all_inner_texts()
    assert read == [printed[index].strip() for index in (0, 6, 12)]
    assert len(set(printed)) == 13
    pages_of_paper = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    assert pages_of_paper == 2
    slip = site.server.url + "/q/" + read[0].rpartition("/q/")[2]
    first, second = site.person(*look), site.person(*look)
    for learner in (first, second):
        learner.page.goto(slip)
        learner.page.locator("main form button").click()
    expect(first.page.locator(".token b")).to_have_text("+15.00")
    expect(second.page.locator(".token")).to_have_count(0)
    page.emulate_media(media="screen", color_scheme=scheme)
    page.set_viewport_size({"width": look.size[0], "height": look.size[1]})
    page.goto(page.url.split("?")[0] + "/withdraw")
    check_with_axe(page)
    page.locator("main form button").click()
    expect(page.locator(".pill.warn")).to_be_visible()
    second.page.goto(site.server.url + "/q/" + read[1].rpartition("/q/")[2])
    second.page.locator("main form button").click()
    expect(second.page.locator(".token")).to_have_count(0)


def test_a_mistake_is_taken_back(site: Site) -> None:
    """A grant is offered to be taken back where it was made, asks once more, and leaves the treasury as before."""
    page = site.steward(PHONE, "en").page
    page.goto(f"{site.home}/steward/treasury?lang=en")
    before = page.locator(".figures dd").first.inner_text()
    page.locator("#f-grant_amount").fill("77")
    page.locator("form[action$=grant] button").click()
    page.locator("main form button.large").click()
    page.get_by_role("link", name="Take it back").click()
    check_with_axe(page)
    last = page.locator(".confirm td.number").last.bounding_box()
    assert last is not None
    assert last["x"] + last["width"] <= PHONE[0]
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator(".notice.good")).to_be_visible()
    assert page.locator(".figures dd").first.inner_text() == before


def test_a_space_a_session_and_the_calendar(site: Site) -> None:
    """A new space takes an activity; its session stands in the month under its day, which the grid leads to."""
    steward, at = site.steward(LAPTOP, "en"), datetime.now(UTC) + BANGKOK
    page = steward.page
    page.goto(f"{site.home}/steward/spaces/new?lang=en")
    page.locator("#f-name_th").fill("ลานคูน")
    page.locator("#f-name_en").fill("Golden shower court")
    page.locator("main form button").click()
    expect(page.get_by_role("link", name="Golden shower court")).to_be_visible()
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("ฟังหมอลำ")
    page.locator("#f-name_en").fill("Listening to mo lam")
    page.locator("#f-place").select_option(label="Golden shower court")
    page.locator("#f-amount").fill("2")
    page.locator("main form button.large").click()
    page.locator("button[name=confirmed]").click()
    page.locator("#f-starts_at").fill(at.strftime(LOCAL))
    page.locator("#f-ends_at").fill(at.replace(hour=23, minute=59).strftime(LOCAL))  # what is over is not shown
    expect(page.locator("#s-ends_at")).to_have_text(f"{at:%A} {at.day} {at:%B} {at.year}, 23:59")
    page.locator("form[action$=sessions] button").click()
    page.goto(f"{site.home}/steward/calendar")
    page.locator(".month td.today a").click()
    expect(page.locator(".day:target")).to_contain_text("Listening to mo lam")
    expect(page.locator(".day:target")).to_contain_text(f"{at:%H:%M}–23:59")
    check_with_axe(page)


def test_a_date_is_said_in_the_page_s_era(site: Site) -> None:
    """Below the browser's own calendar stands the date in Thai, as it is typed and after the server refused it."""
    page = site.steward(PHONE).page
    page.goto(f"{site.home}/steward/activities/local-study")
    page.locator("#f-starts_at").fill("2569-12-05T13:00")
    words = "วันเสาร์ที่ 5 ธันวาคม พ.ศ. 2569 13:00\N{NO-BREAK SPACE}น."
    expect(page.locator("#s-starts_at")).to_have_text(words)
    page.locator("#f-ends_at").fill("2020-12-05T13:00")
    page.locator("form[action$=sessions] button").click()
    expect(page.locator("#e-ends_at")).to_be_visible()
    expect(page.locator("#s-starts_at")).to_have_text(words)
    assert words.replace("\N{NO-BREAK SPACE}", " ") in page.locator("#f-starts_at").evaluate(
        "(field) => field.getAttribute('aria-describedby').split(' ')"
        ".map((id) => document.getElementById(id).textContent).join(' ').replace(/\\s/g, ' ')"
    )
    check_with_axe(page)


def test_a_poster_is_one_page_whatever_its_name_is(site: Site) -> None:
    """The longest names that there may be, in both languages: one sheet of A4, and its symbol is read."""
    page = site.steward().page
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("เรียนรู้การทอผ้าไหมมัดหมี่ " * 4)
    page.locator("#f-name_en").fill("Learning to weave mudmee silk " * 4)
    page.locator("#f-amount").fill("5")
    page.locator("main form button.large").click()
    page.locator("button[name=confirmed]").click()
    page.locator("main a[href$='/poster']").click()
    expect(page.locator(".notice.warn")).to_be_visible()
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1
    assert len(read_symbols(at_300_px(page, ".poster .qr svg"))) == 1


def at_300_px(page: Page, symbol: str) -> bytes:
    """A picture of a symbol as it is laid out on paper, 300 pixels wide."""
    place = page.locator(symbol).evaluate(
        "(part) => { const { x, y, width, height } = part.getBoundingClientRect();"
        " return { x: x + scrollX, y: y + scrollY, width, height, scale: 300 / width }; }"
    )
    wire = page.context.new_cdp_session(page)
    taken = wire.send("Page.captureScreenshot", {"clip": place, "captureBeyondViewport": True})
    picture = base64.b64decode(taken["data"])
    assert abs(pypng.Reader(bytes=picture).read()[0] - 300) <= 1
    return picture


def test_errors_stand_at_their_fields_and_nothing_is_lost(site: Site) -> None:
    """An amount above the city's cap is refused in tokens, not in minor units; the other fields keep their text."""
    page = site.steward().page
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("ทดลอง")
    page.locator("#f-name_en").fill("Trial")
    page.locator("#f-amount").fill("500")
    page.locator("main form button.large").click()
    expect(page.locator("#e-amount")).to_contain_text("10.00 KGO")
    expect(page.locator("#f-name_th")).to_have_value("ทดลอง")


@in_looks("steward by keyboard")
def test_from_the_idea_to_the_poster_by_keyboard(site: Site, look: Look) -> None:
    """Tab, Enter and letters alone: past the head, a new activity, what it will cost, funded, and its poster."""
    page = site.steward(*look).page
    page.goto(f"{site.home}/steward/activities")
    skip_to_content(page)
    press(page, "main a[href$='activities/new']")
    fill_in(page, "#f-name_th", "ร้องสรภัญญะ")
    fill_in(page, "#f-name_en", "Chanting sarabhanna")
    fill_in(page, "#f-amount", "3")
    press(page, "main form button.large")
    press(page, "button[name=confirmed]")
    fill_in(page, "#f-fund_amount", "30")
    press(page, "form[action$=fund] button")
    press(page, "main form button.large")
    expect(page.locator(".figures")).to_contain_text("30.00 KGO")
    press(page, "main a[href$='/poster']")
    expect(page.locator(".sheet .qr svg")).to_be_visible()
