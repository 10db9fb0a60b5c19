"""Idempotency keys: once, however often it is sent; and nothing of a client's secrets in the database."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select

from ledger.book import transfers
from ledger.book.commands import Command
from ledger.book.idempotency import Scope, StoredAnswer
from ledger.errors import Refused
from tests.factories import CITY, Installation, add_city

SECRET_ANSWER = b'{"token":"kgo_kkverysecrettoken"}'


def _scope(
    key: str = "key-1", body: bytes = b"{}", principal: str = "treasurer", route: str = "POST /entries"
) -> Scope:
    return Scope(principal, route, key, sha256(body).digest())


def _grant(scope: Scope | None, amount: int = 1, answer: bytes | None = None) -> Command[int]:
    return Command(
        lambda unit: transfers.post(unit, "grant", "issuance", "treasury", amount, actor="treasurer").seq,
        scope=scope,
        encode=lambda seq: answer or json.dumps({"entry": seq}).encode(),
    )


def test_the_same_request_again_gets_the_first_answer(installation: Installation) -> None:
    """It is carried out once; the second answer is the first one, byte for byte, and marked as such."""
    first = installation.writer.submit(CITY, _grant(_scope()))
    again = installation.writer.submit(CITY, _grant(_scope()))
    assert (first.value, first.replayed) == (0, None)
    assert (again.value, again.replayed) == (None, b'{"entry": 0}')
    assert len(installation.leaves()) == 1


def test_the_same_key_with_another_body_is_a_conflict(installation: Installation) -> None:
    """Nothing is done, and the first answer is not given away."""
    installation.writer.submit(CITY, _grant(_scope(body=b"1")))
    with pytest.raises(Refused) as refusal:
        installation.writer.submit(CITY, _grant(_scope(body=b"2")))
    assert refusal.value.code == "idempotency_conflict"
    assert installation.writer.submit(CITY, _grant(_scope(body=b"1"))).replayed == b'{"entry": 0}'
    assert len(installation.leaves()) == 1


@pytest.mark.parametrize("other", [{"key": "key-2"}, {"principal": "steward"}, {"route": "POST /entries:batch"}])
def test_a_key_belongs_to_its_principal_and_route(installation: Installation, other: dict[str, Any]) -> None:
    """Another client, or another route, may use the same key for something else."""
    installation.writer.submit(CITY, _grant(_scope()))
    assert installation.writer.submit(CITY, _grant(_scope(**other))).value == 1
    keys = [leaf["key"] for leaf in installation.leaves()]
    assert len(set(keys)) == 2


def test_a_key_belongs_to_its_city(installation: Installation) -> None:
    """The same key in two cities is two keys, in the database and in the logs."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    scope = _scope()
    installation.writer.submit(CITY, _grant(scope))

    def record(unit: object) -> int:
        return 7

    assert installation.writer.submit("phayao", Command(record, scope, lambda value: b"")).value == 7
    with installation.read() as session:
        rows = session.scalars(select(StoredAnswer.key)).all()
    assert len(set(rows)) == 2


def test_refusals_are_not_stored(installation: Installation) -> None:
    """Who was refused may try again with the same key, even with a corrected body."""
    with pytest.raises(Refused):
        installation.writer.submit(
            CITY,
            Command(
                lambda unit: transfers.post(unit, "transfer", "treasury", "expired", 1, actor="treasurer"),
                scope=_scope(body=b"wrong"),
                encode=lambda _: b"",
            ),
        )
    assert installation.writer.submit(CITY, _grant(_scope(body=b"right"))).value == 0


def test_two_in_one_batch_are_one(installation: Installation) -> None:
    """A double click that lands in one batch is carried out once; a neighbour with another key is untouched."""
    outcomes = installation.writer.execute(CITY, [_grant(_scope()), _grant(_scope()), _grant(_scope("key-2"))])
    assert [getattr(outcome, "value", None) for outcome in outcomes] == [0, None, 1]
    assert getattr(outcomes[1], "replayed", None) == b'{"entry": 0}'


def test_many_at_once_are_one(installation: Installation) -> None:
    """A hundred threads with one key make one entry, and all get the same answer."""
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: installation.writer.submit(CITY, _grant(_scope())), range(100)))
    assert sorted(answer.replayed or b"" for answer in answers) == [b"", *[b'{"entry": 0}'] * 99]
    assert len(installation.leaves()) == 1


def test_the_key_is_looked_up_before_anything_is_judged(installation: Installation) -> None:
    """A request that could not be carried out any more still gets its first answer."""
    installation.open("shop:cafe")
    installation.grant(10)
    empty = Command(
        lambda unit: transfers.post(unit, "transfer", "treasury", "shop:cafe", 10, actor="treasurer").seq,
        scope=_scope(),
        encode=lambda seq: str(seq).encode(),
    )
    assert installation.writer.submit(CITY, empty).value == 1
    assert installation.writer.submit(CITY, empty).replayed == b"1"
    assert installation.balance("shop:cafe").posted_minor == 10


def test_without_a_key_each_request_counts(installation: Installation) -> None:
    """Idempotency is asked for, never guessed."""
    installation.writer.submit(CITY, _grant(None))
    installation.writer.submit(CITY, _grant(None))
    assert [leaf["key"] for leaf in installation.leaves()] == [None, None]


def test_neither_key_nor_answer_stands_in_the_database(installation: Installation) -> None:
    """Whoever copies the database learns no idempotency key and no token that an answer carried."""
    scope = _scope("client-key-4711")
    installation.writer.submit(CITY, _grant(scope, answer=SECRET_ANSWER))
    with installation.read() as session:
        row = session.scalars(select(StoredAnswer)).one()
    stored = b"".join((row.key.encode(), row.request, row.answer))
    for secret in (b"client-key-4711", SECRET_ANSWER, b"kgo_kk", b"token"):
        assert secret not in stored
    keys = installation.city_keys()
    assert row.key == scope.key_hash(keys) == installation.leaves()[0]["key"]
    with pytest.raises(InvalidTag):
        _scope("another-key").cipher(keys).decrypt(row.answer[:12], row.answer[12:], None)
    assert installation.writer.submit(CITY, _grant(scope)).replayed == SECRET_ANSWER


def test_later_commands_of_a_batch_do_not_inherit_the_key(installation: Installation) -> None:
    """The leaf's key is that of its own command alone."""
    installation.writer.execute(CITY, [_grant(_scope()), _grant(None)])
    first, second = installation.leaves()
    assert first["key"] == _scope().key_hash(installation.city_keys())
    assert second["key"] is None
