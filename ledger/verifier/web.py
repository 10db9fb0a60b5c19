"""Fetches the static files of a log over HTTP(S): with time limits, a bound on every answer, and some patience."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
import zlib

from ledger.verifier.source import SourceError

TIMEOUT_S = 30
TRIES = 5
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30
_GONE = frozenset({404, 410})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_GZIP = 31
"""zlib's window bits for a gzip stream."""
_GZIP_SLACK_BYTES = 1024
"""What a gzip stream of bytes that cannot be compressed may have on top, beside a hundredth."""


def opener() -> urllib.request.OpenerDirector:
    """Return what opens HTTP(S) alone: a redirection leads to no file and no FTP."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        made.add_handler(handler())
    return made


class Website:
    """The files below one prefix. Safe to use by several threads; `close` ends the patience of all of them."""

    def __init__(self, prefix: str, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.prefix = prefix.rstrip("/") + "/"
        self._first_pause_s = first_pause_s
        self._closed = threading.Event()
        self._opener = opener()

    def fetch(self, path: str, limit: int) -> bytes | None:
        """Return the file at `path`, or None if there is none.

        Raises:
            SourceError: no answer after TRIES, a refusal, or an answer of more than `limit` bytes.
        """
        pause = self._first_pause_s
        for tries_left in reversed(range(TRIES)):
            try:
                return self._once(path, limit)
            except urllib.error.HTTPError as answer:
                problem, wanted = f"HTTP status {answer.code}", answer.headers.get("Retry-After", "")
                answer.close()
                if answer.code in _GONE:
                    return None
                if answer.code not in _PASSING:
                    break
                pause = max(pause, int(wanted)) if wanted.isdecimal() and len(wanted) < 4 else pause
            except (OSError, http.client.HTTPException) as fault:
                problem = str(getattr(fault, "reason", fault)) or type(fault).__name__
            if tries_left and self._closed.wait(min(pause, MAX_PAUSE_S)):
                break
            pause *= 2
        raise SourceError(f"{self.prefix}{path}: {problem}")

    def close(self) -> None:
        """Let every fetch that waits for another try give up."""
        self._closed.set()

    def _once(self, path: str, limit: int) -> bytes:
        headers = {"Accept-Encoding": "gzip, identity", "User-Agent": "kgo-verify"}
        request = urllib.request.Request(self.prefix + path, headers=headers)  # noqa: S310 - http(s), see the opener
        with self._opener.open(request, timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read(most := limit + limit // 100 + _GZIP_SLACK_BYTES)
            if answer.length and len(data) < most:  # what was promised did not come, which `read` passes over
                raise http.client.IncompleteRead(data, answer.length)
            if answer.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip"):
                data = self._unpacked(path, data, limit)
        if len(data) > limit:
            raise SourceError(f"{self.prefix}{path}: more than {limit} bytes")
        return data

    def _unpacked(self, path: str, data: bytes, limit: int) -> bytes:
        unpacker = zlib.decompressobj(_GZIP)
        try:
            unpacked = unpacker.decompress(data, limit + 1)
        except zlib.error as error:
            raise SourceError(f"{self.prefix}{path}: {error}") from error
        if not unpacker.eof and len(unpacked) <= limit:
            raise http.client.IncompleteRead(data)
        return unpacked
