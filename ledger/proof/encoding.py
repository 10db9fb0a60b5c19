"""Bytes that everybody agrees on: canonical JSON, base32, base64 and timestamps.

Canonical JSON is RFC 8785 restricted to strings, integers, booleans, null, lists and objects: a float has
more than one reading, so none is written and none is read. Integers stay within ±(2**53 - 1), which every
JSON implementation reads exactly; nesting stays within MAX_DEPTH, so that no reader overflows.
"""

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

MAX_INT = 2**53 - 1
MAX_DEPTH = 32

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [high + low for high in BASE32 for low in BASE32]
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z").fullmatch


class EncodingError(ValueError):
    """A value that has no canonical form, or bytes that are not one."""


def _refuse_number(text: str) -> NoReturn:
    raise EncodingError(f"{text} is not an integer")


_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_read = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number).raw_decode


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of `value` in UTF-8, or raise EncodingError."""
    try:
        return _write(_ordered(value, 0)).encode()
    except UnicodeEncodeError as error:
        raise EncodingError("a string holds half of a surrogate pair") from error


def _ordered(value: Any, depth: int) -> Any:
    """Check `value` and put the members of its objects in the order of their UTF-16 code units."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if -MAX_INT <= value <= MAX_INT:
            return value
        raise EncodingError("an integer is beyond 2**53 - 1")
    if depth >= MAX_DEPTH:
        raise EncodingError(f"nested deeper than {MAX_DEPTH}")
    if kind is list:
        return [_ordered(item, depth + 1) for item in value]
    if kind is not dict:
        raise EncodingError(f"{kind.__name__} has no canonical form")
    if any(type(key) is not str for key in value):
        raise EncodingError("a member's name is not a string")
    keys = sorted(value)
    if not "".join(keys).isascii():
        keys.sort(key=lambda key: key.encode("utf-16-be"))
    return {key: _ordered(value[key], depth + 1) for key in keys}


def parse(data: bytes) -> Any:
    """Read JSON without floats; the bytes need not be canonical. Raises EncodingError for anything else."""
    try:
        text = data.decode()
        value, end = _read(text)
    except (ValueError, RecursionError) as error:
        raise EncodingError("not JSON without floats in UTF-8") from error
    if end != len(text):
        raise EncodingError("not one JSON value")
    return value


def parse_strict(data: bytes) -> Any:
    """Read canonical JSON; doubled members, floats, spaces, other orders and escapes are EncodingErrors."""
    value = parse(data)
    if canonical(value) != data:
        raise EncodingError("not in canonical form")
    return value


def base32_lower(data: bytes) -> str:
    """Return unpadded lower-case base32 (alphabet a-z2-7)."""
    length = (len(data) * 8 + 4) // 5
    bits = int.from_bytes(data, "big") << -len(data) * 8 % 10  # in pairs of digits, the last one filled up with zeros
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range((length - 1) // 2 * 10, -1, -10)])[:length]


def base64_strict(text: str) -> bytes:
    """Read standard padded base64 and refuse every second spelling of the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EncodingError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise EncodingError("not canonical base64")
    return data


def timestamp(moment: datetime) -> str:
    """Return `moment` (aware) as RFC 3339 in UTC with milliseconds and Z; finer digits are cut off."""
    if moment.tzinfo is None:
        raise EncodingError("a time without zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_timestamp(text: str) -> datetime:
    """Read exactly the form that `timestamp` writes."""
    if not _TIMESTAMP(text):
        raise EncodingError("not a timestamp with milliseconds and Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise EncodingError("no such time") from error
