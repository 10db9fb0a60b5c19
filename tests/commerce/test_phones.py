"""Telephone numbers as people write, keep and read them."""

from __future__ import annotations

import pytest

from ledger.commerce import phones
from ledger.errors import ValidationFailed


@pytest.mark.parametrize(
    ("written", "kept", "read", "called"),
    [
        ("081 234 5678", "0812345678", "081-234-5678", "tel:+66812345678"),
        ("+66 81-234-5678", "0812345678", "081-234-5678", "tel:+66812345678"),
        ("๐๔๓-๑๒๓-๔๕๖", "043123456", "043-123-456", "tel:+6643123456"),
        ("(02) 123 4567", "021234567", "02-123-4567", "tel:+6621234567"),
    ],
)
def test_thai_numbers(written: str, kept: str, read: str, called: str) -> None:
    """Mobile, province and Bangkok, with the country's prefix or in Thai digits, end up in one form each."""
    assert phones.national("phone", written) == kept
    assert (phones.shown(kept), phones.dialled(kept)) == (read, called)


def test_none_is_none() -> None:
    """A shop without a number leaves the field empty."""
    assert phones.national("phone", "  ") == ""


@pytest.mark.parametrize("written", ["12345", "0112345678", "08123456789", "081234567", "call me", "+1 202 555 0100"])
def test_anything_else_is_refused(written: str) -> None:
    """Too short, too long, of no Thai kind, or no number at all."""
    with pytest.raises(ValidationFailed) as told:
        phones.national("phone", written)
    assert set(told.value.fields) == {"phone"}
