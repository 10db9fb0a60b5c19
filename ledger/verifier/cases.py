"""Where every case of a log stands, in constant memory: any of them may still be refunded or reversed.

For each entry four numbers of 64 bits (`ledger.proof.replay.Cases`). They fill blocks of BLOCK entries; the newest
block and the HOT last used ones are at hand, the others lie in the `store` that the caller gives, for example a file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, MutableMapping, MutableSequence
from typing import Any

from ledger.proof.replay import Case

BLOCK = 4096
HOT = 32
FIELDS = 4


class CaseBook(MutableSequence[Case]):
    """The cases of the first `size` entries, at most HOT + 1 blocks of 128 KiB of them in memory.

    It grows at its end and changes in place, as a replay asks; nothing is taken out or put between.
    """

    def __init__(self, store: MutableMapping[int, bytes], size: int = 0) -> None:
        self._store = store
        self._hot: dict[int, array[int]] = {}
        self._last = size // BLOCK
        self._tail = array("q", store[self._last] if size % BLOCK else b"")

    def append(self, value: Case) -> None:
        """Add the next entry's."""
        self._tail.extend(value)
        if len(self._tail) == BLOCK * FIELDS:
            self._store[self._last] = self._tail.tobytes()
            self._last, self._tail = self._last + 1, array("q")

    def __len__(self) -> int:
        return self._last * BLOCK + len(self._tail) // FIELDS

    def __getitem__(self, seq: Any) -> Any:
        block, at = self._block(seq), seq % BLOCK * FIELDS
        return tuple(block[at : at + FIELDS])

    def __setitem__(self, seq: Any, case: Any) -> None:
        block, at = self._block(seq), seq % BLOCK * FIELDS
        block[at : at + FIELDS] = array("q", case)

    def __delitem__(self, seq: Any) -> None:
        raise TypeError("no case is taken out")

    def insert(self, index: int, value: Case) -> None:
        """Refuse: cases come at the end."""
        raise TypeError("no case is put between others")

    def extend(self, values: Iterable[Case]) -> None:
        """Add those of the next entries."""
        for value in values:
            self.append(value)

    def _block(self, seq: int) -> array[int]:
        if not 0 <= seq < len(self):
            raise IndexError(f"there is no case {seq}")
        number = seq // BLOCK
        if number == self._last:
            return self._tail
        block = self._hot.pop(number, None)
        if block is None:
            if len(self._hot) == HOT:
                oldest = next(iter(self._hot))
                self._store[oldest] = self._hot.pop(oldest).tobytes()
            block = array("q", self._store[number])
        self._hot[number] = block  # the last used stands last
        return block

    def save(self) -> None:
        """Bring the store up to date with what is at hand."""
        for number, block in [*self._hot.items(), (self._last, self._tail)]:
            self._store[number] = block.tobytes()
