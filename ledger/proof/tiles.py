"""Where the hashes and the entries of a log lie: the geometry of C2SP tlog-tiles, tiles of height 8.

Tile (L, N) holds up to 256 hashes of level 8L, those of the subtrees N*256 .. N*256+255; a tile with fewer
is partial and carries its width in its path. Levels between 8L and 8L+8 are hashed up from the tile.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledger.proof.merkle import HASH_BYTES, NodeReader, ProofError, root_of

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + 0xFFFF)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a tree: its level, its index on that level, and how many hashes it holds (1..256)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Return the tile's path below the log's prefix."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return `tile/<L>/<N>[.p/<W>]`, for example `tile/0/x001/x234/067.p/8`."""
    if not 0 <= level <= 63:
        raise ProofError(f"there is no tile level {level}")
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of the bundle with the entries index*256 .. index*256+width-1."""
    return f"tile/entries/{_numbered(index, width)}"


def _numbered(index: int, width: int) -> str:
    """Group the index by three digits, an `x` before all but the last, so that no folder is also a file."""
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise ProofError(f"there is no tile {index} of width {width}")
    text = f"{index % 1000:03}"
    while index := index // 1000:
        text = f"x{index % 1000:03}/{text}"
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def tile_of(level: int, index: int, size: int) -> tuple[Tile, int, int]:
    """Return the tile that holds node (level, index) in the tree of `size` leaves.

    With it come the node's level within the tile (0..7) and its index on that level, for `node_from_tile`.
    """
    if min(level, index) < 0 or (index + 1) << level > size:
        raise ProofError(f"a tree of {size} has no whole subtree ({level}, {index})")
    tile_level, inner_level = divmod(level, TILE_HEIGHT)
    tile_index, inner_index = divmod(index, TILE_WIDTH >> inner_level)
    width = min(TILE_WIDTH, (size >> TILE_HEIGHT * tile_level) - tile_index * TILE_WIDTH)
    return Tile(tile_level, tile_index, width), inner_level, inner_index


def node_from_tile(tile_bytes: bytes, level_in_tile: int, index: int) -> bytes:
    """Return the hash of the subtree over the tile's hashes [index << level, (index + 1) << level)."""
    start, end = index << level_in_tile, (index + 1) << level_in_tile
    if len(tile_bytes) % HASH_BYTES or not 0 <= start < end <= len(tile_bytes) // HASH_BYTES:
        raise ProofError(f"the tile does not hold node ({level_in_tile}, {index})")
    return root_of(tile_bytes[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(start, end))


def node_reader(read_tile: Callable[[Tile], bytes], size: int) -> NodeReader:
    """Return a `node(level, index)` for the proofs of `merkle` over the tree of `size`, served from tiles."""

    def node(level: int, index: int) -> bytes:
        tile, inner_level, inner_index = tile_of(level, index, size)
        return node_from_tile(read_tile(tile), inner_level, inner_index)

    return node


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return the entry bundle of `entries`: each behind its length as two big-endian bytes."""
    parts = []
    for entry in entries:
        if len(entry) > 0xFFFF:
            raise ProofError("an entry is longer than 65535 bytes")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def decode_bundle(data: bytes) -> list[bytes]:
    """Return the 1 to 256 entries of a bundle; ProofError if the lengths do not come out even."""
    entries, at = [], 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data) or not 1 <= len(entries) <= TILE_WIDTH:
        raise ProofError("the bundle does not hold 1 to 256 whole entries")
    return entries
