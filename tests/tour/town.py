"""The running product on a fresh database, and the people of a day with their browsers.

The day is always the same Saturday: the town's clock can be set and runs on from there, in the product and in the
browsers alike. It only ever goes forward, as a log's does. The address that posters show is that of the public log of
Khon Kaen's sample city, a name reserved for examples, which the browsers find on this machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, BrowserType, Page
from werkzeug.serving import make_server

from api.app import create_app
from api.services import EXTENSION
from ledger.book.unit import Unit
from ledger.city import cityfile, load
from ledger.config import Settings
from ledger.db import upgrade
from ledger.installation import Installation
from ledger.people import tokens
from ledger.values import whole_milliseconds
from tests.browser.site import CITY, LAPTOP, PHONE, Person

Value = TypeVar("Value")

ZONE = ZoneInfo("Asia/Bangkok")
DAY = date(2026, 11, 21)
"""The Saturday of the tour."""

HOST = "khon-kaen.kgo-ledger.example"
ADDRESS = f"http://{HOST}"
PATIENCE_MS = 90_000
SHARP = 2
"""Pixels of a picture for each pixel of the page, on phones; desks have one and a half."""


class Clock:
    """A clock of the town's zone that runs on from where it was last set."""

    def __init__(self, at: datetime) -> None:
        self._at, self._since = at, time.monotonic()

    def __call__(self) -> datetime:
        """The time that it shows."""
        return whole_milliseconds(self._at + timedelta(seconds=time.monotonic() - self._since))

    def set(self, at: datetime) -> None:
        """Go forward to a time."""
        assert at >= self(), "a log's clock does not go back"
        self._at, self._since = at, time.monotonic()


def at(clock: str, days: int = 0) -> datetime:
    """The time "08:40" on the day of the tour, or so many days after it."""
    return datetime.combine(DAY + timedelta(days=days), datetime.strptime(clock, "%H:%M").time(), ZONE)  # noqa: DTZ007


@dataclass
class Town:
    """The city with its samples behind a real server, and whoever is about."""

    installation: Installation
    clock: Clock
    browser: Browser
    people: list[Person] = field(default_factory=list)

    @property
    def home(self) -> str:
        """The address of the city's pages."""
        return f"{ADDRESS}/c/{CITY}"

    def run(self, work: Callable[[Unit], Value]) -> Value:
        """Run domain code in a batch of its own."""
        return self.installation.writer.run(CITY, work)

    def set(self, clock: str) -> None:
        """It is "10:05" now, here and on everybody's phone."""
        self.clock.set(at(clock))
        for person in self.people:
            person.context.clock.set_system_time(self.clock())

    def person(self, size: tuple[int, int] = PHONE, language: str = "th", *, dark: bool = False) -> Person:
        """Somebody new, with a window of this size."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            device_scale_factor=SHARP if size == PHONE else SHARP * 0.75,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="th-TH" if language == "th" else "en-GB",
            timezone_id=str(ZONE),
        )
        context.add_cookies([{"name": "lang", "value": language, "url": ADDRESS}])
        context.set_default_timeout(PATIENCE_MS)
        context.clock.install(time=self.clock())
        person = Person(context, context.new_page(), ADDRESS)
        person.watch()
        self.people.append(person)
        return person

    def worker(
        self, *roles: str, subject: str | None = None, size: tuple[int, int] = LAPTOP, language: str = "th"
    ) -> Person:
        """Somebody who has opened the one-time link of these roles."""
        secret = self.run(lambda unit: tokens.create_link(unit, set(roles), subject))
        person = self.person(size, language)
        person.page.goto(f"{ADDRESS}/l/{secret}")
        person.page.locator("main form button").click()
        return person

    def leave(self) -> None:
        """Everybody goes home; what a browser complained of is an AssertionError that says it."""
        complaints: list[str] = []
        while self.people:
            person = self.people.pop()
            person.context.close()
            complaints += person.faults
        assert not complaints, complaints


def tap(page: Page, selector: str) -> None:
    """Press what leads to another page, and wait for it."""
    with page.expect_navigation():
        page.locator(selector).first.click()


@contextmanager
def open_town(chromium: BrowserType, program: Path, directory: Path, first_day: datetime) -> Iterator[Town]:
    """The town on its first day, until the end of the block."""
    settings = Settings(directory, f"sqlite:///{directory / 'ledger.sqlite'}", ADDRESS)
    upgrade(settings.database_url)
    clock = Clock(first_day)
    app = create_app(settings, clock=clock)
    installation: Installation = app.extensions[EXTENSION].installation
    (file,) = (one for one in map(cityfile.load, cityfile.shipped()) if one.id == CITY)
    load.load(installation.writer, file, samples=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--hide-scrollbars",
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1:{server.server_port}",
        f"--unsafely-treat-insecure-origin-as-secure={ADDRESS}",
    ]
    browser = chromium.launch(executable_path=str(program), args=arguments)
    town = Town(installation, clock, browser)
    try:
        yield town
    finally:
        browser.close()
        server.shutdown()
        server.server_close()
        installation.close()
