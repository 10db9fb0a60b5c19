"""The program that checks receipts in browsers, function by function, held against the verifier in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page

from ledger.proof import checkpoint, cosignature, merkle, receipt
from ledger.proving import inclusion_proof, write_receipt
from ledger.signing import cosign
from tests.browser.site import Site
from tests.proof.logs import KEY, VKEY, day, signed

IN_PAGE = "async ([program, name, ...given]) => (await import(program))[name](...given)"


def in_page(site: Site, page: Page) -> Callable[..., Any]:
    """Calls of the functions of proof.js."""
    page.goto(f"{site.home}/audit/check")
    program = page.locator("#check").get_attribute("data-program")
    return lambda name, *given: page.evaluate(IN_PAGE, [program, name, *given])


def receipts_of_a_day() -> list[tuple[str, bytes]]:
    """Receipts of the first, a middle and the last entry in trees of many sizes, each with the entry."""
    lines, found = day().lines(), []
    hashes = [merkle.leaf_hash(line) for line in lines]
    for size in (1, 2, 3, 7, 8, len(lines)):
        note = signed(lines, size)
        for seq in sorted({0, size // 2, size - 1}):

            def node(level: int, index: int) -> bytes:
                return merkle.root_of(hashes[index << level : (index + 1) << level])

            path = inclusion_proof(seq, size, node)
            found.append((write_receipt(seq, path, note, lines[seq]), lines[seq]))
    return found


def test_the_program_agrees_with_the_verifier_on_many_trees(site: Site) -> None:
    """Each receipt holds in the browser as it does in Python, with another entry or under another key it does not."""
    call = in_page(site, site.person().page)
    receipts = receipts_of_a_day()
    other_key = checkpoint.vkey("other", KEY.public_key())
    for (text, line), (_, other) in zip(receipts, receipts[1:] + receipts[:1], strict=True):
        receipt.verify(receipt.parse(text), VKEY)
        found = call("verify", text, {"vkey": VKEY, "shown": line.decode()})["checks"]
        assert [found[name]["state"] for name in ("form", "entry", "path", "signature")] == ["ok"] * 4, text
        found = call("verify", text, {"vkey": other_key, "shown": other.decode()})["checks"]
        assert found["signature"]["why"] == "other_key"
        assert (found["entry"]["state"], found["path"]["state"]) == ("ok" if other == line else "failed", "ok")


def test_the_program_checks_what_witnesses_signed(site: Site) -> None:
    """A true cosignature is named; one for another checkpoint fails; a witness whom nobody named does not count."""
    call = in_page(site, site.person().page)
    text, _ = receipts_of_a_day()[-1]
    note, witness = receipt.parse(text).note, Ed25519PrivateKey.generate()
    vkey = cosignature.vkey("press", witness.public_key())
    head = note.split("\n\n")[0] + "\n"
    for body, state in ((head, "ok"), (head.replace("\n", "\n1", 1), "failed")):
        cosigned = text + cosign(body, "press", witness, 1_700_000_000)
        found = call("verify", cosigned, {"vkey": VKEY, "witnesses": [{"name": "press", "vkey": vkey}]})
        assert found["checks"]["witnesses"]["state"] == state
        assert state == "failed" or found["facts"]["cosigned"][0]["name"] == "press"
        unknown = call("verify", cosigned, {"vkey": VKEY})["checks"]
        assert (unknown["witnesses"]["state"], unknown["signature"]["state"]) == ("skipped", "ok")


def test_hashes_in_script_are_those_of_the_browser(site: Site) -> None:
    """SHA-256 as the page has it for plain http, at every length around the blocks' ends, against WebCrypto."""
    page = site.person().page
    in_page(site, page)
    wrong = page.evaluate(
        """async (program) => {
          const { sha256, sha256InScript, hex } = await import(program);
          const wrong = [];
          for (let length = 0; length < 200; length += 1) {
            const data = crypto.getRandomValues(new Uint8Array(length));
            if (hex(await sha256(data)) !== hex(sha256InScript(data))) wrong.push(length);
          }
          return wrong;
        }""",
        page.locator("#check").get_attribute("data-program"),
    )
    assert wrong == []
