"""Processes that do not outlive the measurement that started them, however it ends.

A measurement that is asked to end (SIGTERM, SIGHUP: a timeout, a closed terminal) ends as it does after Ctrl-C: it
unwinds and stops what it started. One that is killed cannot; therefore a server is started by way of this module,
which has the kernel send it SIGTERM when its parent dies and then becomes the server:

    python -m tests.bench.rig.processes COMMAND ARGUMENT…
"""

from __future__ import annotations

import os
import signal
import sys

from tests.parent import end_with_parent

WITH_PARENT = (sys.executable, "-m", "tests.bench.rig.processes")
"""Put before a command: it ends with the process that started it."""


def end_in_order() -> None:
    """Let the signals that ask this process to end unwind it, as Ctrl-C does."""
    for sent in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, _leave)


def _leave(number: int, _frame: object) -> None:
    for sent in (signal.SIGTERM, signal.SIGHUP):  # once is enough: what is being stopped is not interrupted
        signal.signal(sent, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    end_with_parent()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - there is no shell to want
