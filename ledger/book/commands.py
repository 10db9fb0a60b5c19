"""What the writer of a city is asked to do, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from sqlalchemy.exc import DBAPIError

from ledger.book.idempotency import Scope
from ledger.book.unit import Place, Unit

Value = TypeVar("Value")

Steps = Sequence[Callable[[Unit], Iterable[Place]]]
"""What a command will read, in steps that may each use what the ones before have read."""


class Command(NamedTuple, Generic[Value]):
    """Something to be done in the writer's transaction.

    Attributes:
        run: does it, and returns what it did. It may raise a `LedgerError`; then nothing of it remains.
        scope: the idempotency key it came with, if any.
        encode: the answer to store under that key; needed where there is a scope.
        staged_only: it writes through the unit's `put` and `insert` alone; see `Unit.attempt`. Much faster.
        reads: what it will read, as far as it can be told beforehand. What a step refuses, `run` will refuse again.
    """

    run: Callable[[Unit], Value]
    scope: Scope | None = None
    encode: Callable[[Value], bytes] | None = None
    staged_only: bool = False
    reads: Steps = ()


class Deferred(NamedTuple, Generic[Value]):
    """A command that cannot be told before something has been read in the writer's transaction.

    Attributes:
        place: what is read first, for all that are deferred in a batch by one statement.
        then: makes the command; what it raises is the outcome.
    """

    place: Place
    then: Callable[[Unit], Command[Value]]


Wanted = Command[Value] | Deferred[Value]


class Outcome(NamedTuple, Generic[Value]):
    """What became of a command: its value, or the stored answer of the first time it came."""

    value: Value | None = None
    replayed: bytes | None = None


def known(unit: Unit, wanted: Sequence[Wanted[Any]]) -> list[Command[Any]]:
    """The commands of a batch, now that it can be told of each what it is."""
    unit.fetch(one.place for one in wanted if isinstance(one, Deferred))
    return [_found_out(unit, one) if isinstance(one, Deferred) else one for one in wanted]


def _found_out(unit: Unit, deferred: Deferred[Any]) -> Command[Any]:
    try:
        return deferred.then(unit)
    except DBAPIError:
        raise  # it is of the transaction, which is everybody's
    except Exception as fault:
        return Command(partial(_fail, fault), staged_only=True)


def _fail(fault: Exception, _unit: Unit) -> NoReturn:
    raise fault
