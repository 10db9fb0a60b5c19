"""What the processes of a server say to each other over a socket: numbered things, several in one pickle.

Nobody but the server's own user may enter the directory of its sockets, so that what comes out of one may be unpickled.
Orders and answers go as plain tuples, which a pickle takes a third of the time for.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

_LENGTH = struct.Struct("<I")

Said = tuple[int, Any]
"""A thing that was said, and the number of what it answers or asks for."""


def framed(said: list[Said]) -> bytes:
    """Things as they go over the stream, behind their length."""
    pickled = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(pickled)) + pickled


class Heard:
    """Takes a stream apart again, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._came = bytearray()

    def take(self, data: bytes) -> list[Said]:
        """The things that are complete with these bytes, in order."""
        came = self._came
        came += data
        said: list[Said] = []
        start = 0
        while len(came) - start >= _LENGTH.size:
            body = start + _LENGTH.size
            (length,) = _LENGTH.unpack_from(came, start)
            if len(came) - body < length:
                break
            start = body + length
            said += pickle.loads(came[body:start])  # noqa: S301 - of a process of the same server
        del came[:start]
        return said
