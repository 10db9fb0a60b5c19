"""Going through a page with the keyboard alone, and seeing where one is."""

from __future__ import annotations

from playwright.sync_api import Page, expect

MOST_TABS = 60

HERE = "(wanted) => document.activeElement.matches(wanted)"
FRAMED = """() => [document.activeElement, document.activeElement.closest('li.card, label')].some((part) => {
  const { outlineStyle, outlineWidth } = part ? getComputedStyle(part) : { outlineStyle: 'none' };
  return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
})"""


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until what the selector names has the focus; it is framed and in sight."""
    expect(page.locator(wanted).first).to_be_visible()
    for _ in range(MOST_TABS):
        if page.evaluate(HERE, wanted):
            break
        page.keyboard.press("Tab")
    assert page.evaluate(HERE, wanted), f"Tab does not come to {wanted} on {page.url}"
    assert page.evaluate(FRAMED), f"the focus on {wanted} of {page.url} cannot be seen"
    expect(page.locator(":focus")).to_be_in_viewport()


def press(page: Page, wanted: str) -> None:
    """Go to a link or a button and press Enter; returns when what it leads to is there, on this page or another."""
    tab_to(page, wanted)
    page.evaluate("() => { window.pressed = document.activeElement; }")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !window.pressed?.isConnected && document.readyState === 'complete'")


def fill_in(page: Page, wanted: str, text: str) -> None:
    """Go to a field and type, in the place of what stands there."""
    tab_to(page, wanted)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def skip_to_content(page: Page) -> None:
    """The first Tab of a page offers the way past its head; Enter takes it."""
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
