"""The shop at its counter: the till with its camera, answers that carry, papers, promotions, tokens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import png as pypng
from playwright.sync_api import expect

from tests.browser.conftest import ARGUMENTS
from tests.browser.covering import Look, in_looks
from tests.browser.keys import fill_in, press, tab_to
from tests.browser.looks import check_doubled, check_with_axe
from tests.browser.site import LAPTOP, Person, Site, read_symbols

VIDEO = (640, 480)
SOUNDED = "document.documentElement.dataset.sounded"
A4_PX = (794, 1123)
"""A sheet at 96 dots an inch."""


def reserved(site: Site) -> Person:
    """A learner in front of the shop, with the code on the screen."""
    person = site.learner()
    person.page.goto(f"{site.home}/promotions")
    person.page.locator("li.card", has_text="ส้มตำริมทาง").locator("h3 a").first.click()
    person.page.locator("form[action*=reserve] button").click()
    person.page.wait_for_url("**/redemptions/**")
    return person


def find(till: Person, learner: Person) -> None:
    """Type what stands on the learner's screen; the sixth digit sends it."""
    till.page.locator("#code").press_sequentially(learner.page.locator("p.code").inner_text())
    till.page.wait_for_url("**/shop/redemptions/**")


def tap_in_vain(till: Person) -> None:
    """Confirm while there is no network; then it is back."""
    till.cut_off()
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator("#trouble")).to_be_visible()
    till.reconnect()


def video(picture: bytes, path: Path) -> None:
    """Write a film of two frames in which the picture stands in the middle of a grey wall."""
    width, height, rows, info = pypng.Reader(bytes=picture).asRGBA8()
    planes, (wide, high) = info["planes"], VIDEO
    lines = [bytes(bytearray(row)[::planes]) for row in rows]
    assert width <= wide
    assert height <= high
    left, above = (wide - width) // 2, (high - height) // 2
    wall = bytes([180])
    grey = wall * (wide * above)
    grey += b"".join(wall * left + line + wall * (wide - width - left) for line in lines)
    grey += wall * (wide * (high - height - above))
    frame = b"FRAME\n" + grey + b"\x80" * (wide * high // 2)
    path.write_bytes(f"YUV4MPEG2 W{wide} H{high} F10:1 Ip A1:1 C420mpeg2\n".encode() + frame * 2)


@contextmanager
def another_browser(site: Site, chromium: Path, *arguments: str) -> Iterator[None]:
    """People who come meanwhile have a browser with a camera of Chromium's own making, under these arguments."""
    before = site.browser
    arguments = (*ARGUMENTS, "--use-fake-device-for-media-stream", *arguments)
    site.browser = before.browser_type.launch(executable_path=str(chromium), args=arguments)
    try:
        yield
    finally:
        site.browser.close()
        site.browser = before


@in_looks("camera")
def test_the_camera_in_the_page_finds_what_the_customer_shows(
    site: Site, chromium: Path, tmp_path: Path, look: Look
) -> None:
    """Scan, look, one tap: a green yes with its sound. The camera opens again by itself; the same QR is a loud no."""
    learner, film = reserved(site), tmp_path / "camera.y4m"
    video(learner.page.locator(".qr").screenshot(), film)
    allowed = f"--use-file-for-fake-video-capture={film}", "--use-fake-ui-for-media-stream"
    with another_browser(site, chromium, *allowed):
        till = site.shop(*look)
        scan_and_take(till, learner)
        till.page.locator("a.button[href$='/shop/']").last.click()
        expect(till.page.locator("section.verdict.bad")).to_be_visible()
        assert till.page.evaluate(SOUNDED) == "bad"
        check_with_axe(till.page)
        till.leave()
        site.people.remove(till)


def scan_and_take(till: Person, learner: Person) -> None:
    """Open the camera, look, and tap once; the learner's page notices."""
    till.page.goto(f"{till.page.url.partition('/shop/')[0]}/shop/")
    till.page.locator("[data-camera]").click()
    expect(till.page.locator("form[action$=confirm] button")).to_be_visible()
    expect(till.page.locator(".token b")).to_have_text("3.00")
    expect(learner.page.locator("#redemption")).to_have_attribute("data-state", "pending-0")
    assert till.page.evaluate(SOUNDED) == "look"
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    assert till.page.evaluate(SOUNDED) == "good"
    expect(learner.page.locator("#redemption[data-state=confirmed-0]")).to_be_visible()


def test_a_refused_camera_is_met_kindly(site: Site, chromium: Path) -> None:
    """Whoever says no to the browser reads how to allow it, and has a photo and the digits beside it."""
    with another_browser(site, chromium, "--deny-permission-prompts"):
        till = site.shop()
        till.page.locator("[data-camera]").click()
        expect(till.page.locator("[data-why=denied]")).to_be_visible()
        expect(till.page.locator("[data-photo-way]")).to_be_visible()
        expect(till.page.locator("#code")).to_be_editable()
        check_with_axe(till.page)
        till.leave()
        site.people.remove(till)


def test_without_a_camera_a_photo_does(site: Site, tmp_path: Path) -> None:
    """The page says kindly that there is none and offers a photo; one of a wall says so, one of the screen is found."""
    learner, till = reserved(site), site.shop()
    wall, screen = tmp_path / "wall.png", tmp_path / "screen.png"
    screen.write_bytes(learner.page.screenshot())
    wall.write_bytes(learner.page.locator(".foot").screenshot())
    till.page.locator("[data-camera]").click()
    expect(till.page.locator("[data-why=none]")).to_be_visible()
    expect(till.page.locator("[data-photo-way]")).to_be_visible()
    till.page.locator("[data-photo]").set_input_files(wall)
    expect(till.page.locator("[data-why=empty]")).to_be_visible()
    till.page.locator("[data-photo]").set_input_files(screen)
    expect(till.page.locator("form[action$=confirm] button")).to_be_visible()


@in_looks("shop")
def test_six_digits_show_before_they_take(site: Site, look: Look) -> None:
    """On slow 4G the sixth digit sends the form; what and how much stand there; one tap takes, and both see it."""
    learner, till = reserved(site), site.shop(*look, slow=True)
    find(till, learner)
    expect(till.page.locator(".token b")).to_have_text("3.00")
    expect(learner.page.locator("#redemption")).to_have_attribute("data-state", "pending-0")
    check_with_axe(till.page)
    button = till.page.locator("form[action$=confirm] button")
    expect(button).to_be_in_viewport(ratio=1)
    button.click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    check_with_axe(till.page)
    expect(learner.page.locator("#redemption[data-state=confirmed-0]")).to_be_visible()


def test_the_qr_on_the_learner_s_screen_leads_to_the_same_look(site: Site) -> None:
    """An independent reader finds the address in a picture of the phone; the shop's browser opens it."""
    learner, till = reserved(site), site.shop()
    symbols = read_symbols(learner.page.screenshot(full_page=True))
    assert len(symbols) == 1
    till.page.goto(site.server.url + "/r/" + symbols[0].rpartition("/r/")[2])
    expect(till.page.locator("form[action$=confirm] button")).to_be_visible()
    expect(till.page.locator(".code, dd").first).to_have_text(learner.page.locator("p.code").inner_text())


def test_a_tap_without_a_network_says_so_and_counts_once(site: Site) -> None:
    """No answer is shown as no answer; the second tap, with the network back, takes the tokens once."""
    learner, till = reserved(site), site.shop()
    find(till, learner)
    tap_in_vain(till)
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()


def test_the_sound_can_be_muted_and_shows_it(site: Site) -> None:
    """The button says which; it stays so on the next page, and the answer makes no sound but still its colour."""
    till = site.shop()
    button = till.page.locator("[data-sound-toggle]")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    till.page.reload()
    expect(button).to_contain_text("ปิดเสียงอยู่")
    till.page.locator("#code").press_sequentially("000000")
    expect(till.page.locator("#e-code")).to_be_visible()
    assert till.page.evaluate(SOUNDED) == ""


def test_a_refund_reaches_the_learner(site: Site) -> None:
    """A part after a second look, then the rest; it stands on the learner's open page without a touch."""
    learner, till = reserved(site), site.shop()
    find(till, learner)
    till.page.locator("form[action$=confirm] button").click()
    for amount, state in (("1", "confirmed-100"), ("2", "refunded-300")):
        till.page.locator("details summary").click()
        till.page.locator("[name=amount]").fill(amount)
        till.page.locator("form[action$=refund] button").click()
        expect(till.page.locator(".confirm .amount.big")).to_have_text(f"{amount}.00 KGO")
        check_with_axe(till.page)
        till.page.locator("form[action$=refund] button").click()
        gone = learner.page.locator(f"#redemption[data-state={state}]")
        expect(gone).to_be_visible()
    expect(learner.page.locator("main")).to_contain_text("5.00 KGO")


def test_forms_that_are_refused_name_their_fields(site: Site) -> None:
    """Error states of a shop: each error on top is named by its field and leads to it; all of it fits and reads."""
    page = site.shop(language="en").page
    wrong = (
        ("promotions/new", "form.offering button.large", {"title_th": "ชา", "price": "5,5", "stock": "-1"}, "Price: "),
        ("about", "form.card button.large", {"phone": "12"}, "Telephone: "),
        ("tokens", "form[action$=settle] button", {"settle": "9000"}, "How much to settle: "),
    )
    learner = reserved(site)
    page.locator("#code").press_sequentially(learner.page.locator("p.code").inner_text())
    page.locator("form[action$=confirm] button").click()
    expect(page.locator(".verdict.good")).to_be_visible()
    for path, button, fields, named in wrong:
        page.goto(f"{site.home}/shop/{path}")
        for name, text in fields.items():
            page.locator(f"#f-{name}").fill(text)
        page.locator(button).click()
        expect(page.locator(".notice.warn li").first).to_contain_text(named)
        for name, text in fields.items():
            expect(page.locator(f"#f-{name}")).to_have_value(text)
        check_with_axe(page)
        check_doubled(page)


def test_a_wrong_code_says_so_at_the_field(site: Site) -> None:
    """The field keeps the focus of the eye: the error is announced and tied to it."""
    till = site.shop()
    till.page.locator("#code").press_sequentially("000000")
    field = till.page.locator("#code")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(till.page.locator("#e-code")).to_be_visible()
    expect(till.page.locator("#e-code")).to_have_attribute("role", "alert")


def test_a_promotion_is_duplicated_paused_and_resumed(site: Site) -> None:
    """The copy stands beside its model; paused it is gone for learners, and resumed it is back."""
    till, reader = site.shop(language="en"), site.person(language="en")
    till.page.goto(f"{site.home}/shop/promotions")
    till.page.get_by_role("link", name="Duplicate").first.click()
    till.page.locator("[name=title_en]").fill("Two baskets")
    till.page.locator("form button.large").click()
    card = till.page.locator("li.card", has_text="Two baskets")
    for act, count in (("Pause", 0), ("Resume", 1)):
        card.get_by_role("button", name=act).click()
        reader.page.goto(f"{site.home}/promotions")
        expect(reader.page.locator("h3", has_text="Two baskets")).to_have_count(count)


def test_sales_and_papers(site: Site, tmp_path: Path) -> None:
    """The month's chart has its table; the CSV adds up to the balance; the paper is one that A4 holds."""
    learner, till = reserved(site), site.shop(LAPTOP, "en")
    find(till, learner)
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    till.page.goto(f"{site.home}/shop/sales?by=month")
    received = till.page.locator(".figures dd").first.inner_text()
    expect(till.page.locator(".chart svg[role=img]")).to_be_visible()
    expect(till.page.locator(".chart tbody tr")).to_have_count(1)  # the days on which nothing came are left out
    till.page.get_by_role("link", name="Statement for this time").click()
    with till.page.expect_download() as download:
        till.page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "statement.csv")
    with (tmp_path / "statement.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    total = sum(round(float(row["amount"]) * 100) for row in rows)
    assert total == round(float(rows[-1]["balance"]) * 100) == round(float(received.split()[0]) * 100)
    till.page.get_by_role("link", name="Print").click()
    till.page.emulate_media(media="print")
    till.page.set_viewport_size({"width": A4_PX[0], "height": A4_PX[1]})
    expect(till.page.locator(".head")).to_be_hidden()
    expect(till.page.locator(".paper tbody:not(.carried) tr")).to_have_count(len(rows))
    assert till.page.locator(".paper .scroll").evaluate("part => part.scrollWidth <= part.clientWidth")


def test_tokens_are_spent_and_settled(site: Site) -> None:
    """A neighbour is paid after a second look; what is left is asked for, and the treasurer settles it."""
    learner, till, treasurer = reserved(site), site.shop(language="en"), site.steward(language="en")
    find(till, learner)
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    till.page.goto(f"{site.home}/shop/tokens")
    till.page.locator("[name=shop]").select_option("sample-book-coffee")
    till.page.locator("[name=spend]").fill("1")
    till.page.locator("form[action$=spend] button").click()
    check_with_axe(till.page)
    till.page.locator("form[action$=spend] button").click()
    expect(till.page.locator(".notice.good")).to_be_visible()
    till.page.locator("form[action$=settle] button").click()
    till.page.locator("form[action$=settle] button").click()
    expect(till.page.get_by_text("Waits for the treasurer")).to_be_visible()
    treasurer.page.goto(f"{site.home}/steward/treasury")
    treasurer.page.locator("a[href*=settlements]").click()
    check_with_axe(treasurer.page)
    treasurer.page.locator("form[action$=settle] button").click()
    expect(treasurer.page.locator(".notice.good")).to_be_visible()
    till.page.reload()
    expect(till.page.locator(".cloth b")).to_contain_text("0.00")
    expect(till.page.locator(".line", has_text="Settled")).to_be_visible()


@in_looks("shop by keyboard")
def test_taking_and_giving_back_by_keyboard(site: Site, look: Look) -> None:
    """Six digits, a look, Enter; then a part is given back, after a second look, and the learner sees it."""
    learner, till = reserved(site), site.shop(*look)
    page = till.page
    tab_to(page, "#code")
    page.keyboard.type(learner.page.locator("p.code").inner_text())
    page.wait_for_url("**/shop/redemptions/**")
    press(page, "form[action$=confirm] button")
    expect(page.locator(".verdict.good")).to_be_visible()
    tab_to(page, "details summary")
    page.keyboard.press("Enter")
    fill_in(page, "[name=amount]", "1")
    press(page, "form[action$=refund] button")
    press(page, "form[action$=refund] button")
    expect(learner.page.locator("#redemption[data-state=confirmed-100]")).to_be_visible()
