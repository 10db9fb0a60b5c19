"""From a request to the city's writer and back: idempotency keys, submission, stored answers.

A key is looked up before anything else of the request is judged, and by the writer inside its transaction, so that of
two equal requests at the same time one is carried out and the other gets the same answer. A request that the writer
itself signs in has its key looked up there alone. What makes two requests equal: the same principal, route, path and
body bytes. The stored answer is the body of the response.

Whoever is not signed in shares one scope with all others who are not; their keys must therefore be long enough that
nobody meets another newcomer's answer by guessing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from api.services import services
from ledger.book.commands import Command, Outcome, Steps
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.errors import ValidationFailed
from ledger.people.roles import Principal

KEY_HEADER = "Idempotency-Key"
REPLAY_HEADER = "Idempotent-Replay"
LONGEST_KEY = 255
SHORTEST_ANONYMOUS_KEY = 16
ANONYMOUS = "anonymous"


class Written(NamedTuple):
    """The body of the answer, and whether it is that of an earlier request."""

    body: bytes
    replayed: bool


def scope_of(route: str, caller: Principal, path: dict[str, str], key: str, body: bytes) -> Scope:
    """The use of an idempotency key that came with a request.

    Args:
        route: method and path template.
        caller: who sent it.
        path: what stands for the variables of the template, beside the city.
        key: the key.
        body: the request's body.

    Raises:
        ValidationFailed: the key cannot be one.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise ValidationFailed({KEY_HEADER: f"Use 1 to {LONGEST_KEY} printable ASCII characters."})
    if caller.token_id is None and len(key) < SHORTEST_ANONYMOUS_KEY:
        sentence = f"Use a random key of at least {SHORTEST_ANONYMOUS_KEY} characters while nobody is signed in."
        raise ValidationFailed({KEY_HEADER: sentence})
    arguments = "\n".join(f"{name}={path[name]}" for name in sorted(path)).encode()
    content = hashlib.sha256(arguments + b"\n\n" + body).digest()
    return Scope(caller.token_id or ANONYMOUS, route, key, content)


class Writing:
    """One write on its way: the command for the city's writer, and the body of the answer to what it did.

    Args:
        run: does it.
        encode: makes the body of the answer: with a key inside the transaction, since it is stored there, and
            otherwise in `answer`, so that the writer is not kept waiting.
        reads: as for an operation.
    """

    def __init__(self, run: Callable[[Unit], Any], encode: Callable[[Any], bytes], reads: Steps | None = None) -> None:
        self._run = run
        self._encode = encode
        self._reads = reads
        self._body: bytes | None = None

    def command(self, scope: Scope | None) -> Command[Any]:
        """What the writer is to do, under an idempotency key if there is one."""
        keep = None if scope is None else self._keep
        return Command(self._run, scope, keep, self._reads is not None, self._reads or ())

    def answer(self, outcome: Outcome[Any]) -> Written:
        """What is said of its outcome."""
        if outcome.replayed is not None:
            return Written(outcome.replayed, replayed=True)
        return Written(self._body or self._encode(outcome.value), replayed=False)

    def _keep(self, value: Any) -> bytes:
        self._body = self._encode(value)
        return self._body


def submit(
    city: str,
    run: Callable[[Unit], Any],
    encode: Callable[[Any], bytes],
    scope: Scope | None,
    *,
    reads: Steps | None = None,
) -> Written:
    """Have the city's writer run a command; returns once it is committed and sealed. Arguments as for `Writing`.

    Raises:
        LedgerError: the command's refusal; `Overloaded`; `OutcomeUnknown`.
    """
    writing = Writing(run, encode, reads)
    return writing.answer(services().installation.writer.submit(city, writing.command(scope)))
