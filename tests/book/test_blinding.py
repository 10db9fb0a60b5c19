"""Blinding: no person in the log, one handle a case, and nothing left to open once the key is gone."""

import pytest
from sqlalchemy import delete, select

from ledger.book import entries, transfers
from ledger.book.blinding import BlindingKey
from ledger.book.legs import SIDES, Opening
from ledger.errors import NotFound
from ledger.proof import handles
from tests.factories import CITY, Installation


def _redeem(installation: Installation, learner: str, amount: int = 1) -> int:
    return installation.run(
        lambda unit: transfers.post(unit, "redeem", learner, "shop:cafe", amount, actor="shop:cafe").seq
    )


@pytest.fixture
def learner(installation: Installation) -> str:
    """Somebody with tokens and a shop to spend them at."""
    installation.open("shop:cafe")
    installation.grant()
    return installation.learner(100)


def test_no_leaf_names_a_person(installation: Installation, learner: str) -> None:
    """The account's path and its random id stand in none of the public bytes."""
    _redeem(installation, learner)
    with installation.read() as session:
        public = b"\n".join(entries.leaves(session, CITY, 0, entries.size(session, CITY)))
    assert learner.encode() not in public
    assert learner.removeprefix("learner:").encode() not in public
    assert public.count(b"learner:~") == 2


def test_each_case_has_a_handle_of_its_own(installation: Installation, learner: str) -> None:
    """Two purchases of one person share no handle; a purchase and its reversal do."""
    first, second = _redeem(installation, learner), _redeem(installation, learner)
    installation.run(lambda unit: transfers.reverse(unit, first, actor="shop:cafe"))
    leaves = installation.leaves()
    assert leaves[first]["postings"][0]["from"] != leaves[second]["postings"][0]["from"]
    assert leaves[first]["postings"][0]["from"] == leaves[-1]["postings"][0]["to"]


def test_openings_open_the_handles_of_the_log(installation: Installation, learner: str) -> None:
    """Account and nonce make the handle that stands in the leaf; another account or nonce does not."""
    _redeem(installation, learner)
    leaves = installation.leaves()
    with installation.read() as session:
        openings = session.scalars(select(Opening)).all()
    assert len(openings) == 2
    for opening in openings:
        shown = leaves[opening.seq]["postings"][opening.line][SIDES[opening.side]]
        assert handles.handle(opening.account, opening.nonce) == shown
        assert handles.handle("learner:" + "a" * 26, opening.nonce) != shown
    assert openings[0].nonce != openings[1].nonce


def test_the_key_of_the_account_gives_the_nonce_of_a_case(installation: Installation, learner: str) -> None:
    """HMAC-SHA256(key, id of the case's first entry): whoever holds the key can show whose a case is."""
    seq = _redeem(installation, learner)
    with installation.read() as session:
        key = session.get_one(BlindingKey, (CITY, learner)).key
    leaf = installation.leaves()[seq]
    assert handles.handle(learner, handles.nonce(key, leaf["id"])) == leaf["postings"][0]["from"]


def test_without_its_key_an_account_can_do_nothing_more(installation: Installation, learner: str) -> None:
    """Once the key is deleted no further entry names the person; other people go on."""
    other = installation.learner(10)
    with installation.database.write() as session:
        session.execute(delete(BlindingKey).where(BlindingKey.account == learner))
        session.commit()
    with pytest.raises(NotFound):
        _redeem(installation, learner)
    _redeem(installation, other)
    assert installation.balance(learner).posted_minor == 100
