"""Forms: what was sent, read into values, with an error under the name of each field that cannot be read.

A form keeps what was typed, so that a page that shows errors loses nothing. Reading collects errors; `check` raises
them all at once, as the domain raises its own, and `refused` turns either into texts for the page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request

from api import problems
from api.i18n import local, typed_moment, zone
from api.services import services
from api.web.shell import Visit
from api.web.words import N_, money
from ledger.errors import LedgerError, ValidationFailed
from ledger.values import written_amount

_CLOCK = re.compile(r"(\d{1,2})[:.](\d\d)")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
"""What nobody types and everybody's screen obeys: control characters, and those that turn the direction of a line."""

_MINOR = re.compile(r"[1-9]\d*")
"""A number in a text about an amount: minor units, which nobody reads."""

_LOCAL = "%Y-%m-%dT%H:%M"
LONGEST = 4_000
AS_IT_WAS = "as_it_was"
"""The field that says what a form was filled in with."""

OVERTAKEN = N_("Somebody else changed this meanwhile. Below stands what you typed: send it again to replace theirs.")
MISSING = "Fill this in."
"""What the domain says of a field that must not be empty."""

CONFLICT = "idempotency_conflict"
"""Somebody went back to a form that was sent, changed it, and sent it again under its key."""


class Form:
    """The values of a form by field, and what is wrong with them."""

    def __init__(self, visit: Visit, values: Mapping[str, Any] | None = None) -> None:
        self.visit = visit
        self.values = {
            name: _UNSEEN.sub("", str(value)[:LONGEST]) for name, value in (values or {}).items() if value is not None
        }
        self.errors: dict[str, str] = {}

    @classmethod
    def sent(cls, visit: Visit) -> Form:
        """The form of the current request."""
        return cls(visit, request.form.to_dict())

    def value(self, name: str) -> str:
        """What stands in a field."""
        return self.values.get(name, "")

    def has(self, name: str) -> bool:
        """Whether a field was sent or filled in beforehand."""
        return name in self.values

    def word(self, name: str) -> str:
        """A field's text without spaces around it."""
        return self.value(name).strip()

    def needs(self, *names: str) -> None:
        """Note each of these fields that is empty, so that it is told together with what cannot be read elsewhere."""
        for name in names:
            if not self.word(name):
                text = problems.field_text(services().catalogue, self.visit.language, MISSING)
                self.errors.setdefault(name, text)

    def amount(self, name: str) -> int:
        """An amount as people write it, in minor units; 0 and an error where it cannot be read."""
        city = self.visit.city
        plain = re.sub(re.escape(city.symbol), "", self.word(name), flags=re.IGNORECASE).strip()
        minor = written_amount(plain, city.scale)
        if minor is None:
            self.fail(name, N_("Give an amount such as 5 or 12.50."))
        elif minor == 0:
            self.fail(name, N_("Give an amount greater than 0."))
        return minor or 0

    def whole(self, name: str) -> int | None:
        """A whole number, or None where the field is empty."""
        text = self.word(name)
        if not text:
            return None
        if not text.isdecimal() or len(text) > 9:
            self.fail(name, N_("Give a whole number, or leave it empty."))
            return None
        return int(text)

    def clock(self, name: str) -> str:
        """A time of day as `09:00`, which may be typed as 9:00, 9.00 or ๙.๐๐; what is none is left as it is."""
        match = _CLOCK.fullmatch(self.word(name).removesuffix("น.").strip())
        return f"{int(match[1]):02}:{int(match[2]):02}" if match else self.word(name)

    def instant(self, name: str) -> datetime | None:
        """A date and time on the city's clock, or None where the field is empty."""
        return self.moment(name) if self.word(name) else None

    def moment(self, name: str) -> datetime:
        """A date and time on the city's clock; the visit's own and an error where it cannot be read."""
        moment = typed_moment(self.word(name))
        if moment is None:
            self.fail(name, N_("Give a date and a time."))
            return self.visit.now
        return moment.replace(tzinfo=zone(self.visit.city.zone)).astimezone(UTC)

    def choice(self, name: str, allowed: Mapping[str, Any]) -> str:
        """One of some values."""
        text = self.word(name)
        if text not in allowed:
            self.fail(name, N_("Choose one of the list."))
        return text

    def fail(self, name: str, msgid: str) -> None:
        """Note an error, unless the field has one already."""
        self.errors.setdefault(name, self.visit.text(msgid))

    def check(self) -> None:
        """Stop here if anything could not be read.

        Raises:
            ValidationFailed: with texts that are in the reader's language already.
        """
        if self.errors:
            raise ValidationFailed(dict(self.errors))

    def refused(self, refusal: LedgerError, rename: Mapping[str, str] | None = None) -> Form:
        """Take the texts of a refusal in: under its fields, or under "" where it concerns none."""
        if isinstance(refusal, ValidationFailed):
            for name, sentence in refusal.fields.items():
                text = problems.field_text(services().catalogue, self.visit.language, sentence)
                if name.endswith("_minor"):
                    text = _MINOR.sub(lambda found: money(int(found[0])), text)
                self.errors.setdefault("" if name == AS_IT_WAS else (rename or {}).get(name, name), text)
            if AS_IT_WAS in refusal.fields:
                del self.values[AS_IT_WAS]
        else:
            again = refusal.code == CONFLICT
            self.errors[""] = (
                self.visit.text(
                    N_("This form was sent before with something else in it, and that was done. Send it again.")
                )
                if again
                else problems.describe(refusal, self.visit.language, self.visit.city).detail
            )
        return self

    def shows(self, values: Mapping[str, Any]) -> Form:
        """Remember what the form was filled in with, so that `check_current` can tell whether that still holds."""
        self.values[AS_IT_WAS] = _fingerprint(values)
        return self

    def check_current(self, values: Mapping[str, Any]) -> None:
        """Stop if somebody else changed what this form is about while it was filled in.

        The reader is told once: what was typed stays, and sent again it replaces what the other one wrote.

        Raises:
            ValidationFailed: it was changed.
        """
        was = self.value(AS_IT_WAS)
        if was and was != _fingerprint(values):
            raise ValidationFailed({AS_IT_WAS: OVERTAKEN})


def _fingerprint(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(sorted((name, str(value)) for name, value in values.items())).encode()).hexdigest()[:16]


def local_value(visit: Visit, at: datetime | None) -> str:
    """An instant as a `datetime-local` field wants it."""
    return "" if at is None else local(at, visit.city.zone).strftime(_LOCAL)
