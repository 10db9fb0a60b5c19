"""A program beside the server that lives as long as the server does, and is started again when it ends before."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading

AGAIN_SECONDS = 0.5
"""How long to wait before one that has ended is started again."""

ENDS_A_SERVER = frozenset({signal.SIGINT, signal.SIGTERM})

log = logging.getLogger(__name__)


class Companion:
    """Runs a module as a program from the beginning of a block to its end.

    Its standard input ends when it is to end: at the end of the block, or when this process is gone. It is deaf to the
    signals that end a server, for a terminal and a supervisor send them to all processes of one.

    Args:
        module: its name.
        end_seconds: how long it may take to end; then it is killed.
    """

    def __init__(self, module: str, end_seconds: float) -> None:
        self._module = module
        self._end_seconds = end_seconds
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"keeper-{module}", daemon=True)

    def __enter__(self) -> Companion:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._ending.set()
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._keeper.join(self._end_seconds)
        if process is not None and self._keeper.is_alive():
            log.error("%s did not end within %g s and is killed", self._module, self._end_seconds)
            process.kill()
            self._keeper.join()

    def _keep(self) -> None:
        while not self._ending.is_set():
            status: int | OSError | None = None
            try:
                if process := self._start():
                    status = process.wait()
            except OSError as failure:  # there is no room for one more process at the moment
                status = failure
            if not self._ending.is_set():
                log.error("%s ended with %s and is started again", self._module, status)
            self._ending.wait(AGAIN_SECONDS)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._ending.is_set():
                return None
            heard = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS_A_SERVER)  # what it is born with, it keeps
            try:
                # -P: a directory that is called like the module, where the server was started, is not meant.
                command = [sys.executable, "-P", "-m", self._module]
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - a module of ours
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, heard)
            return self._process
