"""Random tampering with exports, tiles and databases: whatever changes meaning is found, under the right code.

Each mutation is drawn from a seed that the failure names. Those that leave the bytes as they were are drawn anew.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.orm import Session

from ledger.book import audit, cities
from ledger.db import upgrade
from ledger.proof.report import Report
from ledger.verifier.run import Wishes, verify
from tests.counts import scale
from tests.factories import CITY, Installation, install, live_through
from tests.proof.logs import VKEY, Log, edited, signed, write
from tests.verifier.mirrors import publish

STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)
HASH, GAP, BALANCE, OVERDRAFT = "HASH_MISMATCH", "SEQUENCE_GAP", "BALANCE_MISMATCH", "OVERDRAFT"
CASE, TOTALS, SIGNATURE = "CASE_VIOLATION", "TOTALS_MISMATCH", "BAD_SIGNATURE"
BEHIND, SPLIT, INCOMPLETE = "BEHIND_ANCHOR", "SPLIT_VIEW", "VERIFICATION_INCOMPLETE"


def _busy() -> Log:
    """A log of some 150 entries in which every kind of case has been through every ending."""
    log = Log()
    log.add("grant", ("issuance", "treasury", 1_000_000))
    log.add("fund", ("treasury", "budget:museum", 90_000))
    expiry = {"expires_at": "2026-11-22T23:00:00.000Z", "shop": "cafe"}
    while len(log.leaves) < 140:
        name = f"learner:{len(log.leaves) % 5}"
        first = log.add("reward", ("budget:museum", name, 500), ref={"activity": "museum"})
        held = log.add("hold", (name, "shop:cafe", 200), ref=expiry)
        log.add("capture", (name, "shop:cafe", 150), ref={"origin": held})
        log.add("refund", ("shop:cafe", name, 30), ref={"origin": held})
        freed = log.add("hold", (name, "shop:cafe", 100), ref=expiry)
        log.add("release", (name, "shop:cafe", 100), ref={"origin": freed})
        sold = log.add("redeem", (name, "shop:cafe", 40))
        if first % 3:
            log.add("reverse", ("shop:cafe", name, 40), ref={"origin": sold})
        log.add("transfer", ("treasury", "shop:cafe", 10))
        log.add("attest", ref={"totals": {"issued": 1_000_000, "held": 0, "bridged": 0}})
    return log


LOG = _busy()
LINES = LOG.lines()
NOTE = signed(LINES)
OPENINGS = LOG.opening_lines()


@dataclass
class Tampered:
    """An export as somebody changed it, and what the verifier must say: at least one of `codes`, and no other."""

    lines: Sequence[bytes]
    codes: set[str]
    note: str = NOTE
    seen: str | None = None
    openings: Sequence[bytes] = ()
    also: frozenset[str] = frozenset()
    """What may be said besides."""


Mutation = Callable[[random.Random], Tampered]


def _delete(chance: random.Random) -> Tampered:
    low = chance.randrange(len(LINES))
    return Tampered([*LINES[:low], *LINES[low + chance.randint(1, 5) :]], {GAP})


def _swap(chance: random.Random) -> Tampered:
    one, other = sorted(chance.sample(range(len(LINES)), 2))
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    return Tampered(lines, {GAP}, also=frozenset({HASH}))


def _insert(chance: random.Random) -> Tampered:
    at = chance.randrange(len(LINES) + 1)
    line = chance.choice([chance.choice(LINES), edited(chance.choice(LINES), id="a" * 26)])
    return Tampered([*LINES[:at], line, *LINES[at:]], {GAP, INCOMPLETE}, also=frozenset({HASH}))


def _insert_rubbish(chance: random.Random) -> Tampered:
    at = chance.randrange(len(LINES))
    line = chance.choice([b"", b"{}", b"null", chance.randbytes(40).replace(b"\n", b""), LINES[at][:-1]])
    return Tampered([*LINES[:at], line, *LINES[at:]], {HASH}, also=frozenset({GAP, INCOMPLETE}))


def _truncate(chance: random.Random) -> Tampered:
    return Tampered(LINES[: chance.randrange(len(LINES))], {GAP})


def _rewrite(chance: random.Random) -> Tampered:
    """A line that reads as well as before, under the old signature."""
    at = chance.randrange(len(LINES))
    leaf = json.loads(LINES[at])
    changes: list[dict[str, Any]] = [
        {"key": f"{chance.getrandbits(256):064x}"},
        {"id": "b" * 26},
        {"actor": "operator"},
    ]
    change = chance.choice(changes)
    if leaf["kind"] == "transfer":
        change = {"postings": [leaf["postings"][0] | {"amount": leaf["postings"][0]["amount"] + 1}]}
    return Tampered([*LINES[:at], edited(LINES[at], **change), *LINES[at + 1 :]], {HASH})


def _fork(chance: random.Random) -> Tampered:
    """Another history, rightly signed; an older checkpoint of the true one is known."""
    at = chance.randrange(len(LINES))
    lines = [*LINES[:at], edited(LINES[at], key=f"{chance.getrandbits(256):064x}"), *LINES[at + 1 :]]
    seen = signed(LINES, chance.randint(at + 1, len(LINES)))
    return Tampered(lines, {SPLIT}, signed(lines), seen)


def _stale(chance: random.Random) -> Tampered:
    """An older log with its own checkpoint; a later one is known."""
    size = chance.randrange(len(LINES))
    return Tampered(LINES[:size], {BEHIND}, signed(LINES, size), signed(LINES, chance.randint(size + 1, len(LINES))))


def _stale_note(chance: random.Random) -> Tampered:
    """An older checkpoint beside all of the lines."""
    size = chance.randrange(len(LINES))
    return Tampered(LINES, {INCOMPLETE}, signed(LINES, size))


def _stranger(chance: random.Random) -> Tampered:
    """A history of the stranger's own making, under their key."""
    at = chance.randrange(len(LINES))
    lines = [*LINES[:at], edited(LINES[at], key=f"{chance.getrandbits(256):064x}"), *LINES[at + 1 :]]
    return Tampered(lines, {SIGNATURE}, signed(lines, key=STRANGER))


def _seqs(kind: str) -> list[int]:
    return [leaf["seq"] for leaf in LOG.leaves if leaf["kind"] == kind]


def _against_the_rules(chance: random.Random) -> Tampered:
    """A history that the log signs and its rules forbid."""
    kind, change, codes = chance.choice(RULES)
    seq = chance.choice(_seqs(kind))
    line = edited(LINES[seq], **change(LOG.leaves[seq], chance))
    lines = [*LINES[:seq], line, *LINES[seq + 1 :]]
    return Tampered(lines, codes, signed(lines), also=frozenset({OVERDRAFT, CASE, TOTALS, GAP}))


def _amount(low: int, high: int) -> Callable[[dict, random.Random], dict]:  # type: ignore[type-arg]
    return lambda leaf, chance: {"postings": [leaf["postings"][0] | {"amount": chance.randint(low, high)}]}


RULES: list[tuple[str, Callable[..., dict], set[str]]] = [  # type: ignore[type-arg]
    ("transfer", _amount(950_000, 2**53 - 1), {OVERDRAFT}),
    ("fund", _amount(1_000_001, 2**53 - 1), {OVERDRAFT}),
    ("reward", _amount(100_000, 2**53 - 1), {OVERDRAFT}),
    ("capture", _amount(201, 10_000), {CASE}),
    ("refund", _amount(151, 10_000), {CASE}),
    ("release", _amount(1, 99), {CASE}),
    ("reverse", _amount(41, 999), {CASE}),
    ("capture", lambda leaf, chance: {"ref": {"origin": chance.choice(_seqs("transfer")[:1] or [0])}}, {CASE}),
    ("capture", lambda leaf, chance: {"at": "2026-11-22T23:00:00.001Z"}, {CASE}),
    ("reverse", lambda leaf, chance: {"ref": {}}, {CASE}),
    ("redeem", lambda leaf, chance: {"kind": "gift"}, {CASE}),
    ("reward", lambda leaf, chance: {"postings": leaf["postings"] * 2, "kind": "redeem"}, {CASE}),
    ("attest", lambda leaf, chance: {"ref": {"totals": {"issued": chance.randrange(1_000_000)}}}, {TOTALS}),
    ("attest", lambda leaf, chance: {"ref": {"totals": {"held": chance.randint(1, 9)}}}, {TOTALS}),
    ("hold", lambda leaf, chance: {"at": "2026-11-22T13:59:59.999Z"}, {GAP}),
    ("hold", lambda leaf, chance: {"city": "phayao"}, {GAP}),
    ("redeem", lambda leaf, chance: {"seq": leaf["seq"] + chance.choice([-1, 1, 7])}, {GAP}),
]


def _openings(chance: random.Random) -> Tampered:
    """A row of the openings left out, doubled, moved, or with another's account or nonce."""
    at, other = chance.sample(range(len(OPENINGS)), 2)
    rows = list(OPENINGS)
    if LOG.openings[at]["account"] == LOG.openings[other]["account"] or chance.random() < 0.3:
        del rows[at]
        return Tampered(LINES, {BALANCE, OVERDRAFT}, openings=rows, also=frozenset({CASE}))
    if chance.random() < 0.5:
        rows[at], rows[other] = rows[other], rows[at]
        return Tampered(LINES, {GAP}, openings=rows, also=frozenset({HASH, BALANCE, OVERDRAFT}))
    member = chance.choice(["account", "nonce"])
    mine, theirs = LOG.openings[at][member], LOG.openings[other][member]
    rows[at] = rows[at].replace(mine.encode(), theirs.encode())
    return Tampered(LINES, {HASH}, openings=rows, also=frozenset({BALANCE, OVERDRAFT}))


MUTATIONS: dict[str, Mutation] = {
    "deleted": _delete,
    "swapped": _swap,
    "inserted": _insert,
    "rubbish": _insert_rubbish,
    "truncated": _truncate,
    "rewritten": _rewrite,
    "forked": _fork,
    "stale": _stale,
    "stale checkpoint": _stale_note,
    "of a stranger": _stranger,
    "against the rules": _against_the_rules,
    "openings": _openings,
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_tampered_exports_are_found(tmp_path: Path, what: str) -> None:
    """Lines deleted, swapped, inserted, cut off, rewritten, forked, re-signed; stale or foreign checkpoints."""
    assert verify(write(tmp_path, LINES, openings=OPENINGS), Wishes(VKEY, NOTE)).ok
    (tmp_path / "openings.ndjson").unlink()
    for seed in range(scale(95, 3_000)):
        tampered = MUTATIONS[what](random.Random(f"{what} {seed}"))  # noqa: S311
        if (list(tampered.lines), tampered.note, list(tampered.openings)) == (LINES, NOTE, []):
            continue
        write(tmp_path, tampered.lines, tampered.note, tampered.openings)
        found = set(verify(tmp_path, Wishes(VKEY, tampered.seen)).counts)
        assert found & tampered.codes, (what, seed, found)
        assert found <= tampered.codes | tampered.also, (what, seed, found)


def _damaged(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return chance.randbytes(chance.randint(1, 32))
    at = chance.randrange(len(data))
    return chance.choice(
        [
            data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
            data[:at],
            data[:at] + data[at + 1 :],
            data[:at] + chance.randbytes(chance.randint(1, 4)) + data[at:],
        ]
    )


ANY_BYTES = {
    "entries.ndjson": {HASH, GAP, INCOMPLETE},
    "checkpoint": {SIGNATURE},
    "vkey": {SIGNATURE},
    "openings.ndjson": {HASH, GAP, BALANCE, OVERDRAFT},
}


@pytest.mark.parametrize("name", ANY_BYTES)
def test_tampered_bytes_of_an_export_are_found(tmp_path: Path, name: str) -> None:
    """Bits flipped, bytes cut out, put in, cut off, in any file."""
    file = write(tmp_path, LINES, openings=OPENINGS) / name
    data = file.read_bytes()
    for seed in range(scale(100, 5_000)):
        changed = _damaged(data, random.Random(f"{name} {seed}"))  # noqa: S311
        if (changed.rstrip(b"\n") == data.rstrip(b"\n") and name == "vkey") or (name == "vkey" and not changed):
            continue  # the newline at its end says nothing; nor does a key that is not there, beside the pinned one
        file.write_bytes(changed)
        found = set(verify(tmp_path, Wishes(VKEY)).counts)
        assert found & ANY_BYTES[name], (name, seed, found)


def test_tampered_tiles_are_found(tmp_path: Path) -> None:
    """Bits flipped, bytes cut out, put in, cut off, files gone or exchanged, in any file of a mirror."""
    lines = [edited(line, key=f"{seq:064x}") for seq, line in enumerate(LINES)] + LINES[:0]
    folder = publish(tmp_path / "log", lines)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "vkey")
    kept = {path: path.read_bytes() for path in files}
    assert len(files) >= 3
    for seed in range(scale(420, 10_000)):
        chance = random.Random(f"tiles {seed}")  # noqa: S311
        path, other = chance.sample(files, 2)
        kind = chance.choice(["damage", "damage", "damage", "gone", "exchanged"])
        if kind == "gone":
            path.unlink()
        else:
            path.write_bytes(kept[other] if kind == "exchanged" else _damaged(kept[path], chance))
        found = set(verify(folder, Wishes(VKEY)).counts)
        expected = {INCOMPLETE} if kind == "gone" else {SIGNATURE} if path.name == "checkpoint" else {HASH}
        assert found & expected, (seed, kind, path, found)
        path.write_bytes(kept[path])
    assert verify(folder, Wishes(VKEY)).ok


TABLES = ("entries", "legs", "openings", "cases", "accounts", "tiles", "checkpoints", "heads")


@pytest.fixture
def unguarded(sqlite_url: str, tmp_path: Path) -> Installation:
    """A living installation without the triggers that would refuse to change it."""
    upgrade(sqlite_url)
    made = install(sqlite_url, tmp_path)
    live_through(made)
    with made.database.write() as session:
        for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            session.execute(text(f"DROP TRIGGER {name}"))
        session.commit()
    return made


def _tamper(session: Session, chance: random.Random) -> str | None:
    """Change, double or delete a random row; say what was done, or None where nothing was."""
    table = chance.choice(TABLES)
    columns = [row[1] for row in session.execute(text(f"PRAGMA table_info({table})"))]
    keys = [row[1] for row in session.execute(text(f"PRAGMA table_info({table})")) if row[5]]
    rows = session.execute(text(f"SELECT * FROM {table}")).all()  # noqa: S608
    row, other = (
        dict(zip(columns, chance.choice(rows), strict=True)),
        dict(zip(columns, chance.choice(rows), strict=True)),
    )
    if row.get("version") == 0:
        return None  # an account that was opened and never touched follows from nothing that the log holds
    if table == "checkpoints" and row["size"] < max(size for _, size, *_ in rows):
        keys = columns  # nor does it follow which sizes were signed on the way: only what was said there can be wrong
    where = " AND ".join(f'"{key}" = :key_{key}' for key in keys)
    values = {f"key_{key}": row[key] for key in keys}
    if chance.random() < 0.15 and keys != columns:
        session.execute(text(f"DELETE FROM {table} WHERE {where}"), values)  # noqa: S608
        return f"{table} without {values}"
    column = chance.choice([name for name in columns if name != "city"])
    value = row[column]
    if isinstance(value, bytes):
        new: object = _damaged(value, chance)
    elif isinstance(value, int):
        new = chance.choice([value + 1, value - 1, other[column]])
    else:
        new = chance.choice([other[column], f"{value}x"]) if value is not None else 1
    if new == value:
        return None
    session.execute(text(f'UPDATE OR IGNORE {table} SET "{column}" = :new WHERE {where}'), {**values, "new": new})  # noqa: S608
    after = session.execute(text(f"SELECT * FROM {table}")).all()  # noqa: S608
    return None if sorted(map(repr, after)) == sorted(map(repr, rows)) else f"{table}.{column}: {value!r} → {new!r}"


def test_tampered_databases_are_found(unguarded: Installation) -> None:
    """A value changed or a row deleted, in the journal or in what is projected from it: the audit names it."""
    wanted, found = scale(260, 5_000), 0
    for seed in range(wanted * 3):
        with unguarded.database.write() as session:
            done = _tamper(session, random.Random(f"database {seed}"))  # noqa: S311
            session.flush()
            session.expire_all()
            report = _audit(session, unguarded) if done else None
            session.rollback()
        if report is not None:
            assert not report.ok, (seed, done)
            found += 1
        if found == wanted:
            break
    assert found == wanted
    assert unguarded.audit().ok
    unguarded.close()


def _audit(session: Session, installation: Installation) -> Report:
    return audit.audit(session, CITY, installation.keys.get(cities.get(session, CITY)))


def test_a_copy_stays_what_it_was(tmp_path: Path) -> None:
    """The mutations above would be found even if nothing was wrong? No: what is untouched holds."""
    folder = write(tmp_path / "export", LINES, openings=OPENINGS)
    shutil.copytree(folder, tmp_path / "copy")
    assert verify(tmp_path / "copy", Wishes(VKEY, NOTE)).ok
