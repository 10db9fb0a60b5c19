"""The public log's pages: true, verifiable, and silent about persons."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from html import unescape
from pathlib import Path

import pytest

from api.web import audit
from ledger.programme import qr
from ledger.proof import receipt
from ledger.proof.checkpoint import verify
from ledger.proof.handles import handle
from ledger.proof.merkle import leaf_hash
from ledger.verifier import compact
from ledger.verifier.run import verify_export
from tests.browser.site import read_symbols
from tests.factories import CITY
from tests.log.witnesses import Friend, rule
from tests.web.conftest import HOME, Town
from tests.web.test_redeeming import reserve


def test_the_checkpoint_on_the_page_verifies(town: Town) -> None:
    """Note and key stand there in full and fit each other; no sign-in is asked for."""
    page = town.visitor().get(f"{HOME}/audit/")
    note = re.search(r'<pre id="checkpoint">(.*?)</pre>', page.html, re.DOTALL)
    key = re.search(r'<pre id="vkey">(.*?)</pre>', page.html, re.DOTALL)
    assert note
    assert key
    assert verify(unescape(note[1]), unescape(key[1])).size == len(town.installation.leaves())


def test_an_entry_s_page_shows_leaf_and_proof(town: Town) -> None:
    """The leaf byte for byte, its hash, the path and the root; an entry that does not exist is not found."""
    visitor = town.visitor()
    last = len(town.installation.leaves()) - 1
    page = visitor.get(f"{HOME}/audit/entries/{last}")
    leaf = re.search(r'<pre id="leaf">(.*?)</pre>', page.html, re.DOTALL)
    assert leaf
    assert json.loads(unescape(leaf[1])) == town.installation.leaves()[-1]
    assert leaf_hash(unescape(leaf[1]).encode()).hex() in page.html
    assert len(re.findall(r"\b[0-9a-f]{64}\b", page.html)) >= 3
    assert visitor.get(f"{HOME}/audit/entries/{last + 1}").status == 404


def test_an_entry_is_found_by_its_number(town: Town) -> None:
    """The number leads to the entry, with or without its sign; one that there is not is said, with the newest."""
    visitor, last = town.visitor(), len(town.installation.leaves()) - 1
    for wanted in (f"{last}", f" %23{last} "):
        assert visitor.get(f"{HOME}/audit/entries?seq={wanted}").address.startswith(f"{HOME}/audit/entries/{last}")
    for wanted in (str(last + 1), "x", "-1"):
        page = visitor.get(f"{HOME}/audit/entries?lang=en&seq={wanted}")
        assert f"There is no entry {wanted}. The newest is {last}." in page.text


def test_entries_say_who_and_from_where_to_where(town: Town) -> None:
    """In words, in the list and on the entry's page; a person is a learner there, with no handle."""
    town.learner()
    visitor, last = town.visitor(), len(town.installation.leaves()) - 1
    assert "Walk → Learner" in visitor.get(f"{HOME}/audit/entries?lang=en").text
    page = visitor.get(f"{HOME}/audit/entries/{last}?lang=en").text
    assert "QR was scanned" in page
    assert "By Learner" in " ".join(page.split())


def test_the_receipt_on_the_page_is_that_of_the_log(town: Town) -> None:
    """As text for copying it is what anybody downloads, and it verifies under the key beside it."""
    visitor = town.visitor()
    page = visitor.get(f"{HOME}/audit/entries/3")
    text = re.search(r'<pre id="receipt">(.*?)</pre>', page.html, re.DOTALL)
    key = re.search(r'<pre id="vkey">(.*?)</pre>', page.html, re.DOTALL)
    assert text
    assert key
    assert unescape(text[1]) == visitor.client.get(f"/log/{CITY}/receipt/3").get_data(as_text=True)
    assert receipt.verify(receipt.parse(unescape(text[1])), unescape(key[1]))[1]["seq"] == 3


def test_the_symbol_of_a_receipt_is_the_receipt(town: Town) -> None:
    """Its text unpacks to what anybody downloads; an entry that does not exist has none."""
    visitor = town.visitor()
    answer = visitor.client.get(f"{HOME}/audit/entries/3/receipt.png")
    assert answer.mimetype == "image/png"
    (packed,) = read_symbols(answer.data)
    assert compact.unpack(packed) == visitor.client.get(f"/log/{CITY}/receipt/3").get_data(as_text=True)
    assert visitor.client.get(f"{HOME}/audit/entries/9999/receipt.png").status_code == 404


def test_a_receipt_too_long_for_a_symbol_says_so(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page offers the file in its place."""
    monkeypatch.setattr(qr, "MAX_DENSE_CHARS", 100)
    visitor = town.visitor()
    page = visitor.get(f"{HOME}/audit/entries/3?lang=en")
    assert "too long for a QR code" in page.text
    assert "receipt.png" not in page.html
    assert visitor.client.get(f"{HOME}/audit/entries/3/receipt.png").status_code == 404


def test_only_the_learner_is_given_what_opens_their_line(town: Town) -> None:
    """Their account and the nonce of this case; another learner, staff and strangers get nothing of it."""
    learner, other = town.learner(), town.learner()
    last = len(town.installation.leaves()) - 1
    address = f"{HOME}/audit/entries/{last - 1}"
    given = re.search(r'data-own="([^"]+)"', learner.get(address).html)
    assert given
    (own,) = json.loads(unescape(given[1]))
    shown = handle(own["account"], base64.b64decode(own["nonce"]))
    assert shown == town.installation.leaves()[last - 1]["postings"][own["line"]][own["side"]]
    for nobody in (other, town.visitor(), town.worker({"steward", "treasurer"}), town.worker({"auditor"})):
        assert own["account"] not in nobody.get(address).html


def test_a_shop_is_told_which_lines_are_its_own(town: Town) -> None:
    """Its account stands in clear, so that no secret is needed; another shop is told nothing."""
    reserve(town.learner())
    last = len(town.installation.leaves()) - 1
    said = "This line is your shop"
    pages = [town.worker({"shop"}, one).get(f"{HOME}/audit/entries/{last}?lang=en") for one in ("cafe", "stall")]
    assert [said in unescape(page.text) for page in pages] == [True, False]


def test_an_unknown_entry_leads_back_to_the_log(town: Town) -> None:
    """Who follows a wrong number stays with the log instead of being sent to what is on."""
    page = town.visitor().get(f"{HOME}/audit/entries/999999")
    assert page.status == 404
    inside = page.html.partition("<main")[2].partition("</main>")[0]
    assert f'href="{HOME}/audit/"' in inside


def test_what_was_issued_adds_up_on_the_page(town: Town) -> None:
    """The sum of what circulates, was redeemed, expired or is on a chain is what was issued, and the page says so."""
    assert "It adds up" in town.visitor().get(f"{HOME}/audit/?lang=en").text


def test_openings_are_for_appointed_auditors(town: Town) -> None:
    """They are offered the file and it holds the openings; nobody else is offered it or gets it."""
    town.learner()
    auditor = town.worker({"auditor"})
    assert f"{HOME}/audit/openings.zip" in auditor.get(f"{HOME}/audit/").links
    names = zipfile.ZipFile(io.BytesIO(auditor.client.get(f"{HOME}/audit/openings.zip").data)).namelist()
    assert "openings.ndjson" in names
    for other in (town.visitor(), town.learner(), town.worker({"steward", "treasurer"})):
        assert f"{HOME}/audit/openings.zip" not in other.get(f"{HOME}/audit/").links
        refused = other.get(f"{HOME}/audit/openings.zip?lang=en")
        assert refused.status in (401, 403)
        assert "for appointed auditors" in refused.text


def test_flows_and_charts_have_their_numbers_beside_them(town: Town) -> None:
    """What was earned, by activity, and where it is; the supply's table says what was issued."""
    town.learner()
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert "Received by learners 5.00 KGO" in page.text
    assert "Still with learners 5.00" in page.text
    assert "Given to activities 200.00 KGO" in page.text
    assert page.html.count('class="area ') >= 3
    assert re.search(r"<td[^>]*>1,000.00</td>", page.html)


def test_a_young_city_has_an_audit_page(town: Town) -> None:
    """Nobody has earned anything, no witness is named, nothing is anchored: each says so, and nothing fails."""
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    for said in ("Nobody has earned anything yet.", "names no witnesses", "not anchored on a chain"):
        assert said in page.text


def test_anchors_are_shown_where_there_are_some(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever anchors logs adds itself to `ANCHORS`; size, chain and transaction are shown, and what does not fit."""
    anchor = audit.Anchor(7, "Testnet", "0x" + "ab" * 32, town.installation.clock.now, agrees=False)
    monkeypatch.setattr(audit, "ANCHORS", [lambda _visit: audit.Anchored([anchor], 1)])
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert "7 entries" in page.text
    assert "chain Testnet" in page.text
    assert anchor.transaction in page.html
    assert "not of this log" in page.text


def test_witnesses_stand_there_with_what_they_cosigned(town: Town) -> None:
    """Who has cosigned, who has not, with their keys; a receipt hands them to the browser."""
    friends = [Friend(town.installation, name) for name in ("press", "school")]
    lines = [f"witness {friend.name} {friend.vkey}" for friend in friends]
    town.app.extensions["kgo"].installation.settings.policy.write_text("\n".join([*lines, "quorum press", ""]))
    friends[0].cosign(rule(friends, "quorum press"))
    visitor = town.visitor()
    page = visitor.get(f"{HOME}/audit/?lang=en")
    assert "cosigned by press" in page.text
    assert "has cosigned nothing yet" in page.text
    for friend in friends:
        assert friend.vkey in page.html
        assert friend.vkey in visitor.get(f"{HOME}/audit/entries/0").html


def test_what_a_witness_refused_is_said_in_words(town: Town) -> None:
    """A witness that does not know the log: both languages say so, and no code of the program's stands there."""
    friend = Friend(town.installation, "press")
    settings = town.app.extensions["kgo"].installation.settings
    settings.policy.write_text(f"witness {friend.name} {friend.vkey}\nquorum press\n")
    (town.installation.keys.directory.parent / "friend-press" / "witness" / "logs").write_text("")
    (standing,) = friend.cosign(rule([friend], "quorum press"))
    assert standing.problem == "refused_log"
    visitor = town.visitor()
    for language, words in (("en", "does not know this log"), ("th", "ไม่รู้จักบันทึกนี้")):
        page = visitor.get(f"{HOME}/audit/?lang={language}")
        assert (words in page.text, "refused_log" in page.html) == (True, False)


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


def test_redeemed_does_not_contradict_what_was_spent(town: Town) -> None:
    """Once the city has paid a shop, the page says why more is redeemed than learners spent; before it need not."""
    visitor = town.visitor()
    assert "Redeemed is what shops hold" not in visitor.get(f"{HOME}/audit/?lang=en").text
    town.installation.give("shop:cafe", 400)
    assert "the 0.00 KGO that learners spent at shops" in visitor.get(f"{HOME}/audit/?lang=en").text


def test_totals_agree_with_the_book(town: Town) -> None:
    """Issued, circulating, redeemed and expired as the identities say."""
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert "Issued 1,000.00 KGO" in page.text
    assert "Circulating 1,000.00 KGO" in page.text
    assert "Redeemed 0.00 KGO" in page.text
