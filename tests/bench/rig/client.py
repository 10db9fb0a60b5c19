"""A cheap HTTP/1.1 load: keep-alive connections with one request in flight on each, in a process of its own.

The client shares the machine with the server that it measures, so it does next to nothing: raw sockets, `epoll`,
requests that were written beforehand, and of an answer only the status and the length. What it takes of the
processors all the same is told. Nothing is sent after the time is up, and what is under way is waited for: every
request that was carried out is counted.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, cycle

from tests.parent import end_with_parent

CREATED = "201"
RECEIVE_BYTES = 16 * 1024
"""How much is received at once. Every call allocates as much: with a megabyte this client took twice the time."""
SILENCE_SECONDS = 30
"""After this long without any answer the rest counts as lost."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What to send, over how many connections, for how long.

    Attributes:
        once: send each request at most once; otherwise from the start again.
        afterwards: what to send, over and over, when none is left; without it the round ends early.
    """

    port: int
    clients: int
    seconds: float
    requests: Sequence[str]
    once: bool = False
    afterwards: Sequence[str] = ()


@dataclass(frozen=True)
class Answers:
    """What came back. `per_s` counts the answers 201 alone; latencies are of all answers, in milliseconds.

    `client_us` is the processor time, in microseconds, that this client took for one request.
    """

    created: int
    seconds: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    statuses: dict[str, int]
    lost: int
    body_bytes: int
    client_us: float

    @property
    def per_s(self) -> float:
        """Requests carried out in a second."""
        return self.created / self.seconds

    @property
    def failed(self) -> int:
        """Requests that were not carried out, or not answered."""
        return sum(self.statuses.values()) - self.created + self.lost


@dataclass
class _Connection:
    socket: socket.socket
    received: bytes = b""
    sent_at: float = 0.0


@dataclass
class _Tally:
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    body_bytes: int = 0


def request(path: str, body: object, token: str | None = None) -> str:
    """The text of a POST with a JSON body."""
    content = json.dumps(body, separators=(",", ":"))
    head = ["Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    return "\r\n".join([f"POST {path} HTTP/1.1", *head, "", content])


def run(load: Load) -> Answers:
    """Put a load on a server from a new process; returns when it is over."""
    command = [sys.executable, "-m", "tests.bench.rig.client"]
    done = subprocess.run(command, input=json.dumps(asdict(load)).encode(), stdout=subprocess.PIPE, check=True)
    return Answers(**json.loads(done.stdout))


def drive(load: Load) -> Answers:
    """Put a load on a server from this thread."""
    encoded, afterwards = ([one.encode() for one in part] for part in (load.requests, load.afterwards))
    waiting = chain(encoded, cycle(afterwards)) if load.once else cycle(encoded)
    tally, poll = _Tally(), select.epoll()
    connections: dict[int, _Connection] = {}
    for _ in range(load.clients):
        made = socket.create_connection(("127.0.0.1", load.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(made.fileno(), select.EPOLLIN)
        connections[made.fileno()] = _Connection(made)
    used, lost = time.process_time(), 0
    started = last = time.perf_counter()
    busy = {number: one for number, one in connections.items() if _send(one, waiting)}
    while busy:
        ready = poll.poll(SILENCE_SECONDS)
        if not ready:
            lost += len(busy)
            break
        for number, _ in ready:
            connection = busy[number]
            data = connection.socket.recv(RECEIVE_BYTES)
            if not data:
                lost += 1
                del busy[number]
                poll.unregister(number)
                continue
            connection.received += data
            if not _complete(connection, tally):
                continue
            last = time.perf_counter()
            tally.latencies.append(last - connection.sent_at)
            if last - started >= load.seconds or not _send(connection, waiting):
                del busy[number]
                poll.unregister(number)
    for one in connections.values():
        one.socket.close()
    return _sum_up(tally, last - started, lost, time.process_time() - used)


def _send(connection: _Connection, waiting: Iterator[bytes]) -> bool:
    """Send the next request, if there is one."""
    following = next(waiting, None)
    if following is None:
        return False
    connection.received = b""
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(following)
    return True


def _complete(connection: _Connection, tally: _Tally) -> bool:
    """Whether the whole answer is there; then it is noted."""
    head, end, body = connection.received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head)
    if length is None:
        raise ValueError(f"an answer without a length: {head!r}")
    if len(body) < int(length[1]):
        return False
    tally.statuses[head[9:12].decode()] += 1
    tally.body_bytes = len(body)
    return True


def _sum_up(tally: _Tally, seconds: float, lost: int, used: float) -> Answers:
    ordered = sorted(tally.latencies) or [0.0]
    p50, p99, slowest = (1_000 * ordered[int((len(ordered) - 1) * share)] for share in (0.5, 0.99, 1))
    created, client_us = tally.statuses[CREATED], 1e6 * used / len(ordered)
    seconds = max(seconds, 1e-9)
    return Answers(created, seconds, p50, p99, slowest, dict(tally.statuses), lost, tally.body_bytes, client_us)


if __name__ == "__main__":
    end_with_parent()
    sys.stdout.write(json.dumps(asdict(drive(Load(**json.load(sys.stdin))))))
