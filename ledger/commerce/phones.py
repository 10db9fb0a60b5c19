"""Telephone numbers of shops: taken as people write them, kept as digits, shown as Thais read them.

A number is kept in the national form, `0812345678`: nine digits for a fixed line (Bangkok 02, the provinces 03 to 05
and 07), ten for a mobile (06, 08, 09). So the national numbering plan has it. Pure.
"""

from __future__ import annotations

import re

from ledger.errors import ValidationFailed

_WRITTEN = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789", " -.()\u200b\u00a0")
_NATIONAL = re.compile(r"0(?:[689]\d{8}|[23457]\d{7})").fullmatch
LONGEST = 40
"""No longer text is looked at."""


def national(field: str, written: str) -> str:
    """The digits of a Thai number, or nothing where nothing was written.

    Raises:
        ValidationFailed: under the field's name.
    """
    digits = written.strip()[: LONGEST + 1].translate(_WRITTEN)
    if digits.startswith("+66"):
        digits = "0" + digits[3:].removeprefix("0")
    if digits and not (digits.isascii() and _NATIONAL(digits)):
        raise ValidationFailed({field: "Give a whole Thai telephone number, beginning with zero, or nothing."})
    return digits


def shown(digits: str) -> str:
    """`081-234-5678`, `043-123-456`, `02-123-4567`."""
    if len(digits) == 10:
        return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"
    if digits.startswith("02"):
        return f"{digits[:2]}-{digits[2:5]}-{digits[5:]}"
    return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"


def dialled(digits: str) -> str:
    """The address that a phone dials, `tel:+66812345678`."""
    return f"tel:+66{digits[1:]}"
