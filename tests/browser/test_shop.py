"""The till: six digits or the customer's QR, one look, one confirmation, and the customer's phone knows."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.site import PHONE, Person, Site, read_symbols

SHOP = "sample-som-tam"
NOTICED_MS = 8_000


def reserved(site: Site) -> Person:
    """A learner in front of the shop, with the code on the screen."""
    person = site.learner()
    person.page.goto(f"{site.home}/promotions")
    person.page.locator("li.card", has_text="ส้มตำริมทาง").locator("h3 a").first.click()
    person.page.locator("form[action*=reserve] button").click()
    person.page.wait_for_url("**/redemptions/**")
    return person


def shop(site: Site) -> Person:
    """The shop's phone at the counter."""
    return site.worker("--role", "shop", "--shop", SHOP, size=PHONE)


def test_six_digits_show_before_they_take(site: Site) -> None:
    """The sixth digit sends the form; title and amount stand there; one tap takes, and the learner's page notices."""
    learner, till = reserved(site), shop(site)
    till.page.locator("#code").press_sequentially(learner.page.locator("p.code").inner_text())
    till.page.wait_for_url("**/shop/redemptions/**")
    expect(till.page.locator(".token b")).to_have_text("3.00")
    expect(learner.page.locator("#redemption")).to_have_attribute("data-state", "pending-0")
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".notice.good.strong")).to_be_visible()
    done = learner.page.locator("#redemption[data-state=confirmed-0]")
    expect(done).to_be_visible(timeout=NOTICED_MS)


def test_the_qr_on_the_learner_s_screen_leads_to_the_same_look(site: Site) -> None:
    """An independent reader finds the address in a picture of the phone; the shop's browser opens it."""
    learner, till = reserved(site), shop(site)
    symbols = read_symbols(learner.page.screenshot(full_page=True))
    assert len(symbols) == 1
    till.page.goto(site.server.url + "/r/" + symbols[0].rpartition("/r/")[2])
    expect(till.page.locator("form[action$=confirm] button")).to_be_visible()
    expect(till.page.locator(".code, dd").first).to_have_text(learner.page.locator("p.code").inner_text())


def test_a_refund_reaches_the_learner(site: Site) -> None:
    """What the shop gives back stands on the learner's open page without a touch."""
    learner, till = reserved(site), shop(site)
    till.page.locator("#code").press_sequentially(learner.page.locator("p.code").inner_text())
    till.page.locator("form[action$=confirm] button").click()
    till.page.locator("details summary").click()
    till.page.locator("[name=amount]").fill("3")
    till.page.locator("[name=sure]").check()
    till.page.locator("form[action$=refund] button").click()
    gone = learner.page.locator("#redemption[data-state=refunded-300]")
    expect(gone).to_be_visible(timeout=NOTICED_MS)
    expect(learner.page.locator("main")).to_contain_text("5.00 KGO")


def test_a_wrong_code_says_so_at_the_field(site: Site) -> None:
    """The field keeps the focus of the eye: the error is announced and tied to it."""
    till = shop(site)
    till.page.locator("#code").press_sequentially("000000")
    field = till.page.locator("#code")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(till.page.locator("#e-code")).to_be_visible()
    expect(till.page.locator("#e-code")).to_have_attribute("role", "alert")
