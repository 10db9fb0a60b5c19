"""The two files of an airdrop: the list that a steward brings, and the verdicts to take home. Nothing here is stored.

The list is UTF-8, with or without a byte-order mark, or what a spreadsheet in Thailand writes when it is not told
otherwise: UTF-16 with its mark, or Windows-874. Its cells are parted by commas, semicolons or tabs. The first line
names the columns: `learner` and `amount`, and `note` if there is one, in any order, in English or in Thai. Other
columns are passed over and kept nowhere, so that a class list may keep its names. An amount is decimal, `5`, `12.50`
or `1,250.00`. What a wrong guess of the encoding could change is the note: learners and amounts are plain digits and
letters, which the preview shows before anything is paid.

What makes the whole list unreadable is refused with the line and the remedy; what is wrong with one row is that row's
fault alone. Bounds: `MAX_BYTES` and `MAX_ROWS`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ledger.errors import ValidationFailed
from ledger.programme.airdrop_verdicts import BAD_AMOUNT, BAD_ROW, OK, Row
from ledger.values import AMOUNT_LIMIT, written_amount

MAX_BYTES = 1_000_000
MAX_ROWS = 20_000
LEARNER_LENGTH, AMOUNT_LENGTH, NOTE_LENGTH, NAME_LENGTH = 64, 40, 200, 120
"""How much of a cell, and of the file's name, is kept."""

COLUMNS = ("line", "learner", "amount", "note", "verdict", "entry")
SEPARATORS = ",;\t"
THAI_NAMES = {"ผู้เรียน": "learner", "จำนวน": "amount", "หมายเหตุ": "note"}
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_LEARNER = re.compile(r"[a-z2-7]{26}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would carry out."""


@dataclass(frozen=True)
class Sheet:
    """A list that can be read: its rows, and the SHA-256 of its bytes in hexadecimal."""

    rows: tuple[Row, ...]
    sha256: str


def read(content: bytes, scale: int) -> Sheet:
    """Read a list; `scale` is the number of digits that an amount may have behind its point.

    Raises:
        ValidationFailed: names the line and the remedy, under `csv`.
    """
    text = _decoded(content)
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    records = _records(text, separator)
    _, header = next(records, (1, []))
    names = [THAI_NAMES.get(name.strip(), name.strip().lower()) for name in header]
    if "learner" not in names or "amount" not in names:
        raise ValidationFailed({"csv": "Line 1: name the columns, learner and amount, and note if you like."})
    places = tuple(names.index(name) if name in names else -1 for name in ("learner", "amount", "note"))
    rows: list[Row] = []
    for number, cells in records:
        if len(rows) == MAX_ROWS:
            raise ValidationFailed({"csv": f"Line {number}: give at most {MAX_ROWS} rows; split the list."})
        rows.append(_row(number, cells, len(names), places, scale))
    if not rows:
        raise ValidationFailed({"csv": "Line 2: add the learners, one in each line."})
    return Sheet(tuple(rows), hashlib.sha256(content).hexdigest())


def write(rows: Iterable[Row]) -> Iterator[str]:
    """The verdicts as the lines of a CSV, commas between the cells, with a byte-order mark for spreadsheets."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow(COLUMNS)
    for row in rows:
        texts = (_harmless(row.learner), _harmless(row.given), _harmless(row.note))
        writer.writerow([row.line, *texts, row.verdict, "" if row.entry is None else row.entry])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def cleaned(text: str, longest: int) -> str:
    """A text as a database and a page can bear it: no control characters, no halves of characters, cut to length."""
    text = text.strip()[:longest]
    if text.isprintable():
        return text
    return "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text)


def amount_of(text: str, scale: int) -> int | None:
    """A decimal amount in minor units; None where it is none, is not above 0, or is finer than the scale."""
    minor = written_amount(text, scale)
    return minor if minor and minor < AMOUNT_LIMIT else None


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValidationFailed({"csv": f"Give at most {MAX_BYTES} bytes; split the list."})
    encoding = "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        with suppress(UnicodeDecodeError):
            content.decode("utf-8", "surrogatepass")  # half a character of UTF-8, and not of an older encoding
            raise _not_utf_8(line) from fault
        try:
            text = content.decode("cp874")
        except UnicodeDecodeError:
            raise _not_utf_8(line) from fault
    if "\x00" in text.partition("\n")[0]:
        raise _not_utf_8(1)  # UTF-16 without its mark, or no text at all
    return text


def _not_utf_8(line: int) -> ValidationFailed:
    return ValidationFailed({"csv": f"Line {line}: save the list as UTF-8 (in Excel: CSV UTF-8)."})


def _records(text: str, separator: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Each row that is not empty, with the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as fault:
            raise ValidationFailed({"csv": f"Line {begins}: close the quotation mark, or take it away."}) from fault
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield begins, cells


def _row(number: int, cells: Sequence[str], width: int, places: tuple[int, ...], scale: int) -> Row:
    learner, given, note = (cells[place] if 0 <= place < len(cells) else "" for place in places)
    named = re.sub(r"[\s-]", "", learner.lower().removeprefix("learner:"))
    if not _LEARNER.fullmatch(named):
        named = cleaned(learner, LEARNER_LENGTH)
    minor = amount_of(given.strip(), scale)
    verdict = BAD_ROW if len(cells) > width else BAD_AMOUNT if minor is None else OK
    return Row(number, named, cleaned(given, AMOUNT_LENGTH), minor, cleaned(note, NOTE_LENGTH), verdict)


def _harmless(text: str) -> str:
    """A cell that no spreadsheet carries out as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
