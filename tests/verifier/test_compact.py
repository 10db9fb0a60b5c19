"""The compact form of a receipt: complete, small enough for a symbol, and nothing but the receipt comes out of it."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.programme import qr
from ledger.proof.merkle import ProofError
from ledger.proof.receipt import MAX_RECEIPT_CHARS
from ledger.proving import write_receipt
from ledger.verifier import compact
from ledger.verifier.cli import main
from tests.proof.logs import VKEY
from tests.verifier.test_cli import LINES, cosigned, receipt_of


def wrapped(clear: bytes, behind: bytes = b"") -> str:
    """Put any bytes into the compact form, with a checksum that is right."""
    encoder = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = encoder.compress(clear) + encoder.flush() + behind
    return compact.PREFIX + compact._to_base45(sha256(deflated).digest()[:4] + deflated)


@pytest.mark.parametrize(
    ("plain", "coded"),
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")],
)
def test_base45_is_that_of_rfc_9285(plain: bytes, coded: str) -> None:
    """The examples of its sections 4.3 and 4.4, both ways."""
    assert compact._to_base45(plain) == coded
    assert compact._from_base45(coded) == plain


@pytest.mark.parametrize("coded", ["A", "GGW", "::", "ab", "BB8A"])
def test_what_is_no_base45_is_refused(coded: str) -> None:
    """A lone character, more than two bytes hold, another alphabet."""
    with pytest.raises(ProofError):
        compact._from_base45(coded)


def test_every_receipt_comes_out_as_it_went_in() -> None:
    """Of each entry, with and without cosignatures; another text is left alone."""
    for index in range(len(LINES)):
        for text in (receipt_of(index), receipt_of(index, cosigned(0, 1))):
            assert compact.unpack(compact.pack(text)) == text
            assert compact.unpack(f"\n {compact.pack(text)}\r\n") == text
            assert compact.unpack(text) == text


def test_it_is_checked_offline_like_the_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or standard input; whichever single character is another, it does not hold."""
    file, packed = tmp_path / "scanned.txt", compact.pack(receipt_of(5))
    file.write_text(packed)
    assert main(["receipt", str(file), "--vkey", VKEY, "--no-state"]) == 0
    assert "entry 5 of khon-kaen.example/log: reward" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed.encode() + b"\n")))
    assert main(["receipt", "-", "--vkey", VKEY, "--no-state"]) == 0
    capsys.readouterr()
    for at, old in enumerate(packed):
        new = compact.ALPHABET[(compact.ALPHABET.find(old) + 1 + at % 43) % 45]
        file.write_text(packed[:at] + new + packed[at + 1 :])
        assert main(["receipt", str(file), "--vkey", VKEY, "--no-state", "--json"]) == 1, (at, old, new)
        (finding,) = json.loads(capsys.readouterr().out)["findings"]
        assert finding["code"] == "HASH_MISMATCH"


def test_a_forged_receipt_is_found_in_the_compact_form_too(tmp_path: Path) -> None:
    """With a checksum that is right: the entry of another place, and another signer's name."""
    file = tmp_path / "scanned.txt"
    for text in (receipt_of(5, leaf=LINES[4]), receipt_of(5).replace("khon-kaen", "khon-kaem")):
        file.write_text(compact.pack(text))
        assert main(["receipt", str(file), "--vkey", VKEY, "--no-state"]) == 1


@pytest.mark.parametrize(
    "packed",
    [
        compact.PREFIX,
        compact.PREFIX + "00",
        wrapped(b"rubbish"),
        wrapped(b"a\nb\nc"),
        wrapped(b"\xff\nextra {}\nindex 0"),
        wrapped(b"a\nextra {}\nindex 0", b"more"),
        wrapped(bytes(100 * MAX_RECEIPT_CHARS)),
        wrapped(b"c2sp.org/tlog-proof@v1\nextra " + b"x" * MAX_RECEIPT_CHARS + b"\nindex 0"),
    ],
    ids=["nothing", "short", "rubbish", "no entry", "no utf-8", "more behind it", "a bomb", "too long"],
)
def test_what_is_damaged_or_too_long_is_refused(packed: str) -> None:
    """Before more than a megabyte came out of it."""
    with pytest.raises(ProofError):
        compact.unpack(packed)


def test_a_receipt_without_its_entry_has_no_compact_form() -> None:
    """It would not be complete; nor has a text that is no receipt one."""
    bare = receipt_of(5).split("\n")
    for text in ("\n".join([bare[0], *bare[2:]]), "rubbish"):
        with pytest.raises(ProofError):
            compact.pack(text)


def test_a_receipt_of_two_million_entries_fits_a_symbol() -> None:
    """21 random hashes, three cosignatures, an entry of 600 bytes: version 30 at most, of 137 modules a side."""
    signatures = [base64.b64encode(os.urandom(76)).decode() for _ in range(3)]
    note = cosigned() + "".join(f"— witness-{at}.some-city.example {one}\n" for at, one in enumerate(signatures))
    leaf = LINES[5] + base64.b64encode(os.urandom(450))[: max(0, 600 - len(LINES[5]))]
    packed = compact.pack(write_receipt(1_966_079, [os.urandom(32) for _ in range(21)], note, leaf))
    assert len(packed) <= qr.MAX_DENSE_CHARS
    assert len(qr.matrix(packed, qr.Level.DENSE)) <= 137
