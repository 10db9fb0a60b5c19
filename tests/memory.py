"""Where the tests keep their databases: in memory where the machine has it to spare, on disk elsewhere.

The databases keep their durable settings (`fsync`, `synchronous`) in either place. The tests kill processes, never
machines, so what was synced to a file in memory outlives everything that they do; and a slow or busy disk, on
which each of some ten thousand commits waits, no longer decides how long the tests take.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a mount, in which mkdtemp makes a private directory

ENOUGH_BYTES = 4 << 30
"""Free memory below which the disk is used instead."""


_NAME = re.compile(r"kgo-tests-(\d+)-")


def directory() -> Path:
    """A new private directory; the caller removes it. What killed runs left in memory goes first."""
    usable = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ENOUGH_BYTES
    if usable:
        _remove_left_over()
    return Path(tempfile.mkdtemp(prefix=f"kgo-tests-{os.getpid()}-", dir=SHARED_MEMORY if usable else None))


def _remove_left_over() -> None:
    for path in SHARED_MEMORY.iterdir():
        owner = _NAME.match(path.name)
        if owner and not Path("/proc", owner[1]).exists():
            shutil.rmtree(path, ignore_errors=True)
