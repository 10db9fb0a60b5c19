"""Where the tests keep their databases: in memory where the machine has it to spare, on disk elsewhere.

The databases keep their durable settings (`fsync`, `synchronous`) in either place. The tests kill processes, never
machines, so what was synced to a file in memory outlives everything that they do; and a slow or busy disk, on
which each of some ten thousand commits waits, no longer decides how long the tests take.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a mount, in which mkdtemp makes a private directory

ENOUGH_BYTES = 4 << 30
"""Free memory below which the disk is used instead."""


def directory(prefix: str) -> Path:
    """A new private directory; the caller removes it."""
    usable = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ENOUGH_BYTES
    return Path(tempfile.mkdtemp(prefix=prefix, dir=SHARED_MEMORY if usable else None))
