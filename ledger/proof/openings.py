"""Reads openings.ndjson, by which an appointed auditor knows whose each handle is, entry by entry."""

import re
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from typing import Any

from ledger.proof import handles
from ledger.proof.replay import Sink
from ledger.proof.rules import is_handle

Line = tuple[bytes, str | None]
"""A line without its newline, and what is wrong with it as a line, if anything is."""

_opening = re.compile(
    r'\{"account":"(learner:[a-z2-7]{26})","line":(0|[1-9][0-9]{0,4}),"nonce":"([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)",'
    r'"seq":(0|[1-9][0-9]{0,15}),"side":"(from|to)"\}'
).fullmatch  # canonical JSON of exactly these members


class Openings:
    """Hands out, entry by entry, the accounts that the lines name, each checked against its handle."""

    def __init__(self, lines: Iterable[Line], report: Sink) -> None:
        self._report = report
        self._rows = self._read(lines)
        self._next = next(self._rows, None)

    def _read(self, lines: Iterable[Line]) -> Iterator[tuple[int, int, str, str, bytes]]:
        last = (-1, -1, "")
        for number, (data, problem) in enumerate(lines, 1):
            found = _opening(data.decode("ascii", "replace"))
            if problem or not found:
                self._report("HASH_MISMATCH", None, f"line {number} of the openings is no opening")
                continue
            account, line, nonce, seq, side = found.groups()
            place = (int(seq), int(line), side)
            if place <= last:
                self._report("SEQUENCE_GAP", place[0], f"line {number} of the openings is out of order")
            else:
                last = place
                yield *place, account, a2b_base64(nonce)

    def accounts(self, leaf: dict[str, Any] | None) -> dict[tuple[int, str], str]:
        """Return the learners named for (line, side) of the next entry's postings; None: after the last."""
        named: dict[tuple[int, str], str] = {}
        while self._next and (leaf is None or self._next[0] <= leaf["seq"]):
            seq, line, side, account, nonce = self._next
            postings = leaf["postings"] if leaf and leaf["seq"] == seq else []
            expected = postings[line][side] if line < len(postings) else ""
            if is_handle(expected) and handles.handle(account, nonce) == expected:
                named[line, side] = account
            else:
                self._report("HASH_MISMATCH", seq, f"the opening of line {line}, {side}, does not fit the entry")
            self._next = next(self._rows, None)
        return named
