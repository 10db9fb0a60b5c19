"""Every page at two sizes, in both languages and both colour schemes: it fits, and the browser has no complaint."""

from __future__ import annotations

import pytest

from tests.browser.site import KIOSK, LAPTOP, PHONE, POSTER, Site

PUBLIC = ("", "promotions", "wallet", "recover", "shop/apply", "audit/", "audit/entries", "audit/entries/12")
DESK = (
    "steward/",
    "steward/treasury",
    "steward/activities",
    "steward/activities/new",
    f"steward/activities/{POSTER}",
    f"steward/activities/{POSTER}/edit",
    f"steward/activities/{POSTER}/poster",
    "steward/airdrops",
    "steward/airdrops/new",
    "steward/shops",
    "steward/promotions",
    "steward/figures",
    f"kiosk/{KIOSK}",
)
SHOP = ("shop/", "shop/promotions", "shop/promotions/new", "shop/statement")
SMALLEST_TARGET_PX = 24
SMALLEST_TEXT_PX = 17

MEASURE = """() => ({
    too_wide_px: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    text_px: parseFloat(getComputedStyle(document.body).fontSize),
    targets: [...document.querySelectorAll('button, .ways a, .button, input, select, textarea')]
        .filter((target) => target.checkVisibility() && target.type !== 'hidden')
        .map((target) => [target.outerHTML.slice(0, 80), target.getBoundingClientRect().height]),
})"""

LOOKS = [(PHONE, "th", "light"), (LAPTOP, "en", "dark"), (PHONE, "en", "dark"), (LAPTOP, "th", "light")]


@pytest.mark.parametrize(("size", "language", "scheme"), LOOKS)
def test_every_page_fits(site: Site, size: tuple[int, int], language: str, scheme: str) -> None:
    """No page is wider than its window, has text below 17 px in its body, or buttons too small for a thumb."""
    steward = site.steward(size, language)
    shop = site.worker("--role", "shop", "--shop", "sample-som-tam", size=size, language=language)
    stranger = site.person(size, language, scheme)
    for person, pages in ((stranger, PUBLIC), (site.learner(size, language), PUBLIC), (steward, DESK), (shop, SHOP)):
        person.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for address in pages:
            person.page.goto(f"{site.home}/{address}")
            found = person.page.evaluate(MEASURE)
            assert found["too_wide_px"] <= 0, address
            assert found["text_px"] >= SMALLEST_TEXT_PX, address
            assert [shape for shape in found["targets"] if shape[1] < SMALLEST_TARGET_PX] == [], address


def test_the_first_page_is_light(site: Site) -> None:
    """The start page with all it needs is below 100 kB, and nothing comes from anywhere else."""
    person, sizes = site.person(), {}
    person.page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    person.page.goto(site.server.url, wait_until="networkidle")
    assert all(address.startswith(site.server.url) for address in sizes)
    assert sum(sizes.values()) < 100_000


def test_text_at_double_size_still_fits(site: Site) -> None:
    """A reader who doubles the letters scrolls down, never sideways."""
    person = site.learner()
    for address in ("", "wallet", "promotions", "audit/"):
        person.page.goto(f"{site.home}/{address}")
        person.page.evaluate("document.documentElement.style.fontSize = '212.5%'")
        assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
