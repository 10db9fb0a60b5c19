"""What a process does to the machine it runs on."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import process

CORES = sorted(os.sched_getaffinity(0))
HOLDING = """
import os, sys, time
from pathlib import Path
from ledger.process import keep_to_one_core
print(keep_to_one_core(Path(sys.argv[1])), *os.sched_getaffinity(0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings_of_the_collector() -> Iterator[None]:
    """The collector as Python starts it; afterwards it is as it was, for the tests collect rarely too."""
    before = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.freeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("settings_of_the_collector")
def test_what_is_loaded_is_not_searched_again() -> None:
    """All that there is at the call is put aside, and the next search is far away."""
    process.collect_rarely()
    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold()[0] == process.COLLECT_AFTER
    assert gc.isenabled()


def test_siblings_take_turns_at_the_cores(tmp_path: Path) -> None:
    """As many processes as cores get one each; the next begins again; what a dead one had is free."""
    if len(CORES) == 1:  # nothing to choose from
        assert process.keep_to_one_core(tmp_path) is None
        return
    running: list[subprocess.Popen[str]] = []

    def another() -> int:
        running.append(_start(tmp_path))
        return _core(running[-1])

    try:
        first = [another() for _ in CORES]
        assert sorted(first) == CORES
        assert another() == first[0]
        running[1].kill()
        running[1].wait()
        assert another() == first[1]
    finally:
        for one in running:
            one.kill()
            one.communicate()


def _start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDING, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _core(running: subprocess.Popen[str]) -> int:
    assert running.stdout is not None
    taken, *kept_to = map(int, running.stdout.readline().split())
    assert kept_to == [taken]
    return taken


def test_who_lets_others_finish_hands_that_on_to_its_processes() -> None:
    """It is of the thread that asks for it, and of the processes that this one starts; of no other."""
    asking = "import os; print(os.sched_getscheduler(0))"
    found: list[int] = []

    def ask() -> None:
        process.let_others_finish()
        found.append(os.sched_getscheduler(0))
        found.append(int(subprocess.check_output([sys.executable, "-c", asking])))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [os.SCHED_BATCH] * 2
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
