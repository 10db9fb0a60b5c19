"""The steward's laptop: an activity from idea to a printed poster that a phone can read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.site import Site, read_symbols

LOCAL = "%Y-%m-%dT%H:%M"
BANGKOK = timedelta(hours=7)


def test_fund_open_print(site: Site) -> None:
    """New activity, funded after a second look, a session opened, and the printed sheet decodes to its code."""
    steward, now = site.steward(), datetime.now(UTC) + BANGKOK
    page = steward.page
    page.goto(f"{site.home}/steward/activities/new")
    page.locator("#f-name_th").fill("สานเสวนาริมทาง")
    page.locator("#f-name_en").fill("Street dialogue")
    page.locator("#f-amount").fill("7.50")
    page.locator("main form button.large").click()
    page.locator("#f-fund_amount").fill("100")
    page.locator("form[action$=fund] button").click()
    expect(page.locator("table")).to_contain_text("100.00 KGO")
    page.locator("main form button.large").click()
    expect(page.locator(".figures")).to_contain_text("100.00 KGO")
    page.locator("#f-starts_at").fill((now - timedelta(hours=1)).strftime(LOCAL))
    page.locator("#f-ends_at").fill((now + timedelta(hours=1)).strftime(LOCAL))
    page.locator("form[action$=sessions] button").click()
    page.get_by_role("link", name="พิมพ์โปสเตอร์").click()
    page.emulate_media(media="print")
    expect(page.locator(".head")).to_be_hidden()
    (address,) = read_symbols(page.screenshot(full_page=True))
    learner = site.person()
    learner.page.goto(site.server.url + "/q/" + address.rpartition("/q/")[2])
    learner.page.locator("main form button").click()
    expect(learner.page.locator(".token b")).to_have_text("+7.50")


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


def test_the_desk_can_be_walked_with_the_keyboard(site: Site) -> None:
    """The first Tab offers to skip to the content; what has the focus is visibly framed."""
    page = site.steward().page
    page.goto(f"{site.home}/steward/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
