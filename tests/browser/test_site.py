"""What fails a test in every browser that it opens: a fault is heard, what is no fault is not, no wait is for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route

from tests.browser.limits import StandsStill, at_most
from tests.browser.site import PATIENCE_MS, Person, Site

POLICY = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src *", "Content-Type": "text/html"}
FAULTS = {
    "a message of the console": ("pg => console.error('oh')", "oh"),
    "a script that fails": ("pg => { setTimeout(() => { throw new Error('broken'); }); }", "broken"),
    "an inline script": (
        "pg => document.body.append(Object.assign(document.createElement('script'), { textContent: '1' }))",
        "policy: script-src",
    ),
    "an inline style": (
        "pg => document.body.append(Object.assign(document.createElement('style'), { textContent: 'p {}' }))",
        "policy: style-src",
    ),
}


@pytest.fixture
def person(site: Site) -> Iterator[Person]:
    """Somebody who is on no list of those who must not have met a fault."""
    made = site.person()
    site.people.remove(made)
    yield made
    made.context.close()


def settle(page: Page) -> None:
    """What the page has set going is done."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")


def stop_worker(page: Page) -> None:
    """Have the browser stop the service worker, as it may at any time."""
    states: list[str] = []
    wire = page.context.new_cdp_session(page)
    wire.on(
        "ServiceWorker.workerVersionUpdated",
        lambda told: states.extend(one["runningStatus"] for one in told["versions"]),
    )
    wire.send("ServiceWorker.enable")
    while "stopped" not in states:  # one that is just starting does not hear it
        wire.send("ServiceWorker.stopAllWorkers")
        page.wait_for_timeout(20)
    wire.detach()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_a_page_fails_the_test(site: Site, person: Person, name: str) -> None:
    """And a page without one does not."""
    fault, told = FAULTS[name]
    person.page.goto(f"{site.home}/help")
    assert person.faults == []
    person.page.evaluate(fault)
    settle(person.page)
    with pytest.raises(AssertionError, match=told):
        person.leave()


def test_a_request_to_somebody_else_fails_the_test(site: Site, person: Person) -> None:
    """Whatever comes of it; here the page's policy would even let it pass."""
    body = '<!doctype html><title>t</title><img alt="" src="https://elsewhere.example/pixel.png">'
    person.route("https://elsewhere.example/*", lambda route: route.fulfill(body=b"", content_type="image/png"))
    person.route("**/help", lambda route: route.fulfill(body=body, headers=POLICY))
    person.page.goto(f"{site.home}/help")
    with pytest.raises(AssertionError, match=r"asks somebody else, https://elsewhere\.example/pixel\.png"):
        person.leave()


@pytest.mark.parametrize("policy", ["", "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'"])
def test_a_page_without_a_strict_policy_fails_the_test(site: Site, person: Person, policy: str) -> None:
    """Without any as well as with one that has a hole."""

    def weaken(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": policy})

    person.route("**/help", weaken)
    person.page.goto(f"{site.home}/help")
    with pytest.raises(AssertionError, match="a page without a strict policy"):
        person.leave()


def test_a_refusal_is_no_fault_and_a_failing_server_is(site: Site, person: Person) -> None:
    """404 is explained by its page; 500 is nobody's wish."""
    person.page.goto(f"{site.home}/nowhere")
    assert person.faults == []
    person.route("**/help", lambda route: route.fulfill(status=500, body="oh", headers=POLICY))
    person.page.goto(f"{site.home}/help")
    with pytest.raises(AssertionError, match="status of 500"):
        person.leave()


def test_a_network_that_is_away_explains_itself_only(site: Site, person: Person) -> None:
    """Of somebody who is cut off what the browser says of the network is no fault; anything else still is."""
    person.page.goto(f"{site.home}/help")
    person.cut_off()
    person.page.evaluate("() => fetch('/healthz').catch(() => {})")
    settle(person.page)
    assert person.complaints
    assert person.faults == []
    person.page.evaluate("() => console.error('oh')")
    settle(person.page)
    with pytest.raises(AssertionError, match="oh"):
        person.leave()


def test_a_worker_that_the_browser_has_stopped_holds_nobody_up(site: Site, person: Person) -> None:
    """Playwright waits for its answer when the network goes or comes and when an address gets a handler."""
    person.page.goto(f"{site.home}/wallet")
    person.page.evaluate("() => navigator.serviceWorker.ready.then(() => {})")
    nothing = "**/nothing"
    for act in (
        person.cut_off,
        person.reconnect,
        lambda: person.route(nothing, lambda route: route.abort()),
        lambda: person.unroute(nothing),
    ):
        with at_most(PATIENCE_MS / 1000, "to go on"):
            stop_worker(person.page)
            act()


NEVER = "() => new Promise(() => {})"


def test_a_wait_that_playwright_does_not_limit_ends(site: Site, person: Person) -> None:
    """At the line that waits; the browser can be used afterwards, and what ends in time is left alone."""
    person.page.goto(f"{site.home}/help")
    with pytest.raises(StandsStill, match=r"the script took longer than 0\.2 s"), at_most(0.2, "the script"):
        person.page.evaluate(NEVER)
    person.page.reload()
    with at_most(30, "the page"):
        assert person.page.locator("h1").is_visible()
