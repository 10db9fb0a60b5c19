"""Sealing a batch: its leaves enter the tree, and a signed checkpoint covers them, in the batch's transaction.

The checkpoint is released by the commit, for only then can anybody read it. Beside the database, the last
checkpoint that an installation showed is kept as a plain file (`published/<city>`): a database that was
restored from an older copy, or from another history, is recognised by it and signs nothing more. So is one that does
not lead to what a chain has of it for good (`published/<city>.anchor`), where the whole directory was restored: a
directory that is a copy is known by its files being new (`published/<city>.judged`), one that was copied over by its
checkpoint having been put there later than it was written; and where the city has a chain, nothing is signed in it
before the chain was asked. A process that runs on remembers the longest log that it has seen.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlalchemy import BigInteger, Index, LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.book import cities, tree
from ledger.book.cities import City, CityKeys, LogEnd
from ledger.book.unit import Unit
from ledger.db import Base, Instant
from ledger.errors import LedgerError
from ledger.proof.checkpoint import Checkpoint, parse, verify
from ledger.proof.merkle import Frontier
from ledger.rows import Rows
from ledger.signing import sign
from ledger.values import from_milliseconds

COPIED_SECONDS = 5.0
"""How much later than its writing a checkpoint may have been put in its place, on a machine that is busy."""


BEFORE_ALL = from_milliseconds(0)
"""The time of an empty log's checkpoint: no entry is earlier, whatever the clock was when the city was made."""


class SignedCheckpoint(Base):
    """A checkpoint as a signed note, one per sealed batch; written once.

    `nodes` are some of the tree's (`tree.grow`); older rows have none. `at` is the time of every entry of the batch: a
    moment in the log is found by one row a batch, and not by one an entry.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (Index("checkpoints_by_time", "city", "at", "size"),)

    city: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    note: Mapped[str] = mapped_column(Text)
    nodes: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(Instant)


class LogBehindPublished(LedgerError):
    """The database does not extend the last checkpoint that was shown or anchored; signing would split the history.

    Restore a newer copy of the database, or give the city a new origin and begin a new log.
    """

    code = "log_behind_published"


class LogUnjudged(LedgerError):
    """The directory looks restored, and the chain, which knows what was anchored, was not asked yet.

    It passes as soon as the node answers: the jobs ask it, and so does `kgo chain watch`.
    """

    code = "log_unjudged"


_CHECKPOINTS = Rows(SignedCheckpoint)


def seal(unit: Unit, end: LogEnd) -> str | None:
    """Write the unit's new entries with their tiles and their checkpoint, and move the head; the signed note, if any.

    The entries go first, so that PostgreSQL is busy with them while they are hashed and signed here.
    """
    if not unit.leaf_hashes:
        unit.flush()
        return None
    begun = tree.begun(unit, end.frontier)
    with unit.driver.together():
        unit.send()
        frontier, nodes = tree.grow(unit, end.frontier, begun)
        note = _sign(unit.city, unit.keys, frontier.size, frontier.root())
        unit.insert(_CHECKPOINTS, (unit.city.id, frontier.size, note, nodes, unit.now_ms))
        cities.move_head(unit.driver, unit.city.id, frontier, unit.now_ms)
        unit.send()
    return note


def seal_empty(session: Session, city: City, keys: CityKeys) -> None:
    """Sign the checkpoint of a city's empty log."""
    note = _sign(city, keys, 0, Frontier().root())
    session.add(SignedCheckpoint(city=city.id, size=0, note=note, at=BEFORE_ALL))
    session.flush()


def latest(session: Session, city: str) -> SignedCheckpoint:
    """The newest checkpoint of a city."""
    query = select(SignedCheckpoint).where(SignedCheckpoint.city == city)
    return session.scalars(query.order_by(SignedCheckpoint.size.desc()).limit(1)).one()


def covering(session: Session, city: str, seq: int) -> SignedCheckpoint:
    """The first checkpoint that covers entry `seq`."""
    query = select(SignedCheckpoint).where(SignedCheckpoint.city == city, SignedCheckpoint.size > seq)
    return session.scalars(query.order_by(SignedCheckpoint.size).limit(1)).one()


def last_seq_at(session: Session, city: str, at: datetime) -> int:
    """The seq of the last entry not later than `at`; -1 where there is none."""
    query = select(SignedCheckpoint.size).where(SignedCheckpoint.city == city, SignedCheckpoint.at <= at)
    size = session.scalar(query.order_by(SignedCheckpoint.at.desc(), SignedCheckpoint.size.desc()).limit(1))
    return (size or 0) - 1


def _sign(city: City, keys: CityKeys, size: int, root: bytes) -> str:
    return sign(Checkpoint(city.origin, size, root), keys.origin, keys.signer)


class Published:
    """The last checkpoint of each city that anybody may have seen, one file a city.

    Args:
        directory: where the files are.
        size_of: the size that a checkpoint states.
        has_chain: whether a city's log is anchored on a chain.
    """

    def __init__(
        self,
        directory: Path,
        size_of: Callable[[str], int] = lambda note: parse(note).size,
        has_chain: Callable[[str], bool] = lambda city: False,
    ) -> None:
        self.directory = directory
        self._size_of = size_of
        self._has_chain = has_chain
        self._guard = threading.Lock()  # a writer looks while what it did before is noted in another thread
        self._seen: dict[str, tuple[int, int]] = {}  # by city: the file's time at the last look, the longest log so far

    def record(self, city: str, note: str, size: int) -> None:
        """Remember a checkpoint that was just committed, unless a later one is remembered already."""
        path = self.directory / city
        with self._guard:
            looked_ns, longest = self._seen.get(city, (0, 0))
            self._seen[city] = looked_ns, max(longest, size)
        with self._locked(city):  # another process may be about to note an earlier one
            with suppress(FileNotFoundError):
                if self._size_of(path.read_text("utf-8")) >= size:
                    return
            _replace(path, note)

    def doubt(self, city: str, size: int, root: bytes) -> None:
        """Have nothing signed until the log has this root at this size: a chain has it so, for good."""
        with self._locked(city):
            _replace(self._anchor(city), f"{size}\n{root.hex()}\n")

    def is_doubted(self, city: str, size: int) -> bool:
        """Whether there is such a word of a chain, or the log, of `size` entries now, has been longer before.

        Every process sees it before its next batch, whatever was exchanged beside it.
        """
        with self._guard:
            looked_ns, longest = self._seen.get(city, (0, 0))
            with suppress(OSError):
                path = self.directory / city
                if (changed_ns := path.stat().st_ctime_ns) != looked_ns:
                    looked_ns, longest = changed_ns, max(longest, self._size_of(path.read_text("utf-8")))
            self._seen[city] = looked_ns, max(longest, size)
        return longest > size or self._anchor(city).exists()

    def trust(self, city: str) -> None:
        """Note that a chain was asked, and that the log leads to what it has of it."""
        if self.is_trusted(city):
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            self._place.touch(exist_ok=False)
        with suppress(FileNotFoundError):
            os.utime(self.directory / city)
        _replace(self._judged(city), self._here())

    def is_trusted(self, city: str) -> bool:
        """Whether a chain was asked since these files came to be where they are."""
        try:
            return self._judged(city).read_text("ascii") == self._here() and not self._is_copied(city)
        except FileNotFoundError:
            return False

    def check(self, session: Session, city: City, keys: CityKeys, size: int) -> None:
        """Make sure that the database, whose log has `size` entries, extends what was shown.

        Raises:
            LogBehindPublished: it does not.
            LogUnjudged: nobody knows yet.
            ValueError: the file is no checkpoint of this city.
        """
        anchor = self._anchor(city.id)
        if anchor.exists():
            told = anchor.read_text("ascii")
            anchored, root = told.split()
            if size < int(anchored) or tree.root_at(session, city.id, int(anchored)).hex() != root:
                raise LogBehindPublished("anchor", city=city.id, shown_size=int(anchored), size=size)
            with self._locked(city.id), suppress(FileNotFoundError):
                if anchor.read_text("ascii") == told:  # else a chain has said more meanwhile
                    anchor.unlink()
        elif self._has_chain(city.id) and not self.is_trusted(city.id):
            raise LogUnjudged(city=city.id, remedy="the chain's node has to answer; try: kgo chain watch")
        _, longest = self._seen.get(city.id, (0, 0))
        if size < longest:
            raise LogBehindPublished(city=city.id, shown_size=longest, size=size)
        path = self.directory / city.id
        if not path.exists():
            return
        shown = verify(path.read_text("utf-8"), keys.vkey)
        if size < shown.size or tree.root_at(session, city.id, shown.size) != shown.root:
            raise LogBehindPublished(city=city.id, shown_size=shown.size, size=size)

    def _is_copied(self, city: str) -> bool:
        """Whether the checkpoint was put there by whoever restores: a copy keeps the time of its writing.

        A program that copies only what differs leaves all other files of the directory alone.
        """
        try:
            found = (self.directory / city).stat()
        except FileNotFoundError:
            return False
        return found.st_ctime - found.st_mtime > COPIED_SECONDS

    @contextmanager
    def _locked(self, city: str) -> Iterator[None]:
        """Keep all others, in whatever process, from what they would write here about a city."""
        with self._lock(city) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _lock(self, city: str) -> IO[str]:
        path = self.directory / f"{city}.lock"
        try:
            return path.open("w")
        except FileNotFoundError:
            self.directory.mkdir(parents=True, exist_ok=True)
            return path.open("w")

    def _anchor(self, city: str) -> Path:
        return self.directory / f"{city}.anchor"

    def _judged(self, city: str) -> Path:
        return self.directory / f"{city}.judged"

    @property
    def _place(self) -> Path:
        return self.directory / ".place"

    def _here(self) -> str:
        """By what these files are known: a copy of a file, however it was made, has another inode or change time."""
        found = self._place.stat()
        return f"{found.st_ino} {found.st_ctime_ns}\n"


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole; readers find the old one or the new one, also after the power has gone."""
    draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else the new name may be on the disk before what it names
    draft.replace(path)
