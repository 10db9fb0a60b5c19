"""What holds for every page in a browser, whoever it is for: `PAGES` lists them by role, `check` looks at one.

A page that is not in `PAGES` is looked at by nobody: whoever adds a page adds its address here. `check` measures that
nothing is wider than the window, that letters and targets are large enough, and that amounts and codes stand out
(WCAG AAA); `check_with_axe` runs axe-core over it.
"""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.site import KIOSK, POSTER

PUBLIC = (
    "",
    "?by=place",
    "?by=near",
    "?near=city-gate",
    "?place=city-gate",
    f"activities/{POSTER}",
    "promotions",
    "wallet",
    "recover",
    "help",
    "shop/apply",
    "audit/",
    "audit/entries",
    "audit/entries/12",
    "audit/check",
)
DESK = (
    "steward/",
    "steward/treasury",
    "steward/activities",
    "steward/activities/new",
    f"steward/activities/{POSTER}",
    f"steward/activities/{POSTER}/edit",
    f"steward/activities/{POSTER}/cost",
    f"steward/activities/{POSTER}/poster",
    f"steward/activities/{POSTER}/codes",
    "steward/calendar",
    "steward/spaces",
    "steward/spaces/new",
    "steward/spaces/city-gate",
    "steward/airdrops",
    "steward/airdrops/new",
    "steward/shops",
    "steward/promotions",
    "steward/figures",
    "steward/figures?weeks=52&district=mueang-khon-kaen",
    f"kiosk/{KIOSK}",
)
SHOP = (
    "shop/",
    "shop/promotions",
    "shop/promotions/new",
    "shop/promotions/new?like=sample-sticky-rice",
    "shop/sales",
    "shop/sales?by=month",
    "shop/statement",
    "shop/statement/print",
    "shop/tokens",
    "shop/about",
)
PAGES = {"stranger": PUBLIC, "learner": ("promotions", "wallet"), "steward": DESK, "shop": SHOP}
"""Addresses below a city's, by who looks at them. A learner's receipt and code come from their journeys."""

SMALLEST_TARGET_PX = 24
SMALLEST_TEXT_PX = 17
AAA = 7.0

MEASURE = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (part) => {
    for (let at = part; at; at = at.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(at);
      if (backgroundImage !== 'none') return null;
      const alpha = numbers(backgroundColor)[3];
      if (alpha === undefined || alpha === 1) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  };
  const contrast = (part) => {
    const behind = ground(part);
    if (!behind) return 21;
    const [low, high] = [light(getComputedStyle(part).color), light(behind)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((part) => part.checkVisibility());
  return {
    too_wide_px: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    text_px: parseFloat(getComputedStyle(document.body).fontSize),
    targets: seen('button, .ways a, .button, .chips a, .foot a, input:not([type=hidden]), select, textarea')
        .map((target) => [target.outerHTML.slice(0, 80), target.getBoundingClientRect().height]),
    amounts: seen('.amount, .cloth b, .code, .key, .pill.gold, .purse, .figures dd')
        .map((part) => [part.outerHTML.slice(0, 80), contrast(part)]),
  };
}"""

_axe = Axe()
_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}


def check(page: Page) -> None:
    """The page fits its window, can be read and hit, and its amounts and codes have a contrast of 7 to 1."""
    found = page.evaluate(MEASURE)
    assert found["too_wide_px"] <= 0, page.url
    assert found["text_px"] >= SMALLEST_TEXT_PX, page.url
    assert [shape for shape in found["targets"] if shape[1] < SMALLEST_TARGET_PX] == [], page.url
    assert [faint for faint in found["amounts"] if faint[1] < AAA] == [], page.url


def check_with_axe(page: Page) -> None:
    """The same, and axe-core finds no serious or critical violation."""
    check(page)
    found = _axe.run(page, options=_RULES).response["violations"]
    grave = [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert not grave, page.url + "\n" + "\n".join(grave)
