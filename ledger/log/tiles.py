"""A city's log as the static resources of C2SP tlog-tiles: hash tiles and entry bundles, by their paths.

A resource is there as soon as the log has grown over it, and never changes: a full hash tile is one stored row, a
partial one and a bundle are one range of at most 256 rows, however large the log is. Partial resources stay available
after the full one is there, so that whoever holds an older checkpoint finds what belongs to it. Only canonical paths
name anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.book import tree
from ledger.proof.merkle import ProofError
from ledger.proof.tiles import TILE_HEIGHT, TILE_WIDTH, entries_path, tile_path
from ledger.proving import encode_bundle
from ledger.rows import ask

BRIEFLY = "public, max-age=1"
FOR_EVER = "public, max-age=31536000, immutable"
"""How long caches may keep a checkpoint, and a tile or bundle."""

MOST_DIGITS = 18
"""A longer index would be beyond every log; its path names nothing."""

_path = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
).fullmatch


@dataclass(frozen=True, slots=True)
class Resource:
    """One hash tile or entry bundle.

    Attributes:
        level: the tile's level, or None for an entry bundle.
        index: which one it is on its level.
        width: how many hashes or entries it has, 1 to 256; fewer than 256 make it partial.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        if self.level is None:
            return entries_path(self.index, self.width)
        return tile_path(self.level, self.index, self.width)

    @property
    def is_bundle(self) -> bool:
        """Whether it holds entries rather than hashes."""
        return self.level is None


def parse_path(path: str) -> Resource | None:
    """The resource that a path below the log's prefix names; None unless the path is canonical."""
    match = _path(path)
    if match is None:
        return None
    digits = re.sub(r"\D", "", match["index"])
    if len(digits) > MOST_DIGITS:
        return None
    level = None if match["level"] == "entries" else int(match["level"])
    resource = Resource(level, int(digits), int(match["width"] or TILE_WIDTH))
    try:
        return resource if resource.path == path else None
    except ProofError:
        return None


def resources(old: int, new: int) -> list[Resource]:
    """What a tree of `new` leaves has beyond one of `old`: bundles, then the levels upwards, each by index.

    With `old` 0 that is all of it. The partial resources of the old tree are not named again if they are the new
    tree's too.
    """
    found = _row(None, old, new)
    for level in range(64):
        if new >> TILE_HEIGHT * level == 0:
            break
        found += _row(level, old >> TILE_HEIGHT * level, new >> TILE_HEIGHT * level)
    return found


def _row(level: int | None, old: int, new: int) -> list[Resource]:
    full, width = divmod(new, TILE_WIDTH)
    found = [Resource(level, index) for index in range(old // TILE_WIDTH, full)]
    if width and old != new:
        found.append(Resource(level, full, width))
    return found


def read(session: Session, city: str, resource: Resource) -> bytes | None:
    """The bytes of a resource, or None where the log has not come that far."""
    start, stop = resource.index * TILE_WIDTH, resource.index * TILE_WIDTH + resource.width
    if stop > 2**63 - 1:
        return None
    if resource.level is None:
        rows = ask(session, _ENTRIES, city, start, stop)
        return encode_bundle([bytes(leaf) for (leaf,) in rows]) if len(rows) == resource.width else None
    if resource.width == TILE_WIDTH:
        full = ask(session, _FULL, city, resource.level, resource.index)
        return bytes(full[0][0]) if full else None
    hashes = tree.hashes(session, city, resource.level, start, stop)
    return b"".join(hashes) if len(hashes) == resource.width else None


_ENTRIES = "SELECT leaf FROM entries WHERE city = ? AND seq >= ? AND seq < ? ORDER BY seq"
_FULL = 'SELECT hashes FROM tiles WHERE city = ? AND level = ? AND "index" = ?'
