"""Real Chromium against the real server. The server and the browser are shared by all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ledger.db import upgrade
from tests.browser.site import Site
from tests.servers import Deployment

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chrome(chromium: Path) -> Iterator[Browser]:
    """The browser program, started once."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Khon Kaen with its samples behind a real server."""
    directory = tmp_path_factory.mktemp("site")
    url = f"sqlite:///{directory / 'ledger.sqlite'}"
    upgrade(url)
    deployment = Deployment(directory / "data", url)
    deployment.import_city()
    yield Site(deployment, deployment.serve(), chrome)
    deployment.close()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The site; whoever is still there at the end leaves, and a browser's complaint fails the test."""
    yield running
    staying, running.people = running.people, []
    for person in staying:
        person.leave()
