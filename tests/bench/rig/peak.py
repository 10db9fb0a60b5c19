"""A `kgo` command in a process of its own, and how much memory that process ever held.

The figure comes from the process itself: what the kernel tells a parent about its child counts the parent's own memory
in, which the child shares for the moment between its birth and its start as another program.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Peak:
    """What a command took: megabytes of memory at most, and seconds."""

    megabytes: float
    seconds: float


def of(arguments: Sequence[str], environment: Mapping[str, str]) -> Peak:
    """Run `kgo ARGUMENTS` and measure it.

    Raises:
        RuntimeError: the command failed, with what it said.
    """
    command = [sys.executable, "-m", "tests.bench.rig.peak", *arguments]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"kgo {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Peak(json.loads(done.stdout.splitlines()[-1])["peak_mb"], elapsed)


def main() -> int:
    """Run the command, then say the peak in a last line."""
    from ledger import cli
    from tests.parent import end_with_parent

    end_with_parent()
    status = cli.main(sys.argv[1:])
    sys.stdout.write("\n" + json.dumps({"peak_mb": _peak_megabytes()}) + "\n")
    return status


def _peak_megabytes() -> float:
    if STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    sys.exit(main())
