"""The command line: what it prints for people and machines, its exit status, and what it is called with."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import checkpoint, cosignature
from ledger.proof.merkle import leaf_hash, root_of
from ledger.proving import inclusion_proof, write_receipt
from ledger.signing import cosign
from ledger.verifier import run
from ledger.verifier.cli import main
from ledger.verifier.summary import Bar, amount
from tests.proof.logs import ORIGIN, VKEY, day, edited, signed, write
from tests.verifier.mirrors import publish, served

LINES = day().lines()
NOTE = signed(LINES)
WITNESSES = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2)]


def cosigned(*witnesses: int) -> str:
    """Return the day's checkpoint with the cosignatures of these witnesses."""
    lines = [cosign(checkpoint.parse(NOTE).body(), f"w{at}.example", WITNESSES[at], 7) for at in witnesses]
    return NOTE + "".join(lines)


def policy(folder: Path, quorum: str, log: str = VKEY) -> str:
    """Write a policy of the two witnesses; return its path."""
    vkeys = [cosignature.vkey(f"w{at}.example", key.public_key()) for at, key in enumerate(WITNESSES)]
    text = f"log {log}\nwitness one {vkeys[0]}\nwitness two {vkeys[1]}\ngroup both all one two\nquorum {quorum}\n"
    path = folder / f"{quorum}.policy"
    path.write_text(text, "utf-8")
    return str(path)


def receipt_of(index: int, note: str = NOTE, leaf: bytes | None = None) -> str:
    """Return the receipt of an entry of the day."""
    hashes = [leaf_hash(line) for line in LINES]
    path = inclusion_proof(index, len(LINES), lambda level, at: root_of(hashes[at << level : (at + 1) << level]))
    return write_receipt(index, path, note, LINES[index] if leaf is None else leaf)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed since."""
    return capsys.readouterr().out


@pytest.mark.parametrize(("quorum", "status"), [("none", 0), ("one", 0), ("two", 1), ("both", 1)])
def test_a_policy_says_whose_cosignatures_are_needed(
    tmp_path: Path, quorum: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a log and for a receipt; the policy pins the log's key as well."""
    folder = write(tmp_path / "export", LINES, cosigned(0))
    assert main([str(folder), "--policy", policy(tmp_path, quorum)]) == status
    assert ("BAD_SIGNATURE" in told(capsys)) == bool(status)
    (tmp_path / "receipt").write_text(receipt_of(5, cosigned(0)), "utf-8")
    assert main(["receipt", "--no-state", str(tmp_path / "receipt"), "--policy", policy(tmp_path, quorum)]) == status
    write(tmp_path / "export", LINES, cosigned(0, 1))
    assert main([str(folder), "--policy", policy(tmp_path, quorum)]) == 0


def test_a_policy_of_other_logs_accepts_none_of_this_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even with the right key given; a malformed policy is a mistake of the caller."""
    folder = write(tmp_path / "export", LINES)
    other = checkpoint.vkey("other.example/log", WITNESSES[0].public_key())
    assert main([str(folder), "--vkey", VKEY, "--policy", policy(tmp_path, "none", other)]) == 1
    assert "accepts other logs" in told(capsys)
    (tmp_path / "policy").write_text("quorum\n", "utf-8")
    assert main([str(folder), "--policy", str(tmp_path / "policy")]) == 2


def test_a_receipt_is_checked_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or standard input, with the entry in it or beside it, by the key given or remembered."""
    file, entry = tmp_path / "5.tlog-proof", tmp_path / "entry"
    file.write_text(receipt_of(5), "utf-8")
    assert main(["receipt", str(file), "--vkey", VKEY]) == 0
    text = told(capsys)
    assert "entry 5 of khon-kaen.example/log: reward" in text
    assert "5.00" in text
    assert main(["receipt", str(file)]) == 3
    assert "no key" in told(capsys)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(receipt_of(5).encode())))
    assert main(["receipt", "-", "--vkey", VKEY, "--json"]) == 0
    assert json.loads(told(capsys))["entry"]["seq"] == 5
    bare = receipt_of(5).split("\n")
    file.write_text("\n".join([bare[0], *bare[2:]]), "utf-8")
    assert main(["receipt", str(file), "--vkey", VKEY]) == 1
    entry.write_bytes(LINES[5] + b"\n")
    assert main(["receipt", str(file), "--vkey", VKEY, "--entry", str(entry)]) == 0
    assert main([str(write(tmp_path / "export", LINES))]) == 0
    file.write_text(receipt_of(5), "utf-8")
    assert main(["receipt", str(file)]) == 0


def test_what_is_wrong_with_a_receipt_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another entry, another signer, no receipt at all; a checkpoint that contradicts one remembered."""
    file = tmp_path / "receipt"
    stranger = signed(LINES, key=WITNESSES[0])
    for text, code in (
        (receipt_of(5, leaf=LINES[4]), "HASH_MISMATCH"),
        (receipt_of(5, leaf=b"rubbish"), "HASH_MISMATCH"),
        (receipt_of(5, stranger), "BAD_SIGNATURE"),
        ("rubbish", "HASH_MISMATCH"),
    ):
        file.write_text(text, "utf-8")
        assert main(["receipt", str(file), "--vkey", VKEY, "--json"]) == 1
        assert [finding["code"] for finding in json.loads(told(capsys))["findings"]] == [code]
    fork = [edited(LINES[0], key="ab" * 32), *LINES[1:]]
    assert main([str(write(tmp_path / "fork", fork))]) == 0
    file.write_text(receipt_of(5), "utf-8")
    told(capsys)
    assert main(["receipt", str(file), "--json"]) == 1
    (finding,) = json.loads(told(capsys))["findings"]
    assert (finding["code"], finding["evidence"]) == ("SPLIT_VIEW", [signed(fork), NOTE])


def test_the_status_tells_wrong_from_unfinished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """3 where nothing wrong was found and something is missing; 2 for an unusable memory; 130 for Ctrl-C."""
    folder = publish(tmp_path / "log", LINES)
    with served(folder) as site:
        assert main([site.url, "--vkey", VKEY]) == 0
        (folder / "tile/entries/000.p/17").unlink()
        assert main([site.url, "--vkey", VKEY]) == 3
        assert "INCOMPLETE" in told(capsys)
    assert main([str(folder), "--state", str(tmp_path / "state")]) == 3
    publish(folder, LINES)
    assert main([str(folder), "--state", str(tmp_path / "state")]) == 0
    for file in (tmp_path / "state").glob("*/checkpoint"):
        file.write_text("rubbish")
    assert main([str(folder), "--state", str(tmp_path / "state")]) == 2
    assert main([str(folder), "--state", str(tmp_path / "state"), "--no-state"]) == 0


def test_an_interruption_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is the shell's for SIGINT."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "verify", interrupt)
    assert main([str(write(tmp_path, LINES))]) == 130


def test_evidence_is_shown_to_people_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both signed checkpoints stand below the finding."""
    assert main([str(write(tmp_path / "one", LINES))]) == 0
    fork = [edited(LINES[0], key="ab" * 32), *LINES[1:]]
    told(capsys)
    assert main([str(write(tmp_path / "two", fork))]) == 1
    text = told(capsys)
    assert text.count("signed evidence") == 2
    for note in (NOTE, signed(fork)):
        assert all(line in text for line in note.splitlines())


@pytest.mark.parametrize(
    ("giver", "taker", "said"),
    [
        ("treasury", "shop:cafe", "4.00  paid to shops by the city, less what they gave back"),
        ("shop:cafe", "treasury", "-0.40  given back to the city by shops"),
    ],
)
def test_what_is_redeemed_does_not_contradict_what_shops_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], giver: str, taker: str, said: str
) -> None:
    """The total is what shops hold or were paid; where the city paid shops, or they it, both parts are named."""
    log, moved = day(), 400 if giver == "treasury" else 40
    assert main([str(write(tmp_path / "plain", log.lines())), "--no-state"]) == 0
    assert "spent by learners" not in told(capsys)
    late = json.loads(log.lines()[-1])["at"]
    log.add("redeem", ("learner:bo", "shop:cafe", 50), at=late)
    log.add("transfer", (giver, taker, moved), at=late)
    assert main([str(write(tmp_path / "paid", log.lines())), "--no-state", "--json"]) == 0
    report = json.loads(told(capsys))
    by_learners = sum(report["shops"].values())
    assert report["totals"]["redeemed"] - by_learners == (moved if giver == "treasury" else -moved)
    assert main([str(tmp_path / "paid"), "--no-state"]) == 0
    text = " ".join(told(capsys).split())
    assert (
        f"of it {amount(by_learners)} spent by learners at shops, less refunds of it {' '.join(said.split())}" in text
    )


def test_amounts_are_written_as_people_write_them() -> None:
    """With as many decimals as the token has."""
    assert [amount(value) for value in (0, 5, 123_456_789, -250)] == ["0.00", "0.05", "1,234,567.89", "-2.50"]
    assert (amount(1_234, 0), amount(1_234, 3)) == ("1,234", "1.234")


def test_the_bar_shows_how_far_it_is() -> None:
    """At the end it is full and leaves the line; a total that is not known is a question mark."""
    stream = io.StringIO()
    bar = Bar(stream)
    bar(0, 1_000)
    bar(1_000, 1_000)
    assert stream.getvalue().endswith("\n")
    assert "[" + "#" * 24 + "] 1,000 of 1,000 entries" in stream.getvalue()
    unknown = io.StringIO()
    Bar(unknown)(5, None)
    assert "5 of ? entries" in unknown.getvalue()
    assert ORIGIN not in unknown.getvalue()
