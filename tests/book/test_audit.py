"""The audit of a sound book: it passes, it counts what there is, and it says what it looked at.

What it finds in a book that is not sound stands in `tests/faults/test_tamper_database.py`.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import select

from ledger.book import accounts, audit, entries, transfers, tree
from ledger.book.moves import Transfer
from ledger.book.seal import SignedCheckpoint
from ledger.book.unit import Unit
from ledger.proof.checkpoint import Checkpoint, verify
from ledger.proof.merkle import Frontier, LevelSink, leaf_hash, root_of
from ledger.verifier.run import verify_export
from tests.factories import CITY, Installation, add_city, live_through
from tests.statements import asked


def test_an_empty_city_is_sound(installation: Installation) -> None:
    """Nothing happened, and the checkpoint says so."""
    report = installation.audit()
    assert report.ok
    assert (report.size, report.totals["issued"]) == (0, 0)


@pytest.mark.parametrize("page", [7, 133, 1_000])
def test_the_pages_it_reads_make_no_difference(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Whether an entry begins a page or ends one, the audit comes to the same."""
    live_through(installation)
    monkeypatch.setattr(audit, "PAGE", page)
    report = installation.audit()
    leaves = len(installation.leaves())
    assert report.findings == []
    assert report.size == leaves
    assert report.totals == {
        "issued": 100_000_000,
        "circulating": 100_000_000 - 30 - 70,
        "redeemed": 30 + 70,
        "bridged": 0,
        "expired": 0,
        "held": 200,
    }


def test_each_checkpoint_is_verified_once_and_page_by_page(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log has as many checkpoints as batches: few of them are at hand, and none is judged again at the end."""
    live_through(installation)
    verified: Counter[str] = Counter()

    def count(note: str, vkey: str) -> Checkpoint:
        verified[note] += 1
        return verify(note, vkey)

    monkeypatch.setattr(audit, "verify", count)
    monkeypatch.setattr(audit, "PAGE", 10)
    with asked(installation.database) as found:
        assert installation.audit().ok
    with installation.read() as session:
        notes = session.scalars(select(SignedCheckpoint.note).where(SignedCheckpoint.city == CITY)).all()
    assert len(notes) > 5
    assert verified == Counter(notes)
    bounded = [one for one in found if "FROM checkpoints" in one and "checkpoints.size <= " in one]
    assert len(bounded) >= len(installation.leaves()) // 10
    assert not [one for one in found if "checkpoints.note" in one and one not in bounded]


def test_it_comes_to_what_the_verifier_comes_to(installation: Installation, tmp_path: Path) -> None:
    """Inside and outside, over the same log: the same size, root, totals and figures."""
    live_through(installation)
    inside = installation.audit()
    outside = verify_export(installation.export(tmp_path / "export", openings=True))
    assert outside.ok
    for figure in ("size", "root", "totals", "activities", "shops", "city", "origin"):
        assert getattr(inside, figure) == getattr(outside, figure), figure


def test_the_totals_that_are_served_are_those_of_the_audit(installation: Installation) -> None:
    """The figures that a page shows come from the projection, and agree with the journal."""
    live_through(installation)
    with installation.read() as session:
        assert accounts.totals(session, CITY) == installation.audit().totals


def test_it_looks_at_one_city(installation: Installation) -> None:
    """Another city's book is neither read nor mixed in."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")

    def issue(unit: Unit) -> None:
        for path in ("issuance", "treasury"):
            accounts.open_account(unit, path)
        transfers.post(unit, "grant", "issuance", "treasury", 7, actor="treasurer")

    installation.grant(5)
    installation.run(issue, "phayao")
    with installation.read() as session:
        other = audit.audit(session, "phayao", installation.city_keys("phayao"))
    assert (installation.audit().totals["issued"], other.totals["issued"]) == (5, 7)
    assert other.ok
    assert installation.audit().ok


def test_its_root_is_that_of_the_leaves(installation: Installation) -> None:
    """The root is computed from the bytes, not copied from what is stored."""
    live_through(installation)
    with installation.read() as session:
        hashes = [leaf_hash(leaf) for leaf in entries.leaves(session, CITY, 0, entries.size(session, CITY))]
    assert installation.audit().root == root_of(hashes)


def test_the_tree_grows_by_the_chunk(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the batches lie across the tiles; never more than a tile's hashes at a time, and not leaf by leaf."""
    sizes = (1, 3, 254, 2, 700, 5, 256)
    installation.grant(sum(sizes))
    installation.open("budget:a")
    for size in sizes:
        wanted = [Transfer("fund", "treasury", "budget:a", 1)] * size
        installation.run(lambda unit, wanted=wanted: transfers.post_many(unit, wanted, actor="treasurer"))  # type: ignore[misc]
    chunks: list[int] = []
    append = Frontier.append

    def note(frontier: Frontier, hashes: Iterable[bytes], on_level: LevelSink | None = None) -> Frontier:
        row = list(hashes)
        chunks.append(len(row))
        return append(frontier, row, on_level)

    monkeypatch.setattr(Frontier, "append", note)
    assert installation.audit().findings == []
    assert (max(chunks), len(chunks) < 40) == (tree.WIDTH, True)
