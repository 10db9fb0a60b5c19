"""Typed reading of one TOML table, with errors that a person can act on.

Every method takes a key, checks its type and bounds, and returns a plain value. What is wrong is raised as
`CityFileError`, which names the table, the field and the remedy. Nothing is coerced: `1.0` is no whole
number, `"yes"` no flag, and a text with a stray space at its end is refused rather than trimmed, since names
are kept letter by letter. Reads no file and no clock.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from ledger.values import AMOUNT_LIMIT, SLUG

TEXT_LIMIT = 1000  # characters; a note or a description, not an article

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


class CityFileError(ValueError):
    """A city file that cannot be used: which `table`, which `field` of it, and the `remedy`."""

    def __init__(self, table: str, field: str, remedy: str, file: str | None = None) -> None:
        prefix = f"{file}: " if file else ""
        super().__init__(f"{prefix}{table}: {field}: {remedy}")
        self.table = table
        self.field = field
        self.remedy = remedy
        self.file = file

    def within(self, file: str) -> CityFileError:
        """The same error, naming the file too."""
        return CityFileError(self.table, self.field, self.remedy, file)


class Fields:
    """One table of the file. `where` is how its errors name it."""

    def __init__(self, where: str, raw: dict[str, Any]) -> None:
        self.where = where
        self.raw = raw

    def error(self, field: str, remedy: str) -> CityFileError:
        """An error about a field of this table, to be raised by the caller."""
        return CityFileError(self.where or "file", field, remedy)

    def only(self, *names: str) -> None:
        """Refuse any key that is not among `names`."""
        for key in self.raw:
            if key not in names:
                raise self.error(key, f"unknown; remove it or use one of: {', '.join(names)}")

    def has(self, field: str) -> bool:
        """Whether the key is given at all."""
        return field in self.raw

    def text(self, field: str, pattern: re.Pattern[str] | None = None, remedy: str = "") -> str:
        """A text that must be given; with a `pattern` it must match the whole of it."""
        value = self._given(field)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT:
            raise self.error(field, f"give a text of 1 to {TEXT_LIMIT} characters")
        if value != value.strip() or not value.isprintable() or unicodedata.normalize("NFC", value) != value:
            raise self.error(field, "write it on one line, without spaces around it, in Unicode NFC")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.error(field, remedy)
        return value

    def optional_text(self, field: str) -> str:
        """A text, or the empty text where the key is absent."""
        return self.text(field) if self.has(field) else ""

    def slug(self, field: str) -> str:
        """An identifier inside the city."""
        return self.text(field, SLUG, "use 1 to 40 of a-z, 0-9 and '-', not beginning or ending with '-'")

    def optional_slug(self, field: str) -> str | None:
        """An identifier, or nothing where the key is absent."""
        return self.slug(field) if self.has(field) else None

    def slugs(self, field: str) -> tuple[str, ...]:
        """A list of identifiers, at least one, each once."""
        value = self._given(field)
        if not isinstance(value, list) or not value:
            raise self.error(field, "give a list of at least one id")
        found = tuple(Fields(self.where, {field: item}).slug(field) for item in value)
        if len(set(found)) != len(found):
            raise self.error(field, "name each id once")
        return found

    def choice(self, field: str, choices: tuple[str, ...]) -> str:
        """One of a closed set of words."""
        value = self._given(field)
        if value not in choices:
            raise self.error(field, f"use one of: {', '.join(choices)}")
        return str(value)

    def whole(self, field: str, low: int = 1, high: int = AMOUNT_LIMIT - 1) -> int:
        """A whole number between `low` and `high`, both allowed."""
        value = self._given(field)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(field, f"give a whole number from {low} to {high}")
        return value

    def optional_whole(self, field: str, low: int = 1) -> int | None:
        """A whole number, or nothing where the key is absent."""
        return self.whole(field, low) if self.has(field) else None

    def flag(self, field: str) -> bool:
        """True or false; false where the key is absent."""
        value = self.raw.get(field, False)
        if not isinstance(value, bool):
            raise self.error(field, "write true or false, without quotes")
        return value

    def clock(self, field: str) -> str | None:
        """A time of day "00:00" to "24:00" in the city's zone, or nothing where the key is absent."""
        if not self.has(field):
            return None
        return self.text(field, _CLOCK, 'write a time of day from "00:00" to "24:00", in quotes')

    def instant(self, field: str) -> datetime:
        """A TOML date-time with an offset, as UTC."""
        value = self._given(field)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise self.error(field, "write a date and time with its offset, e.g. 2027-01-31T09:00:00+07:00")
        if value.microsecond % 1000:
            raise self.error(field, "give at most whole milliseconds")
        return value.astimezone(UTC)

    def optional_instant(self, field: str) -> datetime | None:
        """An instant, or nothing where the key is absent."""
        return self.instant(field) if self.has(field) else None

    def table(self, field: str) -> Fields:
        """A table inside this one, which must be given."""
        value = self._given(field)
        if not isinstance(value, dict):
            raise self.error(field, "write it as a table")
        return Fields(f"{self.where} {field}".strip() if self.where else f"[{field}]", value)

    def tables(self, field: str) -> list[Fields]:
        """The rows of an array of tables, named by their place and id; none where the key is absent."""
        value = self.raw.get(field, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.error(field, "write it as an array of tables")
        place = f"{self.where} {field}" if self.where else f"[[{field}]]"
        return [Fields(f"{place} #{n} ({row.get('id', 'no id')})", row) for n, row in enumerate(value, 1)]

    def _given(self, field: str) -> Any:
        if field not in self.raw:
            raise self.error(field, "missing; add it")
        return self.raw[field]
