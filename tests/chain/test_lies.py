"""Nodes that say what is not so: of another chain, of blocks that were final once, in a shape that means nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.chain import client, deployment, outbox
from ledger.chain.client import Node
from ledger.chain.deployment import Site
from ledger.chain.errors import ChainError, Unreachable, WrongChain
from ledger.chain.keys import address_of
from ledger.chain.operating import Chains
from ledger.chain.outbox import ChainAttempt
from ledger.chain.watching import Behind
from ledger.config import Settings
from ledger.installation import assemble
from tests.anvil import Anvil
from tests.chain import site as bridge_site
from tests.chain.gateway import Gateway
from tests.chain.harbour import CHAIN, TOKEN, Harbour
from tests.factories import CITY, install

OTHER_CHAIN = 31_338


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Anvil]:
    """A node of another chain, on which the pauser has sent a lot."""
    node = Anvil(chain_id=OTHER_CHAIN)
    node.rpc("anvil_setNonce", address_of(node.keys[4]), hex(40))
    node.mine(60)
    yield node
    node.stop()


def _turn_to(gateway: Gateway, other: Anvil) -> None:
    """Have another node answer from now on, as a provider does that mixes its addresses up."""
    gateway.rule = lambda question: {
        "jsonrpc": "2.0", "id": question["id"], "result": other.rpc(question["method"], *question["params"])
    }  # fmt: skip


def _turn_back(gateway: Gateway) -> None:
    gateway.rule = lambda question: None


def test_a_node_of_another_chain_after_the_start_has_nothing_signed_for_it(
    harbour: Harbour, gateway: Gateway, elsewhere: Anvil
) -> None:
    """Nonces, gas and finality are those of the chain that was asked for at the start, or of none."""
    harbour.url = gateway.url
    sender = harbour.sender()
    harbour.wish("a", "pause")
    _turn_to(gateway, elsewhere)
    with pytest.raises(WrongChain):
        sender.drain()
    assert (harbour.call("a").state, harbour.hashes("a")) == (outbox.QUEUED, [])
    _turn_back(gateway)
    with harbour.anvil.mining_stopped():
        sender.drain()
        _turn_to(gateway, elsewhere)
        with pytest.raises(WrongChain):
            sender.drain()
        assert harbour.call("a").lost_at is None
        _turn_back(gateway)
    harbour.settle()
    assert (harbour.call("a").state, harbour.call("a").nonce) == (outbox.DONE, 0)
    assert (len(harbour.hashes("a")), harbour.nonce("pauser")) == (1, 1)


@pytest.mark.parametrize("asked", ["eth_estimateGas", "eth_getTransactionCount"])
def test_a_node_that_changes_its_chain_within_a_round_has_nothing_signed_for_it(
    harbour: Harbour, gateway: Gateway, elsewhere: Anvil, asked: str
) -> None:
    """The chain is asked for once more before anything is stored, for what is stored is never taken back."""
    harbour.url = gateway.url
    sender = harbour.sender()
    harbour.wish("a", "pause")

    def turn(question: dict[str, Any]) -> Any:
        if question["method"] == asked:
            _turn_to(gateway, elsewhere)
            return gateway.rule(question)
        return None

    gateway.rule = turn
    with pytest.raises(WrongChain):
        sender.drain()
    _turn_back(gateway)
    assert (harbour.call("a").state, harbour.hashes("a")) == (outbox.QUEUED, [])
    harbour.settle()
    assert (harbour.call("a").state, harbour.call("a").nonce) == (outbox.DONE, 0)


def test_the_round_of_a_city_takes_nothing_from_another_chain(
    harbour: Harbour, gateway: Gateway, elsewhere: Anvil
) -> None:
    """Neither anchors nor doubts nor signatures come of it, and the next round with the right node goes on."""
    harbour.url = gateway.url
    city = harbour.city
    settings = Settings(city.keys.directory.parent, city.database.url, "http://localhost")
    deployment.save(settings, harbour.deployment())
    opened = assemble(settings, city.clock)
    chains = Chains(opened)
    harbour.grow()
    assert chains.guarded(CITY).problem is None
    harbour.wish("a", "pause")
    _turn_to(gateway, elsewhere)
    for _ in range(2):  # with the node that it knows, and with one that it has to connect to
        assert "chain_mismatch" in (chains.guarded(CITY).problem or "")
    assert not opened.writer.published.is_doubted(CITY, harbour.size)
    _turn_back(gateway)
    assert chains.guarded(CITY).problem is None
    with city.read() as session:
        assert session.query(ChainAttempt).count() == 0  # there are no keys here
    opened.close()


def test_a_chain_that_began_anew_is_noticed_before_anything_is_sent(harbour: Harbour, gateway: Gateway) -> None:
    """A test network that was reset has the same number, and no contract: a call to nobody would succeed."""
    fresh = Anvil(chain_id=CHAIN)
    try:
        harbour.url = gateway.url
        sender, site = harbour.sender(), harbour.site()
        harbour.wish("a", "pause")
        _turn_to(gateway, fresh)
        with pytest.raises(WrongChain):
            sender.drain()
        with pytest.raises(WrongChain):
            client.read(site.node, TOKEN, site.token, "anchored")
        assert (harbour.call("a").state, harbour.hashes("a")) == (outbox.QUEUED, [])
    finally:
        _turn_back(gateway)
        fresh.stop()


def test_what_was_final_and_is_taken_back_all_the_same_is_sent_again(harbour: Harbour) -> None:
    """Deeper than `confirmations` allowed for: the calls above its nonce do not wait for ever, and it is made again."""
    harbour.anvil.finalize()

    def drain() -> None:
        harbour.drain(final=lambda: client.block(harbour.node, "latest"))

    change = "changeDefaultAdminDelay"
    harbour.wish("a", change, 100, role="admin")
    drain()
    harbour.anvil.mine()
    drain()
    assert harbour.call("a").state == outbox.DONE
    nonce = harbour.call("a").nonce or 0
    harbour.anvil.reorganize(3)
    assert harbour.nonce("admin") == nonce
    harbour.wish("b", change, 200, role="admin")
    drain()
    assert (harbour.call("b").nonce, harbour.nonce("admin")) == (nonce + 1, nonce)
    harbour.city.clock.advance(minutes=4)
    drain()
    assert harbour.nonce("admin") == nonce + 2
    harbour.settle()
    assert harbour.call("b").state == outbox.DONE
    assert [len(harbour.hashes(key)) for key in "ab"] == [1, 1]


def test_a_contract_that_forgot_what_was_final_is_not_followed(anvil: Anvil, sqlite_url: str, tmp_path: Any) -> None:
    """A proposal that was followed and is gone: the job says so in each round, and takes it for nothing else."""
    city = install(sqlite_url, tmp_path)
    site = bridge_site.Site.build(anvil, city)
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    before = anvil.rpc("evm_snapshot")
    site.deliver()
    site.settle()
    assert (site.crossing.state("ann", seq), site.crossing.bridge.proposals) == ("proposed", 1)
    anvil.rpc("evm_revert", before)
    anvil.mine(40)
    with pytest.raises(Behind) as behind:
        site.settle()
    assert behind.value.reason == "proposed"
    assert (site.crossing.state("ann", seq), site.crossing.bridge.proposals) == ("proposed", 1)
    city.close()


QUESTIONS: dict[str, Callable[[Node, Site], object]] = {
    "block": lambda node, site: client.block(node, "latest"),
    "receipt": lambda node, site: client.receipt(node, "0x" + "1" * 64),
    "fees": lambda node, site: client.fees(node),
    "events": lambda node, site: list(client.events(node, TOKEN, site.token, "Anchored", 0, 9)),
    "code": lambda node, site: client.check_code(node, site.token, TOKEN),
    "read": lambda node, site: client.read(node, TOKEN, site.token, "anchored"),
    "nonce": lambda node, site: client.nonce(node, site.token),
    "estimate": lambda node, site: client.estimate_gas(node, TOKEN, site.token, site.token, b""),
}

SHAPES: list[Any] = [
    {"result": {}}, {"result": {"number": "0x1"}}, {"result": []}, {"result": [{}]}, {"result": ["words"]},
    {"result": 7}, {"result": "0xzz"}, {"result": {"blockHash": "0x1", "status": None}}, {"error": {"code": "words"}},
    {"error": {"code": 3, "message": "execution reverted", "data": "0xzz"}},
    {"error": {"code": [], "data": {"data": 7}}},
    {"error": {"code": 3, "message": "execution reverted", "data": "0x12345678"}}, {"error": "words"}, [7],
]  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_shape_of_an_answer_is_more_than_an_error_of_the_chain(
    harbour: Harbour, gateway: Gateway, name: str
) -> None:
    """Whatever a broken node sends: one of the errors that jobs expect, and never a value."""
    site, node = harbour.site(), client.connect(gateway.url)
    for shape in SHAPES:
        gateway.rule = lambda question, shape=shape: (
            {"jsonrpc": "2.0", "id": question["id"], **shape} if isinstance(shape, dict) else shape
        )  # type: ignore[misc]
        try:
            found = QUESTIONS[name](node, site)
        except ChainError:
            continue
        assert (name, found) == ("events", []), shape


def test_a_hash_that_is_not_that_of_the_transaction_is_no_answer(harbour: Harbour, gateway: Gateway) -> None:
    """A node that says it took something else is not believed: the transaction is looked up in the next round."""
    harbour.url = gateway.url
    harbour.wish("a", "pause")
    gateway.rule = lambda question: (
        {"jsonrpc": "2.0", "id": question["id"], "result": "0x" + "5" * 64}
        if question["method"] == "eth_sendRawTransaction"
        else None
    )
    with pytest.raises(Unreachable):
        harbour.drain()
    _turn_back(gateway)
    harbour.settle()
    assert (harbour.call("a").state, len(harbour.hashes("a"))) == (outbox.DONE, 1)


def test_a_receipt_of_a_block_that_is_not_on_the_chain_settles_nothing(harbour: Harbour, gateway: Gateway) -> None:
    """Said to be mined long ago in a block that the chain does not have: the call waits for the true one."""
    harbour.url = gateway.url
    harbour.anvil.finalize()
    harbour.wish("a", "pause")
    with harbour.anvil.mining_stopped():
        harbour.drain()
        (hashed,) = harbour.hashes("a")
        told = {"status": "0x1", "blockNumber": "0x2", "blockHash": "0x" + "7" * 64, "gasUsed": "0x1"}
        gateway.rule = lambda question: (
            {"jsonrpc": "2.0", "id": question["id"], "result": told}
            if question["method"] == "eth_getTransactionReceipt" and question["params"] == [hashed]
            else None
        )
        harbour.drain()
        assert harbour.call("a").state == outbox.SENT
        _turn_back(gateway)
    harbour.settle()
    assert harbour.call("a").transaction == hashed
    assert harbour.read("paused") is True
