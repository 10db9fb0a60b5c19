"""A real server with the shipped city on it, and people with real browsers.

A `Person` is a browser of their own with one page. Whatever goes wrong in it is kept, and `leave` fails the test for
it: a message of the console, a script that failed, a request to anybody but the server, a page without its strict
policy or against it, an answer of 5xx. Messages that a browser writes about refused requests (4xx) are not faults,
and those about a network that is away are none in a person who was `cut_off`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import png as pypng
import zxingcpp
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, Route

from tests.browser.covering import LAPTOP, PHONE
from tests.servers import Deployment, Server

CITY = "khon-kaen"
POSTER = "sample-street-walk"
KIOSK = "sample-sharing-circle"
SHOP = "sample-som-tam"

SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
"""150 ms there and back, 1.6 Mbit/s down: what Lighthouse calls slow 4G. Bytes per second."""

PATIENCE_MS = 30_000
"""How long anything may take on a busy machine before it counts as broken."""

NO_FAULT = re.compile("the server responded with a status of 4|Service Worker registration blocked by Playwright")
"""A refusal that a page explains, and what Playwright says of the missing service worker of somebody on slow 4G."""

AWAY = re.compile(
    r"net::ERR_|Failed to fetch|error occurred when fetching the script|the server responded with a status of 503"
)
"""What a browser writes when there is no network, or when the service worker stands in for the server."""

TELL_POLICY = """addEventListener('securitypolicyviolation', (event) =>
    console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));"""

__all__ = ["CITY", "KIOSK", "LAPTOP", "PHONE", "POSTER", "SHOP", "SLOW_4G", "Person", "Site", "read_symbols"]


@dataclass
class Person:
    """Somebody with a browser.

    Attributes:
        server: the only address that their browser may ask.
        complaints: what went wrong.
        is_cut_off: whether their network was away at any time; what the browser writes about that is no fault then.
    """

    context: BrowserContext
    page: Page
    server: str
    complaints: list[str] = field(default_factory=list)
    is_cut_off: bool = False

    def leave(self) -> None:
        """Close the browser; a fault that it met fails the test."""
        self.context.close()
        assert not self.faults, "\n".join(self.faults)

    @property
    def faults(self) -> list[str]:
        """What went wrong, without what a network that is away explains."""
        return [one for one in self.complaints if not (self.is_cut_off and AWAY.search(one))]

    def cut_off(self) -> None:
        """Take the network away."""
        self.is_cut_off = True
        self._wake_worker()
        self.context.set_offline(True)

    def reconnect(self) -> None:
        """Give it back."""
        self._wake_worker()
        self.context.set_offline(False)

    def route(self, address: str, handler: Callable[[Route], object], times: int | None = None) -> None:
        """Have a handler answer what any page, or the service worker, asks of an address."""
        self._wake_worker()
        self.context.route(address, handler, times=times)

    def unroute(self, address: str) -> None:
        """Take the handler of an address away."""
        self._wake_worker()
        self.context.unroute(address)

    def _wake_worker(self) -> None:
        """Start the service worker again, if the browser has stopped it.

        When the network goes or comes, and when an address gets a handler or loses it, Playwright asks each worker
        that it has met, and waits without a limit. One that was stopped answers when something starts it.
        """
        wire = self.context.new_cdp_session(self.page)
        wire.send("ServiceWorker.enable")
        wire.send("ServiceWorker.startWorker", {"scopeURL": f"{self.server}/"})
        wire.detach()

    def slow_down(self) -> None:
        """Put the page on slow 4G."""
        self.context.new_cdp_session(self.page).send("Network.emulateNetworkConditions", SLOW_4G)

    def watch(self) -> None:
        """Begin to listen to every page of the browser."""
        self.context.add_init_script(TELL_POLICY)
        self.context.on("console", self._heard)
        self.context.on("weberror", lambda fault: self.complaints.append(str(fault.error)))
        self.context.on("request", self._asked)
        self.context.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not NO_FAULT.search(message.text):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.server, "data:", "blob:")):
            self.complaints.append(f"{self.page.url}: asks somebody else, {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.url}: the server responded with a status of {response.status}")
        if "html" in response.headers.get("content-type", ""):
            policy = response.headers.get("content-security-policy", "")
            if "default-src 'none'; script-src 'self';" not in policy or "unsafe" in policy:
                self.complaints.append(f"{response.url}: a page without a strict policy, {policy!r}")


@dataclass
class Site:
    """The server and the way to come to it."""

    deployment: Deployment
    server: Server
    browser: Browser
    people: list[Person] = field(default_factory=list)
    _poster: str = ""

    @property
    def home(self) -> str:
        """The address of the city's pages."""
        return f"{self.server.url}/c/{CITY}"

    def person(
        self,
        size: tuple[int, int] = PHONE,
        language: str = "th",
        scheme: str = "light",
        *,
        slow: bool = False,
        **options: Any,
    ) -> Person:
        """Somebody new, with a window of this size.

        Args:
            size: of the window in CSS pixels; the first three are a look, `person(*look)`.
            language: `th` or `en`.
            scheme: `light` or `dark`.
            slow: on slow 4G. Chromium slows down what a page asks for, not what its service worker does; this
                browser has none, so that every request is slow.
            options: more for the browser's context.
        """
        width, height = size
        if slow:
            options["service_workers"] = "block"
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            accept_downloads=True,
            **options,
        )
        context.add_cookies([{"name": "lang", "value": language, "url": self.server.url}])
        context.set_default_timeout(PATIENCE_MS)
        person = Person(context, context.new_page(), self.server.url)
        person.watch()
        if slow:
            person.slow_down()
        self.people.append(person)
        return person

    def worker(
        self,
        *arguments: str,
        size: tuple[int, int] = LAPTOP,
        language: str = "th",
        scheme: str = "light",
        slow: bool = False,
    ) -> Person:
        """Somebody who has opened a one-time link, `worker("--role", "steward")`."""
        printed = self.deployment.here("link create", "--city", CITY, *arguments).split()[-1]
        secret = printed.rpartition("/l/")[2]
        person = self.person(size, language, scheme, slow=slow)
        person.page.goto(f"{self.server.url}/l/{secret}")
        person.page.locator("main form button").click()
        person.page.wait_for_url(lambda address: "/l/" not in address)
        return person

    def steward(
        self, size: tuple[int, int] = LAPTOP, language: str = "th", scheme: str = "light", *, slow: bool = False
    ) -> Person:
        """The steward, who is treasurer too."""
        roles = ("--role", "steward", "--role", "treasurer")
        return self.worker(*roles, size=size, language=language, scheme=scheme, slow=slow)

    def shop(
        self, size: tuple[int, int] = PHONE, language: str = "th", scheme: str = "light", *, slow: bool = False
    ) -> Person:
        """The shop's phone at the counter."""
        return self.worker("--role", "shop", "--shop", SHOP, size=size, language=language, scheme=scheme, slow=slow)

    def poster(self) -> str:
        """The address in the QR of the sample poster."""
        if self._poster:
            return self._poster
        steward = self.steward()
        steward.page.goto(f"{self.home}/steward/activities/{POSTER}/poster")
        address = steward.page.locator(".sheet p.small").inner_text().strip()
        self.people.remove(steward)
        steward.leave()
        self._poster = self.server.url + "/q/" + address.rpartition("/q/")[2]
        return self._poster

    def learner(
        self, size: tuple[int, int] = PHONE, language: str = "th", scheme: str = "light", *, slow: bool = False
    ) -> Person:
        """Somebody who has joined at the sample poster."""
        person = self.person(size, language, scheme, slow=slow)
        person.page.goto(self.poster())
        person.page.locator("main form button").click()
        person.page.wait_for_url("**/received/**")
        return person

    def empty(self) -> None:
        """Everybody leaves; the first fault that anybody met fails the test, when all are gone."""
        staying, self.people = self.people, []
        for person in staying:
            person.context.close()
        faults = [fault for person in staying for fault in person.faults]
        assert not faults, "\n".join(faults)


def read_symbols(picture: bytes) -> list[str]:
    """The texts of the QR symbols in a PNG, by an independent reader."""
    width, height, rows, info = pypng.Reader(bytes=picture).asRGBA8()
    flat = bytes(chain.from_iterable(rows))
    grey = bytes(flat[at] for at in range(0, len(flat), info["planes"]))
    image = memoryview(grey).cast("B", (height, width))
    return [str(found.text) for found in zxingcpp.read_barcodes(image)]
