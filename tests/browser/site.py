"""A real server with the shipped city on it, and people with real browsers.

A `Person` is a browser of their own with one page; whatever its console complains of is kept, and `leave` fails the
test for it. The messages that a browser writes about refused requests (4xx) are not complaints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

import png as pypng
import zxingcpp
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from tests.servers import Deployment, Server

CITY = "khon-kaen"
PHONE = (390, 844)
LAPTOP = (1280, 800)
POSTER = "sample-street-walk"
KIOSK = "sample-sharing-circle"


@dataclass
class Person:
    """Somebody with a browser."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def leave(self) -> None:
        """Close the browser; a fault that it met fails the test."""
        self.context.close()
        assert self.complaints == []

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.url}: {response.status}")

    def watch(self) -> None:
        """Begin to listen."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        self.page.on("response", self._answered)


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

    def person(self, size: tuple[int, int] = PHONE, language: str = "th", scheme: str = "light") -> Person:
        """Somebody new, with a window of this size."""
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            accept_downloads=True,
        )
        context.add_cookies([{"name": "lang", "value": language, "url": self.server.url}])
        context.set_default_timeout(10_000)
        person = Person(context, context.new_page())
        person.watch()
        self.people.append(person)
        return person

    def worker(self, *arguments: str, size: tuple[int, int] = LAPTOP, language: str = "th") -> Person:
        """Somebody who has opened a one-time link, `worker("--role", "steward")`."""
        printed = self.deployment.here("link create", "--city", CITY, *arguments).split()[-1]
        secret = printed.rpartition("/l/")[2]
        person = self.person(size, language)
        person.page.goto(f"{self.server.url}/l/{secret}")
        person.page.locator("main form button").click()
        return person

    def steward(self, size: tuple[int, int] = LAPTOP, language: str = "th") -> Person:
        """The steward, who is treasurer too."""
        return self.worker("--role", "steward", "--role", "treasurer", size=size, language=language)

    def poster(self) -> str:
        """The address in the QR of the sample poster."""
        if self._poster:
            return self._poster
        steward = self.steward()
        steward.page.goto(f"{self.home}/steward/activities/{POSTER}/poster")
        address = steward.page.locator(".sheet p.small").inner_text().strip()
        steward.leave()
        self.people.remove(steward)
        self._poster = self.server.url + "/q/" + address.rpartition("/q/")[2]
        return self._poster

    def learner(self, size: tuple[int, int] = PHONE, language: str = "th") -> Person:
        """Somebody who has joined at the sample poster."""
        person = self.person(size, language)
        person.page.goto(self.poster())
        person.page.locator("main form button").click()
        person.page.wait_for_url("**/received/**")
        return person


def read_symbols(picture: bytes) -> list[str]:
    """The texts of the QR symbols in a PNG, by an independent reader."""
    width, height, rows, info = pypng.Reader(bytes=picture).asRGBA8()
    flat = bytes(chain.from_iterable(rows))
    grey = bytes(flat[at] for at in range(0, len(flat), info["planes"]))
    image = memoryview(grey).cast("B", (height, width))
    return [str(found.text) for found in zxingcpp.read_barcodes(image)]
