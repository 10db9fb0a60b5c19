"""Processes that do not outlive the one that started them, however that ends: the kernel sees to it.

A test run that is killed, or that ends itself because it hangs, tidies nothing up. What it started is told to end by
the kernel all the same: servers in order, since they have workers of their own to end.

The parent is the *thread* that starts the process: one that is to live on is not started by a thread that ends.
"""

from __future__ import annotations

import ctypes
import signal
import sys

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2); Linux alone has it
_libc = ctypes.CDLL(None)


def end_with_parent(sent: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when its parent dies; `Popen` takes it as `preexec_fn`."""
    if sys.platform == "linux":
        _libc.prctl(_PARENT_DEATH_SIGNAL, sent)
