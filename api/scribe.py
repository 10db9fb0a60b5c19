"""The scribe: the one process of a server that writes for all others, and does nothing else.

Writers of several processes meet at the city's head. Each then has a part of those who wait in its batch, and a batch
costs nearly as much as one of them all. Where the one that writes also reads requests, the two take the interpreter's
lock from each other. So the server keeps this process beside its web processes. They read the requests, send the
*orders* in them through a socket in the server's directory (`api/relay.py`), and write the answers. Each city has a
thread here, whose line is those sockets (`api/desk.py`).

Nothing depends on the scribe but speed: while it cannot be reached, each process writes by itself, and the city's head
orders them. The server starts it again when it ends, however that comes about. It ends when its input does: then the
server has ended, or asks it to, after its web processes. The signals that end a server are for the server.
"""

from __future__ import annotations

import logging
import os
import select
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

from api import edge, v1
from api.desk import Desk, Pace
from api.i18n import Catalogue
from api.orders import Orders
from api.relay import DOOR, WELCOME
from api.services import Services
from ledger import logs, process
from ledger.config import FIGURES, Settings
from ledger.installation import assemble
from ledger.metrics import BookMetrics, new_registry
from ledger.values import utc_now

GREETING_SECONDS = 1.0
"""How long a process that comes may take to say of which city its orders are."""

PACES = {"sqlite": Pace(least=0.3, most=0.5), "postgresql": Pace(least=0.3, most=1.0)}
"""How batches are made. On PostgreSQL one costs some 4 ms beside its commands, as much as forty of them: no orders are
left to the next one."""

log = logging.getLogger(__name__)


class Scribe:
    """The desks of all cities.

    Args:
        known: the services of this process.
    """

    def __init__(self, known: Services) -> None:
        self._known = known
        self._orders = Orders(known, v1.writes())
        self._pace = PACES[known.installation.database.engine.dialect.name]
        self._desks: dict[str, tuple[Desk, threading.Thread]] = {}

    def receive(self, door: socket.socket, until: int) -> None:
        """Let processes in; until what as for `serve`."""
        with selectors.DefaultSelector() as watched:
            watched.register(door, selectors.EVENT_READ)
            watched.register(until, selectors.EVENT_READ)
            while all(key.fd != until for key, _ in watched.select()):
                with suppress(OSError):
                    self._greet(door.accept()[0])

    def end(self) -> None:
        """Answer those who are here, and end."""
        for desk, thread in self._desks.values():
            desk.end()
            thread.join()

    def _greet(self, connection: socket.socket) -> None:
        """Put a process into the line of the city that it names."""
        try:
            connection.settimeout(GREETING_SECONDS)
            desk = self._desk(_greeting(connection))
            connection.sendall(WELCOME)
            desk.join(connection)
        except Exception as failure:  # it writes by itself
            log.debug("a process was not let in: %s", failure)
            connection.close()

    def _desk(self, city: str) -> Desk:
        if city not in self._desks:
            facts, writer = self._known.city(city), self._known.installation.writer
            overloaded = partial(writer.observer.overloaded, city)
            desk = Desk(partial(self._orders.write, facts), overloaded, writer.max_queue, self._pace)
            thread = threading.Thread(target=self._serve, args=(city, desk), name=f"writer-{city}", daemon=True)
            self._desks[city] = desk, thread
            thread.start()
        return self._desks[city][0]

    def _serve(self, city: str, desk: Desk) -> None:
        try:
            self._known.installation.writer.serve(city, desk)
        except BaseException:
            log.exception("the writer of %s ended", city)
            os._exit(1)  # whoever waits learns of it, and the server starts another one
        else:
            desk.close()


def _greeting(connection: socket.socket) -> str:
    """The line that a process begins with; no octet behind it is read."""
    line = bytearray()
    while letter := connection.recv(1):
        if letter == b"\n":
            return line.decode("ascii")
        line += letter
    raise ConnectionResetError


def serve(known: Services, directory: Path, until: int) -> None:
    """Write for all processes of a server until there is something to read at a descriptor, or its other end closes.

    Args:
        known: the services of this process.
        directory: the server's.
        until: the file descriptor.
    """
    scribe, place = Scribe(known), directory / DOOR
    with socket.socket(socket.AF_UNIX) as door:
        try:
            place.unlink(missing_ok=True)  # of one that fell
            door.bind(str(place))
            door.listen()
        except OSError as failure:  # such as a path that is too long for a socket: to start again would not help
            log.warning("each process writes by itself, for %s cannot be a socket: %s", place, failure)
            select.select([until], [], [])
            return
        scribe.receive(door, until)
    scribe.end()


def main() -> None:
    """Write until the standard input ends."""
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, signal.SIG_IGN)
    settings, directory = Settings.from_environment(), Path(os.environ[FIGURES])
    logs.configure(settings.log, edge.log_context)
    with assemble(settings, utc_now, BookMetrics(new_registry())) as installation:
        known = Services(installation, Catalogue.load(), utc_now)
        process.collect_rarely()
        serve(known, directory, sys.stdin.fileno())


if __name__ == "__main__":
    main()
