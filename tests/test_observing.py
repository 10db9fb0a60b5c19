"""What the writers tell whoever watches them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ledger.book import transfers
from ledger.book.commands import Command
from ledger.book.journal import Posted
from ledger.book.seal import Published
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.errors import LedgerError, Overloaded
from ledger.observing import SILENT, Batch
from tests.factories import CITY, Installation


class Notes:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.turned_away: list[str] = []

    def batch(self, batch: Batch) -> None:
        """Note a batch."""
        self.batches.append(batch)

    def overloaded(self, city: str) -> None:
        """Note a command that was turned away."""
        self.turned_away.append(city)


def _watched(installation: Installation, directory: Path, notes: Notes, max_queue: int) -> Writer:
    published = Published(directory / "published")
    return Writer(
        installation.database, installation.keys, published, installation.clock, notes, max_queue=max_queue
    )  # fmt: skip


def _grant(unit: Unit) -> Posted:
    return transfers.post(unit, "grant", "issuance", "treasury", 5, actor="treasurer")


def _overdraw(unit: Unit) -> Posted:
    return transfers.post(unit, "fund", "treasury", "settled", 10**9, actor="steward")


def test_a_batch_is_reported_with_its_entries_and_refusals(installation: Installation, tmp_path: Path) -> None:
    """Commands, entries by kind and refusals by code; the commit is a part of the whole."""
    notes = Notes()
    writer = _watched(installation, tmp_path, notes, 10)
    commands = [Command(_grant), Command(_grant), Command(_overdraw)]
    outcomes = writer.execute(CITY, commands)
    refusal = outcomes[2]
    assert isinstance(refusal, LedgerError)
    (batch,) = notes.batches
    assert (batch.city, batch.commands, batch.waiting) == (CITY, 3, 0)
    assert (dict(batch.kinds), dict(batch.refusals)) == ({"grant": 2}, {refusal.code: 1})
    assert 0 < batch.commit_seconds <= batch.seconds
    assert notes.turned_away == []
    writer.close()


def test_what_waits_and_what_is_turned_away_is_reported(installation: Installation, tmp_path: Path) -> None:
    """While a batch takes its time the queue fills up; one more command is refused, and those who wait are counted."""
    notes, begun, go_on = Notes(), threading.Event(), threading.Event()
    writer = _watched(installation, tmp_path, notes, 1)

    def take_time(unit: Unit) -> Posted:
        begun.set()
        go_on.wait(60)
        return _grant(unit)

    first = threading.Thread(target=writer.submit, args=(CITY, Command(take_time)))
    second = threading.Thread(target=writer.submit, args=(CITY, Command(_grant)))
    first.start()
    assert begun.wait(60)
    second.start()
    while writer.waiting() != {CITY: 1}:
        assert second.is_alive()
    with pytest.raises(Overloaded):
        writer.submit(CITY, Command(_grant))
    assert notes.turned_away == [CITY]
    go_on.set()
    for thread in (first, second):
        thread.join(60)
    writer.close()
    assert [(batch.commands, batch.waiting) for batch in notes.batches] == [(1, 1), (1, 0)]


def test_whoever_does_not_watch_hears_nothing() -> None:
    """The silent observer takes both reports and keeps neither."""
    SILENT.batch(Batch(CITY, 1, 0, 0.1, 0.1, {}, {}))
    SILENT.overloaded(CITY)
    assert not getattr(SILENT, "__dict__", None)
