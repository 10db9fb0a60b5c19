"""What holds for every page in a browser, whoever it is for: `PAGES` lists them by role, the functions look at one.

A page that is not in `PAGES` is looked at by nobody: whoever adds a page adds its address here, and
`test_no_page_is_left_out` fails for one that was forgotten. A name in braces is filled in from `tests.browser.scene`,
which puts something on every page.

`check` measures that nothing is wider than the window, that letters and targets are large enough, and that amounts and
codes stand out (WCAG AAA); `check_with_axe` runs axe-core over it; `check_doubled` has a reader double the letters;
`check_longest` puts the longest dates and amounts into it; `check_keyboard` goes through it with Tab.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, Page

from tests.browser.site import CITY, KIOSK, POSTER

ROOT = "/"
"""Before an address that is not below the city's."""

PUBLIC = (
    ROOT,
    f"{ROOT}offline",
    f"{ROOT}help",
    f"{ROOT}q/{{code}}",
    f"{ROOT}c/{CITY}/nowhere",
    "",
    "?by=place",
    "?by=near",
    "?near=city-gate",
    "?place=city-gate",
    f"activities/{POSTER}",
    "promotions",
    "promotions/sample-sticky-rice",
    "wallet",
    "recover",
    "help",
    "chain",
    "shop/",
    "shop/apply",
    "steward/",
    "audit/",
    "audit/entries",
    "audit/entries/12",
    "audit/check",
)
LEARNER = (
    "activities/living-museum",
    "promotions",
    "promotions/sample-sticky-rice",
    "wallet",
    "received/{received}",
    "received/{received}?again=1",
    "redemptions/{waiting}",
    "chain",
    "chain/deposits/{ticket}",
)
DESK = (
    "steward/",
    "steward/treasury",
    "steward/settlements/{settlement}",
    "steward/entries/{grant}/reverse",
    "steward/activities",
    "steward/activities/new",
    f"steward/activities/{POSTER}",
    f"steward/activities/{POSTER}/edit",
    f"steward/activities/{POSTER}/cost",
    f"steward/activities/{POSTER}/poster",
    f"steward/activities/{KIOSK}",
    "steward/activities/slips/codes",
    "steward/activities/slips/codes/1",
    "steward/activities/slips/codes/1/withdraw",
    "steward/calendar",
    "steward/calendar?week=2026-11-21",
    "steward/spaces",
    "steward/spaces/new",
    "steward/spaces/city-gate",
    "steward/airdrops",
    "steward/airdrops/new",
    "steward/airdrops/{airdrop}",
    "steward/shops",
    "steward/promotions",
    "steward/figures",
    "steward/figures?weeks=52&district=mueang-khon-kaen",
    f"kiosk/{KIOSK}",
    "steward/activities/living-museum/sessions/meeting/end",
    "sign-out?kind=staff",
)
SHOP = (
    "shop/",
    "shop/redemptions/{waiting}",
    "shop/redemptions/{taken}",
    "shop/promotions",
    "shop/promotions/new",
    "shop/promotions/new?like=sample-sticky-rice",
    "shop/promotions/sample-sticky-rice",
    "shop/sales",
    "shop/sales?by=week",
    "shop/sales?by=month",
    "shop/statement",
    "shop/statement/print",
    "shop/tokens",
    "shop/about",
    "sign-out?kind=shop",
)
PAGES = {"stranger": PUBLIC, "learner": LEARNER, "steward": DESK, "shop": SHOP}
"""Addresses below a city's, by who looks at them."""

NO_PAGES = (
    "static",
    "manifest",
    "worker",
    "kiosk_now",
    "badge",
    "audit_export",
    "audit_openings",
    "audit_receipt_symbol",
    "airdrop_verdicts",
    "figures_file",
    "shop_statement_csv",
)
"""Views that answer a GET with something else than a page: files, and what programs read."""

PASSED_THROUGH = ("link", "scanned")
"""Pages that lead on at once, or that use up what they show: the journeys see them."""


def address(home: str, path: str) -> str:
    """Where a path of `PAGES` is."""
    return home.partition("/c/")[0] + path if path.startswith(ROOT) else f"{home}/{path}"


SMALLEST_TARGET_PX = 24
SMALLEST_TEXT_PX = 17
AAA = 7.0
USUAL_LETTERS_PX = 16
LARGE_PX = 34
"""Twice the size of the running text: what has this size need not grow to twice its own."""

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

_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
    "preload": False,
}
AXE = """async (rules) => {
  const light = axe._audit.rules.filter((rule) => ['minor', 'moderate'].includes(rule.impact));
  const off = Object.fromEntries(light.map((rule) => [rule.id, { enabled: false }]));
  return (await axe.run({ ...rules, rules: off })).violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
}"""
"""What is grave is picked in the page: to bring the whole report out of it takes ten times as long as the look.

A rule that names its impact gives it to whatever it finds, so that those which name a light one need not run.
"""


def check(page: Page) -> None:
    """The page fits its window, can be read and hit, and its amounts and codes have a contrast of 7 to 1."""
    found = page.evaluate(MEASURE)
    assert found["too_wide_px"] <= 0, f"{page.url}: {found['too_wide_px']} px too wide"
    assert found["text_px"] >= SMALLEST_TEXT_PX, page.url
    low = [shape for shape in found["targets"] if shape[1] < SMALLEST_TARGET_PX]
    faint = [amount for amount in found["amounts"] if amount[1] < AAA]
    assert (low, faint) == ([], []), f"{page.url}: {low} {faint}"


def have_axe_ready(context: BrowserContext) -> None:
    """Let each page to come have axe from its beginning: to bring it into one takes longer than to run it."""
    context.add_init_script(AXE_SCRIPT)


def check_with_axe(page: Page) -> None:
    """The same, and axe-core finds no serious or critical violation; contrast of text (AA) is one of its rules."""
    check(page)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    grave = page.evaluate(AXE, _RULES)
    assert not grave, page.url + "\n" + "\n".join(grave)


LETTERS = """() => [...document.querySelectorAll('body *')].filter((part) => !part.closest('svg')
    && part.checkVisibility()
    && [...part.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim()))"""
REMEMBER_SIZES = f"() => ({LETTERS})().forEach((part) => {{ part.sizeBefore = getComputedStyle(part).fontSize; }})"
DOUBLED = f"""() => {{
  const letters = ({LETTERS})();
  const held = (part, scrolls) => {{
    for (let at = part; at !== document.body; at = at.parentElement)
      if (scrolls.includes(getComputedStyle(at).overflowX)) return at;
    return null;
  }};
  const small = (part) => {{
    const size = parseFloat(getComputedStyle(part).fontSize);
    return size < 1.9 * parseFloat(part.sizeBefore) && size < {LARGE_PX} && !part.closest('.ways');
  }};
  const cut = (part) => {{
    const {{ left, right, width }} = part.getBoundingClientRect();
    if (width < 2 || held(part, ['auto', 'scroll']) || part.closest('.skip')) return false;
    const frame = held(part, ['hidden', 'clip'])?.getBoundingClientRect() ?? {{ left: 0, right: innerWidth }};
    return left < frame.left - 1 || right > frame.right + 1;
  }};
  const stacked = (part) => {{
    if (part.closest('.sr')) return false;
    const {{ width, height }} = part.getBoundingClientRect();
    const letter = parseFloat(getComputedStyle(part).fontSize);
    return part.textContent.trim().length > 6 && height > 2 && width < 1.5 * letter;
  }};
  const name = (part) => part.outerHTML.slice(0, 120);
  return {{
    too_wide_px: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    small: letters.filter(small).map(name),
    cut: letters.filter(cut).map(name),
    stacked: letters.filter(stacked).map(name),
  }};
}}"""


def _doubled(page: Page) -> dict[str, Any]:
    """What the page is like with the browser's letters at twice their size; they are the usual ones again."""
    wire = page.context.new_cdp_session(page)
    wire.send("Page.setFontSizes", {"fontSizes": {"standard": 2 * USUAL_LETTERS_PX, "fixed": 26}})
    found: dict[str, Any] = page.evaluate(DOUBLED)
    wire.send("Page.setFontSizes", {"fontSizes": {"standard": USUAL_LETTERS_PX, "fixed": 13}})
    wire.detach()
    return found


def check_doubled(page: Page) -> None:
    """A reader who sets the browser's letters to twice the size scrolls down only.

    Every text grows to twice the size, or to what is large anyway; none is cut off by the window or by its frame, and
    none is left so little room that its letters stand below one another. The words below the signs of the main ways
    grow to what a fifth of the window holds.
    """
    page.evaluate(REMEMBER_SIZES)
    found = _doubled(page)
    assert found == {"too_wide_px": 0, "small": [], "cut": [], "stacked": []}, f"{page.url}: {found}"


_SHORT = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|[ก-ฮ]{1,2}[ิี]?\\.[คยพ]\\."
_LONG = "January|February|March|April|June|July|August|September|October|November|December"
_LONG_THAI = "มกราคม|กุมภาพันธ์|มีนาคม|เมษายน|พฤษภาคม|มิถุนายน|กรกฎาคม|สิงหาคม|กันยายน|ตุลาคม|พฤศจิกายน|ธันวาคม"
LONGEST = {
    rf"\b\d{{1,2}}(?=\s(?:{_SHORT}|{_LONG}|{_LONG_THAI}))": "30",
    r"(?<=\d\s)(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b": "May",
    r"(?<=\d\s)[ก-ฮ]{1,2}[ิี]?\.[คยพ]\.": "เม.ย.",
    rf"\b(?:{_LONG})\b": "September",
    _LONG_THAI: "พฤศจิกายน",
    r"\b(?:Mon|Tues|Thurs|Fri|Satur|Sun)day\b": "Wednesday",
    "วัน(?:จันทร์|อังคาร|พุธ|ศุกร์|เสาร์|อาทิตย์)": "วันพฤหัสบดี",
    r"\b[\d,]+\.\d\d\b": "8,888,888.88",
    r"(entry\s|รายการที่\s|#|‹\s)\d+": "$18888888",
}
"""What dates, amounts and numbers of entries become at their longest."""

STRETCH = """(longest) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest('script, style, textarea, .token, .sheet')) continue;
    for (const [what, by] of Object.entries(longest)) text.data = text.data.replace(new RegExp(what, 'g'), by);
  }
}"""
NARROWEST = (320, 640)


def check_longest(page: Page) -> None:
    """Whatever the day and the sums, nothing is too wide or cut off on the narrowest phone, letters doubled or not.

    What a date, an amount or an entry's number takes is that of the longest one. The page stays so.
    """
    page.set_viewport_size({"width": NARROWEST[0], "height": NARROWEST[1]})
    page.evaluate(STRETCH, LONGEST)
    for found in (page.evaluate(DOUBLED), _doubled(page)):
        assert (found["too_wide_px"], found["cut"]) == (0, []), f"{page.url}: {found}"


WATCH_FOCUS = """() => {
  const given = document.activeElement !== document.body;
  document.activeElement.blur();
  const reach = 'a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary, [tabindex="0"]';
  const framed = (part) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(part);
    return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
  };
  const walk = { left: new Set([...document.querySelectorAll(reach)].filter((part) => part.tabIndex >= 0
      && !part.disabled && part.checkVisibility({ visibilityProperty: true }))),
      given, first: null, faint: [], rounds: 0 };
  addEventListener('focusin', ({ target }) => {
    walk.first ??= target;
    if (target === walk.first) walk.rounds += 1;
    walk.left.delete(target);
    if (![target, target.closest('li.card, label, .photo')].some((part) => part && framed(part)))
      walk.faint.push(target.outerHTML.slice(0, 120));
  });
  window.walk = walk;
  return walk.left.size;
}"""
WALKED = """() => ({ first: walk.given ? 'skip' : walk.first.className, faint: walk.faint, rounds: walk.rounds > 1,
    left: [...walk.left].map((part) => part.outerHTML.slice(0, 120)) })"""
TABS_AT_ONCE = 10


def check_keyboard(page: Page) -> None:
    """Tab begins with the way to the content, comes to everything, frames it, is caught by nothing, and comes round.

    A page that puts the focus into its only field begins there.
    """
    to_reach, walked = page.evaluate(WATCH_FOCUS), None
    for _ in range(4 + 2 * to_reach // TABS_AT_ONCE):  # a field for a date has several stops
        for _ in range(TABS_AT_ONCE):
            page.keyboard.press("Tab")
        walked = page.evaluate(WALKED)
        if walked["rounds"]:
            break
    assert walked == {"first": "skip", "faint": [], "rounds": True, "left": []}, f"{page.url}: {walked}"
