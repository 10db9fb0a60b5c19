"""Which checkpoint is shown and which a receipt rests on, with and without a policy; receipts prove what they say."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.book import seal
from ledger.errors import NotFound
from ledger.log import checkpoints, receipts
from ledger.log.policies import Rule
from ledger.proof import policy, receipt
from ledger.proof.checkpoint import parse, verify
from tests.factories import CITY, Installation
from tests.log.witnesses import Friend, rule
from tests.statements import asked


def _sizes(installation: Installation, seqs: int, which: Rule | None) -> list[int]:
    with installation.read() as session:
        return [parse(checkpoints.covering(session, CITY, seq, which)).size for seq in range(seqs)]


def _shown(installation: Installation, which: Rule | None) -> str:
    with installation.read() as session:
        return checkpoints.shown(session, CITY, which)


def test_without_a_policy_the_newest_is_shown(installation: Installation) -> None:
    """And entries are covered by the checkpoint of their batch."""
    for amount in (1, 2, 3):
        installation.grant(amount)
        with installation.read() as session:
            assert _shown(installation, None) == seal.latest(session, CITY).note == checkpoints.newest(session, CITY)
    assert _sizes(installation, 3, None) == [1, 2, 3]


def test_with_a_policy_the_newest_that_satisfies_it_is_shown(installation: Installation) -> None:
    """It trails behind the log until the quorum has cosigned again; receipts of what it does not cover do without."""
    friends = [Friend(installation, name) for name in ("a", "b", "c")]
    two = rule(friends, "group g 2 a b c\nquorum g")
    for _ in range(3):
        installation.grant()
    assert parse(_shown(installation, two)).size == 3  # nobody has cosigned anything: the city's own word
    friends[0].cosign(two)
    assert parse(_shown(installation, two)).size == 3
    friends[2].cosign(two)
    for _ in range(2):
        installation.grant()
    friends[1].cosign(two)  # one alone, of a newer one
    note = _shown(installation, two)
    assert verify(note, installation.city_keys().vkey).size == 3
    assert set(two.policy.cosigners(note)) == {"a", "c"}
    assert _sizes(installation, 5, two) == [3, 3, 3, 4, 5]
    friends[0].cosign(two)
    assert parse(_shown(installation, two)).size == 5
    assert _sizes(installation, 5, two) == [3, 3, 3, 5, 5]
    with installation.read() as session:
        assert parse(checkpoints.newest(session, CITY)).size == 5


def test_a_changed_policy_is_judged_anew(installation: Installation) -> None:
    """What satisfied the old one counts again when it was collected for, under the new one."""
    friends = [Friend(installation, name) for name in ("a", "b")]
    one, both = rule(friends, "quorum a"), rule(friends, "group g all a b\nquorum g")
    installation.grant()
    friends[0].cosign(one)
    installation.grant()
    assert parse(_shown(installation, one)).size == 1
    assert parse(_shown(installation, both)).size == 2
    friends[0].cosign(both)
    friends[1].cosign(both)
    installation.grant()
    assert parse(_shown(installation, both)).size == 2
    assert set(both.policy.cosigners(_shown(installation, both))) == {"a", "b"}


def test_a_policy_that_wants_no_witness_shows_the_newest(installation: Installation) -> None:
    """With the cosignatures that it happens to have."""
    friend = Friend(installation, "a")
    free = rule([friend], "quorum none")
    installation.grant()
    friend.cosign(free)
    assert set(free.policy.cosigners(_shown(installation, free))) == {"a"}
    installation.grant()
    assert parse(_shown(installation, free)).size == 2


def test_a_receipt_proves_its_entry(installation: Installation) -> None:
    """Each verifies by itself under the city's key, with the cosignatures of the policy where there are some."""
    friend = Friend(installation, "a")
    wanted = rule([friend], "quorum a")
    for amount in (1, 2, 3):
        installation.grant(amount)
    friend.cosign(wanted)
    installation.grant(4)
    leaves = installation.leaves()
    with installation.read() as session:
        for seq, cosigners in enumerate([{"a"}, {"a"}, {"a"}, set()]):
            text = receipts.text(session, CITY, seq, wanted)
            read = receipt.parse(text)
            head, entry = receipt.verify(read, installation.city_keys().vkey)
            assert entry == leaves[seq]
            assert head.size == (3 if cosigners else 4)
            assert set(wanted.policy.cosigners(read.note)) == cosigners
        with pytest.raises(NotFound):
            receipts.text(session, CITY, 4, wanted)
        with pytest.raises(NotFound):
            checkpoints.shown(session, "nowhere", None)


def test_a_receipt_is_three_statements(installation: Installation) -> None:
    """The checkpoint, the path and the leaf, each by its key."""
    installation.grant()
    installation.grant()
    with installation.read() as session, asked(installation.database) as found:
        receipts.text(session, CITY, 1, None)
    assert len(found) == 3


def test_cosignatures_are_never_changed(installation: Installation) -> None:
    """The database refuses UPDATE and DELETE of what was cosigned, and of which sizes had a quorum."""
    friend = Friend(installation, "a")
    friend.cosign(rule([friend], "quorum a"))
    verbs = ["UPDATE {} SET city = city", "DELETE FROM {}"]
    if not installation.database.url.startswith("sqlite"):
        verbs.append("TRUNCATE {}")
    for table in ("cosignatures", "quorums"):
        for verb in verbs:
            with (
                installation.database.writing.connect() as connection,
                pytest.raises(DBAPIError, match="append-only"),
            ):
                connection.exec_driver_sql(verb.format(table))


def test_a_policy_without_logs_concerns_every_log(installation: Installation) -> None:
    """One that names logs concerns those alone."""
    vkey = installation.city_keys().vkey
    assert Rule(policy.parse(b"quorum none\n"), "").concerns(vkey)
    assert Rule(policy.parse(f"log {vkey}\nquorum none\n".encode()), "").concerns(vkey)
    stranger = Friend(installation, "a").log_vkey("stranger.example")
    assert not Rule(policy.parse(f"log {stranger}\nquorum none\n".encode()), "").concerns(vkey)
