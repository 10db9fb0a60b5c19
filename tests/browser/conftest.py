"""Real Chromium against the real server. The browser is one for each process; the server is shared by a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.site import PATIENCE_MS, Site
from tests.servers import Deployment

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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
