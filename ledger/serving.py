"""Starting the server, and telling each kind of user where to go.

The web server gets the application by its name, so that nothing here imports the HTTP layer. Its workers are
separate processes; the jobs run beside them in this one.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ledger import jobs, logs, process
from ledger.book import cities
from ledger.commerce import promotions
from ledger.commerce.promotions import PromotionView
from ledger.companion import Companion
from ledger.config import FIGURES, OWN, Settings
from ledger.installation import Installation, open_installation
from ledger.log.public import PublicLog
from ledger.observing import Observer
from ledger.people import tokens
from ledger.people.roles import Principal
from ledger.programme import activities, posters
from ledger.programme.activities import POSTER

APPLICATION = "api.app:create_front"
SCRIBE = "api.scribe"
INTERFACE: dict[str, Any] = {"interface": "asgi"}
"""What the application is to the web server."""

THREADS = 64
"""Requests in Flask per worker; those that write wait for the city's writer, which answers a batch at a time."""

KILL_SECONDS = 10
"""How long a worker may take to finish what it has begun, once it is to end."""

TURN_SECONDS = 1
"""After what time the server's main loop looks whether it is to end, though nobody has told it."""

CHAIN_SECONDS = 10
"""How long a start waits for the chains, so that a database that is older than its anchors signs nothing at all."""

HOME_CITY = "khon-kaen"

FIGURES_PREFIX = "kgo-figures-"
"""How the directories begin that hold the figures of running servers."""


def serve(
    data: Path | None,
    *,
    host: str,
    port: int,
    public_url: str | None,
    workers: int,
    welcome: bool,
    links: bool,
) -> None:
    """Serve until interrupted.

    Raises:
        LedgerError: the database does not answer, is not at the newest schema, or holds no city to welcome to.
        OSError: the address is taken.
    """
    public_url = public_url or os.environ.get("KGO_PUBLIC_URL") or f"http://{_reachable(host)}:{port}"
    settings = Settings.from_environment(data=data, public_url=public_url)
    _check_free(host, port)
    os.environ["KGO_DATA"] = str(settings.data)
    os.environ["KGO_PUBLIC_URL"] = settings.public_url
    os.environ["KGO_LOG"] = settings.log
    logs.configure(settings.log)
    with figures() as directory:
        os.environ[FIGURES] = str(directory)
        _serve(settings, host, port, workers, welcome=welcome, links=links)


def _serve(settings: Settings, host: str, port: int, workers: int, *, welcome: bool, links: bool) -> None:
    with open_installation(settings, _observer()) as installation:
        stop = threading.Event()
        every = timedelta(seconds=jobs.EVERY_SECONDS)
        public = PublicLog(installation)
        tend, asked = jobs.chain_job(installation), threading.Event()

        def tend_chains() -> None:
            jobs.run_safely(tend)
            asked.set()
            jobs.run_for_ever(tend, stop, every)

        threading.Thread(target=tend_chains, daemon=True).start()
        asked.wait(CHAIN_SECONDS)
        if welcome:
            print(_welcome(installation, links=links), flush=True)  # noqa: T201 - the command's answer
        for job in (partial(jobs.run_once, installation.writer), partial(jobs.collect_cosignatures, public)):
            threading.Thread(target=jobs.run_for_ever, args=(job, stop, every), daemon=True).start()
        try:
            with Companion(SCRIBE, KILL_SECONDS):
                _serve_http(host, port, workers)
        finally:
            stop.set()


_SERVER_LOGS = {
    "handlers": {},
    "loggers": {"_granian": {"level": "ERROR", "handlers": [], "propagate": True}},
}
"""The WSGI server's own lines, such as the end of a worker, look like all others."""


class _Bell:
    """What the web server's main loop waits for, in place of its `threading.Event`.

    The handlers of signals set it, in the thread that waits for it. There an event waits for its own lock, for ever,
    when a signal comes while another one is handled, or while the loop begins or ceases to wait. A `SimpleQueue` may
    be put to at any time. Each ring is a turn of the loop, which finds out what it was for.
    """

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Ring."""
        self._rings.put(None)

    def wait(self) -> None:
        """Wait for a ring, or for a little: a signal that came a moment before has not interrupted the waiting."""
        with suppress(Empty):
            self._rings.get(timeout=TURN_SECONDS)

    def clear(self) -> None:
        """Nothing: a ring that comes now has its turn."""


def _serve_http(host: str, port: int, workers: int) -> None:
    from granian import Granian
    from granian.constants import Loops
    from granian.log import LogLevels

    multiprocessing.set_start_method("spawn", force=True)
    if workers > process.cores():
        process.let_others_finish()
    server = Granian(
        APPLICATION,
        address=host,
        port=port,
        factory=True,
        workers=workers,
        respawn_failed_workers=True,
        log_level=LogLevels.error,
        log_dictconfig=_SERVER_LOGS,
        loop=Loops.uvloop,
        websockets=False,
        workers_kill_timeout=KILL_SECONDS,
        **INTERFACE,
    )
    server.main_loop_interrupt = _Bell()  # type: ignore[assignment]
    server.serve()


@contextmanager
def figures() -> Iterator[Path]:
    """A fresh directory for the figures of this server's processes, removed at its end.

    It stays locked as long as this process lives; hence the next start on this machine knows, and removes, what a
    killed server left behind.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{FIGURES_PREFIX}*"):
        if _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix="kgo-draft-"))
    lock = os.open(draft, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made = draft.rename(parent / f"{FIGURES_PREFIX}{draft.name.removeprefix('kgo-draft-')}")
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _abandoned(directory: Path) -> bool:
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _observer() -> Observer:
    """Counts the batches of this process, those of the jobs. Imported once the directory of the figures is known."""
    from ledger.metrics import BookMetrics, new_registry

    return BookMetrics(new_registry())


def begin_worker(settings: Settings) -> Path | None:
    """To be called in a worker before it has threads: it takes its core and ends with the server.

    Returns:
        The directory that the workers of this server share; None for one that `kgo serve` did not start.
    """
    figures = os.environ.get(FIGURES)
    directory = Path(figures) if figures else None
    if settings.cores == OWN and directory is not None:
        process.keep_to_one_core(directory)
    _end_with_server()
    return directory


def _end_with_server() -> None:
    """This process ends when the server that started it is gone, however that came about.

    A server that is killed tells its workers nothing. Without this they would go on, and hold the port, so that no
    new server could start.
    """
    server = multiprocessing.parent_process()
    if server is not None:
        threading.Thread(target=_end_after, args=(server,), name="end-with-server", daemon=True).start()


def _end_after(server: BaseProcess) -> None:
    server.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(KILL_SECONDS)
    os._exit(1)


def _welcome(installation: Installation, *, links: bool) -> str:
    """Where each kind of user goes, with fresh one-time links for the sample steward and shop."""
    base = installation.settings.public_url
    home = f"{base}/c/{HOME_CITY}/"
    lines = ["", f"  KGO Ledger serves {base}/", "", f"  learner   {home}"]
    if poster := _sample_poster(installation):
        lines.append(f"            {poster}   (what the sample poster's QR says)")
    if links:
        shop = _sample_shop(installation)
        steward = _link(installation, {"steward", "treasurer"})
        lines.append(f"  steward   {base}/l/{steward}   (opens once)")
        if shop:
            till = _link(installation, {"shop"}, shop.shop)
            lines.append(f"  shop      {base}/l/{till}   (opens once; {shop.shop_name_en}, {shop.title_en})")
    else:
        make = f"{sys.argv[0]} link create --data {installation.settings.data} --public-url {base} --city {HOME_CITY}"
        lines.append(f"  steward   {make} --role steward --role treasurer")
        lines.append(f"  shop      {home}shop/apply")
    lines += [
        f"  auditor   {home}audit/",
        f"  programs  {base}/docs   {base}/openapi.json",
        "",
        "  Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)


def _link(installation: Installation, roles: set[str], subject: str | None = None) -> str:
    return installation.writer.run(HOME_CITY, lambda unit: tokens.create_link(unit, roles, subject))


def _sample_shop(installation: Installation) -> PromotionView | None:
    """The sample promotion that a newcomer can pay for first; its shop is the one to try the till with."""
    with installation.database.read() as session:
        found = promotions.list_(session, HOME_CITY, installation.writer.clock())
    return next((one for one in found if one.sample), None)


def _sample_poster(installation: Installation) -> str | None:
    """The address in the QR of a sample poster whose activity is open and funded now."""
    now = installation.writer.clock()
    with installation.database.read() as session:
        city = cities.get(session, HOME_CITY)
        wanted = [one for one in activities.list_(session, city.id, now) if one.sample and one.mode == POSTER]
        if not wanted or not wanted[0].is_open:
            return None
        keys, address = installation.keys.get(city), installation.settings.public_url
        return posters.code(session, city, keys, Principal.system(city.id), wanted[0].id, address, now).url


def _reachable(host: str) -> str:
    """The address to tell people: for 0.0.0.0 the one that this machine has in its network. Sends nothing."""
    if host != "0.0.0.0":  # noqa: S104 - compared, not bound
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _check_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise OSError(
                f"port {port} of {host} cannot be used ({fault.strerror}); choose another with --port"
            ) from None
