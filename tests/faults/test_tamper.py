"""Somebody changes what is stored or exported, past all guards: the audit or the verifier names it."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ledger.book import holds, seal, transfers
from ledger.book.entries import PAGE
from ledger.book.seal import LogBehindPublished
from ledger.book.unit import Unit
from ledger.db import upgrade
from ledger.proof.merkle import Frontier, leaf_hash
from ledger.proof.verify import verify_export
from tests.counts import scale
from tests.factories import CITY, Installation, install, reopen

FULL_TILE = 256


def _history(installation: Installation) -> tuple[str, str]:
    """A log of more than a tile in which every kind of projection has rows; two learners."""
    installation.open("shop:a", "shop:b", "budget:a")
    installation.grant()
    people = installation.learner(5_000), installation.learner(5_000)

    def live(unit: Unit) -> None:
        for _ in range(FULL_TILE):
            transfers.post(unit, "fund", "treasury", "budget:a", 3, actor="steward")
        transfers.post(unit, "redeem", people[0], "shop:a", 30, actor="shop:a")

    installation.run(live)
    first = installation.hold(people[0], "shop:a", 100, minutes=60)
    installation.hold(people[1], "shop:b", 200, minutes=60)
    installation.clock.advance(minutes=1)
    installation.run(lambda unit: holds.capture(unit, first.seq, 90, actor="shop:a"))
    installation.clock.advance(minutes=1)
    installation.run(lambda unit: holds.refund(unit, first.seq, 20, actor="shop:a"))
    return people


def _rewrite(installation: Installation, *statements: str, **values: object) -> None:
    """Run SQL as somebody who has the database's own powers: no trigger stops it."""
    with installation.database.write() as session:
        if installation.database.engine.dialect.name == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            assert session.execute(text(statement), values).rowcount > 0, statement  # type: ignore[attr-defined]
        session.commit()


def _codes(installation: Installation) -> set[str]:
    return set(installation.audit().counts)


BALANCES, CASES = "BALANCE_MISMATCH", "CASE_VIOLATION"
_LAST_LEG = "account = 'shop:a' AND version = (SELECT max(version) FROM legs WHERE account = 'shop:a')"
_MORE = f"""
    INSERT INTO legs
    SELECT city, account, version + 1, seq + {{}}, {{}}, side, 900, 0, posted_after + 900, 0 FROM legs WHERE {_LAST_LEG}
"""
_SOMEBODY = "(SELECT min(source) FROM cases WHERE moved_minor > 0)"
PROJECTIONS = {
    "a balance, and another to match": (
        BALANCES,
        "UPDATE accounts SET posted = posted + 500 WHERE path = 'shop:b'",
        "UPDATE accounts SET posted = posted - 500 WHERE path = 'treasury'",
    ),
    "a reservation": (BALANCES, "UPDATE accounts SET held = held - 200 WHERE held = 200"),
    "an account's version": (BALANCES, "UPDATE accounts SET version = version + 1 WHERE path = 'shop:a'"),
    "what a leg moved": (BALANCES, "UPDATE legs SET posted_change = 4 WHERE account = 'budget:a' AND version = 9"),
    "the balances after a leg": (BALANCES, "UPDATE legs SET posted_after = posted_after + 1 WHERE version = 9"),
    "what was held at a time": (
        BALANCES,
        "UPDATE openings SET held_after = held_after - 50, held_change = held_change - 50 WHERE held_change = 100",
        "UPDATE openings SET held_change = held_change + 50 WHERE held_change = -100",
    ),
    "whose a redemption was": (
        BALANCES,
        "UPDATE openings SET version = 99, account = (SELECT account FROM openings WHERE held_change = 200)"
        " WHERE posted_change = -30",
    ),
    "a nonce": (BALANCES, "UPDATE openings SET nonce = :nonce WHERE posted_change = -30"),
    "a leg that is gone": (BALANCES, "DELETE FROM legs WHERE account = 'budget:a' AND version = 5"),
    "a leg too many": (BALANCES, _MORE.format(0, 7)),
    "a leg of an entry to come": (BALANCES, _MORE.format(99, 0)),
    "how much was refunded": (CASES, "UPDATE cases SET refunded_minor = 0 WHERE refunded_minor = 20"),
    "the state of a hold": (CASES, "UPDATE cases SET state = 'released' WHERE state = 'held'"),
    "whom a hold is for": (CASES, "UPDATE cases SET target = 'shop:a' WHERE state = 'held'"),
    "whose a hold is": (CASES, f"UPDATE cases SET source = {_SOMEBODY} WHERE state = 'held'"),  # noqa: S608
    "how much is held": (CASES, "UPDATE cases SET amount_minor = 150 WHERE state = 'held'"),
    "when a hold ends": (CASES, "UPDATE cases SET expires_at = expires_at + 60000 WHERE state = 'held'"),
    "which entry ended a hold": (CASES, "UPDATE cases SET ended_by = 3 WHERE state = 'captured'"),
    "a case that is gone": (CASES, "DELETE FROM cases WHERE state = 'captured'"),
}
"""What somebody might change beside the leaves, and how the audit calls it."""


@pytest.mark.parametrize("what", PROJECTIONS)
def test_the_audit_finds_what_was_changed_beside_the_leaves(installation: Installation, what: str) -> None:
    """Balances, legs, openings and cases follow from the journal; whatever does not is named."""
    _history(installation)
    assert installation.audit().findings == []
    code, *statements = PROJECTIONS[what]
    _rewrite(installation, *statements, **({"nonce": b"n" * 32} if ":nonce" in statements[0] else {}))
    assert _codes(installation) == {code}


LEAVES = {
    "an amount": {"HASH_MISMATCH", "BALANCE_MISMATCH"},
    "an amount, with its hash": {"HASH_MISMATCH", "BALANCE_MISMATCH"},
    "the time": {"HASH_MISMATCH"},
    "the column beside it": {"HASH_MISMATCH"},
    "an entry that is gone": {"SEQUENCE_GAP"},
    "the last entry": {"SEQUENCE_GAP", "HASH_MISMATCH"},
    "bytes that are no JSON": {"HASH_MISMATCH"},
}


@pytest.mark.parametrize("what", LEAVES)
def test_the_audit_finds_a_changed_leaf(installation: Installation, what: str) -> None:
    """An amount changed in the database, an entry cut out, a tail cut off: each is named."""
    _history(installation)
    seq = 100
    with installation.read() as session:
        leaf = bytes(session.execute(text("SELECT leaf FROM entries WHERE seq = 100")).scalar_one())
    change = "UPDATE entries SET leaf = :leaf WHERE seq = :seq"
    dearer = leaf.replace(b'"amount":3', b'"amount":9')
    if what == "an amount":
        _rewrite(installation, change, leaf=dearer, seq=seq)
    elif what == "an amount, with its hash":
        with_hash = "UPDATE entries SET leaf = :leaf, leaf_hash = :hash WHERE seq = :seq"
        _rewrite(installation, with_hash, leaf=dearer, hash=leaf_hash(dearer), seq=seq)
    elif what == "the time":
        later = leaf.replace(b"T03:00:00.000Z", b"T03:00:00.001Z")
        with_column = "UPDATE entries SET leaf = :leaf, leaf_hash = :hash, at = at + 1 WHERE seq = :seq"
        _rewrite(installation, with_column, leaf=later, hash=leaf_hash(later), seq=seq)
    elif what == "the column beside it":
        _rewrite(installation, "UPDATE entries SET kind = 'reward' WHERE seq = :seq", seq=seq)
    elif what == "an entry that is gone":
        _rewrite(installation, "DELETE FROM entries WHERE seq = :seq", seq=seq)
    elif what == "the last entry":
        _rewrite(installation, "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    else:
        _rewrite(installation, change, leaf=b"{", seq=seq)
    found = _codes(installation)
    assert LEAVES[what] <= found or (what == "the time" and found & {"HASH_MISMATCH", "SEQUENCE_GAP"})


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        ("UPDATE tiles SET hashes = :hashes", {"HASH_MISMATCH"}),
        ("UPDATE tiles SET root = :root", {"HASH_MISMATCH"}),
        ("DELETE FROM tiles", {"HASH_MISMATCH"}),
        ("UPDATE heads SET frontier = :frontier", {"HASH_MISMATCH"}),
        ("UPDATE checkpoints SET note = replace(note, 'kgo', 'ogk')", {"BAD_SIGNATURE"}),
        ("DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)", {"SEQUENCE_GAP"}),
    ],
)
def test_the_audit_finds_a_changed_part_of_the_seal(
    installation: Installation, statement: str, codes: set[str]
) -> None:
    """Whatever part of the seal is not that of the leaves is named."""
    _history(installation)
    values = {"hashes": b"h" * 32 * FULL_TILE, "root": b"r" * 32, "frontier": Frontier().to_bytes()}
    _rewrite(installation, statement, **{name: value for name, value in values.items() if f":{name}" in statement})
    assert _codes(installation) == codes


def test_an_amount_changed_in_the_database_file_is_found(sqlite_url: str, tmp_path: Path) -> None:
    """No SQL at all: some bytes of the file itself. The audit finds it, and so does whoever takes the export."""
    made = install(sqlite_url, tmp_path)
    _history(made)
    amount = b'"amount":30,'
    made.close()
    file = Path(make_url(sqlite_url).database or "")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = file.read_bytes()
    assert content.count(amount) == 1
    file.write_bytes(content.replace(amount, b'"amount":93,'))
    after = reopen(sqlite_url, tmp_path)
    assert _codes(after) >= {"HASH_MISMATCH", "BALANCE_MISMATCH"}
    assert "HASH_MISMATCH" in verify_export(after.export(tmp_path / "export")).counts
    after.close()


def test_a_database_set_back_signs_nothing_more(installation: Installation, tmp_path: Path) -> None:
    """An older state is consistent in itself; the checkpoint that was shown tells, and a verifier who saw it."""
    _history(installation)
    with installation.read() as session:
        size, later = seal.latest(session, CITY).size, seal.latest(session, CITY).note
    last = size - 1
    _rewrite(
        installation,
        f"DELETE FROM entries WHERE seq = {last}",  # noqa: S608
        f"DELETE FROM legs WHERE seq = {last}",  # noqa: S608
        f"DELETE FROM openings WHERE seq = {last}",  # noqa: S608
        "DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)",
        "UPDATE accounts SET posted = posted + 20, version = version - 1 WHERE path = 'shop:a'",
        "UPDATE accounts SET posted = posted - 20, version = version - 1 WHERE posted = 4900",
        "UPDATE cases SET refunded_minor = 0 WHERE refunded_minor = 20",
    )
    with installation.read() as session:
        earlier = seal.latest(session, CITY)
    assert earlier.size == last
    again = reopen(installation.database.url, tmp_path, installation.clock)
    with installation.database.write() as session:
        session.execute(text(f"UPDATE heads SET size = {last}"))  # noqa: S608
        session.commit()
    with pytest.raises(LogBehindPublished):
        again.grant()
    again.close()
    report = verify_export(installation.export(tmp_path / "set-back"), seen=later)
    assert set(report.counts) == {"BEHIND_ANCHOR"}
    assert verify_export(tmp_path / "set-back").ok


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with openings that holds."""
    folder = tmp_path_factory.mktemp("tamper")
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    upgrade(url)
    made = install(url, folder)
    _history(made)
    path = made.export(folder / "export", openings=True)
    made.close()
    assert verify_export(path).ok
    return path


def _copy(export: Path, to: Path) -> Path:
    shutil.copytree(export, to)
    return to


def _reordered(line: bytes) -> bytes:
    """The same entry as other bytes."""
    members = reversed(json.loads(line).items())
    return json.dumps(dict(members), separators=(",", ":")).encode() + b"\n"


LINES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], set[str]]] = {
    "a deleted line": (lambda lines: lines[:50] + lines[51:], {"SEQUENCE_GAP"}),
    "two swapped lines": (lambda lines: [*lines[:50], lines[51], lines[50], *lines[52:]], {"SEQUENCE_GAP"}),
    "a doubled line": (lambda lines: [*lines[:51], *lines[50:]], {"SEQUENCE_GAP"}),
    "a truncated tail": (lambda lines: lines[:-1], {"SEQUENCE_GAP"}),
    "an empty log": (lambda lines: [], {"SEQUENCE_GAP"}),
    "a line too many": (lambda lines: [*lines, lines[-1]], {"VERIFICATION_INCOMPLETE"}),
    "a changed amount": (
        lambda lines: [line.replace(b'"amount":30,', b'"amount":31,') for line in lines],
        {"HASH_MISMATCH"},
    ),
    "another order of members": (lambda lines: [*lines[:9], _reordered(lines[9]), *lines[10:]], {"HASH_MISMATCH"}),
    "an empty line": (lambda lines: [*lines[:9], b"\n", *lines[9:]], {"HASH_MISMATCH"}),
}


@pytest.mark.parametrize("what", LINES)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_verifier_finds_changed_lines(export: Path, tmp_path: Path, what: str, zipped: bool) -> None:
    """In a directory and in a zip, whatever was done to the lines is named."""
    change, codes = LINES[what]
    path = _copy(export, tmp_path / "export")
    file = path / "entries.ndjson"
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    if zipped:
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            for member in path.iterdir():
                archive.write(member, member.name)
        path = tmp_path / "export.zip"
    found = set(verify_export(path).counts)
    assert codes <= found


@pytest.mark.parametrize("name", ["entries.ndjson", "checkpoint", "vkey", "openings.ndjson"])
def test_no_flipped_bit_goes_unnoticed(export: Path, tmp_path: Path, name: str) -> None:
    """Whatever single bit of whatever file is wrong, the export does not verify."""
    path = _copy(export, tmp_path / "export")
    file = path / name
    content = file.read_bytes()
    chance = random.Random(name)  # noqa: S311 - a sample, the same each time
    for _ in range(scale(12, 2_000)):
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        file.write_bytes(flipped)
        report = verify_export(path)
        assert not report.ok, f"bit {bit} of byte {at}"
    file.write_bytes(content)
    assert verify_export(path).ok


def test_openings_of_somebody_else_do_not_fit(export: Path, tmp_path: Path) -> None:
    """Naming another account for a handle, or leaving one out, is found."""
    path = _copy(export, tmp_path / "export")
    file = path / "openings.ndjson"
    lines = file.read_bytes().splitlines(keepends=True)
    opened = [json.loads(line) for line in lines]
    other = next(line["account"] for line in opened if line["account"] != opened[0]["account"])
    file.write_bytes(lines[0].replace(opened[0]["account"].encode(), other.encode()) + b"".join(lines[1:]))
    assert "HASH_MISMATCH" in verify_export(path).counts
    file.write_bytes(b"".join(lines[1:]))
    assert "BALANCE_MISMATCH" in verify_export(path).counts


def test_the_history_is_longer_than_a_tile(export: Path) -> None:
    """These tests reach into a full tile and into one that is not."""
    lines = (export / "entries.ndjson").read_bytes().count(b"\n")
    assert FULL_TILE < lines < PAGE
