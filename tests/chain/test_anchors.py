"""Anchors against a real node: when they are due, that they are kept only when final, and what a broken log meets."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from ledger.book import tree
from ledger.book.seal import LogBehindPublished
from ledger.chain import anchors, client, outbox
from ledger.chain.anchors import AnchorsMissing, LogBehindAnchor, SplitView
from ledger.chain.keys import address_of
from tests.chain.gateway import Gateway
from tests.chain.harbour import CHAIN, Harbour
from tests.factories import CITY, reopen


def _finish(harbour: Harbour) -> None:
    for _ in range(3):
        harbour.tend()
        harbour.anvil.finalize()
    harbour.tend()


def test_the_log_is_anchored_by_entries_and_by_time(harbour: Harbour) -> None:
    """At once the first time; then after five entries, or after a minute if there is a new one; never for nothing."""
    harbour.tend()
    assert harbour.waiting() == []
    harbour.grow()
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [1]
    harbour.grow(4)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [1]
    harbour.grow()
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [1, 6]
    harbour.city.clock.advance(minutes=2)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [1, 6]
    harbour.grow()
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [1, 6, 7]
    with harbour.city.read() as session:
        for one in harbour.anchored():
            assert one.root == tree.root_at(session, CITY, one.size)
            assert one.agrees is True
        assert anchors.sizes(session, CITY, CHAIN, harbour.token) == [1, 6, 7]
        assert anchors.sizes(session, CITY, CHAIN, "0x" + "11" * 20) == []
    assert harbour.read("anchored")[0] == 7


def test_an_anchor_is_listed_when_it_is_final_with_its_transaction_and_time(harbour: Harbour) -> None:
    """Mined is not enough; then it has the block's time and the transaction of the call."""
    harbour.grow(3)
    harbour.tend()
    assert harbour.read("anchored")[0] == 3
    harbour.tend()
    assert harbour.anchored() == []
    harbour.anvil.finalize()
    harbour.tend()
    (anchor,) = harbour.anchored()
    receipt = client.receipt(harbour.node, anchor.transaction)
    assert receipt is not None
    assert anchor.block_number == receipt.block_number
    assert anchor.at == datetime.fromtimestamp(client.block(harbour.node, anchor.block_number).timestamp, UTC)
    with harbour.city.database.write() as session, pytest.raises(DBAPIError, match="append-only"):
        session.execute(anchors.Anchor.__table__.delete())  # type: ignore[attr-defined]


def test_an_anchor_that_a_reorganisation_took_back_is_made_again(harbour: Harbour) -> None:
    """The next anchor begins where the contract is, and not where it was once seen."""
    harbour.anvil.mine(5)
    harbour.grow(3)
    harbour.tend()
    harbour.anvil.reorganize(3)
    assert harbour.read("anchored")[0] == 0
    harbour.grow(6)
    _finish(harbour)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [3, 9]


def test_somebody_else_may_have_anchored(harbour: Harbour) -> None:
    """The operator anchored by hand: the job goes on from there, and lists both."""
    harbour.grow(3)
    with harbour.city.read() as session:
        root = tree.root_at(session, CITY, 3)
    harbour.send("anchorer", "anchor", 0, 3, root, [])
    harbour.grow(6)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [3, 9]


def test_a_node_that_leaves_an_anchor_out_is_noticed(harbour: Harbour, gateway: Gateway) -> None:
    """Events without one of them, or without the newest: nothing is kept of them; the next round has all."""
    for _ in range(2):
        harbour.grow(6)
        _finish_without_following(harbour)
    harbour.url = gateway.url

    def forget(question: dict[str, Any], which: int) -> Any:
        if question["method"] != "eth_getLogs":
            return None
        found = harbour.anvil.rpc(question["method"], *question["params"])
        return {"jsonrpc": "2.0", "id": question["id"], "result": found[:which] + found[which + 1 :]}

    for which in (0, 1):
        gateway.rule = lambda question: forget(question, which)
        with pytest.raises(AnchorsMissing):
            anchors.follow(harbour.city.database, CITY, harbour.site())
        assert harbour.anchored() == []
    gateway.rule = lambda question: None
    assert anchors.follow(harbour.city.database, CITY, harbour.site()) == 2
    assert anchors.follow(harbour.city.database, CITY, harbour.site()) == 0
    assert [one.size for one in harbour.anchored()] == [6, 12]


def _finish_without_following(harbour: Harbour) -> None:
    anchors.wish(harbour.city.database, CITY, harbour.site(), harbour.city.clock.now, insist=True)
    harbour.drain()
    harbour.anvil.finalize()
    harbour.drain()


def test_a_log_that_lost_its_tail_or_its_past_anchors_nothing(harbour: Harbour) -> None:
    """More was anchored than there is, or another root: refused, with both told; what is listed says so too."""
    harbour.grow(3)
    database, now = harbour.city.database, harbour.city.clock.now
    harbour.send("anchorer", "anchor", 0, 2, b"\x07" * 32, [])
    with pytest.raises(SplitView) as split:
        anchors.wish(database, CITY, harbour.site(), now)
    assert split.value.params["size"] == 2
    harbour.anvil.finalize()
    anchors.follow(database, CITY, harbour.site())
    assert [one.agrees for one in harbour.anchored()] == [False]
    assert harbour.waiting() == []


def test_more_anchored_than_the_log_has_is_an_alarm(harbour: Harbour) -> None:
    """As after a restore from an older copy of the database."""
    harbour.grow(3)
    harbour.send("anchorer", "anchor", 0, 50, b"\x07" * 32, [])
    with pytest.raises(LogBehindAnchor) as behind:
        anchors.wish(harbour.city.database, CITY, harbour.site(), harbour.city.clock.now)
    assert (behind.value.params["size"], behind.value.params["anchored"]) == (3, 50)
    harbour.anvil.finalize()
    anchors.follow(harbour.city.database, CITY, harbour.site())
    assert [one.agrees for one in harbour.anchored()] == [None]


def test_a_refused_anchor_is_tried_again_after_a_while(harbour: Harbour) -> None:
    """The anchorer lost the role: refused for good, tried again ten minutes later, and then it works."""
    role = b"ANCHORER_ROLE".ljust(32, b"\0")
    who = address_of(harbour.keys["anchorer"])
    harbour.send("admin", "revokeRole", role, who)
    harbour.grow(3)
    _finish(harbour)
    with harbour.city.read() as session:
        (refused,) = outbox.settled(session, CITY, "anchor")
    assert (refused.state, refused.reason) == (outbox.REVERTED, "AccessControlUnauthorizedAccount")
    harbour.send("admin", "grantRole", role, who)
    _finish(harbour)
    assert harbour.anchored() == []
    harbour.city.clock.advance(minutes=11)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [3]


def test_a_lagging_node_leads_to_no_second_anchor(harbour: Harbour, gateway: Gateway) -> None:
    """It still tells the size before: what follows from that, the contract refuses, and nothing is lost."""
    harbour.grow(3)
    _finish(harbour)
    harbour.grow(6)
    harbour.url = gateway.url

    def lag(question: dict[str, Any]) -> Any:
        if question["method"] == "eth_call" and question["params"][1] == "latest":
            return {"jsonrpc": "2.0", "id": question["id"], "result": "0x" + "00" * 64}
        return None

    gateway.rule = lag
    harbour.tend()
    gateway.rule = lambda question: None
    _finish(harbour)
    with harbour.city.read() as session:
        states = {one.state: one.reason for one in outbox.settled(session, CITY, "anchor")}
    assert states == {outbox.DONE: None, outbox.REVERTED: "StaleAnchor"}
    harbour.city.clock.advance(minutes=11)
    _finish(harbour)
    assert [one.size for one in harbour.anchored()] == [3, 9]


def test_a_city_restored_as_a_whole_from_an_old_backup_signs_nothing(
    harbour: Harbour, sqlite_url: str, tmp_path: Path
) -> None:
    """Database and published checkpoint are both old: the chain alone knows, and the writer refuses by its word."""
    file, published = Path(make_url(sqlite_url).database or ""), tmp_path / "published"
    harbour.grow(3)
    _finish(harbour)
    city = harbour.city
    city.close()
    copies = {file: tmp_path / "database", published: tmp_path / "notes"}
    shutil.copyfile(file, copies[file])
    shutil.copytree(published, copies[published])
    harbour.city = reopen(sqlite_url, tmp_path, city.clock)
    harbour.grow(6)
    _finish(harbour)
    anchors.guard(harbour.city.database, harbour.city.writer.published, CITY, harbour.site())
    harbour.city.close()
    newest = tmp_path / "newest"
    shutil.copyfile(file, newest)
    for old in file.parent.glob(f"{file.name}*"):
        old.unlink()
    shutil.copyfile(copies[file], file)
    shutil.rmtree(published)
    shutil.copytree(copies[published], published)
    restored = harbour.city = reopen(sqlite_url, tmp_path, city.clock)
    anchors.follow(restored.database, CITY, harbour.site())
    with pytest.raises(LogBehindAnchor) as behind:
        anchors.guard(restored.database, restored.writer.published, CITY, harbour.site())
    assert (behind.value.params["size"], behind.value.params["anchored"]) == (3, 9)
    other = reopen(sqlite_url, tmp_path, city.clock)
    for process in (restored, other):
        with pytest.raises(LogBehindPublished):
            process.grant()
    assert harbour.size == 3
    other.close()
    restored.close()
    for old in file.parent.glob(f"{file.name}*"):
        old.unlink()
    shutil.copyfile(newest, file)
    harbour.city = reopen(sqlite_url, tmp_path, city.clock)
    assert harbour.grow() == 10
