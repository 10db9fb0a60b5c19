"""How a checkpoint reaches a witness: `POST <prefix>/add-checkpoint` over HTTP, or the installation's own directly.

Redirections are not followed and answers are read up to a bound. A connection is kept for the next request to the same
witness, and opened anew, once, where the witness has closed it meanwhile.
"""

from __future__ import annotations

import base64
import http.client
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from ledger.log.witness import Reply

TIMEOUT_SECONDS = 10.0
"""How long a witness may take to connect, and to say each part of its answer; the whole may take three times that."""

MAX_REPLY_BYTES = 65_536

Submit = Callable[[bytes], Reply]
"""Hands a request's body to a witness; its answer. Raises `Unreachable`."""


class Unreachable(Exception):
    """The witness did not answer, or not in HTTP; the argument says how, in a word."""


def request_body(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of a request: the old size, the consistency proof from there, and the checkpoint."""
    steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in proof)
    return f"old {old}\n{steps}\n{note}".encode()


class HttpWitness:
    """A witness at its submission prefix.

    Args:
        url: the prefix, http or https.
        timeout: see `TIMEOUT_SECONDS`.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url} is no submission prefix")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._path = f"{parts.path.rstrip('/')}/add-checkpoint"
        self._timeout = timeout

    def __call__(self, body: bytes) -> Reply:
        """Send a request.

        Raises:
            Unreachable: there was no whole answer in time.
        """
        fresh = self._connection.sock is None
        try:
            return self._exchange(body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as fault:
            self.close()
            if fresh:
                raise Unreachable("disconnected") from fault
        except TimeoutError as fault:
            self.close()
            raise Unreachable("timeout") from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            self.close()
            raise Unreachable(type(fault).__name__) from fault
        return self(body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, body: bytes) -> Reply:
        ends = time.monotonic() + 3 * self._timeout
        self._connection.request("POST", self._path, body, {"Content-Type": "text/plain; charset=utf-8"})
        answer = self._connection.getresponse()
        content = bytearray()
        while part := answer.read1(MAX_REPLY_BYTES):
            content += part
            if len(content) > MAX_REPLY_BYTES or time.monotonic() > ends:
                raise TimeoutError
        answer.close()  # it has been read to its end, but only this says so to the connection
        kind = answer.headers.get("Content-Type", "").strip()
        return Reply(answer.status, kind, content.decode("utf-8"))
