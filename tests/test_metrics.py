"""The figures of the book: counted, added up over processes, and each of them documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from api.observability import Metrics
from ledger.config import FIGURES
from ledger.metrics import FILE_BYTES, BookMetrics, exposition
from ledger.observing import Batch

ROOT = Path(__file__).parent.parent

COUNT = """
import sys
from ledger.metrics import BookMetrics, new_registry
from ledger.observing import Batch
metrics = BookMetrics(new_registry())
metrics.batch(Batch("kk", 3, 7, 0.5, 0.25, {"reward": 2}, {"cap_reached": 1}))
sys.stdin.read()
"""
"""A process that counts one batch, and lives until its input ends."""


def _value(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found, f"{sample} is not in\n{text}"
    return float(found[1])


def test_a_batch_counts_in_every_figure() -> None:
    """Size, times, queue, entries by kind, refusals by code, and who was turned away."""
    registry = CollectorRegistry()
    metrics = BookMetrics(registry)
    metrics.batch(Batch("kk", 3, 7, 0.5, 0.25, {"reward": 2, "fund": 1}, {"cap_reached": 4}))
    metrics.batch(Batch("kk", 1, 0, 0.5, 0, {}, {}))
    metrics.overloaded("kk")
    text = exposition(registry).decode()
    wanted = {
        'kgo_batch_commands_sum{city="kk"}': 4,
        'kgo_batch_commands_bucket{city="kk",le="1.0"}': 1,
        'kgo_batch_commands_bucket{city="kk",le="4.0"}': 2,
        'kgo_batch_seconds_sum{city="kk"}': 1,
        'kgo_commit_seconds_count{city="kk"}': 1,
        'kgo_commit_seconds_sum{city="kk"}': 0.25,
        'kgo_waiting_commands{city="kk"}': 0,
        'kgo_entries_total{city="kk",kind="reward"}': 2,
        'kgo_entries_total{city="kk",kind="fund"}': 1,
        'kgo_refusals_total{city="kk",code="cap_reached"}': 4,
        'kgo_overloaded_total{city="kk"}': 1,
    }
    assert {sample: _value(text, sample) for sample in wanted} == wanted


def _read(directory: Path) -> str:
    """The figures as another process of the same server tells them."""
    script = "from ledger.metrics import *; print(exposition(new_registry()).decode())"
    environment = {**os.environ, FIGURES: str(directory)}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_figures_of_all_processes_are_added_up(tmp_path: Path) -> None:
    """Counters of two processes add up and outlive them; a queue counts only as long as its process lives."""
    environment = {**os.environ, FIGURES: str(tmp_path)}
    command = [sys.executable, "-c", COUNT]
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) for _ in range(2)]
    try:
        text = ""
        while 'kgo_refusals_total{city="kk",code="cap_reached"} 2.0' not in text:
            assert [process.poll() for process in processes] == [None, None]
            text = _read(tmp_path)
        text = _read(tmp_path)  # it reads one file after the other; a process was at work meanwhile
        assert _value(text, 'kgo_entries_total{city="kk",kind="reward"}') == 4
        assert _value(text, 'kgo_batch_commands_count{city="kk"}') == 2
        assert _value(text, 'kgo_waiting_commands{city="kk"}') == 14
        processes[0].kill()
        processes[0].wait()
        text = _read(tmp_path)
        assert _value(text, 'kgo_entries_total{city="kk",kind="reward"}') == 4
        assert _value(text, 'kgo_waiting_commands{city="kk"}') == 7
    finally:
        for process in processes:
            process.communicate()
    assert {file.stat().st_size for file in tmp_path.glob("counter_*.db")} == {FILE_BYTES["counter"]}


def test_every_metric_is_documented_and_no_other() -> None:
    """What an application registers is what the operators' page lists, name for name and label for label."""
    registry = CollectorRegistry()
    Metrics(registry)
    registered = {
        name: frozenset(labels)
        for collector in list(registry._collector_to_names)
        for name, labels in [(_exposed(collector), collector._labelnames)]  # type: ignore[attr-defined]
    }
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    rows = re.findall(r"^\| `(kgo_\w+)` \| (.+?) \|", page, re.MULTILINE)
    assert {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == registered


def _exposed(collector: object) -> str:
    """The name under which Prometheus knows a figure: counters get an ending."""
    name, kind = collector._name, collector._type  # type: ignore[attr-defined]
    return f"{name}_total" if kind == "counter" else str(name)
