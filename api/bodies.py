"""JSON bodies, in and out: read strictly, loaded through a schema, dumped through one.

The schemas are what the description is written from and what words every complaint. Those on the hot routes have a
short way as well: `In.plain` builds the command of a body that is plainly right, and `Out.plain` the answer to one.
Whatever the short way does not take goes through the schema, so that nothing is said or let through differently.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from marshmallow import Schema, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from api.schemas.base import In, Out, showing
from api.services import CityFacts
from ledger.errors import ValidationFailed

JSON = "application/json"

SHORT_BYTES = 256
"""How long a body may be for its command to be remembered."""


def read(schema: Schema, body: bytes, media: str) -> Any:
    """The command that a request's body stands for; no body at all is an object without members.

    Raises:
        ValidationFailed: as for `load`, or it is no JSON object.
        UnsupportedMediaType: there is a body of another kind.
    """
    if not body or body.isspace():
        return load(schema, {})
    if media != JSON and not media.endswith("+json"):
        raise UnsupportedMediaType
    if not isinstance(schema, In) or len(body) > SHORT_BYTES:
        return load(schema, _object(body))
    try:
        return _known(schema, body)
    except _TheLongWay as found:
        return _judged(schema, found.data)


class _TheLongWay(Exception):
    """A body that does not go the short way, decoded. It is raised, so that it is not remembered."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data


@lru_cache(maxsize=1_024)
def _known(schema: In, body: bytes) -> Any:
    """The command of a body that goes the short way: a crowd scans one code, and sends the same octets."""
    data = _object(body)
    command = schema.plain(data)
    if command is None:
        raise _TheLongWay(data)
    return command


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError) as fault:
        raise ValidationFailed({"body": "Send a JSON object."}) from fault
    if not isinstance(data, dict):
        raise ValidationFailed({"body": "Send a JSON object."})
    return data


def load(schema: Schema, data: dict[str, Any]) -> Any:
    """The command that a mapping stands for.

    Raises:
        ValidationFailed: names each field that is wrong, dotted where it lies deeper, and the remedy.
    """
    if isinstance(schema, In):
        command = schema.plain(data)
        if command is not None:
            return command
    return _judged(schema, data)


def _judged(schema: Schema, data: dict[str, Any]) -> Any:
    """The same by the long way."""
    try:
        return schema.load(data)
    except ValidationError as fault:
        raise ValidationFailed(dict(_flat(fault.messages, ""))) from fault


def dump(schema: Schema | None, value: Any, city: CityFacts | None, public_url: str) -> bytes:
    """A value as the bytes of a JSON answer; needs no request, since the writer's thread calls it too."""
    text = schema.text(value, city) if isinstance(schema, Out) and city is not None else None
    return (_ENCODER.encode(shown(schema, value, city, public_url)) if text is None else text).encode()


def shown(schema: Schema | None, value: Any, city: CityFacts | None, public_url: str) -> Any:
    """A value as lists, dicts and scalars."""
    if schema is None:
        return value
    if city is None:
        return schema.dump(value)
    if isinstance(schema, Out):
        plain = schema.plain(value, city)
        if plain is not None:
            return plain
    with showing(city, public_url):
        return schema.dump(value)


def _flat(messages: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flat(inner, prefix if name == "_schema" else f"{prefix}.{name}".lstrip("."))
    else:
        yield prefix or "body", str(messages[0] if isinstance(messages, list) else messages)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_members)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
