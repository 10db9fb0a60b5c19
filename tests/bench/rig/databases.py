"""Where a measurement keeps its databases: on the disk, for a commit that costs nothing measures nothing.

The directory is the system's temporary one; `TMPDIR` chooses another. In memory (`memory=True`) what is left is the
work of the processors; such figures are for finding what to improve, not for telling others.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import memory, postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
KINDS = (SQLITE, POSTGRESQL)

_NAME = re.compile(r"kgo-bench-(\d+)-")


@dataclass(frozen=True)
class Databases:
    """A private directory, and two empty databases: one for the product, one for what it is compared with."""

    directory: Path
    product: str
    other: str


@contextmanager
def databases(kind: str, *, memory_only: bool = False) -> Iterator[Databases]:
    """Two databases of a kind, gone afterwards with everything else in the directory."""
    directory = memory.directory() if memory_only else _directory()
    server = None
    try:
        if kind == SQLITE:
            yield Databases(directory, *(f"sqlite:///{directory / name}.sqlite" for name in ("product", "other")))
        else:
            directory.chmod(0o755)  # PostgreSQL runs as somebody else where this process is root
            files = directory / "postgresql"
            files.mkdir()
            server = postgres.start(files)
            yield Databases(directory, *(server.url(server.create()) for _ in range(2)))
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _directory() -> Path:
    """A new directory on the disk; what killed measurements left there goes first, for it can be gigabytes."""
    for path in Path(tempfile.gettempdir()).glob("kgo-bench-*"):
        owner = _NAME.match(path.name)
        if owner and not Path("/proc", owner[1]).exists():
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"kgo-bench-{os.getpid()}-"))


def syncs_per_s(directory: Path, seconds: float = 0.5) -> float:
    """How often a second a block can be written so that it outlives a power cut: what one lonely commit costs."""
    path = directory / "sync"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            os.write(file, bytes(4096))
            os.fdatasync(file)
            count += 1
    finally:
        os.close(file)
        path.unlink()
    return count / elapsed
