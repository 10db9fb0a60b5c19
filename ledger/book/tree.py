"""The city's Merkle tree as it is kept: leaf hashes with the entries, full tiles of 256 hashes above them.

A tile of level L and index N holds 256 hashes of the tree's level 8·L; it is written once, when it is full, and
its root stands beside it, being one hash of the tile above. What no full tile covers yet is read from the last
few rows. Any proof costs one statement of a few index look-ups, however large the tree has grown.
Geometry: C2SP tlog-tiles. Proofs: RFC 9162 §2.1.3 and §2.1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.db import Base
from ledger.proof.merkle import EMPTY_ROOT, root_of
from ledger.proving import NodeReader, consistency_proof, inclusion_proof, range_root
from ledger.rows import Rows, ask

Made = TypeVar("Made")

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


def root_at(session: Session, city: str, size: int) -> bytes:
    """The root of the tree over the first `size` leaves."""
    if size == 0:
        return EMPTY_ROOT
    return _read(session, city, size, lambda node: range_root(0, size, node))


def inclusion(session: Session, city: str, seq: int, size: int) -> list[bytes]:
    """The inclusion proof of entry `seq` in the tree over the first `size` leaves."""
    return _read(session, city, size, lambda node: inclusion_proof(seq, size, node))


def consistency(session: Session, city: str, old: int, new: int) -> list[bytes]:
    """The proof that the tree over the first `new` leaves extends the one over the first `old`."""
    return _read(session, city, new, lambda node: consistency_proof(old, new, node))


def _read(session: Session, city: str, size: int, compute: Callable[[NodeReader], Made]) -> Made:
    """What `compute` makes of nodes of the tree over the first `size` leaves, all read by one statement.

    It runs twice: first to tell which nodes it asks for, then with them.
    """
    spans: dict[tuple[int, int], tuple[int, int]] = {}

    def note(level: int, index: int) -> bytes:
        place, start, stop = _span(level, index)
        known = spans.get(place, (start, stop))
        spans[place] = min(known[0], start), max(known[1], stop)
        return bytes(HASH_BYTES)

    compute(note)
    found = _fetch(session, city, size, spans)

    def node(level: int, index: int) -> bytes:
        place, start, stop = _span(level, index)
        first, row = found[place]
        part = row[(start - first) * HASH_BYTES : (stop - first) * HASH_BYTES]
        return _known_root(part) if place[0] else _perfect_root(part)

    return compute(node)


def _span(level: int, index: int) -> tuple[tuple[int, int], int, int]:
    """The tile (level, index) that a node lies in, and the hashes of the tile's level that the node spans."""
    tile_level, inner = divmod(level, HEIGHT)
    start = index << inner
    return (tile_level, start // WIDTH), start, start + (1 << inner)


def _fetch(
    session: Session, city: str, size: int, spans: dict[tuple[int, int], tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, bytes]]:
    """The hashes of some spans, end to end, and which is the first.

    A tile that is full by now is one row, of another each hash is one; which it is, the statement itself finds out
    where the tree over `size` leaves does not tell.
    """
    queries: list[str] = []
    parameters: list[str | int] = []
    for (level, index), (start, stop) in spans.items():
        tile = (city, level, index)
        queries.append(_FULL)
        parameters += tile
        if (index + 1) * WIDTH > size >> HEIGHT * level:
            queries.append(_ROOTS if level else _LEAVES)
            parameters += (city, level - 1, start, stop, *tile) if level else (city, start, stop, *tile)
    parts: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
    for level, first, row in ask(session, " UNION ALL ".join(queries), *parameters) if queries else ():
        parts.setdefault((level, first // WIDTH), []).append((first, row))
    return {place: (min(rows)[0], b"".join([row for _, row in sorted(rows)])) for place, rows in parts.items()}


def _perfect_root(row: bytes) -> bytes:
    """The root over hashes end to end, a power of two of them."""
    while len(row) > HASH_BYTES:
        pairs = range(0, len(row), 2 * HASH_BYTES)
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return row


_known_root = lru_cache(maxsize=2_048)(_perfect_root)
"""The same, remembered, for what stands above many leaves and hence in many proofs. It depends on nothing but the bytes
given; at most 4 KiB each."""

_FULL = f'SELECT level, "index" * {WIDTH}, hashes FROM tiles WHERE city = ? AND level = ? AND "index" = ?'
_NOT_FULL = 'AND NOT EXISTS (SELECT 1 FROM tiles WHERE city = ? AND level = ? AND "index" = ?)'
_ROOTS = f"""
SELECT level + 1, "index", root FROM tiles WHERE city = ? AND level = ? AND "index" >= ? AND "index" < ? {_NOT_FULL}
"""
_LEAVES = f"SELECT 0, seq, leaf_hash FROM entries WHERE city = ? AND seq >= ? AND seq < ? {_NOT_FULL}"
