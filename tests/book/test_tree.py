"""The stored tree: roots and proofs for every size, across tiles, as RFC 9162 and an independent program have them."""

import random
from pathlib import Path
from unittest import mock

import pytest
from pymerkle import InmemoryTree
from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.book.tree import Tile
from ledger.proof import merkle
from ledger.rows import Row
from ledger.rows import ask as rows_of
from tests.counts import scale
from tests.factories import CITY, Installation, grow, install, leaf_data, rewrite
from tests.statements import asked

SIZES = (1, 2, 3, 255, 256, 257, 300, 511, 512, 513, scale(530, 800))
"""Where batches end: in and on the edges of tiles."""


def _hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(leaf_data(seq)) for seq in range(size)]


def test_the_root_of_every_size_is_that_of_the_leaves(installation: Installation) -> None:
    """Size by size, from stored hashes and tiles, the root is the one computed from scratch."""
    grow(installation, SIZES)
    expected = merkle.Frontier()
    hashes = _hashes(SIZES[-1])
    with installation.read() as session:
        assert tree.root_at(session, CITY, 0) == merkle.EMPTY_ROOT
        for size in range(1, SIZES[-1] + 1):
            expected = expected.append([hashes[size - 1]])
            assert tree.root_at(session, CITY, size) == expected.root(), size


def _check_inclusion(session: Session, seq: int, size: int, root: bytes) -> None:
    proof = tree.inclusion(session, CITY, seq, size)
    merkle.verify_inclusion(merkle.leaf_hash(leaf_data(seq)), seq, size, proof, root)
    with pytest.raises(merkle.ProofError):
        merkle.verify_inclusion(merkle.leaf_hash(leaf_data(seq + 1)), seq, size, proof, root)


def test_proofs_of_every_size_verify(installation: Installation) -> None:
    """Size by size, some entries are proved in it and some older sizes to be its prefixes; false ones are not."""
    grow(installation, SIZES)
    chance = random.Random(1)  # noqa: S311 - a sample
    with installation.read() as session:
        roots = [tree.root_at(session, CITY, size) for size in range(SIZES[-1] + 1)]
        small, large = range(1, 70), range(70, SIZES[-1])
        for size in {*small, *SIZES, *chance.sample(large, scale(60, len(large)))}:
            edges = {0, size - 1} if size in SIZES else set()
            for seq in {chance.randrange(size)} | edges:
                _check_inclusion(session, seq, size, roots[size])
            for old in {chance.randint(0, size)} | edges:
                proof = tree.consistency(session, CITY, old, size)
                merkle.verify_consistency(old, size, roots[old], roots[size], proof)
                if 0 < old < size:
                    with pytest.raises(merkle.ProofError):
                        merkle.verify_consistency(old, size, roots[old - 1], roots[size], proof)


def test_proofs_are_those_of_an_independent_implementation(installation: Installation) -> None:
    """pymerkle, which knows nothing of this project, builds the same root from the same leaves."""
    grow(installation, SIZES)
    other = InmemoryTree(algorithm="sha256")
    for seq in range(SIZES[-1]):
        other.append_entry(leaf_data(seq))
    with installation.read() as session:
        for size in SIZES:
            assert tree.root_at(session, CITY, size) == other.get_root(size)


def test_a_proof_is_one_statement(installation: Installation) -> None:
    """However many tiles it touches, what a proof or a root needs is read at once."""
    grow(installation, (300, 700))
    with installation.read() as session, asked(installation.database) as found:
        for read in (
            lambda: tree.inclusion(session, CITY, 3, 700),
            lambda: tree.consistency(session, CITY, 301, 700),
            lambda: tree.root_at(session, CITY, 300),
        ):
            read()
            assert len(found) == 1, found
            found.clear()
        tree.inclusion(session, CITY, 0, 1)
    assert found == []


def test_full_tiles_are_stored_once_and_hold_their_leaves(installation: Installation) -> None:
    """A tile appears when its 256th leaf does, with the hashes in order and the root over them."""
    grow(installation, (255,))
    with installation.read() as session:
        assert session.get(Tile, (CITY, 0, 0)) is None
    grow(installation, (256, 600))
    hashes = _hashes(600)
    with installation.read() as session:
        for index in (0, 1):
            tile = session.get_one(Tile, (CITY, 0, index))
            row = hashes[index * 256 : (index + 1) * 256]
            assert (tile.hashes, tile.root) == (b"".join(row), merkle.root_of(row))
        assert session.get(Tile, (CITY, 0, 2)) is None


def test_one_batch_may_fill_several_tiles(installation: Installation) -> None:
    """A batch that is larger than a tile, and begins in the middle of one, leaves no tile out."""
    grow(installation, (100, 100 + 256 * 3))
    with installation.read() as session:
        assert [bool(session.get(Tile, (CITY, 0, index))) for index in range(4)] == [True, True, True, False]
        assert tree.root_at(session, CITY, 868) == merkle.root_of(_hashes(868))


def test_who_takes_turns_fills_tiles_with_what_the_other_wrote(installation: Installation) -> None:
    """What a process remembers of a tile that is not full is of use only where nobody else has been meanwhile."""
    grow(installation, (100, 200))
    mine = dict(tree._UNFILLED)
    grow(installation, (250,))
    with mock.patch.dict(tree._UNFILLED, mine, clear=True):  # as another process, which wrote the first two batches
        grow(installation, (300, 500))
        with mock.patch.dict(tree._UNFILLED, clear=True):  # and one that wrote nothing so far
            grow(installation, (520,))
        grow(installation, (800,))
    with installation.read() as session:
        assert tree.root_at(session, CITY, 800) == merkle.root_of(_hashes(800))
        assert [session.get_one(Tile, (CITY, 0, index)).root for index in range(3)] == [
            merkle.root_of(_hashes(800)[256 * index :][:256]) for index in range(3)
        ]


def test_tiles_of_the_second_level_hold_the_roots_of_the_first(sqlite_url: str, tmp_path: Path) -> None:
    """At 65,536 leaves a tile of tiles is full; roots and proofs across it still hold."""
    size = 65_536
    made = install(sqlite_url, tmp_path)
    grow(made, (40_000, size - 1, size + 300))
    with made.read() as session:
        tile = session.get_one(Tile, (CITY, 1, 0))
        assert tile.root == tree.root_at(session, CITY, size) == merkle.root_of(_hashes(size))
        assert tile.hashes == b"".join(tree.hashes(session, CITY, 1, 0, 256))
        head = tree.root_at(session, CITY, size + 300)
        for seq in (0, 255, 256, 40_000, size - 1, size, size + 299):
            _check_inclusion(session, seq, size + 300, head)
        for old in (1, 256, 40_000, size - 1, size, size + 1):
            proof = tree.consistency(session, CITY, old, size + 300)
            merkle.verify_consistency(old, size + 300, tree.root_at(session, CITY, old), head, proof)
    made.close()


def _rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement of the tree gives from now on."""
    found: list[int] = []

    def ask(*asked: object) -> list[Row]:
        rows = rows_of(*asked)  # type: ignore[arg-type]
        found.append(len(rows))
        return rows

    monkeypatch.setattr(tree, "ask", ask)
    return found


def _ends() -> list[int]:
    """Where small and large batches end, by chance, up to somewhere in the fifth tile."""
    chance, ends = random.Random(2), [0]  # noqa: S311 - a sample
    while ends[-1] < 4 * 256:
        ends.append(ends[-1] + chance.choice((1, 1, 2, 7, 30, 200)))
    return [*ends[1:], ends[-1] + 70, 5 * 256 - 1]


def test_a_tree_that_was_signed_is_read_by_few_rows_for_ever(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its size and whatever came after it, a proof in it is one statement of a few short rows."""
    found, ends, expected = _rows_read(monkeypatch), _ends(), _hashes(5 * 256)
    grow(installation, tuple(ends))
    roots, chance = {end: merkle.root_of(expected[:end]) for end in ends}, random.Random(3)  # noqa: S311
    with installation.read() as session:
        for size in ends:
            assert tree.root_at(session, CITY, size) == roots[size]
            for seq in {0, size - 1, chance.randrange(size), size - 1 - chance.randrange(min(size, 256))}:
                _check_inclusion(session, seq, size, roots[size])
            old = chance.choice([end for end in ends if end <= size])
            proof = tree.consistency(session, CITY, old, size)
            merkle.verify_consistency(old, size, roots[old], roots[size], proof)
            assert len(found) <= 6  # one each: no node had to be looked for a second time
            assert max(found) <= 2 * tree.HEIGHT, (size, found)
            found.clear()


def test_a_tree_that_nobody_signed_is_read_by_one_more_statement(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its right edge stands nowhere: its last tile is read, a row if it is full by now, else hash by hash."""
    found, expected = _rows_read(monkeypatch), _hashes(700)
    grow(installation, (100, 700))
    with installation.read() as session:
        for size, rows in ((99, 1), (254, 1), (102, 1)):
            assert tree.root_at(session, CITY, size) == merkle.root_of(expected[:size])
            assert found == [0, rows], (size, found)
            found.clear()
        assert tree.root_at(session, CITY, 699) == merkle.root_of(expected[:699])


def test_rows_from_before_there_were_nodes_serve_as_well(database_url: str, tmp_path: Path) -> None:
    """What an older version of the program wrote is proved hash by hash, and goes on with nodes."""
    made = install(database_url, tmp_path)
    grow(made, (100, 256, 600))
    rewrite(made, "UPDATE tiles SET nodes = NULL, middle = NULL", "UPDATE checkpoints SET nodes = NULL")
    grow(made, (610, 800))
    expected = _hashes(800)
    with made.read() as session:
        for size in (100, 256, 600, 605, 610, 800):
            root = merkle.root_of(expected[:size])
            assert tree.root_at(session, CITY, size) == root
            for seq in (0, size // 2, size - 1):
                _check_inclusion(session, seq, size, root)
    made.close()


def test_nodes_are_read_past_the_hashes_of_their_tiles(sqlite_url: str, tmp_path: Path) -> None:
    """On SQLite what is below a tile that is not full yet comes out of an index, not out of rows of 8 KiB."""
    made = install(sqlite_url, tmp_path)
    grow(made, (1_099, 1_100))
    with made.read() as session:
        with asked(made.database) as found:
            tree.inclusion(session, CITY, 3, 1_099)
        (statement,) = found
        places = ("x",) * statement.count("?")
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", places).all()
    assert any("COVERING INDEX tiles_nodes" in row[-1] for row in plan), plan
    made.close()
