"""Where a log can be mirrored to: a directory, or a bucket that speaks S3.

Both keep files under slash-separated paths. A write is all or nothing: whoever reads meanwhile, and whoever comes after
a power cut, finds the old bytes or the new ones. Writes may happen in any order and later than they are called for;
`flush` returns when all of them are durable.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ledger.errors import LedgerError

SCHEME = "s3://"
AT_ONCE = 16
"""How many files are on their way to a bucket at a time."""

DRAFT, LOCK = ".draft", ".lock"
"""Files of the publisher's own in a directory: what is being written, and who writes."""


class MirrorBusy(LedgerError):
    """Another process is publishing into the same directory."""

    code = "mirror_busy"


class MirrorUnreachable(LedgerError):
    """The bucket cannot be opened, or refuses what was asked of it."""

    code = "mirror_unreachable"


class Target(Protocol):
    """A place that keeps files."""

    def hold(self) -> Any:
        """A context in which nobody else writes, as far as the place can tell; left in order, all is flushed."""
        ...

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None where there is none."""
        ...

    def write(self, path: str, content: bytes, *, media: str, cache: str) -> None:
        """Put a file there, in place of one that may be there; with its content type and caching, if that is kept."""
        ...

    def remove(self, path: str) -> None:
        """Take a file away, if it is there."""
        ...

    def names(self, folder: str) -> list[str]:
        """The files right in a folder."""
        ...

    def flush(self) -> None:
        """Return when everything written is durable."""
        ...


def open_target(address: str) -> Target:
    """The target that an address names: `s3://bucket/prefix`, or else a directory.

    Raises:
        MirrorUnreachable: it names a bucket, and what that takes is not installed or not said.
    """
    return Bucket(address) if address.startswith(SCHEME) else Directory(Path(address))


class Directory:
    """A directory, which any static host can serve. It is made where there is none."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._touched: set[Path] = set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the directory against other publishers; the lock ends with the process.

        Raises:
            MirrorBusy: another has it.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / LOCK).open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise MirrorBusy(directory=str(self._root)) from None
            yield
            self.flush()

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes, *, media: str, cache: str) -> None:
        """Write beside, make that durable, and move it into place."""
        place, draft = self._root / path, self._root / DRAFT
        self._make(place.parent)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
        self._touched.add(place.parent)

    def remove(self, path: str) -> None:
        """Remove a file, and the folder it was in if that was its last."""
        place = self._root / path
        place.unlink(missing_ok=True)
        self._touched.add(place.parent)
        if place.parent != self._root and place.parent.is_dir() and not any(place.parent.iterdir()):
            place.parent.rmdir()
            self._touched.discard(place.parent)
            self._touched.add(place.parent.parent)

    def names(self, folder: str) -> list[str]:
        """The files in a folder."""
        place = self._root / folder
        return sorted(file.name for file in place.iterdir()) if place.is_dir() else []

    def flush(self) -> None:
        """Make the names durable; the bytes are already."""
        for folder in self._touched:
            if folder.is_dir():
                self._sync(folder)
        self._touched.clear()

    def _make(self, folder: Path) -> None:
        if folder != self._root and not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._touched.add(folder.parent)

    @staticmethod
    def _sync(folder: Path) -> None:
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class Bucket:
    """A bucket that speaks S3. Address, region and credentials come from the variables that every such tool reads."""

    def __init__(self, address: str) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise MirrorUnreachable(remedy="install boto3: pip install 'kgo-ledger[mirror]'") from None
        bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise MirrorUnreachable(remedy="name it as s3://bucket/prefix")
        self._faults: tuple[type[Exception], ...] = (BotoCoreError, ClientError)
        self._bucket, self._prefix = bucket, prefix.strip("/") + "/" if prefix.strip("/") else ""
        # Checksums beyond what S3 itself demands are more than many servers that speak like it understand.
        config = Config(
            retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60,
            max_pool_connections=AT_ONCE, request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )  # fmt: skip
        with self._told():
            self._s3 = boto3.client("s3", config=config)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mirror")
        self._waiting: set[Future[None]] = set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A bucket has no lock: see to it that one process publishes to it at a time."""
        try:
            yield
            self.flush()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def read(self, path: str) -> bytes | None:
        """An object's bytes, or None."""
        with self._told():
            try:
                content: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
            except self._s3.exceptions.NoSuchKey:
                return None
        return content

    def write(self, path: str, content: bytes, *, media: str, cache: str) -> None:
        """Hand an object to those that send; waits while as many as may be are on their way."""
        if len(self._waiting) >= AT_ONCE:
            done, self._waiting = wait(self._waiting, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
        self._waiting.add(self._pool.submit(self._put, path, content, media, cache))

    def remove(self, path: str) -> None:
        """Delete an object."""
        with self._told():
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + path)

    def names(self, folder: str) -> list[str]:
        """The objects whose keys go on from the folder's by a name alone; a folder holds fewer than a page of them."""
        start = f"{self._prefix}{folder}/"
        with self._told():
            page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=start)
        names = [found["Key"].removeprefix(start) for found in page.get("Contents", [])]
        return sorted(name for name in names if "/" not in name)

    def flush(self) -> None:
        """Wait for everything that is on its way."""
        while self._waiting:
            self._waiting.pop().result()

    def _put(self, path: str, content: bytes, media: str, cache: str) -> None:
        with self._told():
            self._s3.put_object(
                Bucket=self._bucket, Key=self._prefix + path, Body=content, ContentType=media, CacheControl=cache
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._faults as fault:
            raise MirrorUnreachable(bucket=self._bucket, reason=str(fault)) from fault
