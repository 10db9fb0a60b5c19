"""The log as tiles: every resource of every size is what the specification says, and nothing else has a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tlog_scales.reader import TilesReader

from ledger.book import tree
from ledger.log import tiles
from ledger.log.tiles import Resource
from ledger.proof import merkle
from ledger.proof.tiles import decode_bundle
from tests.factories import CITY, Installation, grow, install, leaf_data
from tests.statements import asked


def _levels(size: int) -> list[list[bytes]]:
    """The hashes of the levels 0, 8, 16 … of a tree of `leaf_data`, computed from scratch."""
    levels = [[merkle.leaf_hash(leaf_data(seq)) for seq in range(size)]]
    while len(below := levels[-1]) >= 256:
        full = range(0, len(below) - 255, 256)
        levels.append([merkle.root_of(below[start : start + 256]) for start in full])
    return levels


def _check(session: Session, size: int, levels: list[list[bytes]]) -> None:
    """All resources of a size hold what they must, and an independent reader makes the root of them."""
    found = tiles.resources(0, size)
    assert len({resource.path for resource in found}) == len(found)
    for resource in found:
        content = tiles.read(session, CITY, resource)
        start = resource.index * 256
        assert content is not None
        if resource.level is None:
            expected = [leaf_data(seq) for seq in range(start, start + resource.width)]
            assert decode_bundle(content) == expected
        else:
            assert content == b"".join(levels[resource.level][start : start + resource.width])

    class Backend:
        def get(self, *path: str) -> bytes | None:
            resource = tiles.parse_path("/".join(path))
            assert resource in found
            return tiles.read(session, CITY, resource)

    reader = TilesReader(Backend())
    reader.set_size(size)
    assert reader.calculate_root_hash() == tree.root_at(session, CITY, size)


def test_every_resource_of_a_size_is_served(installation: Installation) -> None:
    """Also those of sizes that the log has long left behind: a partial tile stays when the full one is there."""
    grow(installation, (255, 256, 600))
    levels = _levels(600)
    with installation.read() as session:
        for size in (0, 1, 2, 255, 256, 257, 511, 512, 513, 600):
            _check(session, size, levels)


def test_three_levels(sqlite_url: str, tmp_path: Path) -> None:
    """Beyond 65,536 entries there is a tile of tiles of tiles, partial at first."""
    made = install(sqlite_url, tmp_path)
    grow(made, (65_535, 65_836))
    levels = _levels(65_836)
    with made.read() as session:
        for size in (65_535, 65_536, 65_836):
            _check(session, size, levels)
        assert tiles.read(session, CITY, Resource(2, 0, 1)) == tree.root_at(session, CITY, 65_536)
        assert tiles.read(session, CITY, Resource(2, 0, 2)) is None
    made.close()


def test_what_the_log_has_not_reached_is_not_there(installation: Installation) -> None:
    """One hash too many, the next tile, a level too high, another city: nothing."""
    grow(installation, (300,))
    with installation.read() as session:
        for missing in (
            Resource(0, 1), Resource(0, 1, 45), Resource(0, 2, 1), Resource(1, 0), Resource(1, 0, 2), Resource(2, 0, 1),
            Resource(None, 1), Resource(None, 1, 45), Resource(None, 2, 1), Resource(63, 0), Resource(0, 10**17),
        ):  # fmt: skip
            assert tiles.read(session, CITY, missing) is None, missing
        assert tiles.read(session, CITY, Resource(0, 1, 44)) is not None
        assert tiles.read(session, "phayao", Resource(0, 0)) is None


def test_a_resource_is_one_statement(installation: Installation) -> None:
    """Full or partial, hashes or entries, at any level: one look-up, or one range of at most a tile."""
    grow(installation, (600,))
    with installation.read() as session, asked(installation.database) as found:
        for resource in tiles.resources(0, 600):
            assert tiles.read(session, CITY, resource)
            assert len(found) == 1
            found.clear()


def test_the_resources_of_the_specification_s_example() -> None:
    """A tree of 70,000: 273 full tiles and one of 112 at the bottom, one full and one of 17 above, one of 1 on top."""
    found = tiles.resources(0, 70_000)
    widths = {
        level: [one.width for one in found if one.level == level and one.width != 256] for level in (None, 0, 1, 2)
    }
    full = {level: sum(one.level == level and one.width == 256 for one in found) for level in (None, 0, 1, 2)}
    assert widths == {None: [112], 0: [112], 1: [17], 2: [1]}
    assert full == {None: 273, 0: 273, 1: 1, 2: 0}
    assert max(one.level or 0 for one in found) == 2
    at_256 = [one.path for one in tiles.resources(0, 256)]
    assert at_256 == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@pytest.mark.parametrize(("old", "new"), [(0, 600), (1, 2), (250, 256), (256, 257), (300, 300), (65_000, 66_000)])
def test_what_growing_adds(old: int, new: int) -> None:
    """What both trees have is not named again; together with what was there, all of the new tree is."""
    before, added, after = (set(tiles.resources(*sizes)) for sizes in ((0, old), (old, new), (0, new)))
    assert added <= after
    assert after <= before | added
    assert not {one for one in added & before if one.width == 256}


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("tile/0/000", Resource(0, 0)),
        ("tile/0/x001/x234/067", Resource(0, 1_234_067)),
        ("tile/0/x001/x234/067.p/8", Resource(0, 1_234_067, 8)),
        ("tile/63/000.p/255", Resource(63, 0, 255)),
        ("tile/entries/x001/000", Resource(None, 1000)),
        ("tile/entries/999.p/1", Resource(None, 999, 1)),
    ],
)
def test_canonical_paths_name_resources(path: str, resource: Resource) -> None:
    """There and back."""
    assert tiles.parse_path(path) == resource
    assert resource.path == path


OTHER_SPELLINGS = [
    *("", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/000/", "/tile/0/000"),
    *("tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000", "tile/+1/000", "tile/ 0/000", "tile/٠/000"),
    *("tile/0/x000/000", "tile/0/001/000", "tile/0/x001", "tile/0/x1/000", "tile/0/X001/000", "tile/0/٠٠٠"),
    *("tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/1000"),
    *("tile/0/000/p/1", "tile/0/000.p/8/", "tile/0/" + "x999/" * 6 + "000"),
    *("tile/entry/000", "tile/entries/000\n", "tile/data/000", "tile/entries/0"),
]


@pytest.mark.parametrize("path", OTHER_SPELLINGS)
def test_other_spellings_name_nothing(path: str) -> None:
    """One resource, one path: leading zeros, empty groups, digits of other scripts, widths out of range."""
    assert tiles.parse_path(path) is None
