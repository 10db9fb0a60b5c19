"""Where the hashes and the entries of a log lie: the geometry of C2SP tlog-tiles, tiles of height 8.

Tile (L, N) holds up to 256 hashes of level 8L, those of the subtrees N*256 .. N*256+255; a tile with fewer
is partial and carries its width in its path. Bundle N holds the entries of tile (0, N).
"""

from ledger.proof.merkle import ProofError

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + 0xFFFF)


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
