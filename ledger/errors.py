"""Every way in which a command can be refused.

    LedgerError
    ├── Refused              a rule of the city says no (a stable `code`, often a `reason`)
    ├── ValidationFailed     the input is malformed; names each field and the remedy
    ├── Unauthenticated      nobody is signed in
    ├── Forbidden            somebody is, and may not
    ├── NotFound             no such thing in this city
    ├── Overloaded           the writer's queue is full; nothing was done, try again
    └── OutcomeUnknown       the database did not say whether it committed; ask again with the same key

An error carries facts, never sentences: the edge (`api/problems.py`) turns code, reason and parameters into
words in the reader's language and into an HTTP status. `code` is part of the public contract and never changes.
"""

from __future__ import annotations

from typing import Any


class LedgerError(Exception):
    """The base of every refusal. `code` is stable; `reason` refines it; `params` are facts for the message."""

    code = "error"

    def __init__(self, reason: str | None = None, **params: Any) -> None:
        super().__init__(self.code, reason, params)
        self.reason = reason
        self.params = params

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors pass between processes, whatever their constructors take."""
        return type(self).__new__, (type(self), *self.args), self.__dict__

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return " ".join(part for part in (self.code, self.reason, facts) if part)


class Refused(LedgerError):
    """A rule of the city refuses a well-formed command; what it wanted did not happen, and nothing else did."""

    def __init__(self, code: str, reason: str | None = None, **params: Any) -> None:
        self.code = code
        super().__init__(reason, **params)


class ValidationFailed(LedgerError):
    """Malformed input. `fields` maps each field's name to a sentence that says what to do about it."""

    code = "validation_failed"

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(None, fields=fields)
        self.fields = fields


class Unauthenticated(LedgerError):
    """The command needs somebody who is signed in."""

    code = "unauthenticated"


class Forbidden(LedgerError):
    """Whoever is signed in may not do this; `params["permission"]` names what is missing."""

    code = "forbidden"


class NotFound(LedgerError):
    """`params["kind"]` and `params["id"]` name what does not exist in this city; more facts for who can mend it."""

    code = "not_found"

    def __init__(self, kind: str, identifier: object, **facts: Any) -> None:
        super().__init__(None, kind=kind, id=str(identifier), **facts)


class Overloaded(LedgerError):
    """The writer's queue is full. Nothing was done; try again after `params["retry_after_seconds"]`."""

    code = "overloaded"

    def __init__(self, *, retry_after_seconds: int = 1) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds)


class OutcomeUnknown(LedgerError):
    """The database broke off during commit. Ask again with the same idempotency key to learn the outcome."""

    code = "outcome_unknown"
