"""The city's Merkle tree as it is kept: leaf hashes with the entries, full tiles of 256 hashes above them.

A tile of level L and index N holds 256 hashes of the tree's level 8·L; it is written once, when it is full, and
its root stands beside it, being one hash of the tile above. What no full tile covers yet is read from the last
few rows. Any node of the tree, and so any proof, costs a few index look-ups however large the tree has grown.
Geometry: C2SP tlog-tiles. Proofs: RFC 9162 §2.1.3 and §2.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.db import Base
from ledger.proof.merkle import EMPTY_ROOT, consistency_proof, inclusion_proof, range_root, root_of
from ledger.rows import Rows

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_BYTES = 32


class Tile(Base):
    """A full tile: 256 hashes end to end, and the root over them."""

    __tablename__ = "tiles"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)


_TILES = Rows(Tile)


def grow(unit: Unit) -> None:
    """Stage the tiles that the unit's new leaves fill."""
    first, new = unit.base_size, list(unit.leaf_hashes)
    level = 0
    while first % WIDTH + len(new) >= WIDTH:
        start = first - first % WIDTH
        row = hashes(unit.session, unit.city.id, level, start, first) + new
        first, new = start // WIDTH, []
        for offset in range(0, len(row) - WIDTH + 1, WIDTH):
            full = row[offset : offset + WIDTH]
            root = root_of(full)
            unit.insert(_TILES, (unit.city.id, level, first + len(new), b"".join(full), root))
            new.append(root)
        level += 1


def hashes(session: Session, city: str, level: int, start: int, stop: int) -> list[bytes]:
    """The hashes `start <= i < stop` of the tree's level 8·`level`, at most one tile's worth."""
    if start >= stop:
        return []
    if level == 0:
        query = select(Entry.leaf_hash).where(Entry.city == city, Entry.seq >= start, Entry.seq < stop)
        return list(session.scalars(query.order_by(Entry.seq)))
    below = select(Tile.root).where(Tile.city == city, Tile.level == level - 1)
    return list(session.scalars(below.where(Tile.index >= start, Tile.index < stop).order_by(Tile.index)))


def reader(session: Session, city: str) -> Callable[[int, int], bytes]:
    """A function from (level, index) to the hash of that perfect subtree of 2**level leaves."""
    full: dict[tuple[int, int], bytes | None] = {}

    def node(level: int, index: int) -> bytes:
        tile_level, inner = divmod(level, HEIGHT)
        start, count = index << inner, 1 << inner
        place = (tile_level, start // WIDTH)
        if place not in full:
            full[place] = session.scalar(
                select(Tile.hashes).where(Tile.city == city, Tile.level == place[0], Tile.index == place[1])
            )
        tile = full[place]
        if tile is None:
            return root_of(hashes(session, city, tile_level, start, start + count))
        offset = start % WIDTH * HASH_BYTES
        return root_of(_split(tile[offset : offset + count * HASH_BYTES]))

    return node


def root_at(session: Session, city: str, size: int) -> bytes:
    """The root of the tree over the first `size` leaves."""
    if size == 0:
        return EMPTY_ROOT
    return range_root(0, size, reader(session, city))


def inclusion(session: Session, city: str, seq: int, size: int) -> list[bytes]:
    """The inclusion proof of entry `seq` in the tree over the first `size` leaves."""
    return inclusion_proof(seq, size, reader(session, city))


def consistency(session: Session, city: str, old: int, new: int) -> list[bytes]:
    """The proof that the tree over the first `new` leaves extends the one over the first `old`."""
    return consistency_proof(old, new, reader(session, city))


def _split(row: bytes) -> Sequence[bytes]:
    return [row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)]
