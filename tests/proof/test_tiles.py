"""Tiles: their names and widths as C2SP writes them, and proofs served from nothing else."""

import pytest
from tlog_scales.reader import Tile as TheirTile

from ledger.proof.merkle import (
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.proof.tiles import (
    Tile,
    decode_bundle,
    encode_bundle,
    entries_path,
    node_from_tile,
    node_reader,
    tile_of,
    tile_path,
)


def test_paths_are_those_of_the_specification() -> None:
    """Indexes in groups of three, `x` before all but the last, a width only on partial tiles."""
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path(0, 1_234_067, 8) == "tile/0/x001/x234/067.p/8"
    assert tile_path(3, 0) == "tile/3/000"
    assert tile_path(63, 1_000) == "tile/63/x001/000"
    assert entries_path(5, 17) == "tile/entries/005.p/17"
    assert entries_path(999_999_999) == "tile/entries/x999/x999/999"
    assert Tile(1, 0, 2).path == "tile/1/000.p/2"


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_tiles_that_cannot_be_have_no_path(level: int, index: int, width: int) -> None:
    """Levels 0 to 63, widths 1 to 256."""
    with pytest.raises(ProofError):
        tile_path(level, index, width)


def test_the_tree_of_70_000_has_the_tiles_that_the_specification_counts() -> None:
    """273 full tiles and one of 112 on level 0, one full and one of 17 on level 1, one of 1 on level 2."""
    assert tile_of(0, 69_887, 70_000) == (Tile(0, 272), 0, 255)
    assert tile_of(0, 69_999, 70_000) == (Tile(0, 273, 112), 0, 111)
    assert tile_of(8, 255, 70_000) == (Tile(1, 0), 0, 255)
    assert tile_of(8, 272, 70_000) == (Tile(1, 1, 17), 0, 16)
    assert tile_of(16, 0, 70_000) == (Tile(2, 0, 1), 0, 0)
    assert tile_of(11, 33, 70_000) == (Tile(1, 1, 17), 3, 1)
    for level, index in ((0, 70_000), (16, 1), (17, 0), (-1, 0), (0, -1)):
        with pytest.raises(ProofError):
            tile_of(level, index, 70_000)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 66_000])
def test_proofs_served_from_tiles_verify(size: int) -> None:
    """A store of tiles is enough for every proof; each tile holds exactly the hashes of its width."""
    levels = [[leaf_hash(str(number).encode()) for number in range(size)]]
    while len(levels[-1]) >= 256:
        below = levels[-1]
        levels.append([root_of(below[at : at + 256]) for at in range(0, len(below) - 255, 256)])

    def read(tile: Tile) -> bytes:
        hashes = levels[tile.level][tile.index * 256 : tile.index * 256 + tile.width]
        assert len(hashes) == tile.width
        return b"".join(hashes)

    node = node_reader(read, size)
    root = root_of(levels[0])
    for index in {0, size // 3, size // 2, size - 1}:
        verify_inclusion(levels[0][index], index, size, inclusion_proof(index, size, node), root)
    for old in {1, size // 2 or 1, size}:
        proof = consistency_proof(old, size, node)
        verify_consistency(old, size, root_of(levels[0][:old]), root, proof)


@pytest.mark.parametrize(("level", "index"), [(0, 3), (1, 1), (2, 0), (0, -1)])
def test_a_tile_does_not_answer_for_what_it_does_not_hold(level: int, index: int) -> None:
    """Nodes beyond a partial tile, and tiles cut inside a hash, raise."""
    tile = b"".join(leaf_hash(bytes([number])) for number in range(3))
    assert node_from_tile(tile, 1, 0) == root_of([tile[:32], tile[32:64]])
    with pytest.raises(ProofError):
        node_from_tile(tile, level, index)
    with pytest.raises(ProofError):
        node_from_tile(tile[:-1], 0, 0)


def test_bundles_carry_entries_behind_their_lengths() -> None:
    """Two big-endian bytes each; the bytes of the specification, and back again."""
    entries = [b"", b"one", b"x" * 65_535]
    data = encode_bundle(entries)
    assert data == b"\x00\x00\x00\x03one\xff\xff" + b"x" * 65_535
    assert decode_bundle(data) == entries
    assert TheirTile.from_entries_bytes(data).entries == entries
    full = [bytes([number]) for number in range(256)]
    assert decode_bundle(encode_bundle(full)) == full
    with pytest.raises(ProofError):
        encode_bundle([b"x" * 65_536])


def test_bundles_that_do_not_come_out_even_are_refused() -> None:
    """Cut anywhere but between entries, too long, or of no or too many entries."""
    entries = [b"first", b"second", b"third"]
    data = encode_bundle(entries)
    ends = {7: 1, 15: 2, 22: 3}
    for at in range(len(data) + 1):
        if at in ends:
            assert decode_bundle(data[:at]) == entries[: ends[at]]
        else:
            with pytest.raises(ProofError):
                decode_bundle(data[:at])
    for wrong in (data + b"x", data + b"\x00\x02x", encode_bundle([b"x"] * 257)):
        with pytest.raises(ProofError):
            decode_bundle(wrong)
