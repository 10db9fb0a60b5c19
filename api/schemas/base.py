"""The common ground of all schemas: strict input, amounts beside their symbol and scale, instants, pages.

Input is strict: unknown fields are refused by name, numbers are not read out of strings, text holds no control
characters. A schema with `command` set loads a frozen instance of it. Messages are English sentences that are
msgids of the catalogue, so that an answer names the remedy in the reader's language.

Output that shows amounts needs the city: `showing` puts its facts where the fields find them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, ClassVar, TypeGuard

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, post_load

from api.services import CityFacts
from ledger.proof.encoding import timestamp
from ledger.proof.rules import account_type
from ledger.values import AMOUNT_LIMIT

MESSAGES = {
    "required": "Fill this in.",
    "null": "Give a value, or leave the field out.",
    "validator_failed": "This value does not fit.",
}
TEXT_MESSAGE = "Give text."
INSTANT_MESSAGE = "Give an instant with its zone, such as 2026-11-22T21:06:10Z."
INTEGER_MESSAGE = "Give a whole number."
AMOUNT_MESSAGE = "Give a whole number of minor units, greater than 0."
COUNT_MESSAGE = "Give a whole number, 0 or greater."
SEQ_LIMIT = 2**53
ACCOUNT_LENGTH = 120


@dataclass(frozen=True)
class Showing:
    """What output needs to know beside the value itself."""

    city: CityFacts
    public_url: str


_showing: ContextVar[Showing] = ContextVar("showing")


@contextmanager
def showing(city: CityFacts, public_url: str) -> Iterator[None]:
    """Show values of this city while the block runs."""
    token = _showing.set(Showing(city, public_url))
    try:
        yield
    finally:
        _showing.reset(token)


class Symbol(fields.Field[str]):
    """The symbol that the city's amounts bear."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> str:
        """The city's symbol."""
        return _showing.get().city.symbol


class Scale(fields.Field[int]):
    """How many digits of an amount stand behind the point."""

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> int:
        """The city's scale."""
        return _showing.get().city.scale


class Link(fields.Field[str]):
    """An address of this installation: a path before an attribute of the value."""

    def __init__(self, path: str, attribute: str, **kwargs: Any) -> None:
        super().__init__(dump_only=True, **kwargs)
        self._path = path
        self._of = attribute

    def serialize(self, attr: str, obj: Any, accessor: Any = None, **kwargs: Any) -> str:
        """The address."""
        return f"{_showing.get().public_url}{self._path}{getattr(obj, self._of)}"


class Text(fields.Field[str]):
    """Text without control characters and halves of characters; outer spaces are cut off."""

    def __init__(self, *, longest: int = 4_000, **kwargs: Any) -> None:
        super().__init__(**_with_messages(kwargs))
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(TEXT_MESSAGE)
        if len(value) > self.longest:
            raise ValidationError(f"Use at most {self.longest} characters.")
        plain = value.isascii() and value.isprintable()
        if not plain and any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in value):
            raise ValidationError("Use letters, digits and punctuation only.")
        return value.strip()


def is_plain_text(value: object, longest: int) -> TypeGuard[str]:
    """Whether `Text` takes a value as it stands; it may take others too, and cut off their outer spaces."""
    return type(value) is str and len(value) <= longest and value.isascii() and value.isprintable()


class Choice(Text):
    """One of a few words."""

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        super().__init__(longest=40, **kwargs)
        self.choices = choices

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text not in self.choices:
            raise ValidationError(f"Use one of: {', '.join(self.choices)}.")
        return text


class Instant(fields.Field[datetime]):
    """RFC 3339 with a zone, in; UTC with milliseconds and `Z`, out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**_with_messages(kwargs))

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else timestamp(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            # A plus sign that was not escaped in a query arrives as a space.
            at = datetime.fromisoformat(value.strip().replace(" ", "+") if "T" in value else value)
        except (ValueError, TypeError, AttributeError) as fault:
            raise ValidationError(INSTANT_MESSAGE) from fault
        if at.tzinfo is None or not 1970 < at.year < 9000:
            raise ValidationError(INSTANT_MESSAGE)
        return at.astimezone(UTC)


quoted = encode_basestring
"""A text as JSON, in UTF-8 without escapes but those that have to be."""

plain_instant = lru_cache(maxsize=256)(timestamp)
"""As `Instant` goes out. What is posted in one batch bears one instant, so that it is mostly known already."""


class Whole(fields.Field[int]):
    """A whole number within bounds; not a string of digits, unless it comes out of a query."""

    def __init__(
        self, *, least: int = 0, most: int = SEQ_LIMIT, message: str, query: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**_with_messages(kwargs))
        self.least, self.most, self.message, self.query = least, most, message, query

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if self.query and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise ValidationError(self.message)
        return value


class Flag(fields.Field[bool]):
    """true or false; in a query also 1 and 0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**_with_messages(kwargs))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        known = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
        if isinstance(value, bool | str) and value in known:
            return known[value]
        raise ValidationError("Use true or false.")


class AccountPath(Text):
    """An account of the book."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=ACCOUNT_LENGTH, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        path = super()._deserialize(value, attr, data, **kwargs)
        if not is_account(path):
            raise ValidationError("Name an account, such as treasury, budget:<activity> or shop:<id>.")
        return path


def is_account(path: str) -> bool:
    """Whether a path is one of the book's accounts; the handle of a person is none."""
    try:
        return bool(account_type(path)) and "~" not in path
    except ValueError:
        return False


def amount(**kwargs: Any) -> Whole:
    """A positive amount in minor units."""
    kwargs.setdefault("metadata", {})
    kwargs["metadata"] = {"description": "Minor units.", "example": 500, **kwargs["metadata"]}
    return Whole(least=1, most=AMOUNT_LIMIT - 1, message=AMOUNT_MESSAGE, **kwargs)


class In(Schema):
    """Input. `command` is the frozen dataclass that it becomes; without one it stays a mapping."""

    command: ClassVar[type[Any] | None] = None

    class Meta:
        """Strict: unknown fields are refused."""

        unknown = RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012 - as marshmallow declares it
        "unknown": "This field is not known here; leave it out.",
        "type": "Send a JSON object.",
    }

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Any:
        return self.build(data)

    def plain(self, data: dict[str, Any]) -> Any:
        """The short way for a hot route: the same command as `load`, of a body that is plainly right, else None."""
        return None

    def build(self, data: dict[str, Any]) -> Any:
        """The command out of the loaded fields."""
        return data if self.command is None else self.command(**data)


class Empty(In):
    """No fields at all."""


class Out(Schema):
    """Output. It may grow: clients leave aside what they do not know."""

    class Meta:
        """Says in the description that further members may come."""

        unknown = EXCLUDE

    def plain(self, value: Any, city: CityFacts) -> dict[str, Any] | None:
        """The short way for a hot route: the same as `dump` gives for a value, or None where there is none."""
        return None

    def text(self, value: Any, city: CityFacts) -> str | None:
        """The shortest way: the same as JSON without spaces, or None where there is none."""
        return None


class Money(Out):
    """Output with amounts: their symbol and scale stand beside them."""

    symbol = Symbol(metadata={"example": "KGO"})
    scale = Scale(metadata={"example": 2, "description": "Digits behind the point: 500 at scale 2 is 5.00."})


def money_text(city: CityFacts) -> str:
    """How the JSON of what is `Money` begins: its first members, without the brace that closes it."""
    return f'{{"symbol":{quoted(city.symbol)},"scale":{city.scale}'


def items_of(schema: type[Schema], name: str) -> Schema:
    """A list: `{"items": […], "next": <cursor or null>}`."""
    made = Out.from_dict(
        {
            "items": fields.List(fields.Nested(schema)),
            "next": fields.Integer(
                allow_none=True, metadata={"description": "The cursor of the next page; null on the last."}
            ),
        },
        name=name,
    )
    return made()


@dataclass(frozen=True)
class Items:
    """A list and the cursor of its next page."""

    items: Any
    next: int | None = None


def _with_messages(kwargs: dict[str, Any]) -> dict[str, Any]:
    kwargs["error_messages"] = {**MESSAGES, **kwargs.get("error_messages", {})}
    return kwargs
