"""Mirroring a city's log as plain files that any static host can serve, by C2SP tlog-tiles.

    checkpoint   tile/<L>/<N>[.p/<W>]   tile/entries/<N>[.p/<W>]   vkey

The tiles come first and the checkpoint last, so that at every instant, and after a power cut, everything that the
mirror's checkpoint speaks of is there. Only what is new since that checkpoint is written. What a killed run had
written already is compared rather than written again, so that the next run goes on where it ended.

A mirror is never led away from what it showed: its checkpoint has to be the city's own, no larger than the log, and of
the same history; a file that a killed run left has to be of the same history too.

Partial resources stay until the full one is there, since an older checkpoint that somebody holds speaks of them. To
find those of runs that did not come to their end, a run first notes the sizes it works with (`.publishing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from ledger.book import cities, tree
from ledger.book.cities import KeyRing
from ledger.db import Database
from ledger.errors import LedgerError
from ledger.log import tiles
from ledger.log.targets import Target
from ledger.log.tiles import Resource
from ledger.proof.checkpoint import Checkpoint, CheckpointError, verify
from ledger.proof.merkle import EMPTY_ROOT
from ledger.proof.tiles import TILE_HEIGHT, TILE_WIDTH

CHECKPOINT, VKEY, ATTEMPTS = "checkpoint", "vkey", ".publishing"
TEXT, OCTETS = "text/plain; charset=utf-8", "application/octet-stream"
CHUNK = 64
"""How many resources are read in one snapshot."""

Progress = Callable[[int, int], None]
"""Told how many files of how many are done."""


class MirrorConflict(LedgerError):
    """The mirror shows something else than what this log could have led to; nothing was changed.

    `reason` is `foreign` (its checkpoint is not signed by this city's key), `ahead` (it shows a longer log),
    `history` (it shows another log of that size) or `leftover` (a file of another history lies there).
    """

    code = "mirror_conflict"


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a run did: the size that the mirror had and has, and how many files were written, found and removed."""

    old_size: int
    size: int
    written: int
    found: int
    removed: int


def publish(
    database: Database, keys: KeyRing, city_id: str, target: Target, note: str, progress: Progress | None = None
) -> Mirrored:
    """Bring a mirror up to a signed checkpoint.

    Args:
        database: where the log is.
        keys: the cities' key files.
        city_id: whose log it is.
        target: where the mirror is.
        note: one of the city's signed checkpoints, with or without cosignatures.
        progress: is told of every chunk of files.

    Raises:
        NotFound: there is no such city.
        MirrorConflict: the mirror shows another history, or a longer one.
        MirrorBusy, MirrorUnreachable: see `targets`.
    """
    with database.read() as session:
        vkey = keys.get(cities.get(session, city_id)).vkey
    with target.hold():
        there = target.read(CHECKPOINT)
        shown = _read(there, vkey)
        new = verify(note, vkey)
        _check_extends(database, city_id, shown, new)
        attempts = _attempts(target)
        if there == note.encode() and not attempts:
            return Mirrored(shown.size, new.size, 0, 0, 0)
        attempts |= {shown.size, new.size}
        _write_text(target, ATTEMPTS, "".join(f"{size}\n" for size in sorted(attempts)))
        target.flush()
        _write_text(target, VKEY, vkey + "\n")
        written, found = _write_tiles(database, city_id, target, shown.size, new.size, progress)
        target.flush()
        _write_text(target, CHECKPOINT, note)
        target.flush()
        removed = _remove_stale(target, attempts, new.size)
        target.remove(ATTEMPTS)
    return Mirrored(shown.size, new.size, written, found, removed)


def _read(note: bytes | None, vkey: str) -> Checkpoint:
    """The checkpoint that a mirror shows; that of the empty log where it shows none."""
    if note is None:
        return Checkpoint("", 0, EMPTY_ROOT)
    try:
        return verify(note.decode("utf-8"), vkey)
    except (CheckpointError, UnicodeDecodeError):
        raise MirrorConflict("foreign") from None


def _check_extends(database: Database, city: str, shown: Checkpoint, new: Checkpoint) -> None:
    if shown.size > new.size:
        raise MirrorConflict("ahead", shown_size=shown.size, size=new.size)
    with database.read() as session:
        if tree.root_at(session, city, shown.size) != shown.root or tree.root_at(session, city, new.size) != new.root:
            raise MirrorConflict("history", shown_size=shown.size, size=new.size)


def _attempts(target: Target) -> set[int]:
    """The sizes that runs worked with and did not come to their end."""
    noted = (target.read(ATTEMPTS) or b"").decode("ascii", "replace").split()
    return {int(size) for size in noted if size.isdecimal()}


def _write_tiles(
    database: Database, city: str, target: Target, old: int, new: int, progress: Progress | None
) -> tuple[int, int]:
    """Write what is new, level by level; how many files were written, and how many were there already."""
    wanted = tiles.resources(old, new)
    written = found = 0
    for _, row in groupby(wanted, key=lambda resource: resource.level):
        resuming = True
        for resource, content in _contents(database, city, row):
            if resuming:
                left = target.read(resource.path)
                if left == content:
                    found += 1
                    continue
                if left is not None:
                    raise MirrorConflict("leftover", path=resource.path)
                resuming = False
            target.write(resource.path, content, media=OCTETS, cache=tiles.FOR_EVER)
            written += 1
            if progress and (written + found) % CHUNK == 0:
                progress(written + found, len(wanted))
    if progress and wanted:
        progress(len(wanted), len(wanted))
    return written, found


def _contents(database: Database, city: str, wanted: Iterator[Resource]) -> Iterator[tuple[Resource, bytes]]:
    while chunk := list(islice(wanted, CHUNK)):
        with database.read() as session:
            contents = [tiles.read(session, city, resource) for resource in chunk]
        for resource, content in zip(chunk, contents, strict=True):
            if content is None:
                raise LookupError(f"the database has no {resource.path}")
            yield resource, content


def _remove_stale(target: Target, sizes: set[int], new: int) -> int:
    """Remove the partial resources of earlier sizes whose full ones are there now; how many there were."""
    removed = 0
    for full in sorted({one.path for size in sizes for one in _outgrown(size, new)}):
        folder = f"{full}.p"
        for name in target.names(folder):
            target.remove(f"{folder}/{name}")
            removed += 1
    return removed


def _outgrown(size: int, new: int) -> Sequence[Resource]:
    """The full resources of a tree of `new` that were partial in one of `size`."""
    last = [Resource(None, size // TILE_WIDTH)]
    level = 0
    while size >> TILE_HEIGHT * level:
        last.append(Resource(level, (size >> TILE_HEIGHT * level) // TILE_WIDTH))
        level += 1
    return [one for one in last if (one.index + 1) * TILE_WIDTH <= new >> TILE_HEIGHT * (one.level or 0)]


def _write_text(target: Target, path: str, text: str) -> None:
    target.write(path, text.encode(), media=TEXT, cache=tiles.BRIEFLY)
