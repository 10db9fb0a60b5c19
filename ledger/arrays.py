"""One-dimensional arrays in PostgreSQL's binary form: a column of many rows as one parameter.

psycopg makes arrays of Python lists element by element, in text or through a dumper for each; this packs a whole column
at once, and the server neither reads digits nor undoes escapes. The form is that of `array_recv`: number of dimensions,
whether there are NULLs, OID of the elements, length, lower bound; then each element behind its length in octets, -1 for
NULL. Integers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from struct import Struct
from typing import Any

_HEAD = Struct(">iiIii")
_LENGTH = Struct(">i").pack
_LENGTHS = [_LENGTH(length) for length in range(1_024)]
_NULL = _LENGTH(-1)


class Array(bytes):
    """An array that is ready to be sent; each type of elements has a class of its own."""

    oid: int


class SmallInts(Array):
    """An array of smallint."""

    oid = 1005


class BigInts(Array):
    """An array of bigint."""

    oid = 1016


class Texts(Array):
    """An array of text."""

    oid = 1009


class Octets(Array):
    """An array of bytea."""

    oid = 1001


def small_ints(values: Sequence[int | None]) -> SmallInts:
    """An array of integers below 2**15."""
    return SmallInts(_integers(values, 21, 2, "h"))


def big_ints(values: Sequence[int | None]) -> BigInts:
    """An array of integers below 2**63."""
    return BigInts(_integers(values, 20, 8, "q"))


def texts(values: Sequence[str | None]) -> Texts:
    """An array of texts, without NUL, which PostgreSQL does not take."""
    return Texts(_variable([None if value is None else value.encode() for value in values], 25))


def octets(values: Sequence[bytes | None]) -> Octets:
    """An array of byte strings."""
    return Octets(_variable(values, 17))


@cache
def register() -> None:
    """Make psycopg send arrays as they are; for every connection that is opened from now on."""
    from psycopg import adapters
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class Ready(Dumper):
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return obj

    for kind in (SmallInts, BigInts, Texts, Octets):
        adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (Ready,), {"oid": kind.oid}))


def _integers(values: Sequence[int | None], oid: int, width: int, code: str) -> bytes:
    count = len(values)
    if None in values:
        one = Struct(f">i{code}").pack
        elements = b"".join([_NULL if value is None else one(width, value) for value in values])
        return _HEAD.pack(1, 1, oid, count, 1) + elements
    filled: list[Any] = [width] * (2 * count)
    filled[1::2] = values
    return _HEAD.pack(1, 0, oid, count, 1) + _layout(count, code)(*filled)


@lru_cache(maxsize=1_024)
def _layout(count: int, code: str) -> Callable[..., bytes]:
    return Struct(f">{f'i{code}' * count}").pack


def _variable(values: Sequence[bytes | None], oid: int) -> bytes:
    has_null = None in values
    elements: list[bytes] = [b""] * (2 * len(values))
    if has_null:
        elements[0::2] = [_NULL if value is None else _LENGTH(len(value)) for value in values]
        elements[1::2] = [value or b"" for value in values]
    else:
        known: Sequence[bytes] = values  # type: ignore[assignment]
        elements[0::2] = [_LENGTHS[len(value)] if len(value) < 1_024 else _LENGTH(len(value)) for value in known]
        elements[1::2] = known
    return _HEAD.pack(1, has_null, oid, len(values), 1) + b"".join(elements)
