"""Log lines: members, order, faults, and the plain form for people."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ledger import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Put back what `configure` changes for the whole process."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(capture=False)
    for package in logs.OURS:
        logging.getLogger(package).setLevel(logging.NOTSET)


def _lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_each_record_is_one_line_of_json() -> None:
    """Time, level, logger, message, what is true of the moment, and the caller's facts; even where a text has lines."""
    written = io.StringIO()
    logs.configure(logs.JSON, lambda: {"request_id": "r-1"}, written)
    logging.getLogger("ledger.jobs").warning("two\nlines of %s", "ไทย", extra={logs.FACTS: {"status": 503}})
    (line,) = _lines(written)
    assert list(line) == ["time", "level", "logger", "message", "request_id", "status"]
    assert (line["level"], line["logger"], line["message"]) == ("warning", "ledger.jobs", "two\nlines of ไทย")
    assert (line["request_id"], line["status"]) == ("r-1", 503)
    assert line["time"].endswith("Z")


def test_a_fault_comes_with_its_traceback() -> None:
    """In JSON as one member, in text below the line."""
    for style in logs.STYLES:
        written = io.StringIO()
        logs.configure(style, stream=written)
        try:
            json.loads("")
        except ValueError:
            logging.getLogger("api").exception("it failed")
        text = _lines(written)[0]["exception"] if style == logs.JSON else written.getvalue()
        assert "Traceback" in text
        assert "JSONDecodeError: Expecting value" in text


def test_a_thread_that_ends_by_a_fault_is_logged() -> None:
    """Its end is a line like any other, with the thread's name."""
    written = io.StringIO()
    logs.configure(logs.JSON, stream=written)
    thread = threading.Thread(target=lambda: 1 // 0, name="writer-here")
    thread.start()
    thread.join(60)
    (line,) = _lines(written)
    assert line["level"] == "error"
    assert "writer-here" in line["message"]
    assert "ZeroDivisionError" in line["exception"]


def test_a_person_reads_plain_lines() -> None:
    """The request's id stands at the end; our own news is told, other people's is not."""
    written = io.StringIO()
    logs.configure(logs.TEXT, lambda: {"request_id": "r-2"}, written)
    logging.getLogger("api.edge").info("all is well")
    logging.getLogger("alembic").info("chatter")
    (line,) = written.getvalue().splitlines()
    assert line.endswith("info api.edge: all is well [r-2]")
