"""After a storm: what the clients were told, against what the ledger holds. Every difference is found and named."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from ledger.book import audit, cities, entries
from ledger.book.accounts import Account
from ledger.city import export
from ledger.config import Settings
from ledger.installation import Installation, open_installation
from ledger.people.learners import Learner
from ledger.proof.checkpoint import verify
from ledger.proof.merkle import Frontier, leaf_hash
from ledger.verifier.run import verify_export
from tests.factories import CITY
from tests.faults.acts import KINDS, effects, entries_of
from tests.faults.clients import Command, Record

OF_ITSELF = frozenset({"attest", "hold_expire", "policy"})
"""Kinds of entries that no command of a client is answered with."""

Balances = dict[str, tuple[int, int]]
"""(posted, held) of each account, minor units."""


class Books:
    """The ledger as it stands, opened beside the web processes.

    Attributes:
        size: how many entries it had when this was opened.
        balances: what every account had then.
        learners: how many learners there were then.
    """

    def __init__(self, data: Path, database_url: str) -> None:
        self._installation: Installation = open_installation(Settings(data, database_url, "http://127.0.0.1"))
        with self._installation.database.read() as session:
            self.size = entries.size(session, CITY)
            rows = session.execute(select(Account.path, Account.posted, Account.held).where(Account.city == CITY))
            self.balances: Balances = {path: (posted, held) for path, posted, held in rows}
            self.learners = session.scalar(select(func.count()).where(Learner.city == CITY)) or 0

    def leaves(self, start: int = 0) -> list[bytes]:
        """The bytes of every leaf from `start` on."""
        with self._installation.database.read() as session:
            return list(entries.leaves(session, CITY, start, self.size))

    def check_soundness(self, directory: Path, notes: set[str]) -> None:
        """Audit, verifier, and every checkpoint that was shown: all agree with one history."""
        installation = self._installation
        with installation.database.read() as session:
            keys = installation.keys.get(cities.get(session, CITY))
            _none(audit.audit(session, CITY, keys).findings, "the audit found something")
        export.write_directory(installation.database, installation.keys, CITY, directory, openings=True)
        shown = (installation.settings.published / CITY).read_text()
        _none(verify_export(directory, vkey=keys.vkey, seen=shown).findings, "the verifier found something")
        hashes = [leaf_hash(leaf) for leaf in self.leaves()]
        seen = sorted({(note.size, note.root) for note in (verify(note, keys.vkey) for note in notes)})
        frontier = Frontier()
        for size, root in seen:
            assert size <= len(hashes), f"a checkpoint of {size} was shown, but the log has {len(hashes)} entries"
            frontier = frontier.append(hashes[frontier.size : size])
            assert frontier.root() == root, f"the checkpoint shown at {size} is of another history"

    def close(self) -> None:
        """Close the database."""
        self._installation.close()


def reconcile(before: Books, after: Books, record: Record) -> None:
    """Compare what happened between two looks at the books with what the clients were told.

    Nothing acknowledged is lost, nothing stands that nobody was told of, each key led to one command's entries, and
    every balance is what the answers add up to.
    """
    _none(Counter(record.faults).most_common(), "a server or client failed")
    _none([one for one in record.commands if one.answer is None or one.unsure], "a command was never answered")
    done = [command for command in record.commands if command.done]
    leaves = [json.loads(leaf) for leaf in after.leaves(before.size)]
    assert [leaf["seq"] for leaf in leaves] == list(range(before.size, after.size)), "seq has gaps"
    _compare_entries(done, {leaf["seq"]: leaf for leaf in leaves})
    for command in done:
        if command.act == "reserve":
            record.reserved[entries_of(command)[0]] = command.facts["who"]
    _compare_balances(before.balances, after.balances, done, _expired(leaves, record.reserved))
    _compare_people(before, after, done, record.commands)


def _compare_entries(done: list[Command], leaves: dict[int, dict[str, Any]]) -> None:
    told: dict[int, Command] = {}
    for command in done:
        seqs = entries_of(command)
        for seq in seqs:
            assert seq not in told, f"entry {seq} was told to {told[seq]} and to {command}"
            assert seq in leaves, f"entry {seq} is lost: {command}"
            told[seq] = command
            _compare_leaf(command, leaves[seq])
        assert len({leaves[seq]["key"] for seq in seqs}) <= 1, f"several keys: {command}"
    kept = {seq for seq, leaf in leaves.items() if leaf["kind"] not in OF_ITSELF}
    _none([leaves[seq] for seq in sorted(kept - set(told))], "nobody was told of an entry")
    keyed = Counter(leaf["key"] for seq, leaf in leaves.items() if seq in told)
    for command in done:
        if seqs := entries_of(command):
            assert keyed[leaves[seqs[0]]["key"]] == len(seqs), f"more entries under the key of {command}"


def _compare_leaf(command: Command, leaf: dict[str, Any]) -> None:
    """The entry says what the client was told: kind, amount, identity and time where the answer has them."""
    assert command.answer
    told = command.answer.json
    assert leaf["kind"] == KINDS[command.act], (command, leaf)
    assert leaf["key"], (command, leaf)
    items = {item["entry"]: item for item in told.get("items", [told] if "entry" in told else [])}
    item = items.get(leaf["seq"])
    if item is None or command.act in ("confirm", "cancel", "refund"):
        return
    assert item["amount_minor"] == leaf["postings"][0]["amount"], (command, leaf)
    if command.act in ("transfer", "reverse", "batch"):
        assert (item["id"], item["at"]) == (leaf["id"], leaf["at"]), (command, leaf)
    if command.act == "check-in":
        assert item["at"] == leaf["at"], (command, leaf)


def _expired(leaves: list[dict[str, Any]], reserved: dict[int, str]) -> Iterator[tuple[str, int]]:
    """(account, amount) of each hold that nobody ended in time."""
    for leaf in leaves:
        if leaf["kind"] == "hold_expire":
            yield reserved[leaf["ref"]["origin"]], leaf["postings"][0]["amount"]


def _compare_balances(
    before: Balances, after: Balances, done: list[Command], expired: Iterable[tuple[str, int]]
) -> None:
    posted: dict[str, int] = defaultdict(int, {path: balance[0] for path, balance in before.items()})
    held: dict[str, int] = defaultdict(int, {path: balance[1] for path, balance in before.items()})
    for command in done:
        for path, moved, kept in effects(command):
            posted[path] += moved
            held[path] += kept
    for path, amount in expired:
        held[path] -= amount
    expected = {path: (posted[path], held[path]) for path in {*posted, *held, *after}}
    differing = [(path, pair, after.get(path)) for path, pair in expected.items() if pair != after.get(path, (0, 0))]
    _none(differing, "expected and found (posted, held) of an account differ")


def _compare_people(before: Books, after: Books, done: list[Command], asked: list[Command]) -> None:
    """Nobody was checked in twice, who was refused for that was told of the first entry, each key made one learner."""
    first: dict[tuple[str, str, str], int] = {}
    for command in done:
        if command.act == "check-in" and command.answer:
            told = command.answer.json
            once = command.facts["who"], told["activity"], told["session"]
            assert once not in first, f"checked in twice: {command}"
            first[once] = told["entry"]
    named = {(who, activity, seq) for (who, activity, _), seq in first.items()}
    for command in asked:
        if command.act == "check-in" and command.answer and command.answer.code == "already_checked_in":
            seq = command.answer.json["entry"]
            pointed = (command.facts["who"], command.facts["activity"], seq)
            assert seq < before.size or pointed in named, f"pointed to the wrong entry: {command}"
    joined = [command for command in done if command.act == "join"]
    made = {command.answer.json["learner"] for command in joined if command.answer}
    assert len(made) == len(joined) == after.learners - before.learners, "joining made more or fewer learners"


def _none(found: Sequence[object], what: str) -> None:
    """Nothing was found; otherwise how many, and the first of them."""
    assert not found, f"{what}; {len(found)} in all:\n" + "\n".join(str(one)[:1_000] for one in found[:10])
