"""The journal: what a leaf holds, how entries follow each other, and that nothing changes them."""

import re

import pytest
import rfc8785
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from ledger.book import entries, holds, journal, transfers
from ledger.book.entries import Entry
from ledger.book.journal import moving
from ledger.book.tree import Tile
from ledger.book.unit import Unit
from ledger.errors import NotFound, Refused
from ledger.proof.merkle import leaf_hash
from ledger.proof.rules import LEAF_MEMBERS
from tests.factories import CITY, Installation

APPEND_ONLY = ("entries", "legs", "openings", "tiles", "checkpoints")


def _busy(installation: Installation) -> str:
    """Some entries of several kinds; the learner's account."""
    installation.open("shop:cafe", "budget:library")
    installation.grant()
    learner = installation.learner(1_000)
    installation.run(lambda unit: transfers.post(unit, "fund", "treasury", "budget:library", 500, actor="steward"))
    evidence = {"assurance": "kiosk", "commitment": "ab" * 32}
    installation.run(
        lambda unit: transfers.post(
            unit,
            "reward",
            "budget:library",
            learner,
            50,
            actor="learner",
            ref={"activity": "library", "session": "2026-03-02", "place": "library"},
            evidence=evidence,
            rule="cd" * 32,
        )
    )
    hold = installation.hold(learner, "shop:cafe", 80)
    installation.run(lambda unit: holds.capture(unit, hold.seq, 70, actor="shop:cafe"))
    return learner


def test_a_leaf_is_canonical_json_with_every_member(installation: Installation) -> None:
    """The stored bytes are those that an independent RFC 8785 implementation writes, and no member is missing."""
    _busy(installation)
    with installation.read() as session:
        stored = list(entries.leaves(session, CITY, 0, entries.size(session, CITY)))
    for data, entry in zip(stored, installation.leaves(), strict=True):
        assert rfc8785.dumps(entry) == data
        assert entry.keys() == LEAF_MEMBERS
        assert re.fullmatch(r"[a-z2-7]{26}", entry["id"])


def test_what_proved_and_priced_a_reward_stands_in_its_leaf(installation: Installation) -> None:
    """Evidence, rule and references are part of what is signed."""
    _busy(installation)
    reward = installation.leaves()[3]
    assert reward["kind"] == "reward"
    assert reward["evidence"] == {"assurance": "kiosk", "commitment": "ab" * 32}
    assert reward["rule"] == "cd" * 32
    assert reward["ref"] == {"activity": "library", "session": "2026-03-02", "place": "library"}
    assert (reward["actor"], reward["at"], reward["key"]) == ("learner", "2026-03-02T03:00:00.000Z", None)


def test_the_columns_beside_a_leaf_say_the_same(installation: Installation) -> None:
    """What look-ups use is what was signed."""
    _busy(installation)
    with installation.read() as session:
        for row in session.scalars(select(Entry)):
            entry = entries.parsed(session, CITY, row.seq)
            assert (row.id, row.kind, row.origin) == (entry["id"], entry["kind"], entry["ref"].get("origin"))
            assert row.leaf_hash == leaf_hash(row.leaf)


def test_seq_counts_from_zero_without_a_gap(installation: Installation) -> None:
    """Refused commands take no number."""
    installation.open("shop:cafe")
    installation.grant(10)
    for amount in (6, 5, 4, 1):
        try:
            installation.give("shop:cafe", amount)
        except Refused:
            continue
    assert [leaf["seq"] for leaf in installation.leaves()] == [0, 1, 2]


def test_an_entry_may_have_several_postings_and_none_is_applied_alone(installation: Installation) -> None:
    """All postings of one entry hold or none does."""
    installation.open("shop:a", "shop:b")
    installation.grant(100)

    def both(unit: Unit, first: int, second: int) -> int:
        postings = [moving("treasury", "shop:a", first), moving("treasury", "shop:b", second)]
        return journal.append(unit, "transfer", postings, actor="treasurer").amount_minor

    with pytest.raises(Refused, match="insufficient_funds"):
        installation.run(lambda unit: both(unit, 60, 41))
    assert installation.balance("shop:a").posted_minor == 0
    assert installation.run(lambda unit: both(unit, 60, 40)) == 100
    assert installation.balance("shop:b").posted_minor == 40
    back = installation.run(lambda unit: transfers.reverse(unit, 1, actor="treasurer"))
    assert back.amount_minor == 100
    assert installation.audit().findings == []


def test_entries_without_postings_move_nothing(installation: Installation) -> None:
    """A policy is put on record; it needs no account, and a movement under its kind is refused."""
    policy = {"policy": {"amount_minor": 500}, "activity": "library"}
    posted = installation.run(lambda unit: journal.append(unit, "policy", actor="steward", ref=policy))
    assert installation.leaves()[posted.seq]["ref"] == policy
    with pytest.raises(ValueError, match="has postings"):
        installation.run(
            lambda unit: journal.append(
                unit, "policy", [moving("issuance", "treasury", 1)], actor="steward", ref=policy
            )
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "gift"},
        {"actor": "learner:abc"},
        {"actor": "admin"},
        {"ref": {"note": "x"}},
        {"ref": {"reason": "Because!"}},
        {"ref": {"origin": 0}},
        {"ref": {"activity": "a" * 65}},
        {"evidence": {"assurance": "certain", "commitment": "ab" * 32}},
        {"evidence": {"assurance": "poster", "commitment": "AB" * 32}},
        {"evidence": {"assurance": "poster", "commitment": "ab" * 32, "who": "me"}},
        {"rule": "ab"},
    ],
)
def test_what_the_format_does_not_know_is_never_written(installation: Installation, changes: dict[str, object]) -> None:
    """A caller's mistake stops before the log; the same call without it goes through."""
    right: dict[str, object] = {
        "kind": "grant",
        "actor": "treasurer",
        "ref": {"reason": "yearly_grant"},
        "evidence": None,
        "rule": None,
    }

    def append(values: dict[str, object]) -> None:
        kind, rest = values["kind"], {name: value for name, value in values.items() if name != "kind"}
        installation.run(lambda unit: journal.append(unit, kind, [moving("issuance", "treasury", 1)], **rest))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="refused by its format"):
        append({**right, **changes})
    assert installation.leaves() == []
    append(right)
    assert len(installation.leaves()) == 1


def test_reading_beyond_the_end_finds_nothing(installation: Installation) -> None:
    """A seq that the log does not have is not found; pages stop at the end."""
    _busy(installation)
    with installation.read() as session:
        size = entries.size(session, CITY)
        with pytest.raises(NotFound):
            entries.leaf(session, CITY, size)
        assert len(list(entries.leaves(session, CITY, 2, size + 50))) == size - 2
        assert [row.seq for row in entries.newest(session, CITY, 2)] == [size - 1, size - 2]
        assert [row.seq for row in entries.newest(session, CITY, 9, before=2)] == [1, 0]
        assert [row.kind for row in entries.of_case(session, CITY, size - 2)] == ["capture"]


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_database_refuses_to_change_the_journal(installation: Installation, table: str) -> None:
    """UPDATE, DELETE, TRUNCATE and replacing by INSERT fail in the database itself, whoever writes."""
    _busy(installation)
    with installation.database.write() as session:
        session.add(Tile(city=CITY, level=0, index=900, hashes=b"", root=b""))
        session.commit()

    def rows() -> list[object]:
        with installation.read() as session:
            return list(session.execute(text(f"SELECT * FROM {table}")))  # noqa: S608

    before = rows()
    assert before
    statements = [f"UPDATE {table} SET city = city", f"DELETE FROM {table}"]  # noqa: S608
    if installation.database.engine.dialect.name == "postgresql":
        statements.append(f"TRUNCATE {table} CASCADE")
    else:
        statements.append(f"REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608
    for statement in statements:
        with pytest.raises(IntegrityError, match="append-only"), installation.database.write() as session:
            session.execute(text(statement))
    assert rows() == before
