"""The public log's pages: true, verifiable, and silent about persons."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape
from pathlib import Path

from ledger.proof.checkpoint import verify
from ledger.verifier.run import verify_export
from tests.web.conftest import HOME, Town


def test_the_checkpoint_on_the_page_verifies(town: Town) -> None:
    """Note and key stand there in full and fit each other; no sign-in is asked for."""
    page = town.visitor().get(f"{HOME}/audit/")
    note = re.search(r'<pre id="checkpoint">(.*?)</pre>', page.html, re.DOTALL)
    key = re.search(r'<pre id="vkey">(.*?)</pre>', page.html, re.DOTALL)
    assert note
    assert key
    assert verify(unescape(note[1]), unescape(key[1])).size == len(town.installation.leaves())


def test_an_entry_s_page_shows_leaf_and_proof(town: Town) -> None:
    """The leaf as JSON, its hash, the path and the root; an entry that does not exist is not found."""
    visitor = town.visitor()
    last = len(town.installation.leaves()) - 1
    page = visitor.get(f"{HOME}/audit/entries/{last}")
    assert f"&#34;seq&#34;: {last}" in page.html
    assert len(re.findall(r"\b[0-9a-f]{64}\b", page.html)) >= 3
    assert visitor.get(f"{HOME}/audit/entries/{last + 1}").status == 404


def test_the_download_verifies_offline(town: Town, tmp_path: Path) -> None:
    """What the button gives is an export that the verifier accepts, and it holds no openings."""
    town.learner()
    answer = town.visitor().client.get(f"{HOME}/audit/export.zip")
    file = tmp_path / "export.zip"
    file.write_bytes(answer.data)
    assert zipfile.ZipFile(io.BytesIO(answer.data)).namelist() == ["vkey", "checkpoint", "entries.ndjson"]
    assert verify_export(file).findings == []


def test_no_public_page_names_a_person(town: Town) -> None:
    """Neither the learner's id nor the account's stands in the log's pages after earning."""
    town.learner()
    with town.installation.read() as session:
        learner = session.connection().exec_driver_sql("SELECT id FROM learners").scalar_one()
    visitor = town.visitor()
    last = len(town.installation.leaves()) - 1
    for address in ("/audit/", "/audit/entries", f"/audit/entries/{last}"):
        assert learner not in visitor.get(HOME + address).html


def test_totals_agree_with_the_book(town: Town) -> None:
    """Issued, circulating, redeemed and expired as the identities say."""
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert "Issued 1,000.00 KGO" in page.text
    assert "Circulating 1,000.00 KGO" in page.text
    assert "Redeemed 0.00 KGO" in page.text
