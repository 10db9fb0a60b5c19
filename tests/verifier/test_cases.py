"""The cases of a long log in constant memory, and the file that keeps them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ledger.proof.replay import Case
from ledger.verifier.cases import BLOCK, FIELDS, HOT, CaseBook
from ledger.verifier.walks import Walk, WalkLost
from tests.counts import scale


class Store(dict[int, bytes]):
    """A store that counts what is brought back from it."""

    read = 0

    def __getitem__(self, number: int) -> bytes:
        self.read += 1
        return super().__getitem__(number)


def _case(chance: random.Random) -> Case:
    return (chance.randrange(6), chance.randrange(2**63), chance.randrange(-(2**63), 2**63), chance.randrange(10**17))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK * (HOT + 3) + 17])
def test_it_is_a_list_whatever_its_length(size: int) -> None:
    """What is appended and changed is what stands there, before and after it was kept and taken up again."""
    chance = random.Random(size)  # noqa: S311
    store, expected = Store(), [_case(chance) for _ in range(size)]
    book = CaseBook(store)
    book.extend(expected)
    for _ in range(scale(2_000, 20_000) if size else 0):
        at = chance.randrange(size)
        assert book[at] == expected[at]
        if chance.random() < 0.5:
            book[at] = expected[at] = _case(chance)
    book.save()
    again = CaseBook(store, size)
    again.append((1, 2, 3, 4))
    assert len(again) == size + 1
    assert [again[at] for at in range(size + 1)] == [*expected, (1, 2, 3, 4)]


def test_its_memory_does_not_grow() -> None:
    """However far it is read, at most HOT blocks and the last one are held; recent cases are never read again."""
    store = Store()
    book = CaseBook(store)
    for at in range(BLOCK * (HOT * 3)):
        book.append((at, 0, 0, 0))
    assert len(store) == HOT * 3
    for number in range(HOT * 3):
        assert book[number * BLOCK][0] == number * BLOCK
        assert book[number * BLOCK + 1][0] == number * BLOCK + 1
    assert store.read == HOT * 3
    assert len(book._hot) == HOT
    assert all(len(block) == BLOCK * FIELDS for block in book._hot.values())


def test_nothing_is_taken_out_or_put_between() -> None:
    """Only the replay's ways of using it are there; a seq that is not yet there raises."""
    book = CaseBook({})
    book.append((1, 2, 3, 4))
    with pytest.raises(TypeError):
        del book[0]
    with pytest.raises(TypeError):
        book.insert(0, (0, 0, 0, 0))
    for at in (1, -1):
        with pytest.raises(IndexError):
            book[at]


def test_a_walk_keeps_what_was_saved(tmp_path: Path) -> None:
    """State and blocks as they were at the last `save`, for the same log and key; what came after is rolled back."""
    path = tmp_path / "walk.sqlite"
    with Walk(path, "origin", "key") as walk:
        assert walk.load() is None
        walk[0] = b"first"
        walk.save({"at": 1})
        walk[0], walk[1] = b"changed", b"second"
    with Walk(path, "origin", "key") as walk:
        assert (walk.load(), walk[0], list(walk), len(walk)) == ({"at": 1}, b"first", [0], 1)
        with pytest.raises(WalkLost):
            walk[1]
        with pytest.raises(WalkLost):  # somebody has it
            Walk(path, "origin", "key")
        walk.clear()
        walk.save({})
        assert len(walk) == 0
    for origin, key in (("other", "key"), ("origin", "other")):
        with Walk(path, origin, key) as walk:
            assert walk.load() is None


def test_a_walk_without_a_path_keeps_nothing() -> None:
    """It is a store for the run."""
    with Walk(None, "origin", "key") as walk:
        walk[0] = b"block"
        walk.save({"at": 1})
        assert walk[0] == b"block"
        assert walk.load() is None
