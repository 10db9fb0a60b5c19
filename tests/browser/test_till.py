"""The till when things go wrong: taps without an answer, two tills, the way back, no sound, no scripts, no sign-in."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.looks import check_doubled, check_with_axe
from tests.browser.site import LAPTOP, Site
from tests.browser.test_shop import SOUNDED, find, reserved, tap_in_vain


def lose(route: Route) -> None:
    """The request arrives and its answer does not."""
    route.fetch()
    route.abort()


def test_a_lost_answer_is_found_again_by_itself(site: Site) -> None:
    """The tokens were taken and the answer got lost: the page asks by itself, and says yes without another tap."""
    learner, till = reserved(site), site.shop()
    find(till, learner)
    till.is_cut_off = True
    till.route("**/confirm", lose, times=1)
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator("#trouble")).to_be_visible()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    assert till.page.evaluate(SOUNDED) == "good"
    expect(learner.page.locator("#redemption[data-state=confirmed-0]")).to_be_visible()


def test_a_network_that_comes_back_is_noticed_and_takes_nothing(site: Site) -> None:
    """The tap never arrived: the page says by itself that nothing was taken, and waits for another tap."""
    learner, till = reserved(site), site.shop()
    find(till, learner)
    tap_in_vain(till)
    expect(till.page.locator("[data-back]")).to_be_visible()
    expect(till.page.locator("#trouble")).to_be_hidden()
    check_with_axe(till.page)
    assert learner.page.locator("#redemption").get_attribute("data-state") == "pending-0"
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()


def test_digits_typed_without_a_network_are_looked_up_when_it_is_back(site: Site) -> None:
    """Looking moves nothing, so that the page does it again by itself."""
    learner, till = reserved(site), site.shop()
    till.cut_off()
    till.page.locator("#code").press_sequentially(learner.page.locator("p.code").inner_text())
    expect(till.page.locator("#trouble")).to_be_visible()
    till.reconnect()
    expect(till.page.locator("form[action$=confirm] button")).to_be_visible()


def test_two_taps_and_two_tills_take_once(site: Site) -> None:
    """A double tap is one yes; the colleague who had looked at the same code gets a loud no, and so does a late tap."""
    learner, till, colleague = reserved(site), site.shop(), site.shop(LAPTOP, "en")
    find(till, learner)
    find(colleague, learner)
    before = learner.page.locator("#redemption").get_attribute("data-state")
    assert before == "pending-0"
    till.page.locator("form[action$=confirm] button").dblclick()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    colleague.page.locator("form[action$=confirm] button").click()
    expect(colleague.page.locator("section.verdict.bad")).to_contain_text("Already redeemed")
    assert colleague.page.evaluate(SOUNDED) == "bad"
    learner.page.goto(f"{site.home}/wallet")
    expect(learner.page.locator("main")).to_contain_text("2.00")


def test_back_after_a_confirmation_is_the_plain_receipt(site: Site) -> None:
    """Neither a reload nor the browser's button shows the yes again, and neither offers to take again."""
    learner, till = reserved(site), site.shop()
    find(till, learner)
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
    assert "fresh" not in till.page.url
    till.page.reload()
    expect(till.page.locator(".token b")).to_have_text("+3.00")
    till.page.locator("a.button[href$='/shop/']").click()
    till.page.go_back()
    expect(till.page.locator(".token b")).to_have_text("+3.00")
    expect(till.page.locator(".verdict.good, form[action$=confirm]")).to_have_count(0)
    till.page.go_back()
    expect(till.page.locator(".verdict.good, form[action$=confirm]")).to_have_count(0)


def test_a_device_without_sound_takes_all_the_same(site: Site) -> None:
    """No audio at all, or one that fails in the middle: the digits are sent, the tokens taken, the yes shown."""
    broken = (
        """
        window.AudioContext = class { constructor() { throw new DOMException('no', 'NotSupportedError') } };""",
        """
        AudioContext.prototype.createOscillator = () => { throw new DOMException('no', 'InvalidStateError') };""",
    )
    for script in broken:
        learner, till = reserved(site), site.shop()
        till.context.add_init_script(script)
        till.page.reload()
        find(till, learner)
        till.page.locator("form[action$=confirm] button").click()
        expect(till.page.locator(".verdict.good")).to_be_visible()


def test_a_sign_in_that_ended_is_said(site: Site, tmp_path: Path) -> None:
    """Whether the till taps or only looks: the page says how to come in again, and does not look on in silence."""
    learner = reserved(site)
    screen = tmp_path / "screen.png"
    screen.write_bytes(learner.page.screenshot())
    till, looking = site.shop(language="en"), site.shop(language="en")
    find(till, learner)
    looking.page.locator("[data-camera]").click()
    for person in (till, looking):
        person.context.clear_cookies(name=re.compile("^(?!lang$)"))
    till.page.locator("form[action$=confirm] button").click()
    looking.page.locator("[data-photo]").set_input_files(screen)
    for person in (till, looking):
        expect(person.page.get_by_role("heading", name="The till is for shops")).to_be_visible()
    assert learner.page.locator("#redemption").get_attribute("data-state") == "pending-0"


def test_a_file_that_is_no_picture_is_no_missing_network(site: Site, tmp_path: Path) -> None:
    """What cannot be read as a picture is said to be that; nothing is said of a network, and the digits are open."""
    till, broken = site.shop(), tmp_path / "photo.jpg"
    broken.write_bytes(b"no picture" * 40)
    till.page.locator("[data-camera]").click()
    expect(till.page.locator("[data-why=none]")).to_be_visible()
    till.page.locator("[data-photo]").set_input_files(broken)
    expect(till.page.locator("[data-why=unreadable]")).to_be_visible()
    expect(till.page.locator("#trouble")).to_be_hidden()
    expect(till.page.locator("#code")).to_be_editable()
    check_with_axe(till.page)


def test_what_was_wrong_is_typed_over(site: Site) -> None:
    """After wrong digits, and after a customer, the field has the focus again: the next six digits need no mouse."""
    learner, till = reserved(site), site.shop(LAPTOP, "en")
    page = till.page
    page.locator("#code").press_sequentially("000000")
    expect(page.locator("#e-code")).to_be_visible()
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.type(learner.page.locator("p.code").inner_text())
    page.locator("form[action$=confirm] button").click()
    expect(page.locator(".verdict.good")).to_be_visible()
    check_doubled(page)
    page.locator("a.button[href$='/shop/']").click()
    expect(page.locator("#code")).to_be_focused()


def test_the_till_works_without_scripts(site: Site) -> None:
    """Six digits, a button, a look, a button: each step is a page, nothing that needs a script shows."""
    learner, shop = reserved(site), site.shop(language="en")
    till = site.person(language="en", java_script_enabled=False)
    till.context.add_cookies(shop.context.cookies())  # type: ignore[arg-type]
    till.page.goto(f"{site.home}/shop/")
    expect(till.page.locator("[data-camera], [data-sound-toggle]").first).to_be_hidden()
    till.page.locator("#code").fill(learner.page.locator("p.code").inner_text())
    till.page.get_by_role("button", name="Look it up").click()
    expect(till.page.locator(".token b")).to_have_text("3.00")
    till.page.locator("form[action$=confirm] button").click()
    expect(till.page.locator(".verdict.good")).to_be_visible()
