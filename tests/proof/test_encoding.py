"""Canonical JSON against an independent implementation, and the strictness of everything that is read."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.proof.encoding import (
    MAX_DEPTH,
    MAX_INT,
    EncodingError,
    base32_lower,
    base64_strict,
    canonical,
    parse,
    parse_strict,
    parse_timestamp,
    timestamp,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_agrees_with_an_independent_implementation(value: Any) -> None:
    """Every value has the bytes that rfc8785 gives it, and they read back as the same value."""
    assert canonical(value) == rfc8785.dumps(value)
    assert parse_strict(canonical(value)) == value


def test_members_are_ordered_by_utf16_code_units() -> None:
    """U+1F600 begins with the unit D83D and so comes before U+FB33, though its code point is higher."""
    members = {"\ufb33": 1, "\U0001f600": 2, "€": 3, "a": 4}
    assert canonical(members) == '{"a":4,"€":3,"\U0001f600":2,"\ufb33":1}'.encode()
    with pytest.raises(EncodingError):
        parse_strict('{"a":4,"€":3,"\ufb33":1,"\U0001f600":2}'.encode())


@pytest.mark.parametrize("value", [MAX_INT, -MAX_INT, 0, True, "\u007f\u2028", '\x00\x1f\b\t\n\f\r"\\/', [], {}])
def test_the_edges_of_what_can_be_written(value: Any) -> None:
    """The largest integers, every kind of escape and empty containers are written as the standard says."""
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), MAX_INT + 1, -MAX_INT - 1, b"x", (1,), {1: 2}, {None: 1}, "\ud800", {"\udfff": 1}, object()],
    ids=lambda value: repr(value).partition(" at 0x")[0],  # no address: all processes name a test alike
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """Floats, integers that others would round, other types and lone surrogates raise."""
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(EncodingError):
            canonical(wrapped)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1}\n',
        b'{"a":1}{}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"NaN",
        b"-Infinity",
        b"9007199254740992",
        b"1" * 5000,
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        '"é"'.encode("latin-1"),
        "{}".encode("utf-16"),
        b"'a'",
        b"tru",
        b"",
        b"[" * 30_000,
        b"[" * 30_000 + b"]" * 30_000,
    ],
    ids=lambda data: f"{len(data)}-{data[:24]!r}",
)
def test_a_second_spelling_is_refused(data: bytes) -> None:
    """Bytes that are not the canonical form of their value, or no JSON, raise and never crash."""
    with pytest.raises(EncodingError):
        parse_strict(data)


def test_loose_parsing_keeps_only_the_spelling_free() -> None:
    """`parse` reads other orders and spaces, but still neither floats nor rubbish after the value."""
    assert parse(b'{"b": 1, "a": [2]}') == {"a": [2], "b": 1}
    for data in (b"1.5", b"1 2", b"Infinity"):
        with pytest.raises(EncodingError):
            parse(data)


def test_nesting_has_a_bound() -> None:
    """MAX_DEPTH levels are written and read; one more is refused."""
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert canonical(parse_strict(deepest)) == deepest
    with pytest.raises(EncodingError):
        parse_strict(b"[" + deepest + b"]")


@given(st.binary(max_size=80))
def test_base32_is_that_of_rfc_4648_without_padding(data: bytes) -> None:
    """Lower case, alphabet a-z2-7, no padding, decodable by anybody."""
    text = base32_lower(data)
    assert base64.b32decode(text.upper() + "=" * (-len(text) % 8)) == data
    assert text == text.lower()


@pytest.mark.parametrize("text", ["AA", "AB==", "AA==\n", "A A=", "AA=", "_-==", "é", "AAA"])
def test_base64_has_one_spelling(text: str) -> None:
    """Padding, alphabet and trailing bits must be exact."""
    assert base64_strict("AA==") == b"\x00"
    with pytest.raises(EncodingError):
        base64_strict(text)


def test_timestamps_round_to_the_millisecond_below_and_read_back() -> None:
    """A moment in any zone is written in UTC with milliseconds; finer digits are cut."""
    bangkok = timezone(timedelta(hours=7))
    assert timestamp(datetime(2026, 11, 23, 4, 6, 10, 123_999, bangkok)) == "2026-11-22T21:06:10.123Z"
    assert parse_timestamp("2026-11-22T21:06:10.123Z") == datetime(2026, 11, 22, 21, 6, 10, 123_000, UTC)
    with pytest.raises(EncodingError):
        timestamp(datetime(2026, 11, 22))  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T21:06:10Z",
        "2026-11-22T21:06:10.123",
        "2026-11-22T21:06:10.123+00:00",
        "2026-11-22 21:06:10.123Z",
        "2026-11-22T21:06:10.1234Z",
        "2026-02-30T00:00:00.000Z",
        "2026-11-22T24:00:00.000Z",
        "2026-11-22T23:59:60.000Z",
        "๒๐๒๖-11-22T21:06:10.123Z",
        "2026-11-22T21:06:10.123Z\n",
    ],
)
def test_other_forms_of_time_are_refused(text: str) -> None:
    """One form only, and only times that exist."""
    with pytest.raises(EncodingError):
        parse_timestamp(text)
