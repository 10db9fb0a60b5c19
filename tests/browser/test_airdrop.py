"""The steward's laptop and phone: a class list becomes rewards, and the bar fills by itself."""

from __future__ import annotations

import re

from playwright.sync_api import FilePayload, Page, expect

from ledger.programme import airdrops
from tests.browser.keys import press, tab_to
from tests.browser.looks import check, check_with_axe
from tests.browser.site import CITY, LAPTOP, PHONE, POSTER, Site

NOBODY = "a" * 26


def pupils(site: Site, count: int) -> list[str]:
    """The ids of learners who joined through the API."""
    context = site.browser.new_context()
    address = f"{site.server.url}/v1/cities/{CITY}/learners"
    joined = [context.request.post(address).json()["account"] for _ in range(count)]
    context.close()
    return [account.removeprefix("learner:") for account in joined]


def bring(site: Site, page: Page, content: str) -> None:
    """Go from the activity's page to the form, choose a file and send it."""
    page.goto(f"{site.home}/steward/activities/{POSTER}")
    page.locator("main a[href*='airdrops/new']").click()
    expect(page.locator("#f-activity")).to_have_value(POSTER)
    page.locator("#f-file").set_input_files(
        FilePayload(name="ห้อง ป.5.csv", mimeType="text/csv", buffer=content.encode())
    )
    page.locator("main form button.large").click()


def test_a_class_is_rewarded_from_a_list(site: Site) -> None:
    """Every verdict before anything is paid, a button that names the sum, a bar that fills, and a file to keep."""
    page = site.steward(LAPTOP).page
    who = pupils(site, airdrops.CHUNK + 20)
    rows = [
        *(f"{one},0.10,กลุ่ม {place}" for place, one in enumerate(who)),
        f"{NOBODY},1,",
        f"{who[0]},1,",
        f"{who[1]},ห้า,",
    ]
    bring(site, page, "learner,amount,note\n" + "\n".join(rows))
    expect(page.locator(".figures")).to_contain_text("12.00 KGO")
    expect(page.locator(".lines").first).to_contain_text("ไม่พบผู้เรียนรู้: 1")
    check(page)
    page.get_by_role("link", name="เฉพาะที่ไม่ผ่าน").click()
    expect(page.locator(".lines.card .line")).to_have_count(3)
    page.get_by_role("link", name="ดูทุกแถว").click()
    shown: list[str] = []
    page.on("request", lambda request: shown.append(request.url) if request.url.endswith("/continue") else None)
    page.get_by_role("button", name=re.compile("12.00 KGO")).click()
    expect(page.locator(".notice.good[role=status]").last).to_contain_text("120")
    expect(page.locator("progress")).to_have_count(0)
    assert 1 <= len(shown) <= 3
    expect(page.locator(".lines .pill.good").first).to_have_text("จ่ายแล้ว")
    check(page)
    with page.expect_download() as download:
        page.locator("a[href$='verdicts.csv']").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == len(rows) + 1
    assert sum(",paid," in line for line in lines) == len(who)


def test_a_list_that_cannot_be_read_says_where_on_a_phone(site: Site) -> None:
    """The line and the remedy stand at the field; nothing was kept."""
    page = site.steward(PHONE).page
    bring(site, page, f'learner,amount\n{NOBODY},1\n"{NOBODY},1\n')
    expect(page.locator("#e-file")).to_contain_text("บรรทัดที่ 3")
    expect(page.locator("#f-activity")).to_have_value(POSTER)
    check(page)
    page.goto(f"{site.home}/steward/airdrops")
    check(page)


def test_a_list_is_paid_by_keyboard(site: Site) -> None:
    """Tab and Enter lead from the lists to the file, over the verdicts, to a payment that is done."""
    page = site.steward(LAPTOP, "en").page
    (one,) = pupils(site, 1)
    page.goto(f"{site.home}/steward/airdrops")
    press(page, "main a[href$='airdrops/new']")
    tab_to(page, "#f-activity")
    page.keyboard.type("Sri Chan")
    tab_to(page, "#f-file")
    page.locator("#f-file").set_input_files(
        FilePayload(name="list.csv", mimeType="text/csv", buffer=f"learner,amount\n{one},1\n{NOBODY},1\n".encode())
    )
    press(page, "main form button.large")
    check_with_axe(page)
    press(page, "form[action$=confirm] button")
    expect(page.locator(".notice.good[role=status]").last).to_contain_text("1.00 KGO")


def test_a_list_that_was_thrown_away_leads_on(site: Site) -> None:
    """Nothing was paid: the page says that, and has the way to bring another list for the same activity."""
    page = site.steward(PHONE, "en").page
    bring(site, page, f"learner,amount\n{NOBODY},1\n")
    expect(page.locator("main a.button[href*='airdrops/new']")).to_be_visible()
    page.locator("form[action$=cancel] button").click()
    expect(page.locator("main")).to_contain_text("nothing was paid from this list")
    check_with_axe(page)
    page.locator("main a.button[href*='airdrops/new']").click()
    expect(page.locator("#f-activity")).to_have_value(POSTER)


def test_without_a_script_a_button_goes_on(site: Site) -> None:
    """A browser that runs no scripts shows the bar and the button, and pressing it pays the next rows."""
    steward = site.steward(PHONE)
    (one,) = pupils(site, 1)
    page = site.person(java_script_enabled=False, storage_state=steward.context.storage_state()).page
    bring(site, page, f"learner;amount\n{one};1\n")
    page.locator("form[action$=confirm] button").click()
    expect(page.locator("progress")).to_have_attribute("value", "0")
    page.locator("form[action$=continue] button").click()
    expect(page.locator("progress")).to_have_count(0)
    expect(page.locator(".figures")).to_contain_text("1")
