"""A scribe in a thread of the tests' own process, on an installation opened for it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from api import scribe
from api.i18n import Catalogue
from api.relay import DOOR
from api.services import Services
from ledger.installation import Installation

SOON_SECONDS = 20
"""In which what is awaited comes on any machine."""


def _is_open(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as visitor:
        return visitor.connect_ex(str(door)) == 0


class Running(NamedTuple):
    """A scribe that runs."""

    installation: Installation
    ask_to_end: int
    thread: threading.Thread

    def end(self) -> None:
        """End it in order, as when the server ends it."""
        os.write(self.ask_to_end, b"!")
        self.thread.join(SOON_SECONDS)
        assert not self.thread.is_alive()


@contextmanager
def running(installation: Installation, directory: Path) -> Iterator[Running]:
    """A scribe of a server's directory from now on; it may be ended before the block is."""
    known = Services(installation, Catalogue.load(), installation.writer.clock)
    until, ask_to_end = os.pipe()
    thread = threading.Thread(target=scribe.serve, args=(known, directory, until))
    thread.start()
    wait = threading.Event()
    while not _is_open(directory / DOOR) and thread.is_alive():
        wait.wait(0.001)
    made = Running(installation, ask_to_end, thread)
    try:
        yield made
    finally:
        made.end()
        os.close(until)
        os.close(ask_to_end)
