"""Every page in all its looks: it fits, reads, grows and can be walked, and neither browser nor axe complains.

Each page is seen on phone and laptop, in Thai and English, in light and dark: eight looks, measured in all of them.
axe goes over the four of `WITH_AXE` (every pair comes up), the doubled letters over the phone in both languages, the
longest dates and amounts over the narrowest phone in both, the walk with Tab over the laptop in English. `--long` runs
axe over all eight and the walk in all languages and sizes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from api.app import create_app
from ledger.config import Settings
from tests import counts
from tests.browser import looks
from tests.browser.covering import ALL, LAPTOP, PHONE, Look
from tests.browser.looks import check, check_doubled, check_keyboard, check_longest, check_with_axe, have_axe_ready
from tests.browser.scene import staged
from tests.browser.site import CITY, Site

WITH_AXE = {
    Look(PHONE, "th", "light"),
    Look(PHONE, "en", "dark"),
    Look(LAPTOP, "th", "dark"),
    Look(LAPTOP, "en", "light"),
}


@pytest.mark.parametrize("language", ["th", "en"])
def test_every_page_fits(site: Site, language: str) -> None:
    """Nothing is too wide, small, faint or cut off in any look; axe finds nothing serious; Tab comes everywhere."""
    people = {
        "stranger": site.person(PHONE, language),
        "learner": site.learner(PHONE, language),
        "steward": site.steward(PHONE, language),
        "shop": site.shop(PHONE, language),
    }
    names = staged(site, people["learner"], people["shop"])
    for role, person in people.items():
        have_axe_ready(person.context)
        for path in looks.PAGES[role]:
            person.page.goto(looks.address(site.home, path.format(**names)))
            look_all_over(person.page, language)


def look_all_over(page: Page, language: str) -> None:
    """One page in one language: at two sizes and in two schemes."""
    for size in (PHONE, LAPTOP):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            with_axe = counts.is_long() or Look(size, language, scheme) in WITH_AXE
            (check_with_axe if with_axe else check)(page)
        if size == PHONE:
            check_doubled(page)
        if counts.is_long() or (size, language) == (LAPTOP, "en"):
            check_keyboard(page)
    check_longest(page)


def test_no_page_is_left_out(site: Site, tmp_path: Path) -> None:
    """Every view that answers a GET with a page is in `PAGES`; what is named as no page answers with something else."""
    app = create_app(Settings(tmp_path, site.deployment.database_url, site.server.url))
    rules = [
        rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("web.") and "GET" in (rule.methods or ())
    ]
    asked = app.url_map.bind("127.0.0.1")
    paths = [path for paths in looks.PAGES.values() for path in paths if CITY + "/nowhere" not in path]
    seen = {asked.match(looks.address(f"/c/{CITY}", path.partition("?")[0].format_map(ANY)))[0] for path in paths}
    left_out = {rule.endpoint.removeprefix("web.") for rule in rules} - {name.removeprefix("web.") for name in seen}
    assert left_out == {*looks.NO_PAGES, *looks.PASSED_THROUGH}


class _Any(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "1"


ANY = _Any()
FAULTS = {
    "a button without a name": (check_with_axe, "part = document.createElement('button')"),
    "a picture without words": (
        check_with_axe,
        "part = Object.assign(document.createElement('img'), { src: '/assets/mark.svg' })",
    ),
    "words that can hardly be seen": (check_with_axe, "part = words('hardly'); part.style.color = '#aaa'"),
    "an amount that is clear enough for words only": (
        check,
        "part = words('5.00'); part.className = 'amount'; part.style.color = '#666'",
    ),
    "letters of a fixed size": (check_doubled, "part = words('fixed'); part.style.fontSize = '18px'"),
    "words that outgrow their frame": (
        check_doubled,
        """part = words(''); part.innerHTML = '<span>not seen whole</span>';
        part.style.cssText = 'width: 170px; overflow: hidden; white-space: nowrap'""",
    ),
    "a sum that would not fit if it were a large one": (
        check_longest,
        "part = words('1.00'); part.style.cssText = 'white-space: nowrap; font-size: 2rem'",
    ),
    "a way that shows no focus": (
        check_keyboard,
        "part = document.createElement('a'); part.href = '#'; part.textContent = 'where'; part.style.outline = 'none'",
    ),
    "a trap for the focus": (
        check_keyboard,
        "part = document.createElement('button'); part.addEventListener('keydown', (event) => event.preventDefault())",
    ),
}
PUT_IN = """() => {
  const words = (text) => Object.assign(document.createElement('p'), { textContent: text });
  let part;
  %s;
  part.id = 'fault';
  document.querySelector('main').append(part);
}"""


@pytest.mark.parametrize("name", FAULTS)
def test_the_look_finds_what_is_wrong(site: Site, name: str) -> None:
    """The helpers that all pages are looked at with pass the page as it is, and see each fault put into it."""
    look, fault = FAULTS[name]
    page = site.person().page
    page.goto(f"{site.home}/help")
    look(page)
    page.reload()
    page.evaluate(PUT_IN % fault)
    with pytest.raises(AssertionError):
        look(page)


def test_axe_sees_every_pair() -> None:
    """Of a size, a language and a scheme, in four of the eight looks."""
    assert len(WITH_AXE) == 4
    assert set(ALL) > WITH_AXE
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert len({(look[first], look[second]) for look in WITH_AXE}) == 4
