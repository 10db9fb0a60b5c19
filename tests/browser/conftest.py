"""Real Chromium against the real server. The browser is one for each process; the server is shared by a module.

Nothing here waits for ever. What Playwright lets wait without a limit (a script that is evaluated, a browser that is
closed) is ended by an alarm, at the line of the test that waits.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import counts
from tests.browser.limits import StandsStill, at_most
from tests.browser.site import PATIENCE_MS, Site
from tests.servers import Deployment

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

LONGEST_SECONDS, LONGEST_LONG_SECONDS = 360, 3600
"""No test takes so long, nor does its preparation; below the time after which CI ends a run that stands still."""


def _limited(item: pytest.Item) -> Generator[None]:
    try:
        with at_most(counts.scale(LONGEST_SECONDS, LONGEST_LONG_SECONDS), item.nodeid):
            return (yield)
    except StandsStill as error:
        # The browser may be of no use any more, and each further test would wait as long.
        item.session.shouldstop = str(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """End a preparation that stands still."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """End a test that stands still."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """End an end that stands still."""
    return (yield from _limited(item))


@pytest.fixture(scope="session")
def chrome(chromium: Path) -> Iterator[Browser]:
    """The browser program, started once."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running(chrome: Browser, _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Khon Kaen with its samples behind a real server."""
    directory = tmp_path_factory.mktemp("site")
    database = shutil.copy(_sqlite_template, directory / "ledger.sqlite")
    deployment = Deployment(directory / "data", f"sqlite:///{database}")
    deployment.import_city()
    yield Site(deployment, deployment.serve(), chrome)
    deployment.close()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The site; whoever is still there at the end leaves, and a browser's complaint fails the test."""
    yield running
    running.empty()
