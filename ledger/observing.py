"""What the book tells whoever watches it: one report per batch, handed over after everybody was answered.

The book knows no metrics library: whoever wants figures gives the writer an `Observer`. It is called in the writer's
own thread, so it has to be quick, and it must not raise; `SILENT` is for everybody who does not watch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Batch:
    """What one batch of a city's writer did.

    Attributes:
        city: the city's id.
        commands: how many commands it ran, refused ones included.
        waiting: how many commands waited in the city's queue when the batch ended.
        seconds: from taking the commands to the end of the commit.
        commit_seconds: the part of `seconds` that the database took for the commit; 0 if nothing was committed.
        kinds: how many entries of each kind it appended.
        refusals: how many commands were refused, by the code of the problem.
    """

    city: str
    commands: int
    waiting: int
    seconds: float
    commit_seconds: float
    kinds: Mapping[str, int]
    refusals: Mapping[str, int]


class Observer(Protocol):
    """Watches the writers of an installation; called from several threads at once."""

    def batch(self, batch: Batch) -> None:
        """A batch has ended and everybody in it has an answer."""

    def overloaded(self, city: str) -> None:
        """A command was turned away because the city's queue was full."""


class _Silent:
    """Does nothing with what it is told."""

    def batch(self, batch: Batch) -> None:
        """Forget it."""

    def overloaded(self, city: str) -> None:
        """Forget it."""


SILENT: Observer = _Silent()
"""The observer of whoever does not watch."""
