"""Figures for Prometheus: what the book's writers report, and the one text that all processes of a server make up.

`kgo serve` runs several processes. Each keeps its figures in files of its own below one directory
(`PROMETHEUS_MULTIPROC_DIR`), and whoever is asked adds up the files of all; `ledger.serving` makes the directory
before this module is imported, for prometheus-client chooses its way of counting at import. Without the directory
the figures are those of this process alone.

What a process counted stays in the sum after its end, since counters must not fall; its gauges are dropped.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ledger.book.writer import MAX_BATCH
from ledger.config import FIGURES
from ledger.observing import Batch

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FILE_BYTES = {"counter": 1 << 18, "histogram": 1 << 19, "gauge_livesum": 1 << 16, "gauge_livemostrecent": 1 << 16}
"""Room for the figures of one process, by kind: a value takes some 200 bytes, so that all routes and ten cities fit."""

BATCH_SIZES = tuple(2**power for power in range(MAX_BATCH.bit_length()))
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)


class BookMetrics:
    """The figures of the writers; an `Observer`.

    Args:
        registry: where the figures are registered; one for each application.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        city = ("city",)
        self._commands = Histogram(
            "kgo_batch_commands", "Commands in a batch.", city, registry=registry, buckets=BATCH_SIZES
        )
        self._seconds = Histogram(
            "kgo_batch_seconds", "Time of a whole batch.", city, registry=registry, buckets=SECONDS
        )
        self._commit = Histogram(
            "kgo_commit_seconds", "Time of a batch's commit.", city, registry=registry, buckets=SECONDS
        )
        self._waiting = Gauge(
            "kgo_waiting_commands", "Commands that wait.", city, registry=registry, multiprocess_mode="livesum"
        )
        self._entries = Counter("kgo_entries", "Entries appended.", ("city", "kind"), registry=registry)
        self._refusals = Counter("kgo_refusals", "Commands refused.", ("city", "code"), registry=registry)
        self._overloaded = Counter("kgo_overloaded", "Commands turned away.", city, registry=registry)

    def batch(self, batch: Batch) -> None:
        """Count a batch."""
        self._commands.labels(batch.city).observe(batch.commands)
        self._seconds.labels(batch.city).observe(batch.seconds)
        if batch.commit_seconds:
            self._commit.labels(batch.city).observe(batch.commit_seconds)
        self.waiting(batch.city, batch.waiting)
        for kind, count in batch.kinds.items():
            self._entries.labels(batch.city, kind).inc(count)
        for code, count in batch.refusals.items():
            self._refusals.labels(batch.city, code).inc(count)

    def overloaded(self, city: str) -> None:
        """Count a command that was turned away."""
        self._overloaded.labels(city).inc()

    def waiting(self, city: str, commands: int) -> None:
        """Note how many commands wait in this process."""
        self._waiting.labels(city).set(commands)


def new_registry() -> CollectorRegistry:
    """Where an application registers its figures. Takes the room on the disk that this process's figures need.

    They are written through memory maps, and a map whose disk fills up ends its process; hence the room is taken
    before any figure is made.

    Raises:
        OSError: there is no room.
    """
    directory = os.environ.get(FIGURES)
    for kind, size in FILE_BYTES.items() if directory else ():
        with (Path(str(directory)) / f"{kind}_{os.getpid()}.db").open("ab") as file:
            if file.tell() == 0:
                file.write(bytes(size))
    return CollectorRegistry()


def exposition(registry: CollectorRegistry) -> bytes:
    """All figures in Prometheus's text format: those of every process of the server, or of `registry` alone."""
    directory = os.environ.get(FIGURES)
    if not directory:
        return generate_latest(registry)
    _drop_gauges_of_the_dead(Path(directory))
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody, directory)  # type: ignore[no-untyped-call]
    return generate_latest(everybody)


def _drop_gauges_of_the_dead(directory: Path) -> None:
    for file in directory.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process, str(directory))  # type: ignore[no-untyped-call]
