"""The city's Merkle tree as it is kept: leaf hashes with the entries, full tiles of 256 hashes above them.

A tile of level L and index N holds 256 hashes of the tree's level 8·L; it is written once, when it is full, and
its root stands beside it, being one hash of the tile above. What no full tile covers yet is read from the last
few rows, but for the right edge of the whole log, which its head keeps as the frontier. Any proof costs one statement
of a few index look-ups, however large the tree has grown.
Geometry: C2SP tlog-tiles. Proofs: RFC 9162 §2.1.3 and §2.1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, TypeVar

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.db import Base
from ledger.proof.merkle import EMPTY_ROOT, Frontier, root_of
from ledger.proving import NodeReader, consistency_proof, inclusion_proof, range_root
from ledger.rows import Rows, ask

Made = TypeVar("Made")

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_BYTES = 32


class Tile(Base):
    """A full tile: 256 hashes end to end, and the root over them."""

    __tablename__ = "tiles"
    __table_args__ = (Index("tiles_roots", "city", "level", "index", "root"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)


_TILES = Rows(Tile)


def begun(unit: Unit) -> list[list[bytes]]:
    """What stands already in the tiles that the unit's new leaves fill, level by level: what `grow` has to know."""
    rows: list[list[bytes]] = []
    first, new = unit.base_size, len(unit.leaf_hashes)
    while first % WIDTH + new >= WIDTH:
        start = first - first % WIDTH
        rows.append(hashes(unit.session, unit.city.id, len(rows), start, first))
        first, new = start // WIDTH, (first - start + new) // WIDTH
    return rows


def grow(unit: Unit, begun: list[list[bytes]]) -> None:
    """Stage the tiles that the unit's new leaves fill."""
    first, new = unit.base_size // WIDTH, list(unit.leaf_hashes)
    for level, row in enumerate(begun):
        row += new
        new = []
        for offset in range(0, len(row) - WIDTH + 1, WIDTH):
            full = row[offset : offset + WIDTH]
            root = root_of(full)
            unit.insert(_TILES, (unit.city.id, level, first + len(new), b"".join(full), root))
            new.append(root)
        first //= WIDTH


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
    spans: dict[_Part, tuple[int, int]] = {}

    def note(level: int, index: int) -> bytes:
        part, start, stop = _place(level, index, size)
        known = spans.get(part, (start, stop))
        spans[part] = min(known[0], start), max(known[1], stop)
        return bytes(HASH_BYTES)

    compute(note)
    found, peaks = _fetch(session, city, size, spans)

    def node(level: int, index: int) -> bytes:
        part, start, stop = _place(level, index, size)
        if part.is_edge and peaks:
            return peaks[(size >> level + 1).bit_count()]  # those of the larger subtrees stand before it
        first, row = found[part]
        if part.level and len(row) == WIDTH * HASH_BYTES:  # a full tile, whose nodes many proofs need
            inner = level % HEIGHT
            at = (index & (WIDTH >> inner) - 1) * HASH_BYTES
            return _known_levels(row)[inner][at : at + HASH_BYTES]
        row = row[(start - first) * HASH_BYTES : (stop - first) * HASH_BYTES]
        return (_known_levels if part.level else _levels)(row)[-1]

    return compute(node)


class _Part(NamedTuple):
    """Some nodes of one tile: those on the right edge of the tree, or those within."""

    level: int
    tile: int
    is_edge: bool


def _place(level: int, index: int, size: int) -> tuple[_Part, int, int]:
    """Where a node of the tree over `size` leaves lies, and the hashes of the tile's level that it spans."""
    tile_level, inner = divmod(level, HEIGHT)
    start, width = index << inner, size >> level
    is_edge = width % 2 == 1 and index == width - 1
    return _Part(tile_level, start // WIDTH, is_edge), start, start + (1 << inner)


def _fetch(
    session: Session, city: str, size: int, spans: dict[_Part, tuple[int, int]]
) -> tuple[dict[_Part, tuple[int, bytes]], tuple[bytes, ...]]:
    """The hashes of some spans, end to end, and which is the first; and all nodes on the right edge, if they are kept.

    The statement itself finds out what the caller cannot know: whether the log still ends at `size`, so that the right
    edge is what its head keeps, and whether a tile is full by now and one row, while of others each hash is one.
    """
    numbered = list(spans.items())
    queries: list[str] = []
    parameters: list[str | int] = []
    for number, (part, (start, stop)) in enumerate(numbered):
        tile, at_head = (city, part.level, part.tile), (city, size) if part.is_edge else ()
        kept = _UNLESS_KEPT if part.is_edge else ""
        queries.append(f"SELECT {number}, {_FULL}{kept}")
        parameters += *tile, *at_head
        if (part.tile + 1) * WIDTH > size >> HEIGHT * part.level:
            queries.append(f"SELECT {number}, {_ROOTS if part.level else _LEAVES}{kept}")
            rows = (city, part.level - 1, start, stop) if part.level else (city, start, stop)
            parameters += *rows, *tile, *at_head
    if any(part.is_edge for part in spans):
        queries.append(_KEPT)
        parameters += city, size
    rows_of: dict[int, list[tuple[int, bytes]]] = {}
    for number, first, row in ask(session, " UNION ALL ".join(queries), *parameters) if queries else ():
        rows_of.setdefault(number, []).append((first, row))
    kept_edge = rows_of.pop(-1, None)
    peaks = Frontier.from_bytes(bytes(kept_edge[0][1])).peaks if kept_edge else ()
    found = {numbered[number][0]: rows for number, rows in rows_of.items()}
    return {part: (min(rows)[0], b"".join([row for _, row in sorted(rows)])) for part, rows in found.items()}, peaks


def _levels(row: bytes) -> list[bytes]:
    """Hashes end to end, a power of two of them, and the nodes above them, level by level up to the root."""
    levels = [row]
    while len(row) > HASH_BYTES:
        pairs = range(0, len(row), 2 * HASH_BYTES)
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
        levels.append(row)
    return levels


_known_levels = lru_cache(maxsize=256)(_levels)
"""The same, remembered, for what stands above many leaves and hence in many proofs. It depends on nothing but the bytes
given; at most 24 KiB each."""

_FULL = f'"index" * {WIDTH}, hashes FROM tiles WHERE city = ? AND level = ? AND "index" = ?'
_UNLESS_FULL = 'AND NOT EXISTS (SELECT 1 FROM tiles WHERE city = ? AND level = ? AND "index" = ?)'
_ROOTS = f'"index", root FROM tiles WHERE city = ? AND level = ? AND "index" >= ? AND "index" < ? {_UNLESS_FULL}'
_LEAVES = f"seq, leaf_hash FROM entries WHERE city = ? AND seq >= ? AND seq < ? {_UNLESS_FULL}"
_UNLESS_KEPT = " AND NOT EXISTS (SELECT 1 FROM heads WHERE city = ? AND size = ?)"
_KEPT = "SELECT -1, size, frontier FROM heads WHERE city = ? AND size = ?"
