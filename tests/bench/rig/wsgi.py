"""WSGI applications called in this process, by threads as a server's are, without a server: what their code costs."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CREATED = "201"


@dataclass(frozen=True)
class Call:
    """A POST with a JSON body, as often as wanted."""

    path: str
    body: bytes
    token: str | None = None

    @classmethod
    def of(cls, path: str, body: object, token: str | None = None) -> Call:
        """With a body that is still to be written as JSON."""
        return cls(path, json.dumps(body, separators=(",", ":")).encode(), token)

    def environ(self) -> dict[str, Any]:
        """What a server hands to the application; a new one for each request."""
        found: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(self.body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if self.token:
            found["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        return found


@dataclass(frozen=True)
class Cost:
    """What a number of requests cost: wall time, and what all threads of this process spent of the processors."""

    requests: int
    wall_seconds: float
    processor_seconds: float

    @property
    def wall_us(self) -> float:
        """Microseconds from one answer to the next."""
        return 1e6 * self.wall_seconds / self.requests

    @property
    def processor_us(self) -> float:
        """Microseconds of processor time a request."""
        return 1e6 * self.processor_seconds / self.requests


def measured(calls: Sequence[Call], work: Callable[[Iterator[Call]], Iterable[str]]) -> Cost:
    """What it costs to send every call once. `work` sends those it is given and returns what was not answered with 201.

    Raises:
        RuntimeError: an answer was not 201.
    """
    started, used = time.perf_counter(), time.process_time()
    refused = list(work(iter(calls)))
    cost = Cost(len(calls), time.perf_counter() - started, time.process_time() - used)
    if refused:
        raise RuntimeError(f"{len(refused)} of {len(calls)} requests failed, the first with {refused[0]}")
    return cost


def carry_out(app: WSGIApplication, calls: Sequence[Call], threads: int) -> Cost:
    """Send every call once, over so many threads.

    Raises:
        RuntimeError: an answer was not 201.
    """

    def work(waiting: Iterator[Call]) -> list[str]:
        refused: list[str] = []
        workers = [threading.Thread(target=lambda: refused.extend(_work(app, waiting))) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return refused

    return measured(calls, work)


def _work(app: WSGIApplication, waiting: Iterator[Call]) -> Iterator[str]:
    """Take calls until none is left; yields what was not answered with 201."""
    statuses: list[str] = []
    written: list[bytes] = []

    def start_response(status: str, _headers: object, _fault: object = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return written.append

    for call in waiting:
        answer = app(call.environ(), start_response)
        body = b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        if not statuses[-1].startswith(CREATED):
            yield f"{statuses[-1]} {body[:200]!r}"
