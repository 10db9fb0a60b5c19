"""The sender against a real node: every wish is carried out once, whatever breaks off and wherever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.chain import client, outbox
from ledger.chain.errors import Unreachable
from ledger.chain.keys import Signed, address_of
from ledger.chain.outbox import WishConflict
from ledger.chain.sender import FILL, LOST_BLOCKS
from tests.anvil import Anvil
from tests.chain.gateway import LOSE_ANSWER, LOSE_QUESTION, Gateway, error
from tests.chain.harbour import GWEI, Harbour
from tests.factories import install


class Killed(BaseException):
    """The process ends here."""


def test_a_wish_is_queued_once_and_ends_when_its_transaction_is_final(harbour: Harbour) -> None:
    """Wished for twice, sent once; done only when the block is final."""
    assert harbour.wish("a", "pause")
    assert not harbour.wish("a", "pause")
    with pytest.raises(WishConflict):
        harbour.wish("a", "veto", 1)
    assert harbour.drain().sent == 1
    assert harbour.read("paused") is True
    assert harbour.drain().waiting == 1
    assert harbour.call("a").state == outbox.SENT
    harbour.anvil.finalize()
    assert harbour.drain().done == 1
    call = harbour.call("a")
    assert (call.state, call.transaction) == (outbox.DONE, harbour.hashes("a")[0])
    assert call.block_number is not None
    assert call.ended_at is not None
    assert harbour.drain().waiting == 0
    assert harbour.nonce("pauser") == 1


def test_the_bytes_are_stored_before_the_node_hears_of_them(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends between storing and sending leaves what the next one sends: the same bytes, once."""
    harbour.wish("a", "pause")
    with monkeypatch.context() as patch:
        patch.setattr(client, "broadcast", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            harbour.drain()
    (stored,) = harbour.hashes("a")
    assert harbour.read("paused") is False
    assert harbour.drain().sent == 0
    assert harbour.read("paused") is True
    harbour.settle()
    assert harbour.call("a").transaction == stored


@pytest.mark.parametrize("loss", [LOSE_QUESTION, LOSE_ANSWER])
def test_a_lost_answer_sends_nothing_twice(harbour: Harbour, gateway: Gateway, loss: str) -> None:
    """Whether the node has heard or not, the wish is carried out once, with one nonce."""
    harbour.url = gateway.url
    harbour.wish("a", "pause")
    gateway.rule = lambda question: loss if question["method"] == "eth_sendRawTransaction" else None
    with pytest.raises(Unreachable):
        harbour.drain()
    gateway.rule = lambda question: None
    harbour.settle()
    assert harbour.call("a").state == outbox.DONE
    assert (len(harbour.hashes("a")), harbour.nonce("pauser")) == (1, 1)


@pytest.mark.parametrize("message", ["nonce too low", "already known", "transaction already imported"])
def test_nonce_too_low_and_already_imported_mean_look_up_every_attempt(
    harbour: Harbour, gateway: Gateway, message: str
) -> None:
    """The node has it and says that it will not: no failure is noted, nothing is signed anew, and it is done once."""
    harbour.url = gateway.url
    harbour.wish("a", "pause")

    def take_and_refuse(question: dict[str, Any]) -> Any:
        if question["method"] != "eth_sendRawTransaction":
            return None
        harbour.anvil.rpc("eth_sendRawTransaction", *question["params"])
        return error(question, -32_000, message)

    gateway.rule = take_and_refuse
    harbour.drain()
    assert (harbour.call("a").state, harbour.call("a").reason) == (outbox.SENT, None)
    harbour.settle()
    assert harbour.call("a").transaction == harbour.hashes("a")[0]
    assert (len(harbour.hashes("a")), harbour.nonce("pauser")) == (1, 1)


def test_a_transaction_that_a_reorganisation_took_back_is_sent_again(harbour: Harbour) -> None:
    """Mined, taken back and forgotten by the node: the same bytes go out again."""
    harbour.anvil.mine(5)
    harbour.wish("a", "pause")
    harbour.drain()
    harbour.anvil.reorganize(3)
    assert harbour.read("paused") is False
    harbour.drain()
    assert harbour.read("paused") is True
    harbour.settle()
    assert (harbour.call("a").state, len(harbour.hashes("a"))) == (outbox.DONE, 1)


def test_a_stuck_transaction_is_replaced_and_either_may_win(harbour: Harbour) -> None:
    """After three minutes the same call goes out with the same nonce and an eighth more; the mined one counts."""
    harbour.wish("a", "pause")
    with harbour.anvil.mining_stopped():
        harbour.drain()
        assert harbour.drain().replaced == 0
        harbour.city.clock.advance(minutes=4)
        assert harbour.drain().replaced == 1
        assert harbour.drain().replaced == 0
        harbour.anvil.mine()
    first, second = harbour.hashes("a")
    harbour.settle()
    assert harbour.call("a").transaction == second
    assert (client.receipt(harbour.node, first), harbour.nonce("pauser")) == (None, 1)


def test_the_replaced_attempt_may_be_the_one_that_is_mined(harbour: Harbour, gateway: Gateway) -> None:
    """The replacement never reaches the chain: the first attempt settles the wish, for each is looked up."""
    harbour.url = gateway.url
    harbour.wish("a", "pause")
    with harbour.anvil.mining_stopped():
        harbour.drain()
        harbour.city.clock.advance(minutes=4)
        gateway.rule = lambda question: LOSE_QUESTION if question["method"] == "eth_sendRawTransaction" else None
        with pytest.raises(Unreachable):
            harbour.drain()
        harbour.anvil.mine()
    gateway.rule = lambda question: None
    first, _ = harbour.hashes("a")
    harbour.settle()
    assert harbour.call("a").transaction == first


def test_offers_stay_below_the_limit(harbour: Harbour, caplog: pytest.LogCaptureFixture) -> None:
    """What would cost more waits, and the log says so; nothing is signed for it."""
    harbour.wish("a", "pause")
    assert harbour.drain(fee_limit=1).sent == 0
    assert "above the limit" in caplog.text
    with harbour.anvil.mining_stopped():
        assert harbour.drain().sent == 1
        harbour.city.clock.advance(minutes=4)
        assert harbour.drain(fee_limit=1).replaced == 0
        harbour.anvil.mine()
    harbour.settle()
    assert harbour.call("a").state == outbox.DONE


def test_a_refusal_counts_once_it_rests_on_what_is_final(harbour: Harbour) -> None:
    """Refused at first, possible later: it is sent. Refused for good: reverted with the error's name, no gas spent."""
    harbour.wish("a", "unpause", role="admin")
    assert harbour.drain().sent == 0
    assert (harbour.call("a").state, harbour.call("a").reason) == (outbox.QUEUED, "ExpectedPause")
    harbour.wish("b", "pause")
    harbour.drain()
    harbour.settle()
    assert (harbour.call("a").state, harbour.call("a").reason) == (outbox.DONE, None)
    harbour.wish("c", "veto", 1, role="guardian")
    harbour.settle()
    assert (harbour.call("c").state, harbour.call("c").reason) == (outbox.REVERTED, "NotPending")
    assert harbour.nonce("guardian") == 0


def test_a_mined_failure_is_a_refusal_with_its_reason(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else was faster between estimate and block: the failure is kept once it is final, with its reason."""
    harbour.send("admin", "grantRole", b"PAUSER_ROLE".ljust(32, b"\0"), address_of(harbour.keys["relayer"]))
    harbour.wish("a", "pause")
    with monkeypatch.context() as patch:
        patch.setattr(client, "broadcast", lambda *_: None)
        harbour.drain()
    harbour.send("relayer", "pause")
    harbour.drain()
    assert (harbour.call("a").state, harbour.nonce("pauser")) == (outbox.SENT, 1)
    harbour.settle()
    call = harbour.call("a")
    assert (call.state, call.reason) == (outbox.REVERTED, "EnforcedPause")
    assert call.transaction == harbour.hashes("a")[0]


def test_a_nonce_that_somebody_else_used_is_noticed_for_good(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator sends by hand with the same key: the wish gets another nonce, once that is long final."""
    harbour.wish("a", "pause")
    with monkeypatch.context() as patch:
        patch.setattr(client, "broadcast", lambda *_: None)
        harbour.drain()
    harbour.send("pauser", "deposit", 0, b"\0" * 32)  # fails, and uses the nonce
    harbour.drain()
    harbour.anvil.finalize()
    harbour.drain()
    assert (harbour.call("a").state, harbour.call("a").nonce) == (outbox.SENT, 0)
    assert harbour.call("a").lost_at is not None
    harbour.anvil.mine(LOST_BLOCKS)
    harbour.drain()
    harbour.settle()
    assert (harbour.call("a").state, harbour.call("a").nonce) == (outbox.DONE, 1)
    assert harbour.read("paused") is True


def _leave_a_gap(harbour: Harbour) -> Signed:
    """Have a call wait behind a nonce that was used by hand and is not any more; what was sent by hand."""
    harbour.anvil.finalize()
    by_hand = harbour.sign("pauser", "deposit", 0, b"\0" * 32)  # which must fail
    client.broadcast(harbour.node, by_hand)
    harbour.anvil.mined(by_hand.hash)
    harbour.wish("a", "pause")
    harbour.drain()
    harbour.anvil.mine()
    harbour.anvil.reorganize(3)
    harbour.drain()
    assert (harbour.call("a").state, harbour.call("a").nonce, harbour.nonce("pauser")) == (outbox.SENT, 1, 0)
    return by_hand


def test_a_nonce_that_was_used_by_hand_and_taken_back_is_filled(harbour: Harbour) -> None:
    """A gap below a call holds it up for ever: a payment of nothing fills it, and the call is made once."""
    _leave_a_gap(harbour)
    harbour.drain()
    assert harbour.nonce("pauser") == 0
    harbour.city.clock.advance(minutes=4)
    filled = harbour.drain()
    assert (filled.sent, filled.replaced) == (1, 0)
    harbour.settle()
    pauser = address_of(harbour.keys["pauser"])
    filler = harbour.call(f"{pauser} 0", FILL)
    assert (filler.state, filler.nonce) == (outbox.DONE, 0)
    assert (harbour.call("a").state, harbour.call("a").nonce) == (outbox.DONE, 1)
    assert (len(harbour.hashes("a")), harbour.nonce("pauser")) == (1, 2)
    assert harbour.read("paused") is True
    assert harbour.drain().waiting == 0


def test_a_filler_that_comes_too_late_is_given_up(harbour: Harbour, gateway: Gateway) -> None:
    """What was sent by hand comes back after all and fills the gap itself: nothing is sent in the filler's stead."""
    by_hand = _leave_a_gap(harbour)
    harbour.url = gateway.url
    harbour.city.clock.advance(minutes=4)
    gateway.rule = lambda question: LOSE_QUESTION if question["method"] == "eth_sendRawTransaction" else None
    with pytest.raises(Unreachable):
        harbour.drain()
    gateway.rule = lambda question: None
    client.broadcast(harbour.node, by_hand)
    harbour.anvil.mined(by_hand.hash)
    harbour.settle()
    filler = harbour.call(f"{address_of(harbour.keys['pauser'])} 0", FILL)
    assert (filler.state, filler.reason, filler.transaction) == (outbox.REVERTED, "nonce_used", None)
    assert (harbour.call("a").state, harbour.nonce("pauser")) == (outbox.DONE, 2)


def test_a_gap_is_left_to_the_machine_that_has_the_key(harbour: Harbour, caplog: pytest.LogCaptureFixture) -> None:
    """Without the key nothing can be filled: the log says so, and the call goes on waiting."""
    _leave_a_gap(harbour)
    harbour.city.clock.advance(minutes=4)
    assert harbour.drain(keys={}).sent == 0
    assert "its key is not here" in caplog.text
    harbour.settle()
    assert harbour.call("a").state == outbox.DONE


def test_no_nonce_is_taken_from_the_pending_count(harbour: Harbour, gateway: Gateway) -> None:
    """What a node holds as pending is raced for by all who ask: it is not asked for; a false count changes nothing."""
    harbour.url = gateway.url
    asked: list[Any] = []

    def lie(question: dict[str, Any]) -> Any:
        if "pending" not in question["params"]:
            return None
        asked.append(question)
        return {"jsonrpc": "2.0", "id": question["id"], "result": hex(99)}

    gateway.rule = lie
    with harbour.anvil.mining_stopped():
        for number in range(3):
            harbour.wish(str(number), "changeDefaultAdminDelay", 100 + number, role="admin")
            harbour.drain()
    harbour.settle()
    first = harbour.nonce("admin") - 3
    assert [harbour.call(str(number)).nonce for number in range(3)] == [first, first + 1, first + 2]
    assert asked == []


def test_a_lagging_node_moves_no_nonce_back(harbour: Harbour, gateway: Gateway) -> None:
    """A node that still tells the old count gets the next nonce all the same, and the wishes are carried out."""
    harbour.url = gateway.url
    harbour.wish("a", "pause")
    harbour.settle()

    def lag(question: dict[str, Any]) -> Any:
        if question["method"] == "eth_getTransactionCount":
            return {"jsonrpc": "2.0", "id": question["id"], "result": "0x0"}
        return None

    harbour.wish("b", "unpause", role="admin")
    harbour.settle()
    gateway.rule = lag
    harbour.wish("c", "pause")
    harbour.settle()
    assert [harbour.call(key).state for key in "abc"] == [outbox.DONE] * 3
    assert (harbour.call("a").nonce, harbour.call("c").nonce) == (0, 1)


def test_without_money_a_wish_waits_and_says_so(harbour: Harbour) -> None:
    """The node's refusal is kept; once there is money it goes on."""
    poor = bytes(31) + b"\x07"
    harbour.send("admin", "grantRole", b"PAUSER_ROLE".ljust(32, b"\0"), address_of(poor))
    harbour.wish("a", "pause")
    harbour.drain(keys={"pauser": poor})
    call = harbour.call("a")
    assert (call.state in (outbox.QUEUED, outbox.SENT), call.reason) == (True, "unfunded")
    harbour.anvil.rpc("anvil_setBalance", address_of(poor), hex(10**18))
    for _ in range(3):
        harbour.drain(keys={"pauser": poor})
        harbour.anvil.finalize()
    assert (harbour.call("a").state, harbour.call("a").reason) == (outbox.DONE, None)


def test_a_wish_whose_key_is_elsewhere_waits(harbour: Harbour) -> None:
    """The guardian's key need not be on this machine."""
    harbour.wish("a", "pause")
    assert harbour.drain(keys={}).waiting == 1
    assert harbour.call("a").state == outbox.QUEUED
    harbour.settle()
    assert harbour.call("a").state == outbox.DONE


def test_many_senders_at_once_use_each_nonce_once(anvil: Anvil, database_url: str, tmp_path: Path) -> None:
    """Several processes drain the same outbox: as many transactions as wishes, on both databases."""
    snapshot = anvil.rpc("evm_snapshot")
    city = install(database_url, tmp_path)
    harbour = Harbour.build(anvil, city)
    before = harbour.nonce("anchorer")
    for number in range(1, 7):
        # All can succeed in any order: roles granted to different accounts.
        account = "0x" + f"{number:040x}"
        harbour.wish(f"{number}", "grantRole", b"PAUSER_ROLE".ljust(32, b"\0"), account, role="admin")
    start = harbour.nonce("admin")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: harbour.drain(), range(8)))
    harbour.settle()
    calls = [harbour.call(f"{number}") for number in range(1, 7)]
    assert {call.state for call in calls} == {outbox.DONE}
    assert sorted(call.nonce or 0 for call in calls) == list(range(start, start + 6))
    assert (harbour.nonce("admin"), harbour.nonce("anchorer")) == (start + 6, before)
    with city.database.write() as session, pytest.raises(DBAPIError, match="append-only"):
        session.execute(outbox.ChainAttempt.__table__.delete())  # type: ignore[attr-defined]
    city.close()
    anvil.rpc("evm_revert", snapshot)


def test_fees_are_what_the_node_asks_for(harbour: Harbour) -> None:
    """An ordinary call offers far less than the limit."""
    harbour.wish("a", "pause")
    harbour.drain()
    with harbour.city.read() as session:
        (attempt,) = outbox.attempts(session, "khon-kaen", harbour.call("a"))
    assert 0 < attempt.most < 500 * GWEI
