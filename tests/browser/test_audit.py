"""The auditor's laptop: read an entry, take the whole log home, verify it there."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from ledger.verifier.run import verify_export
from tests.browser.site import LAPTOP, Site


def test_an_entry_from_the_list_to_its_proof(site: Site) -> None:
    """Newest entry, its leaf and its proof, and the next one beside it, all without signing in."""
    page = site.person(LAPTOP, "en").page
    page.goto(f"{site.home}/audit/")
    page.locator(".lines a.line").first.click()
    expect(page.get_by_role("status")).to_contain_text("in the signed tree")
    number = int(page.url.rpartition("/")[2])
    page.get_by_role("link", name=f"‹ {number - 1}").click()
    expect(page.locator("h1")).to_contain_text(f"Entry {number - 1}")


def test_the_downloaded_log_verifies(site: Site, tmp_path: Path) -> None:
    """The file that the button saves passes the offline verifier; with one changed digit it does not."""
    page = site.person(LAPTOP, "en").page
    page.goto(f"{site.home}/audit/")
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download the log (zip)").click()
    file = tmp_path / saving.value.suggested_filename
    saving.value.save_as(file)
    assert verify_export(file).findings == []
