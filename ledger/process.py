"""How a process of the ledger uses the machine: when garbage is looked for, where it runs, and whom it interrupts."""

from __future__ import annotations

import fcntl
import gc
import os
from itertools import count
from pathlib import Path

COLLECT_AFTER = 50_000
"""Objects between two searches for garbage: those of several batches. Cycles are rare here, so that little is found."""


def collect_rarely() -> None:
    """Search for garbage as rarely as suits writing in batches; call it when everything is loaded.

    A batch makes thousands of objects that live until its end. With Python's own settings the collector goes through
    them many times, and now and then through all that was ever loaded, while everybody waits: on check-ins a sixth of
    the processor's time and half of the slowest answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def keep_to_one_core(directory: Path) -> int | None:
    """Keep this process to one core, another than that of its siblings as long as there are enough.

    Only one thread of Python runs at a time. Where the threads of a process are spread over the cores, each passes the
    interpreter's lock to one that sleeps on another core, and waking that one takes longer than what it has to do.

    Args:
        directory: that of this server; a lock in it says that a core is taken, as long as the process lives.

    Returns:
        The core; None where there is no choice.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0), reverse=True)  # the first ones serve interrupts as well
    if len(cores) < 2:
        return None
    for round_ in count():
        for core in cores:
            if lock_for_life(directory / f"core-{core}-{round_}") is not None:
                os.sched_setaffinity(0, {core})
                return core
    raise AssertionError


def let_others_finish() -> None:
    """Have this thread, and the processes that it starts, interrupt nobody when they wake.

    Where more processes are woken by requests than there are cores, each interrupts another one that would have been
    done in a moment, and a request costs half as much again. The price is paid while all cores are busy: whoever
    wakes then waits for a core, a page of 5 ms takes 15.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lock_for_life(path: Path) -> int | None:
    """Lock a file until this process ends, or closes the descriptor that it gets; None if another one has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
