"""An ASGI application called in this process, by as many clients as a server would serve, without a server.

All of them share one event loop, as they do in a server's process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from api.lane import Application
from tests.bench.rig.wsgi import CREATED, Call, Cost, measured


def carry_out(app: Application, calls: Sequence[Call], clients: int) -> Cost:
    """Send every call once, so many at a time.

    Raises:
        RuntimeError: an answer was not 201.
    """

    async def all_of(waiting: Iterator[Call]) -> list[str]:
        refused: list[str] = []
        await asyncio.gather(*(_client(app, waiting, refused) for _ in range(clients)))
        return refused

    return measured(calls, lambda waiting: asyncio.run(all_of(waiting)))


async def _client(app: Application, waiting: Iterator[Call], refused: list[str]) -> None:
    for call in waiting:
        sent: list[dict[str, Any]] = []

        async def receive(body: bytes = call.body) -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        await app(_scope(call), receive, send)
        if str(sent[0]["status"]) != CREATED:
            refused.append(f"{sent[0]['status']} {sent[1]['body'][:200]!r}")


def _scope(call: Call) -> dict[str, Any]:
    """What a server hands to the application; a new one for each request."""
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(call.body)),
    ]
    if call.token:
        headers.append((b"authorization", f"Bearer {call.token}".encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": call.path,
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
