"""The auditor's laptop and the learner's phone: all is found at once, and the browser itself checks receipts."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from ledger.book import transfers
from ledger.proof import handles, receipt
from ledger.verifier.run import verify_export
from tests.browser.covering import Look, in_looks
from tests.browser.looks import check, check_with_axe
from tests.browser.scene import opened
from tests.browser.site import CITY, LAPTOP, PHONE, Person, Site, read_symbols
from tests.proof.logs import VKEY

HOLDS, FAILS, PARTLY = ".notice.good[data-verdict]", ".notice.failed", ".notice.gold[data-verdict]"


def verdicts(page: Page) -> dict[str, str | None]:
    """What the page says of each step."""
    return {
        str(one.get_attribute("data-check")): one.get_attribute("data-state")
        for one in page.locator(".checks > li").all()
    }


def entry_page(site: Site, person: Person, seq: int) -> Page:
    """Somebody at the receipt of an entry."""
    person.page.goto(f"{site.home}/audit/entries/{seq}")
    return person.page


def receipt_text(site: Site, person: Person, seq: int) -> str:
    """The receipt as the log gives it to anybody."""
    return person.context.request.get(f"{site.server.url}/log/{CITY}/receipt/{seq}").text()


def city_key(site: Site, person: Person) -> str:
    """The verifier key."""
    return person.context.request.get(f"{site.server.url}/log/{CITY}/vkey").text().strip()


@in_looks("audit")
def test_a_receipt_is_checked_by_the_browser(site: Site, look: Look) -> None:
    """On slow 4G: form, entry, path and signature hold; that nobody witnessed it is said; axe is content."""
    page = entry_page(site, site.person(*look, slow=True), 12)
    expect(page.locator(HOLDS)).to_be_visible()
    expect(page.locator(HOLDS)).to_contain_text("12")
    held = dict.fromkeys(("form", "entry", "path", "signature"), "ok")
    assert verdicts(page) == {**held, "witnesses": "skipped"}
    expect(page.locator("[data-key-memory]")).to_be_visible()
    check_with_axe(page)
    for part in page.locator("details").all():
        part.evaluate("part => { part.open = true }")
    check_with_axe(page)
    assert page.locator("#receipt").inner_text().startswith(receipt.HEADER)


def altered(text: str, line: int, place: int) -> str:
    """A receipt with one character of a line exchanged for another that may stand there."""
    lines = text.split("\n")
    old = lines[line][place]
    new = {"1": "2", "A": "B"}.get(old, "1" if old.isdigit() else "A")
    lines[line] = lines[line][:place] + new + lines[line][place:][1:]
    return "\n".join(lines)


def tampered(name: str, text: str) -> str:
    """One byte changed in a part of the receipt."""
    first_note_line = text.split("\n").index("") + 1
    line, place = {
        "entry": (1, 120),
        "path": (3, 7),
        "size": (first_note_line + 1, 0),
        "root": (first_note_line + 2, 5),
        "signature": (first_note_line + 4, -20),
        "form": (0, 3),
    }[name]
    return altered(text, line, place)


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("entry", {"entry", "path"}),
        ("path", {"path"}),
        ("size", {"path", "signature"}),
        ("root", {"path", "signature"}),
        ("signature", {"signature"}),
        ("form", {"form"}),
    ],
)
def test_one_altered_byte_is_shown_in_red(site: Site, what: str, wrong: set[str]) -> None:
    """Whatever was changed on the way: the page says which step fails, in words, and what to do; nothing looks well."""
    person = site.person(PHONE, "en")

    def change(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=tampered(what, answer.text()))

    person.route("**/log/*/receipt/*", change)
    page = entry_page(site, person, 12)
    expect(page.locator(FAILS)).to_be_visible()
    expect(page.locator(FAILS)).to_contain_text("This receipt does not hold")
    expect(page.locator(HOLDS)).to_be_hidden()
    found = verdicts(page)
    assert {name for name, state in found.items() if state == "failed"} >= wrong
    assert found["path"] != "ok" or "path" not in wrong
    expect(page.locator(".checks > [data-state=failed] .why").first).not_to_be_empty()
    red = page.locator(FAILS).evaluate("part => getComputedStyle(part).color.match(/[0-9]+/g).map(Number)")
    assert red[0] > 2 * max(red[1:])
    check(page)


def test_a_receipt_of_another_entry_is_not_this_one(site: Site) -> None:
    """A true receipt of entry 11 in the place of that of entry 12: its proof holds, and the page says it is another."""
    person = site.person(PHONE, "en")
    other = receipt_text(site, person, 11)
    person.route("**/log/*/receipt/12", lambda route: route.fulfill(body=other, content_type="text/plain"))
    page = entry_page(site, person, 12)
    expect(page.locator(FAILS)).to_be_visible()
    assert {name for name, state in verdicts(page).items() if state == "failed"} == {"entry"}


def test_a_network_that_fails_is_no_forgery(site: Site) -> None:
    """Nothing was checked, and a button tries again."""
    person = site.person(PHONE, "th")
    person.route("**/log/*/receipt/*", lambda route: route.fulfill(status=404, body=""))
    page = entry_page(site, person, 12)
    expect(page.locator("[data-verdict=unreachable]")).to_be_visible()
    check(page)
    person.unroute("**/log/*/receipt/*")
    page.locator("[data-again]").click()
    expect(page.locator(HOLDS)).to_be_visible()


WITHOUT = {
    "no_ed25519": """
        const real = SubtleCrypto.prototype.importKey;
        SubtleCrypto.prototype.importKey = function (form, key, algorithm, ...rest) {
          if ((algorithm.name ?? algorithm) === 'Ed25519') throw new DOMException('no', 'NotSupportedError');
          return real.call(this, form, key, algorithm, ...rest);
        };""",
    "insecure": "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined });",
}


@pytest.mark.parametrize("missing", WITHOUT)
def test_a_browser_without_signatures_says_so(site: Site, missing: str) -> None:
    """Leaf and path are checked all the same, in the script where need be; the signature is named as not checked."""
    person = site.person(PHONE, "en")
    person.context.add_init_script(WITHOUT[missing])
    page = entry_page(site, person, 12)
    expect(page.locator(PARTLY)).to_be_visible()
    expect(page.locator(HOLDS)).to_be_hidden()
    found = verdicts(page)
    assert (found["entry"], found["path"], found["signature"]) == ("ok", "ok", "skipped")
    expect(page.locator("[data-check=signature] .why")).to_contain_text("https" if missing == "insecure" else "Ed25519")


def test_a_learner_s_own_line_opens_to_them_alone(site: Site) -> None:
    """From the wallet in two taps; the handle opens to their account, on their page and on no other's."""
    person = site.learner(PHONE, "en")
    page = person.page
    page.goto(f"{site.home}/wallet")
    page.locator(".lines a.line").first.click()
    page.locator("main a[href*='/audit/entries/']").first.click()
    expect(page.locator(HOLDS)).to_be_visible()
    assert verdicts(page)["own"] == "ok"
    (own,) = json.loads(page.locator("#check").get_attribute("data-own") or "")
    shown = handles.handle(own["account"], base64.b64decode(own["nonce"]))
    assert shown in page.locator("main").inner_text()
    check_with_axe(page)
    stranger = site.person(PHONE, "en").page
    stranger.goto(page.url)
    expect(stranger.locator(HOLDS)).to_be_visible()
    assert own["account"] not in stranger.content()
    assert own["nonce"] not in stranger.content()
    assert "own" not in verdicts(stranger)


def test_another_s_opening_does_not_open(site: Site) -> None:
    """A page that claims a line for the wrong account is found out by the browser."""
    person = site.learner(PHONE, "en")
    page = person.page
    page.goto(f"{site.home}/wallet")
    page.locator(".lines a.line").first.click()
    entry = page.locator("main a[href*='/audit/entries/']").first.get_attribute("href") or ""

    def claim(route: Route) -> None:
        answer = route.fetch()
        body = re.sub(r"learner:[a-z2-7]{26}(?=&#34;)", f"learner:{'a' * 26}", answer.text())
        route.fulfill(response=answer, body=body)

    person.route(f"**{entry}", claim)
    page.goto(site.server.url + entry)
    expect(page.locator(FAILS)).to_be_visible()
    assert {name for name, state in verdicts(page).items() if state == "failed"} == {"own"}


def test_a_symbol_leads_to_the_receipt(site: Site) -> None:
    """Read by an independent reader at the size of a phone's page; whoever opens it has it checked."""
    page = entry_page(site, site.person(PHONE, "th"), 12)
    page.locator("details:has(.qr:not(.whole)) summary").click()
    (address,) = read_symbols(page.locator(".qr:not(.whole)").screenshot())
    assert address.endswith(f"/c/{CITY}/audit/entries/12")


def test_a_symbol_is_the_receipt_and_verifies_offline(site: Site, tmp_path: Path) -> None:
    """Loaded when it is looked at; its text, read off a phone, is checked by `kgo verify receipt` and by the page."""
    person = site.person(PHONE, "th", device_scale_factor=3)
    pictures: list[str] = []
    person.context.on("request", lambda request: pictures.append(request.url) if ".png" in request.url else None)
    page = entry_page(site, person, 12)
    expect(page.locator(HOLDS)).to_be_visible()
    assert not any("receipt.png" in address for address in pictures)
    page.locator("details:has(.qr.whole) summary").click()
    expect(page.locator(".qr.whole img")).not_to_have_js_property("naturalWidth", 0)
    page.locator(".qr.whole").evaluate("part => part.scrollIntoView({ block: 'center' })")
    (text,) = read_symbols(page.locator(".qr.whole").screenshot())
    key, file = city_key(site, person), tmp_path / "scanned.txt"
    page.goto(f"{site.home}/audit/check")
    wrong = text[:200] + ("A" if text[200] != "A" else "B") + text[201:]
    for scanned, holds in ((text, True), (f"{text}\n", True), (wrong, False), (text[:-3], False)):
        file.write_text(scanned)
        command = [sys.executable, "-m", "ledger.verifier", "receipt", str(file), "--vkey", key, "--no-state"]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == (0 if holds else 1), done.stdout
        assert "entry 12 of " in done.stdout or not holds
        put_in(page, scanned)
        expect(page.locator(HOLDS if holds else FAILS)).to_be_visible()
    expect(page.locator("[data-check=form]")).to_have_attribute("data-state", "failed")


def test_a_changed_key_is_noticed(site: Site) -> None:
    """The browser remembers the key of a log, says when it saw it, and speaks up where it is another one."""
    person = site.person(PHONE, "en")
    memory = entry_page(site, person, 12).locator("[data-key-memory]")
    expect(memory).to_contain_text("for the first time")
    expect(entry_page(site, person, 11).locator("[data-key-memory]")).to_contain_text("The same key")
    change = """name => {
      const kept = JSON.parse(localStorage[name]);
      localStorage[name] = JSON.stringify({ ...kept, vkey: `${kept.vkey}x` });
    }"""
    person.page.evaluate(change, f"kgo-vkey-{city_key(site, person).partition('+')[0]}")
    expect(entry_page(site, person, 12).locator("[data-key-memory].alarm")).to_contain_text("another key")


def put_in(page: Page, text: str) -> None:
    """Paste a receipt and have it checked."""
    page.locator("#f-receipt").fill(text)
    page.locator("[data-check-now]").click()


@in_looks("receipt")
def test_anybody_checks_a_receipt_and_nothing_is_sent(site: Site, look: Look) -> None:
    """Pasted, as a file, and dropped; also without its last line's end; no request leaves the browser."""
    person = site.person(*look)
    page, text = person.page, receipt_text(site, person, 12)
    page.goto(f"{site.home}/audit/check")
    put_in(page, text)
    expect(page.locator(HOLDS)).to_be_visible()
    check_with_axe(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    put_in(page, altered(text, 1, 100))
    expect(page.locator(FAILS)).to_be_visible()
    check(page)
    put_in(page, text.replace("\n", "\r\n").strip())
    expect(page.locator(HOLDS)).to_be_visible()
    expect(page.locator("#entry")).to_contain_text('"seq": 12')
    page.locator("#f-file").set_input_files({"name": "x.tlog-proof", "mimeType": "text/plain", "buffer": b"nothing"})
    expect(page.locator(FAILS)).to_be_visible()
    drop = "text => { const bag = new DataTransfer(); bag.items.add(new File([text], 'a.tlog-proof')); return bag }"
    page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle(drop, text)})
    expect(page.locator(HOLDS)).to_be_visible()
    page.locator("#f-receipt").fill("")
    page.locator("[data-check-now]").click()
    expect(page.locator("[data-verdict=empty]")).to_be_visible()
    assert sent == []


def test_the_browser_and_kgo_verify_agree(site: Site, tmp_path: Path) -> None:
    """The same downloaded file, true and with one byte changed, and under another key."""
    person = site.person(LAPTOP, "en")
    page = entry_page(site, person, 12)
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download", exact=True).click()
    assert saving.value.suggested_filename == f"{CITY}-12.tlog-proof"
    true, key, other = saving.value.path().read_text(), city_key(site, person), VKEY
    page.goto(f"{site.home}/audit/check")
    for text, vkey, holds in ((true, key, True), (altered(true, 1, 100), key, False), (true, other, False)):
        page.locator("#f-vkey").fill(vkey)
        put_in(page, text)
        expect(page.locator(HOLDS if holds else FAILS)).to_be_visible()
        file = tmp_path / "receipt.tlog-proof"
        file.write_text(text)
        command = [sys.executable, "-m", "ledger.verifier", "receipt", str(file), "--vkey", vkey, "--no-state"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode == 0) is holds, done.stdout


def test_the_audit_page_has_it_all(site: Site, tmp_path: Path) -> None:
    """Without signing in: a zip that verifies, key, checkpoint, charts with tables, the way to an entry."""
    page = site.person(LAPTOP, "en").page
    page.goto(f"{site.home}/audit/")
    for heading in (
        "Checkpoint",
        "Check it yourself",
        "Supply over time",
        "Growth of the log",
        "Witnesses",
        "Downloads",
    ):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    drawn = page.locator(".over-time")
    assert drawn.count() >= 2
    for chart in drawn.all():
        expect(chart.locator("svg path.area").first).to_be_visible()
        assert chart.locator("tbody tr").count() >= 2
    with page.expect_download() as saving:
        page.get_by_role("link", name="Download the log (zip)").click()
    file = tmp_path / saving.value.suggested_filename
    saving.value.save_as(file)
    assert verify_export(file).findings == []
    expect(page.get_by_role("link", name="openings")).to_have_count(0)
    page.locator("#newest ~ .lines a.line").first.click()
    expect(page.locator(HOLDS)).to_be_visible()


def test_an_appointed_auditor_takes_the_openings(site: Site, tmp_path: Path) -> None:
    """They open every learner's handle, so that the verifier replays each person; a stranger is turned away."""
    site.learner()
    page = site.worker("--role", "auditor", language="en").page
    page.goto(f"{site.home}/audit/")
    with page.expect_download() as saving:
        page.get_by_role("link", name="openings").click()
    file = tmp_path / saving.value.suggested_filename
    saving.value.save_as(file)
    report = verify_export(file)
    assert report.findings == []
    assert not any("opening" in item for item in report.unchecked)
    stranger = site.person(PHONE, "en")
    answer = stranger.page.goto(f"{site.home}/audit/openings.zip")
    assert answer is not None
    assert answer.status in (401, 403)


def test_the_largest_amounts_fit_a_phone(site: Site) -> None:
    """Half of what a book can hold is granted: on a phone nothing is wider than the window, in either language."""
    with opened(site) as installation:
        installation.writer.run(
            CITY, lambda unit: transfers.post(unit, "grant", "issuance", "treasury", 2**52, actor="treasurer").seq
        )
    for language in ("th", "en"):
        page = site.person(PHONE, language).page
        page.goto(f"{site.home}/audit/")
        expect(page.locator(".figures")).to_contain_text("45,03")
        check(page)
