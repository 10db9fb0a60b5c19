"""Sealing a batch: its leaves enter the tree, and a signed checkpoint covers them, in the batch's transaction.

The checkpoint is released by the commit, for only then can anybody read it. Beside the database, the last
checkpoint that an installation showed is kept as a plain file (`published/<city>`): a database that was
restored from an older copy, or from another history, is recognised by it and signs nothing more. So is one that does
not lead to what a chain has of it for good (`published/<city>.anchor`), where the whole directory was restored.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import BigInteger, LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import cities, tree
from ledger.book.cities import City, CityKeys, LogEnd
from ledger.book.unit import Unit
from ledger.db import Base
from ledger.errors import LedgerError
from ledger.proof.checkpoint import Checkpoint, parse, verify
from ledger.proof.merkle import Frontier
from ledger.rows import Rows
from ledger.signing import sign


class SignedCheckpoint(Base):
    """A checkpoint as a signed note, one per sealed batch; written once.

    `nodes` are some of the tree's (`tree.grow`); older rows have none.
    """

    __tablename__ = "checkpoints"

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    note: Mapped[str] = mapped_column(Text)
    nodes: Mapped[bytes | None] = mapped_column(LargeBinary)


class LogBehindPublished(LedgerError):
    """The database does not extend the last checkpoint that was shown or anchored; signing would split the history.

    Restore a newer copy of the database, or give the city a new origin and begin a new log.
    """

    code = "log_behind_published"


_CHECKPOINTS = Rows(SignedCheckpoint)


def seal(unit: Unit, end: LogEnd) -> str:
    """Write the unit's new entries with their tiles and their checkpoint, and move the head; the signed note.

    The entries go first, so that PostgreSQL is busy with them while they are hashed and signed here.
    """
    begun = tree.begun(unit)
    with unit.driver.together():
        unit.send()
        frontier, nodes = tree.grow(unit, end.frontier, begun)
        note = _sign(unit.city, unit.keys, frontier.size, frontier.root())
        unit.insert(_CHECKPOINTS, (unit.city.id, frontier.size, note, nodes))
        cities.move_head(unit.driver, unit.city.id, frontier, unit.now_ms)
        unit.send()
    return note


def seal_empty(session: Session, city: City, keys: CityKeys) -> None:
    """Sign the checkpoint of a city's empty log."""
    session.add(SignedCheckpoint(city=city.id, size=0, note=_sign(city, keys, 0, Frontier().root())))
    session.flush()


def latest(session: Session, city: str) -> SignedCheckpoint:
    """The newest checkpoint of a city."""
    query = select(SignedCheckpoint).where(SignedCheckpoint.city == city)
    return session.scalars(query.order_by(SignedCheckpoint.size.desc()).limit(1)).one()


def covering(session: Session, city: str, seq: int) -> SignedCheckpoint:
    """The first checkpoint that covers entry `seq`."""
    query = select(SignedCheckpoint).where(SignedCheckpoint.city == city, SignedCheckpoint.size > seq)
    return session.scalars(query.order_by(SignedCheckpoint.size).limit(1)).one()


def _sign(city: City, keys: CityKeys, size: int, root: bytes) -> str:
    return sign(Checkpoint(city.origin, size, root), keys.origin, keys.signer)


class Published:
    """The last checkpoint of each city that anybody may have seen, one file a city.

    Args:
        directory: where the files are.
        size_of: the size that a checkpoint states.
    """

    def __init__(self, directory: Path, size_of: Callable[[str], int] = lambda note: parse(note).size) -> None:
        self.directory = directory
        self._size_of = size_of

    def record(self, city: str, note: str, size: int) -> None:
        """Remember a checkpoint that was just committed, unless a later one is remembered already."""
        path = self.directory / city
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / f"{city}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be about to note an earlier one
            if path.exists() and self._size_of(path.read_text("utf-8")) >= size:
                return
            draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
            draft.write_text(note, "utf-8")
            draft.replace(path)

    def doubt(self, city: str, size: int, root: bytes) -> None:
        """Have nothing signed until the log has this root at this size: a chain has it so, for good."""
        path = self._anchor(city)
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        draft.write_text(f"{size}\n{root.hex()}\n", "ascii")
        draft.replace(path)

    def is_doubted(self, city: str) -> bool:
        """Whether there is such a word of a chain. Every process sees it before its next batch."""
        return self._anchor(city).exists()

    def check(self, session: Session, city: City, keys: CityKeys, size: int) -> None:
        """Make sure that the database, whose log has `size` entries, extends what was shown.

        Raises:
            LogBehindPublished: it does not.
            ValueError: the file is no checkpoint of this city.
        """
        anchor = self._anchor(city.id)
        if anchor.exists():
            anchored, root = anchor.read_text("ascii").split()
            if size < int(anchored) or tree.root_at(session, city.id, int(anchored)).hex() != root:
                raise LogBehindPublished("anchor", city=city.id, shown_size=int(anchored), size=size)
            anchor.unlink(missing_ok=True)
        path = self.directory / city.id
        if not path.exists():
            return
        shown = verify(path.read_text("utf-8"), keys.vkey)
        if size < shown.size or tree.root_at(session, city.id, shown.size) != shown.root:
            raise LogBehindPublished(city=city.id, shown_size=shown.size, size=size)

    def _anchor(self, city: str) -> Path:
        return self.directory / f"{city}.anchor"
