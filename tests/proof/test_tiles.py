"""Tiles: their names and widths as C2SP writes them, and the bundles of entries."""

import pytest
from tlog_scales.reader import Tile as TheirTile
from tlog_scales.tiles import tile_path as their_path

from ledger.proof.merkle import ProofError
from ledger.proof.tiles import decode_bundle, entries_path, tile_path
from ledger.proving import encode_bundle


def test_paths_are_those_of_the_specification() -> None:
    """Indexes in groups of three, `x` before all but the last, a width only on partial tiles."""
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path(0, 1_234_067, 8) == "tile/0/x001/x234/067.p/8"
    assert tile_path(3, 0) == "tile/3/000"
    assert tile_path(63, 1_000) == "tile/63/x001/000"
    assert entries_path(5, 17) == "tile/entries/005.p/17"
    assert entries_path(999_999_999) == "tile/entries/x999/x999/999"
    for index in (0, 1, 999, 1_000, 1_234_067, 10**9 + 7):
        for width in (1, 255, 256):
            theirs = "/".join(their_path(2, index, width % 256))
            assert tile_path(2, index, width) == theirs


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_tiles_that_cannot_be_have_no_path(level: int, index: int, width: int) -> None:
    """Levels 0 to 63, widths 1 to 256."""
    with pytest.raises(ProofError):
        tile_path(level, index, width)


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
