"""Somebody changes what is stored, past all guards: the audit names it, whatever it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ledger.book import seal, tree
from ledger.book.seal import LogBehindPublished
from ledger.proof.merkle import Frontier, leaf_hash
from ledger.verifier.run import verify_export
from tests.factories import CITY, Installation, install, live_through, reopen, rewrite


def _codes(installation: Installation) -> set[str]:
    return set(installation.audit().counts)


BALANCES, CASES = "BALANCE_MISMATCH", "CASE_VIOLATION"
_LAST_LEG = "account = 'shop:a' AND version = (SELECT max(version) FROM legs WHERE account = 'shop:a')"
_MORE = f"""
    INSERT INTO legs
    SELECT city, account, version + 1, seq + {{}}, {{}}, side, 900, 0, posted_after + 900, 0 FROM legs WHERE {_LAST_LEG}
"""  # noqa: S608
_COLUMNS = "city, account, version, seq, line, side, posted_change, held_change, posted_after, held_after"
_LEG = f"INSERT INTO legs ({_COLUMNS}) SELECT city, {{}}, 1, {{}}, line, side, 0, 0, 0, 0 FROM {{}} WHERE {{}}"  # noqa: S608
_FIFTH = "account = 'budget:a' AND version = 5"
_STRAY = {
    "the place of an institution": _LEG.format("'shop:stray'", "seq", "legs", _FIFTH),
    "the place of an institution, a person's": _LEG.format(f"'learner:{'a' * 26}'", "seq", "legs", _LAST_LEG),
    "the place of a person": _LEG.format("'shop:stray'", "seq", "openings", "posted_change = -30"),
    "an entry to come": _LEG.format("'shop:stray'", "seq + 99", "legs", _LAST_LEG),
    "an entry before the first": _LEG.format("'shop:stray'", "-1", "legs", _LAST_LEG),
}
"""Legs that change no balance, of an account that has no row, at the place of another leg."""

_ASIDE = f"""
    INSERT INTO legs ({_COLUMNS})
    SELECT city, account, version + 1, seq, line, 7, 0, 0, posted_after, 0 FROM legs WHERE {_LAST_LEG}
"""  # noqa: S608
_EARLY = f"""
    INSERT INTO openings (nonce, {_COLUMNS})
    SELECT nonce, city, account, 99, -1, line, side, 0, 0, 0, 0 FROM openings WHERE posted_change = -30
"""  # noqa: S608
_OTHER = "(SELECT account FROM openings WHERE held_change = 200)"
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
        f"UPDATE openings SET version = 99, account = {_OTHER} WHERE posted_change = -30",  # noqa: S608
    ),
    "a nonce": (BALANCES, "UPDATE openings SET nonce = :nonce WHERE posted_change = -30"),
    "a leg that is gone": (BALANCES, "DELETE FROM legs WHERE account = 'budget:a' AND version = 5"),
    "a leg too many": (BALANCES, _MORE.format(0, 7)),
    "a leg of an entry to come": (BALANCES, _MORE.format(99, 0)),
    "a leg of another account": (BALANCES, f"UPDATE legs SET account = 'shop:b', version = 1 WHERE {_LAST_LEG}"),  # noqa: S608
    "a leg in the place of another": (BALANCES, _LEG.format("'shop:b'", "seq", "legs", _FIFTH)),
    "a leg on no side": (
        BALANCES,
        _ASIDE,
        "UPDATE accounts SET version = version + 1 WHERE path = 'shop:a'",
    ),
    "all legs of an account": (BALANCES, "DELETE FROM legs WHERE account = 'issuance'"),
    "an opening of an entry before the first": (BALANCES, _EARLY),
    **{f"a leg at {place}": (BALANCES, statement) for place, statement in _STRAY.items()},
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
    live_through(installation)
    assert installation.audit().findings == []
    code, *statements = PROJECTIONS[what]
    rewrite(installation, *statements, **({"nonce": b"n" * 32} if ":nonce" in statements[0] else {}))
    assert code in _codes(installation)


@pytest.mark.parametrize("place", _STRAY)
def test_the_audit_names_a_leg_that_no_entry_has(installation: Installation, place: str) -> None:
    """Though no look-up by the accounts that entries name leads to it, and nothing else is amiss."""
    live_through(installation)
    rewrite(installation, _STRAY[place])
    (finding,) = installation.audit().findings
    strays = "SELECT seq, account FROM legs WHERE account = 'shop:stray' OR account LIKE 'learner:%'"
    with installation.read() as session:
        seq, account = session.execute(text(strays)).one()
    assert (finding.code, finding.seq) == (BALANCES, seq)
    assert account in finding.message


NO_ACCOUNTS = (b'"\\u0000"', b'"budget:\' OR 1=1 --"', b'"budget:%"', b'["budget:a"]', b"null", b'"learner:"', b'""')


@pytest.mark.parametrize("written", NO_ACCOUNTS)
def test_a_leaf_may_name_anything_as_an_account(installation: Installation, written: bytes) -> None:
    """The audit says that the entry is none, and looks up no legs of such an account."""
    live_through(installation)
    with installation.read() as session:
        leaf = bytes(session.execute(text("SELECT leaf FROM entries WHERE seq = 100")).scalar_one())
    named = leaf.replace(b'"budget:a"', written)
    with_hash = "UPDATE entries SET leaf = :leaf, leaf_hash = :hash WHERE seq = 100"
    rewrite(installation, with_hash, leaf=named, hash=leaf_hash(named))
    assert _codes(installation) & {CASES, "HASH_MISMATCH"}


_NEGATIVE = """
    INSERT INTO checkpoints (city, size, note, at)
    SELECT city, -1, note, at + 1 FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)
"""

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
    live_through(installation)
    seq = 100
    with installation.read() as session:
        leaf = bytes(session.execute(text("SELECT leaf FROM entries WHERE seq = 100")).scalar_one())
    change = "UPDATE entries SET leaf = :leaf WHERE seq = :seq"
    dearer = leaf.replace(b'"amount":3', b'"amount":9')
    if what == "an amount":
        rewrite(installation, change, leaf=dearer, seq=seq)
    elif what == "an amount, with its hash":
        with_hash = "UPDATE entries SET leaf = :leaf, leaf_hash = :hash WHERE seq = :seq"
        rewrite(installation, with_hash, leaf=dearer, hash=leaf_hash(dearer), seq=seq)
    elif what == "the time":
        later = leaf.replace(b"T03:00:00.000Z", b"T03:00:00.001Z")
        with_column = "UPDATE entries SET leaf = :leaf, leaf_hash = :hash, at = at + 1 WHERE seq = :seq"
        rewrite(installation, with_column, leaf=later, hash=leaf_hash(later), seq=seq)
    elif what == "the column beside it":
        rewrite(installation, "UPDATE entries SET kind = 'reward' WHERE seq = :seq", seq=seq)
    elif what == "an entry that is gone":
        rewrite(installation, "DELETE FROM entries WHERE seq = :seq", seq=seq)
    elif what == "the last entry":
        rewrite(installation, "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    else:
        rewrite(installation, change, leaf=b"{", seq=seq)
    found = _codes(installation)
    assert LEAVES[what] <= found or (what == "the time" and found & {"HASH_MISMATCH", "SEQUENCE_GAP"})


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        ("UPDATE tiles SET hashes = :hashes", {"HASH_MISMATCH"}),
        ("UPDATE tiles SET root = :root", {"HASH_MISMATCH"}),
        ("UPDATE tiles SET nodes = :root", {"HASH_MISMATCH"}),
        ("UPDATE tiles SET middle = :root", {"HASH_MISMATCH"}),
        ("DELETE FROM tiles", {"HASH_MISMATCH"}),
        ("UPDATE heads SET frontier = :frontier", {"HASH_MISMATCH"}),
        ("UPDATE checkpoints SET note = replace(note, 'kgo', 'ogk')", {"BAD_SIGNATURE"}),
        ("UPDATE checkpoints SET nodes = :root WHERE length(nodes) > 0", {"HASH_MISMATCH"}),
        ("DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)", {"SEQUENCE_GAP"}),
        ("DELETE FROM checkpoints WHERE size = (SELECT max(size) - 1 FROM checkpoints)", {"SEQUENCE_GAP"}),
        ("UPDATE checkpoints SET at = at + 1 WHERE size = (SELECT max(size) FROM checkpoints)", {"SEQUENCE_GAP"}),
        ("UPDATE checkpoints SET at = at - 1 WHERE size = (SELECT max(size) - 1 FROM checkpoints)", {"SEQUENCE_GAP"}),
        ("UPDATE checkpoints SET at = 1 WHERE size = 0", {"SEQUENCE_GAP"}),
        (_NEGATIVE, {"SEQUENCE_GAP"}),
    ],
)
def test_the_audit_finds_a_changed_part_of_the_seal(
    installation: Installation, statement: str, codes: set[str]
) -> None:
    """Whatever part of the seal is not that of the leaves is named."""
    live_through(installation)
    values = {"hashes": b"h" * 32 * tree.WIDTH, "root": b"r" * 32, "frontier": Frontier().to_bytes()}
    rewrite(installation, statement, **{name: value for name, value in values.items() if f":{name}" in statement})
    assert _codes(installation) == codes


def test_an_amount_changed_in_the_database_file_is_found(sqlite_url: str, tmp_path: Path) -> None:
    """No SQL at all: some bytes of the file itself. The audit finds it, and so does whoever takes the export."""
    made = install(sqlite_url, tmp_path)
    live_through(made)
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
    live_through(installation)
    with installation.read() as session:
        size, later = seal.latest(session, CITY).size, seal.latest(session, CITY).note
    last = size - 1
    rewrite(
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
