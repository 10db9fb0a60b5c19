"""Logs: one JSON object a line on stderr for machines, or plain lines for a person in front of a terminal.

Members of a line: `time` (UTC, RFC 3339, milliseconds), `level`, `logger`, `message`; `request_id` and `city` where a
request is being answered; `exception` with the traceback where there is one; and the facts that the caller gave as
`extra={FACTS: {…}}`. Only entry points call `configure`; a library that logs at import would choose for everybody.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

JSON, TEXT = "json", "text"
STYLES = (JSON, TEXT)
FACTS = "facts"
"""The name in `extra` under which a caller hands over further members of the line."""

OURS = ("ledger", "api")
"""The packages whose lines are wanted from level INFO on; of all others from WARNING on."""

Context = Callable[[], Mapping[str, Any]]
log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Each record as one line of JSON. `context` tells what is true of the moment: the request, the city."""

    def __init__(self, context: Context = dict) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._context(),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


class TextLines(logging.Formatter):
    """Each record as a person reads it; what belongs to a request bears its id."""

    def __init__(self, context: Context = dict) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it where there is one."""
        known = {**self._context(), **getattr(record, FACTS, {})}
        mark = f" [{known['request_id']}]" if known.get("request_id") else ""
        clock = _time(record).astimezone().strftime("%H:%M:%S")
        line = f"{clock} {record.levelname.lower()} {record.name}: {record.getMessage()}{mark}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(style: str, context: Context = dict, stream: TextIO | None = None) -> None:
    """Send every log line of this process to stderr in one style, also what ends a thread.

    Args:
        style: one of `STYLES`.
        context: further members that hold at the moment a line is written.
        stream: where to write instead of stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(context) if style == JSON else TextLines(context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for package in OURS:
        logging.getLogger(package).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended


def _thread_ended(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value is not None:
        name = fault.thread.name if fault.thread else "?"
        log.error("the thread %s ended by a fault", name, exc_info=fault.exc_value)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
