"""A companion: begins and ends with the block, is started again when it falls, and outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ledger import companion
from ledger.companion import Companion
from tests.parent import end_with_parent
from tests.servers import ROOT
from tests.waiting import until

MODULE = "a_companion"
WAITS = """
import os, sys
from pathlib import Path
place = Path(os.environ["PLACE"])
(place / f"began.{os.getpid()}").touch()
sys.stdin.read()
(place / f"ended.{os.getpid()}").touch()
"""
STAYS = WAITS + "import threading\nthreading.Event().wait()\n"
FALLS = WAITS.replace("sys.stdin.read()", "os._exit(3)")
STARTER = f"""
import threading
from ledger.companion import Companion
with Companion({MODULE!r}, 30):
    threading.Event().wait()
"""
LONG = 60
"""Seconds that are never waited for where all is well."""


def is_alive(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Place:
    """Where the programs are, and say what they do."""

    directory: Path

    def put(self, text: str) -> None:
        """Make a program of this."""
        (self.directory / f"{MODULE}.py").write_text(text)

    def told(self, what: str) -> set[int]:
        """Which processes have said so."""
        return {int(path.suffix[1:]) for path in self.directory.glob(f"{what}.*")}

    def one(self) -> int:
        """The one process that began, once it has."""
        until(lambda: bool(self.told("began")))
        (process,) = self.told("began")
        return process


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty directory in which Python finds modules."""
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(companion, "AGAIN_SECONDS", 0.01)
    return Place(tmp_path)


def test_it_lives_from_the_beginning_of_the_block_to_its_end(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Its input ends then and it ends in order: nothing has to be killed, and nothing is told."""
    place.put(WAITS)
    with Companion(MODULE, LONG):
        process = place.one()
        assert is_alive(process)
        assert place.told("ended") == set()
    assert place.told("ended") == place.told("began") == {process}
    assert not is_alive(process)
    assert caplog.messages == []


def test_it_is_started_again_after_it_was_killed(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """As often as it takes; the last one ends with the block, and each fall is told."""
    place.put(WAITS)
    with Companion(MODULE, LONG):
        for count in (1, 2, 3):
            until(lambda: len(place.told("began")) == count)
            (process,) = (one for one in place.told("began") if is_alive(one))
            if count < 3:
                os.kill(process, signal.SIGKILL)
    assert place.told("ended") == {process}
    assert caplog.messages == [f"{MODULE} ended with -9 and is started again"] * 2


def test_it_is_started_again_after_it_ended_by_itself(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Also one that is put right meanwhile."""
    place.put(FALLS)
    with Companion(MODULE, LONG):
        until(lambda: len(place.told("began")) > 1)
        place.put(WAITS.replace("began", "back"))
        until(lambda: bool(place.told("back")))
    assert f"{MODULE} ended with 3 and is started again" in caplog.messages
    assert place.told("ended") == place.told("back")


def test_it_is_started_once_there_is_room_for_it(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """A machine that can start no process at the moment can do so later."""
    place.put(WAITS)
    start, full = subprocess.Popen, [BlockingIOError("no more processes")]

    def try_to_start(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        if full:
            raise full.pop()
        return start(*given, **more)

    with mock.patch("ledger.companion.subprocess.Popen", try_to_start), Companion(MODULE, LONG):
        until(lambda: bool(place.told("began")))
    assert "no more processes" in caplog.text


def test_it_is_not_started_again_after_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The end does not wait for the time at which it would have been, and no thread is left that would do it."""
    monkeypatch.setattr(companion, "AGAIN_SECONDS", 3_600)
    place.put(FALLS)
    with Companion(MODULE, LONG):
        process = place.one()
        until(lambda: bool(caplog.messages))
    assert place.told("began") == {process}
    assert f"keeper-{MODULE}" not in {thread.name for thread in threading.enumerate()}


def test_it_is_killed_if_it_does_not_end(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """One that goes on without its input ends with the block all the same, and that is told."""
    place.put(STAYS)
    with Companion(MODULE, 0.01):
        process = place.one()
    assert not is_alive(process)
    assert caplog.messages == [f"{MODULE} did not end within 0.01 s and is killed"]
    assert place.told("began") == {process}


def test_it_is_deaf_to_what_ends_a_server(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Signals that a terminal sends to all processes do not reach it: it ends when its input does; others reach it."""
    place.put(WAITS)
    with Companion(MODULE, LONG):
        process = place.one()
        for sent in companion.ENDS_A_SERVER:
            os.kill(process, sent)
    assert place.told("ended") == {process}
    assert caplog.messages == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()).isdisjoint(companion.ENDS_A_SERVER)


def test_it_is_the_module_of_that_name_and_no_file_that_lies_about(
    place: Place, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in the directory where the server was started is not meant."""
    place.put(WAITS)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / f"{MODULE}.py").write_text(WAITS.replace("began", "strayed"))
    monkeypatch.chdir(elsewhere)
    with Companion(MODULE, LONG):
        process = place.one()
    assert (place.told("ended"), place.told("strayed")) == ({process}, set())


def test_it_ends_when_whoever_started_it_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody is left to end it: its input ends, since nobody else has the other end."""
    monkeypatch.setenv("PYTHONPATH", f"{place.directory}{os.pathsep}{ROOT}")
    place.put(WAITS)
    with subprocess.Popen([sys.executable, "-c", STARTER], preexec_fn=end_with_parent) as starter:
        process = place.one()
        assert place.told("ended") == set()
        starter.kill()
    until(lambda: place.told("ended") == {process})
