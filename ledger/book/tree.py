"""The city's Merkle tree as it is kept: leaf hashes with the entries, full tiles of 256 hashes above them.

A tile of level L and index N holds 256 hashes of the tree's level 8·L; it is written once, when it is full, and
its root stands beside it, being one hash of the tile above. Each node above them stands where the hash that completes
it does: with the tile below, or, over leaves, with the checkpoint that first covers them, until their tile is full.
The right edge of a tree stands with its checkpoint. Any proof in a tree that was ever signed thus costs one statement
of O(log size) index look-ups, whatever its size and however large the log has grown. In a tree that nobody signed, or
where older versions of this program left no nodes, it may cost one more for each level, of a full tile or of at most
255 hashes.
Geometry: C2SP tlog-tiles. Proofs: RFC 9162 §2.1.3 and §2.1.4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book.entries import Entry
from ledger.book.unit import Unit
from ledger.db import Base
from ledger.proof.merkle import EMPTY_ROOT, Frontier, fold
from ledger.proving import Node, consistency_nodes, inclusion_nodes, range_nodes
from ledger.rows import Rows, ask

_Risen = defaultdict[int, list[bytes]]

HEIGHT = 8
WIDTH = 1 << HEIGHT
MIDDLE = HEIGHT // 2
MIDDLES = WIDTH >> MIDDLE
HASH_BYTES = 32
STEP = 4


class Tile(Base):
    """A full tile: 256 hashes end to end, and the root over them; written once.

    `nodes` are those of the tile above that its root completes (`_ended`). `middle` are the 16 of its own middle, each
    over 16 hashes, so that what a proof needs of it takes 22 hashes to make and not 247. Rows of older versions have
    neither.
    """

    __tablename__ = "tiles"
    __table_args__ = (Index("tiles_nodes", "city", "level", "index", "root", "nodes"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    nodes: Mapped[bytes | None] = mapped_column(LargeBinary)
    middle: Mapped[bytes | None] = mapped_column(LargeBinary)


_TILES = Rows(Tile)

MOST_TREES = 64
"""Of how many trees something is remembered: one for each city that a process writes to."""

_UNFILLED: dict[Frontier, dict[int, list[bytes]]] = {}
"""The hashes in tiles that are not full, by tile level, as far as this process has met them; for the next batch.

Nothing is trusted here that the head does not say: a tree's right edge is a hash over all of its leaves.
"""


def begun(unit: Unit, frontier: Frontier) -> list[list[bytes]]:
    """What stands already in the tiles that the unit's new leaves fill, level by level: what `grow` has to know."""
    rows: list[list[bytes]] = []
    known = _UNFILLED.get(frontier, {})
    first, new = unit.base_size, len(unit.leaf_hashes)
    while first % WIDTH + new >= WIDTH:
        start, level = first - first % WIDTH, len(rows)
        rows.append(known[level] if level in known else hashes(unit.session, unit.city.id, level, start, first))
        first, new = start // WIDTH, (first - start + new) // WIDTH
    return rows


def grow(unit: Unit, frontier: Frontier, begun: list[list[bytes]]) -> tuple[Frontier, bytes]:
    """Stage the tiles that the unit's new leaves fill.

    Returns:
        The right edge of the tree with them, and what its checkpoint keeps: the nodes on that edge, the largest first,
        and those of the last tile over leaves that the new ones complete, in order.
    """
    risen: _Risen = defaultdict(list)
    edge = frontier.append(unit.leaf_hashes, lambda level, _index, nodes: risen.update({level: nodes}))
    old = frontier.size
    unfilled = {level: row + risen[HEIGHT * level] for level, row in _UNFILLED.pop(frontier, {}).items()}
    for tile_level, before_them in enumerate(begun):
        level = HEIGHT * tile_level
        row = before_them + risen[level]
        first = (old >> level) // WIDTH
        for number, root in enumerate(risen[level + HEIGHT]):
            full, index = b"".join(row[number * WIDTH : (number + 1) * WIDTH]), first + number
            nodes = _ended(risen, old, level + HEIGHT, index)
            before = index * MIDDLES - (old >> level + MIDDLE)
            new = risen[level + MIDDLE][max(before, 0) : before + MIDDLES]
            made = middle(full[: len(full) - len(new) * len(full) // MIDDLES]) + b"".join(new)
            unit.insert(_TILES, (unit.city.id, tile_level, index, full, root, nodes, made))
        unfilled[tile_level] = row[len(row) - len(row) % WIDTH :]
    _keep(edge, unfilled)
    within = range(max(old, edge.size - edge.size % WIDTH), edge.size)
    return edge, b"".join([*edge.peaks, *(_ended(risen, old, 0, seq) for seq in within)])


def _keep(edge: Frontier, unfilled: dict[int, list[bytes]]) -> None:
    """Remember what stands in the last tiles of a tree; of a few trees, the latest ones."""
    _UNFILLED[edge] = unfilled
    for earlier in list(_UNFILLED)[:-MOST_TREES]:  # of a copy: the writers of other cities are at work here, too
        _UNFILLED.pop(earlier, None)


def _ended(risen: _Risen, old: int, level: int, index: int) -> bytes:
    """The nodes of a tile above its hash at `level` and `index` that this hash completes, the lowest first.

    `risen` has, by level, what has been completed since the tree had `old` leaves.
    """
    found = []
    for higher in range(level + 1, level + HEIGHT):
        if not index & 1:
            break
        index >>= 1
        found.append(risen[higher][index - (old >> higher)])
    return b"".join(found)


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
    return _read(session, city, size, [range_nodes(0, size)])[0]


def inclusion(session: Session, city: str, seq: int, size: int) -> list[bytes]:
    """The inclusion proof of entry `seq` in the tree over the first `size` leaves."""
    return _read(session, city, size, inclusion_nodes(seq, size))


def consistency(session: Session, city: str, old: int, new: int) -> list[bytes]:
    """The proof that the tree over the first `new` leaves extends the one over the first `old`."""
    return _read(session, city, new, consistency_nodes(old, new))


def _read(session: Session, city: str, size: int, steps: Sequence[Sequence[Node]]) -> list[bytes]:
    """The fold of each step's nodes, which are of the tree over `size` leaves and read by one statement."""
    found, rows = _fetch(session, city, size, [node for step in steps for node in step])

    def hashed(level: int, index: int) -> bytes:
        """A node that is within a tile of which the hashes are read."""
        tile_level, inner = divmod(level, HEIGHT)
        start = index << inner
        tile = (tile_level, start // WIDTH)
        if tile not in rows:
            rows[tile] = _hash_by_hash(session, city, size, *tile)
        at = start % WIDTH * HASH_BYTES
        return _above(rows[tile][at : at + (HASH_BYTES << inner)], inner)

    return [fold([found.get(node) or hashed(*node) for node in step]) for step in steps]


def _fetch(
    session: Session, city: str, size: int, wanted: Iterable[Node]
) -> tuple[dict[Node, bytes], dict[tuple[int, int], bytes]]:
    """Nodes of the tree over `size` leaves, as far as they are stored, and the full tiles that hold others."""
    arms: dict[_Arm, list[Node]] = {}
    for node in wanted:
        arms.setdefault(_arm(size, *node), []).append(node)
    arms = dict(sorted(arms.items()))  # so that there are few different statements, which are kept prepared
    queries: list[str] = []
    parameters: list[str | int] = []
    for number, (arm, nodes) in enumerate(arms.items()):
        query, values = _query(city, size, arm, nodes)
        queries.append(f"SELECT {number}, {query}")
        parameters += values
    rows: defaultdict[int, dict[int, bytes | None]] = defaultdict(dict)
    for number, place, row in ask(session, " UNION ALL ".join(queries), *parameters) if queries else ():
        rows[number][place] = row
    found: dict[Node, bytes] = {}
    full: dict[tuple[int, int], bytes] = {}
    for number, (arm, nodes) in enumerate(arms.items()):
        kept = rows[number]
        if arm[0] is _IN_TILE:
            full |= {arm[1:]: row for row in kept.values() if row}
        elif arm is _EDGE:
            peaks = kept.get(size) or b""
            for level, index in nodes:  # on the edge, the peaks of the larger subtrees stand before it
                at = (size >> level + 1).bit_count() * HASH_BYTES
                found[level, index] = peaks[at : at + HASH_BYTES]
        else:
            found |= {node: _stored(arm, *node, kept) for node in nodes}
    return found, full


_Arm = tuple[str, int, int]
"""What is read in one way: how, and of which tile, by its level and index."""

_EDGE: _Arm = ("on the right edge of the whole tree, which its checkpoint has", 0, 0)
_IN_TILE, _IN_MIDDLE = "in the lower half of a full tile over leaves", "in its upper half"
_AS_HASH, _AS_NODE = "a hash of any other tile", "above its hashes, with the one that completes it"


def _arm(size: int, level: int, index: int) -> _Arm:
    """How a node of the tree over `size` leaves is read."""
    width = size >> level
    if width & 1 and index == width - 1:
        return _EDGE
    tile_level, inner = divmod(level, HEIGHT)
    tile = index >> HEIGHT - inner
    if not tile_level and tile < size >> HEIGHT:
        return _IN_TILE if inner < MIDDLE else _IN_MIDDLE, tile_level, tile
    return _AS_NODE if inner else _AS_HASH, tile_level, tile


def _last(level: int, index: int) -> int:
    """The last hash of its tile's level that is below a node."""
    return (index + 1 << level % HEIGHT) - 1


def _query(city: str, size: int, arm: _Arm, nodes: Iterable[Node]) -> tuple[str, Iterable[str | int]]:
    """How some nodes are read, and the parameters for that; it gives rows of a place and bytes."""
    how, level, tile = arm
    if arm is _EDGE:
        return _OF_CHECKPOINT, (city, size)
    if how in (_IN_TILE, _IN_MIDDLE):
        return _TILE if how is _IN_TILE else _MIDDLE, (city, level, tile)
    places = sorted({_last(*node) for node in nodes})
    places += places[-1:] * (-len(places) % STEP)  # for the same reason; and of one alone SQLite reads past the index
    if how is _AS_NODE and not level:
        covering = ", ".join([_COVERING] * len(places))
        return f"{_OF_CHECKPOINTS} ({covering})", (city, *[value for place in places for value in (city, place)])
    asked = ", ".join("?" * len(places))
    if not level:
        return f"{_LEAVES} ({asked})", (city, *places)
    return f"{_ROOTS if how is _AS_HASH else _OF_TILES} ({asked})", (city, level - 1, *places)


def _stored(arm: _Arm, level: int, index: int, rows: dict[int, bytes | None]) -> bytes:
    """A node as the rows that its arm gave have it; empty where they do not."""
    how, tile_level, tile = arm
    inner, last, rise = level % HEIGHT, _last(level, index), 0
    if how is _IN_MIDDLE:
        rise = inner - MIDDLE
        row, at = rows.get(tile), (index << rise) % MIDDLES
    elif how is _AS_HASH:
        row, at = rows.get(last), 0
    elif tile_level:
        row, at = rows.get(last), inner - 1
    else:  # in the first checkpoint that covers the leaf, whose nodes end with the last leaf that it covers
        covering = min((size for size in rows if size > last), default=0)
        row = rows[covering] if covering // WIDTH == tile else None
        behind = _completed(covering % WIDTH) - _completed(last % WIDTH) - (inner - 1)
        at = max(len(row or b"") // HASH_BYTES - behind, 0)
    return _above(row[at * HASH_BYTES : (at + (1 << rise)) * HASH_BYTES], rise) if row else b""


def _completed(width: int) -> int:
    """How many nodes the first `width` hashes of a tile complete."""
    return width - width.bit_count()


def _hash_by_hash(session: Session, city: str, size: int, level: int, tile: int) -> bytes:
    """The hashes of a tile that may not be full, up to those over `size` leaves, end to end."""
    full = ask(session, f"SELECT {_TILE}", city, level, tile)
    if full:
        return bytes(full[0][1])
    return b"".join(hashes(session, city, level, tile * WIDTH, size >> HEIGHT * level))


def middle(row: bytes) -> bytes:
    """The nodes in the middle of a full tile."""
    return _above(row, MIDDLE)


def _above(row: bytes, levels: int) -> bytes:
    """The nodes so many levels above some hashes; all of them end to end."""
    for _ in range(levels):
        pairs = range(0, len(row), 2 * HASH_BYTES)
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return row


_TILE = '"index", hashes FROM tiles WHERE city = ? AND level = ? AND "index" = ?'
_MIDDLE = '"index", middle FROM tiles WHERE city = ? AND level = ? AND "index" = ?'
_ROOTS = '"index", root FROM tiles WHERE city = ? AND level = ? AND "index" IN'
_OF_TILES = '"index", nodes FROM tiles WHERE city = ? AND level = ? AND "index" IN'
_LEAVES = "seq, leaf_hash FROM entries WHERE city = ? AND seq IN"
_OF_CHECKPOINT = "size, nodes FROM checkpoints WHERE city = ? AND size = ?"
_OF_CHECKPOINTS = "size, nodes FROM checkpoints WHERE city = ? AND size IN"
_COVERING = "(SELECT MIN(size) FROM checkpoints WHERE city = ? AND size > ?)"
