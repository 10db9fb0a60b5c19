"""The learner's phone: scan, tap, tokens; spend them; find them again on another phone."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.site import Site


def test_one_tap_and_the_tokens_are_there(site: Site) -> None:
    """A newcomer opens the code, taps once, and reads "+5.00 KGO" with what for and where."""
    person = site.person()
    person.page.goto(site.poster())
    person.page.locator("main form button").click()
    expect(person.page.locator(".token b")).to_have_text("+5.00")
    expect(person.page.locator("main")).to_contain_text("เดินเรียนรู้ถนนศรีจันทร์")
    expect(person.page.locator("main")).to_contain_text("ประตูเมือง")


def test_a_second_scan_needs_no_tap_and_is_friendly(site: Site) -> None:
    """The page of somebody with a wallet sends itself; having been here shows as a success with the first time."""
    person = site.learner()
    person.page.goto(site.poster())
    person.page.wait_for_url("**again=1")
    expect(person.page.locator(".notice.good")).to_be_visible()
    expect(person.page.locator(".token b")).to_have_text("+5.00")


def test_the_recovery_code_survives_a_reload_and_moves_the_wallet(site: Site) -> None:
    """Shown until "I have written it down"; typed on a second phone it brings the wallet there."""
    first, second = site.learner(), site.person()
    code = first.page.locator("#recovery").inner_text()
    first.page.reload()
    expect(first.page.locator("#recovery")).to_have_text(code)
    first.page.get_by_role("button", name="จดไว้แล้ว").click()
    expect(first.page.locator("#recovery")).to_have_count(0)
    second.page.goto(f"{site.home}/recover")
    second.page.get_by_label("รหัสกู้คืน").fill(code.lower())
    second.page.locator("main form button").click()
    expect(second.page.locator(".cloth b")).to_have_text("5.00KGO")
    first.page.reload()
    expect(first.page.get_by_text("เครื่องนี้ยังไม่มีกระเป๋า")).to_be_visible()


def test_what_i_can_afford_stands_first(site: Site) -> None:
    """With 5.00 KGO the first heading holds what costs no more, the second what is missing how much."""
    person = site.learner(language="en")
    person.page.goto(f"{site.home}/promotions")
    prices = person.page.locator("li.card .pill.gold").all_inner_texts()
    amounts = [float(price.split()[0]) for price in prices]
    assert amounts == sorted(amounts)
    assert amounts[0] <= 5
    expect(person.page.get_by_text("You need 3.00 KGO more")).to_be_visible()


def test_a_reservation_counts_down_and_can_be_cancelled(site: Site) -> None:
    """Six digits, a QR and a running clock; after cancelling everything is free again."""
    person = site.learner()
    person.page.goto(f"{site.home}/promotions")
    person.page.locator("li.card h3 a").first.click()
    person.page.locator("form[action*=reserve] button").click()
    clock = person.page.locator("[data-until]")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    assert person.page.locator("p.code").inner_text().isdigit()
    person.page.get_by_role("button", name="ยกเลิกการจอง").click()
    expect(person.page.locator("#redemption")).to_have_attribute("data-state", "cancelled-0")
    expect(person.page.locator("main")).to_contain_text("5.00 KGO")


def test_everything_works_without_script(site: Site) -> None:
    """With JavaScript off one button does what the script did, for the newcomer and for the second scan."""
    context = site.browser.new_context(java_script_enabled=False)
    page, address = context.new_page(), site.poster()
    page.goto(address)
    page.locator("main form button").click()
    expect(page.locator(".token b")).to_have_text("+5.00")
    page.goto(address)
    page.locator("main form button").click()
    expect(page.locator(".notice.good")).to_be_visible()
    context.close()
