"""The client against a real node: blocks, finality, reorganisations, stuck and replaced transactions, lost answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest

from ledger.chain import client
from ledger.chain.artifacts import TokenSettings, artifact
from ledger.chain.errors import NodeRefused, Reverted, Unreachable, WrongChain
from ledger.chain.keys import Fees, Signed, Transaction, address_of, sign
from tests.anvil import Anvil
from tests.chain.gateway import LOSE_ANSWER, LOSE_QUESTION, Gateway, error
from tests.servers import free_port

TOKEN = artifact("KgoToken")
ROOT = sha256(b"root").digest()
GWEI = 10**9


@dataclass
class Site:
    """A node, a connection to it, and a token deployed on it; `keys` in the order of the contract's roles."""

    anvil: Anvil
    node: client.Node
    token: str = ""

    def signed(self, key: bytes, to: str | None, data: bytes, *, fees: Fees | None = None, nonce: int = -1) -> Signed:
        """A signed transaction with the next nonce, unless told otherwise."""
        count = client.nonce(self.node, address_of(key)) if nonce < 0 else nonce
        offer = fees or client.fees(self.node)
        return sign(Transaction(self.node.chain_id, count, to, data, 3_000_000, offer), key)

    def send(self, key: bytes, to: str | None, data: bytes) -> client.Receipt:
        """Send a transaction and return its receipt."""
        signed = self.signed(key, to, data)
        client.broadcast(self.node, signed)
        return self.mined(signed)

    def mined(self, signed: Signed) -> client.Receipt:
        """The receipt of a transaction that is being mined."""
        self.anvil.mined(signed.hash)
        receipt = client.receipt(self.node, signed.hash)
        assert receipt is not None
        return receipt

    def anchor(self, old: int, size: int, root: bytes = ROOT) -> client.Receipt:
        """Send an anchor."""
        return self.send(self.anvil.keys[3], self.token, TOKEN.call_data("anchor", old, size, root, []))


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """The module's node; each test gets its chain back as it was."""
    node = Anvil()
    yield node
    node.stop()


@pytest.fixture
def site(anvil: Anvil) -> Iterator[Site]:
    """A fresh token on the node."""
    snapshot = anvil.rpc("evm_snapshot")
    made = Site(anvil, client.connect(anvil.url, chain_id=31_337))
    roles = [address_of(key) for key in anvil.keys[:5]]
    settings = TokenSettings("KGO Token", "KGO", 2, ROOT, 10**8, 10**6, 7 * 86_400, 86_400, 60, *roles)
    deployed = made.send(anvil.keys[0], None, TOKEN.creation(*settings.arguments()))
    assert deployed.contract is not None
    made.token = deployed.contract
    yield made
    anvil.rpc("evm_revert", snapshot)


def test_another_chain_is_refused(anvil: Anvil) -> None:
    """A node of another chain than the configured one is found out at once."""
    assert client.connect(anvil.url).chain_id == 31_337
    with pytest.raises(WrongChain) as refused:
        client.connect(anvil.url, chain_id=1)
    assert refused.value.reason == "chain_id"
    assert (refused.value.params["expected"], refused.value.params["found"]) == (1, 31_337)


def test_a_node_that_is_not_there_is_unreachable() -> None:
    """Nobody listens: unreachable, and the error tells neither path nor key of the URL."""
    with pytest.raises(Unreachable) as unreachable:
        client.connect(f"http://127.0.0.1:{free_port()}/v3/secret-key")
    assert unreachable.value.params["host"] == "127.0.0.1"
    assert "secret-key" not in str(unreachable.value)


def test_the_code_of_a_contract_is_known_whatever_its_settings(site: Site) -> None:
    """The deployed code passes, with its hash; no code, another contract's and another hash do not."""
    found = client.check_code(site.node, site.token, TOKEN)
    assert found == client.code_hash(site.node, site.token)
    assert client.check_code(site.node, site.token, TOKEN, expected_hash=found) == found
    for address, contract, expected, reason in (
        (address_of(b"\x01" * 32), TOKEN, None, "no_code"),
        (site.token, artifact("KgoBadge"), None, "code"),
        (site.token, TOKEN, "0x" + "00" * 32, "code"),
        (site.token, replace(TOKEN, runtime=TOKEN.runtime[:-1] + b"\xff"), None, "code"),
    ):
        with pytest.raises(WrongChain) as refused:
            client.check_code(site.node, address, contract, expected_hash=expected)
        assert refused.value.reason == reason
    assert client.code_hash(site.node, address_of(b"\x01" * 32)) is None


def test_values_are_read_as_they_were_at_a_block(site: Site) -> None:
    """The present, and each earlier block, answer for themselves."""
    before = client.block(site.node, "latest")
    mined = site.anchor(0, 5)
    assert client.read(site.node, TOKEN, site.token, "anchored") == (5, ROOT)
    assert client.read(site.node, TOKEN, site.token, "anchored", at=before.number) == (0, bytes(32))
    assert client.read(site.node, TOKEN, site.token, "name") == "KGO Token"
    assert mined.succeeded
    assert client.block(site.node, mined.block_number).hash == mined.block_hash
    assert client.block(site.node, before.number) == before


def test_a_refusal_of_the_contract_has_its_name(site: Site) -> None:
    """Estimated, or tried without a transaction, a call that would fail tells the contract's error and arguments."""
    anchorer = address_of(site.anvil.keys[3])
    site.anchor(0, 5)
    data = TOKEN.call_data("anchor", 0, 9, ROOT, [])
    with pytest.raises(Reverted) as refused:
        client.estimate_gas(site.node, TOKEN, anchorer, site.token, data)
    assert (refused.value.reason, refused.value.params) == ("StaleAnchor", {"anchoredSize": 5})
    with pytest.raises(Reverted, match="NotPending"):
        client.read(site.node, TOKEN, site.token, "activate", 1)
    with pytest.raises(Reverted, match="AccessControlUnauthorizedAccount"):
        client.read(site.node, TOKEN, site.token, "pause", sender=anchorer)
    assert client.estimate_gas(site.node, TOKEN, address_of(site.anvil.keys[4]), site.token, TOKEN.call_data("pause"))


def test_a_failed_transaction_has_a_receipt_that_says_so(site: Site) -> None:
    """Mined and refused by the contract: the receipt tells, and the nonce is used."""
    mallory = site.anvil.keys[8]
    count = client.nonce(site.node, address_of(mallory))
    receipt = site.send(mallory, site.token, TOKEN.call_data("pause"))
    assert receipt.succeeded is False
    assert client.nonce(site.node, address_of(mallory)) == count + 1
    assert client.read(site.node, TOKEN, site.token, "paused") is False


def test_a_waiting_transaction_is_known_and_has_no_receipt(site: Site) -> None:
    """While nothing is mined, a broadcast transaction counts as pending alone; sent again it is known."""
    key = site.anvil.keys[4]
    signed = site.signed(key, site.token, TOKEN.call_data("pause"))
    assert client.is_known(site.node, signed.hash) is False
    with site.anvil.mining_stopped():
        client.broadcast(site.node, signed)
        assert client.is_known(site.node, signed.hash) is True
        assert client.receipt(site.node, signed.hash) is None
        count = client.nonce(site.node, signed.sender)
        assert client.nonce(site.node, signed.sender, "pending") == count + 1
        with pytest.raises(NodeRefused) as refused:
            client.broadcast(site.node, signed)
        assert refused.value.reason == "known"
        site.anvil.mine()
    assert site.mined(signed).succeeded
    with pytest.raises(NodeRefused) as refused:
        client.broadcast(site.node, signed)
    assert refused.value.reason in ("nonce_used", "known")


def test_a_stuck_transaction_is_replaced_by_a_higher_fee(site: Site) -> None:
    """With the same nonce and no more to offer the node refuses; an eighth more replaces the first."""
    key = site.anvil.keys[4]
    stuck = Fees(3 * GWEI, GWEI)
    count = client.nonce(site.node, address_of(key))
    data = TOKEN.call_data("pause")
    with site.anvil.mining_stopped():
        first = site.signed(key, site.token, data, fees=stuck, nonce=count)
        client.broadcast(site.node, first)
        with pytest.raises(NodeRefused) as refused:
            client.broadcast(site.node, site.signed(key, None, data, fees=stuck, nonce=count))
        assert refused.value.reason == "underpriced"
        second = site.signed(key, site.token, data, fees=Fees(GWEI, GWEI).replacing(stuck), nonce=count)
        client.broadcast(site.node, second)
        site.anvil.mine()
    assert site.mined(second).succeeded
    assert client.receipt(site.node, first.hash) is None
    with pytest.raises(NodeRefused) as refused:
        client.broadcast(site.node, first)
    assert refused.value.reason == "nonce_used"


def test_without_money_nothing_is_sent(site: Site) -> None:
    """The node refuses a sender who cannot pay, and says why."""
    key = sha256(b"poor").digest()
    assert client.balance(site.node, address_of(key)) == 0
    with pytest.raises(NodeRefused) as refused:
        client.broadcast(site.node, site.signed(key, site.token, b""))
    assert refused.value.reason == "unfunded"
    assert client.balance(site.node, address_of(site.anvil.keys[0])) > 10**18


def test_the_fees_get_a_transaction_mined(site: Site) -> None:
    """They cover the base fee twice over, and a chain without base fee is offered a plain gas price."""
    latest = client.block(site.node, "latest")
    assert latest.base_fee is not None
    offered = client.fees(site.node)
    assert offered.tip is not None
    assert offered.most >= 2 * latest.base_fee + offered.tip
    plain = Fees(offered.most, None)
    signed = site.signed(site.anvil.keys[4], site.token, TOKEN.call_data("pause"), fees=plain)
    client.broadcast(site.node, signed)
    assert site.mined(signed).succeeded


def test_events_are_final_behind_the_finalized_block(site: Site) -> None:
    """An event is found at once, and is final only when the chain's finality has passed it."""
    site.anvil.finalize()
    start = client.finalized(site.node)
    mined = site.anchor(0, 5)
    latest = client.block(site.node, "latest")
    assert client.finalized(site.node).number < mined.block_number
    (found,) = client.events(site.node, TOKEN, site.token, "Anchored", start.number, latest.number)
    assert found.arguments == {"oldSize": 0, "size": 5, "root": ROOT}
    assert (found.block_hash, found.transaction) == (mined.block_hash, mined.hash)
    final = client.finalized(site.node)
    assert list(client.events(site.node, TOKEN, site.token, "Anchored", start.number, final.number)) == []
    site.anvil.finalize()
    final = client.finalized(site.node)
    assert final.number >= mined.block_number
    assert list(client.events(site.node, TOKEN, site.token, "Anchored", start.number, final.number)) == [found]


def test_a_reorganisation_takes_back_what_was_not_final(site: Site) -> None:
    """Block, receipt and event of a transaction are gone, and the contract's state with them."""
    site.anvil.mine(5)
    mined = site.anchor(0, 5)
    site.anvil.mine(2)
    latest = client.block(site.node, "latest").number
    site.anvil.reorganize(4)
    assert client.receipt(site.node, mined.hash) is None
    assert client.block(site.node, mined.block_number).hash != mined.block_hash
    assert list(client.events(site.node, TOKEN, site.token, "Anchored", 0, latest)) == []
    assert client.read(site.node, TOKEN, site.token, "anchored") == (0, bytes(32))


def test_a_lost_answer_leaves_the_outcome_open(site: Site, gateway: Gateway) -> None:
    """Whether the node heard it or not, the sender learns the same: nothing; the transaction's hash tells later."""
    node = client.connect(gateway.url)
    for what, arrived in ((LOSE_QUESTION, False), (LOSE_ANSWER, True)):
        signed = site.signed(site.anvil.keys[4], site.token, TOKEN.call_data("pause"))
        gateway.rule = lambda question: what if question["method"] == "eth_sendRawTransaction" else None
        with pytest.raises(Unreachable) as unreachable:
            client.broadcast(node, signed)
        assert "secret-key" not in str(unreachable.value)
        assert client.is_known(node, signed.hash) is arrived


@pytest.mark.parametrize("nonsense", [b"<html>502 Bad Gateway</html>", b"[]", b"{}", b"null", b""])
def test_nonsense_is_no_answer(anvil: Anvil, gateway: Gateway, nonsense: bytes) -> None:
    """What a broken gateway says is never taken for an answer of the node."""
    node = client.connect(gateway.url)
    gateway.rule = lambda question: nonsense
    with pytest.raises(Unreachable):
        client.block(node, "latest")
    with pytest.raises(Unreachable):
        client.nonce(node, address_of(b"\x01" * 32))


@pytest.mark.parametrize("result", [None, {}, "words", 7, "0x12"])
def test_answers_of_another_shape_are_no_answers(site: Site, gateway: Gateway, result: object) -> None:
    """A value that cannot be what was asked for is not taken for it."""
    node = client.connect(gateway.url)
    gateway.rule = lambda question: {"jsonrpc": "2.0", "id": question["id"], "result": result}
    with pytest.raises(Unreachable):
        client.read(node, TOKEN, site.token, "anchored")
    if result != "0x12":
        with pytest.raises(Unreachable):
            client.nonce(node, site.token)


def test_a_long_search_is_cut_where_the_node_asks_for_it(site: Site, gateway: Gateway) -> None:
    """A provider that limits the range of a search gets shorter ones, and every event is found once, in order."""
    first = client.block(site.node, "latest").number
    for number in range(3):
        site.anvil.mine(7)
        site.send(site.anvil.keys[0], site.token, TOKEN.call_data("changeDefaultAdminDelay", 60 + number))
    last = client.block(site.node, "latest").number
    asked: list[int] = []

    def limited(question: dict[str, object]) -> object:
        if question["method"] != "eth_getLogs":
            return None
        parameters = question["params"]
        assert isinstance(parameters, list)
        width = int(parameters[0]["toBlock"], 16) - int(parameters[0]["fromBlock"], 16) + 1
        asked.append(width)
        return error(question, -32005, "query exceeds max block range 5") if width > 5 else None

    gateway.rule = limited
    node = client.connect(gateway.url)
    name = "DefaultAdminDelayChangeScheduled"
    found = list(client.events(node, TOKEN, site.token, name, first, last))
    assert [event.arguments["newDelay"] for event in found] == [60, 61, 62]
    assert found == list(client.events(site.node, TOKEN, site.token, name, first, last))
    assert min(asked) <= 5 < max(asked)


def test_other_refusals_of_a_search_are_told(site: Site, gateway: Gateway) -> None:
    """A node that refuses for another reason is not asked again and again."""
    gateway.rule = lambda question: error(question, -32000, "no") if question["method"] == "eth_getLogs" else None
    with pytest.raises(NodeRefused) as refused:
        list(client.events(client.connect(gateway.url), TOKEN, site.token, "Anchored", 0, 10))
    assert refused.value.reason == "other"


def test_an_address_without_code_is_not_read(site: Site) -> None:
    """Where nothing was deployed, or nothing any more, an empty answer is not taken for a value."""
    with pytest.raises(WrongChain) as refused:
        client.read(site.node, TOKEN, address_of(b"\x01" * 32), "anchored")
    assert refused.value.reason == "no_code"


def test_a_block_that_is_not_there_is_refused(site: Site) -> None:
    """A future block is no block."""
    with pytest.raises(NodeRefused):
        client.block(site.node, 10**6)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    """The package's modules load without web3, eth_account, eth_abi and Keccak: the chain is optional."""
    program = (
        "import sys, ledger.chain.client, ledger.chain.keys, ledger.chain.artifacts, ledger.chain.claims;"
        "print([name for name in ('web3', 'eth_account', 'eth_abi', 'Crypto', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
