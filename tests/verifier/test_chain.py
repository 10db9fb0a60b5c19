"""`kgo verify --rpc`: a log against the anchors on a real node, without web3."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.book import accounts, transfers
from ledger.chain import lists
from ledger.chain.artifacts import artifact, selector
from ledger.chain.claims import Claim, claims_tree
from ledger.chain.keys import address_of
from ledger.proof.report import Report
from ledger.verifier import chain, run
from ledger.verifier.chain import ChainFault, Contract
from ledger.verifier.cli import main
from ledger.verifier.memory import Memory
from ledger.verifier.run import Wishes
from tests.anvil import Anvil
from tests.chain.gateway import Gateway, error
from tests.chain.harbour import CHAIN, Harbour
from tests.chain.site import Site
from tests.factories import CITY, install


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """The module's node."""
    node = Anvil(chain_id=CHAIN)
    yield node
    node.stop()


@dataclass
class Auditor:
    """Somebody who has an export and a node, and nothing else."""

    harbour: Harbour
    folder: Path
    exports: int = 0

    def export(self) -> Path:
        """The log as it is now."""
        self.exports += 1
        return self.harbour.city.export(self.folder / f"export-{self.exports}")

    def contract(self, url: str = "", token: str = "") -> Contract:
        """Where to ask."""
        return Contract(url or self.harbour.anvil.url, token or self.harbour.token, self.harbour.block)

    def verify(self, export: Path, contract: Contract | None = None, memory: Memory | None = None) -> Report:
        """What is found."""
        return run.verify(export, Wishes(chain=contract or self.contract(), memory=memory))

    def anchor(self) -> None:
        """Anchor the log for good."""
        self.harbour.tend(insist=True)
        self.harbour.settle()


@pytest.fixture
def auditor(anvil: Anvil, sqlite_url: str, tmp_path: Path) -> Iterator[Auditor]:
    """A log of twelve entries, anchored at four and at nine."""
    snapshot = anvil.rpc("evm_snapshot")
    city = install(sqlite_url, tmp_path)
    made = Auditor(Harbour.build(anvil, city), tmp_path)
    for count in (4, 5):
        made.harbour.grow(count)
        made.anchor()
    made.harbour.grow(3)
    yield made
    city.close()
    anvil.rpc("evm_revert", snapshot)


def test_the_names_of_functions_and_event_are_the_contracts() -> None:
    """The constants are what Keccak makes of the ABI."""
    token = artifact("KgoToken")
    topics = {"Anchored": chain.ANCHORED_TOPIC, "Proposed": chain.PROPOSED_TOPIC, "Vetoed": chain.VETOED_TOPIC}
    assert {name: "0x" + token.topic(name).hex() for name in topics} == topics
    entries = {entry["name"]: entry for entry in token.abi if entry["type"] == "function"}
    assert {name: "0x" + selector(entries[name]).hex() for name in chain.SELECTORS} == chain.SELECTORS


def test_a_log_that_leads_through_every_anchor_passes(auditor: Auditor) -> None:
    """Each anchor is compared, with or without a walk that goes on where an earlier one stood."""
    export, memory = auditor.export(), Memory(auditor.folder / "memory")
    for _ in range(2):
        report = auditor.verify(export, memory=memory)
        assert report.ok, report.text()
        assert "2 anchors on chain, the newest of 9 entries" in report.checked
    auditor.anchor()
    auditor.harbour.grow(2)
    report = auditor.verify(auditor.export(), memory=memory)
    assert report.ok, report.text()
    assert "3 anchors on chain, the newest of 12 entries" in report.checked


def test_a_deleted_tail_is_behind_the_anchor(auditor: Auditor) -> None:
    """An export from before the newest anchor passes by itself, and not against the chain; one finding says all."""
    export = auditor.export()
    note = (export / "checkpoint").read_text()
    assert auditor.verify(export).ok
    auditor.anchor()
    auditor.harbour.grow(8)
    auditor.anchor()
    report = auditor.verify(export)
    assert set(report.counts) == {"BEHIND_ANCHOR"}
    assert "20 entries were anchored" in report.findings[0].message
    for count in (3, 2):
        auditor.harbour.grow(count)
        auditor.anchor()
    (finding,) = auditor.verify(export).findings
    assert (finding.code, finding.seq, finding.evidence) == ("BEHIND_ANCHOR", 12, (note,))
    assert "25 entries were anchored on chain (3 anchors beyond these, the first of 20)" in finding.message
    assert run.verify(export, Wishes()).ok


def test_a_root_that_never_was_is_a_split_view(auditor: Auditor, sqlite_url: str) -> None:
    """Somebody anchored another history of the same log."""
    harbour = auditor.harbour
    other = Harbour.build(harbour.anvil, harbour.city)
    other.send("anchorer", "anchor", 0, 7, b"\x07" * 32, [])
    harbour.anvil.finalize()
    report = auditor.verify(auditor.export(), auditor.contract(token=other.token))
    assert set(report.counts) == {"SPLIT_VIEW"}
    assert "first 7 entries" in report.findings[0].message


def test_more_tokens_on_chain_than_left_for_it_are_found(auditor: Auditor) -> None:
    """What circulates there is held against the bridge account; as much as left is well."""
    harbour = auditor.harbour
    node = harbour.anvil
    who = address_of(harbour.keys["relayer"])
    tree = claims_tree(CHAIN, harbour.token, [Claim(who, 700)])
    harbour.send("proposer", "propose", tree.root, 700, 9)
    node.sleep(86_401)
    harbour.send("relayer", "activate", 1)
    harbour.send("relayer", "claim", who, 700, tree.root, [])
    node.finalize()
    report = auditor.verify(auditor.export())
    assert set(report.counts) == {"TOTALS_MISMATCH"}
    assert "700 minor units circulate on chain 31337" in report.findings[0].message
    learner = harbour.city.learner(0)
    harbour.city.grant(1_000)
    harbour.city.give(learner, 1_000)
    bridge = f"bridge:{CHAIN}"
    harbour.city.run(lambda unit: accounts.open_account(unit, bridge))
    harbour.city.run(lambda unit: transfers.post(unit, "bridge_out", learner, bridge, 700, actor="learner"))
    report = auditor.verify(auditor.export())
    assert report.ok, report.text()
    assert any(one.startswith("that no more tokens circulate") for one in report.checked)


def test_tokens_that_were_claimed_and_never_withdrawn_are_found_after_they_came_back(auditor: Auditor) -> None:
    """Nothing circulates any more, and yet more was paid out than left."""
    harbour = auditor.harbour
    who = address_of(harbour.keys["relayer"])
    tree = claims_tree(CHAIN, harbour.token, [Claim(who, 700)])
    harbour.send("proposer", "propose", tree.root, 700, 9)
    harbour.anvil.sleep(86_401)
    harbour.send("relayer", "activate", 1)
    harbour.send("relayer", "claim", who, 700, tree.root, [])
    harbour.send("relayer", "deposit", 700, b"t" * 32)
    harbour.anvil.finalize()
    report = auditor.verify(auditor.export())
    assert set(report.counts) == {"TOTALS_MISMATCH"}
    assert "700 minor units were claimed" in report.findings[0].message


def test_tokens_that_came_back_in_the_log_alone_are_found(auditor: Auditor) -> None:
    """Whoever credits a deposit that never was makes tokens out of nothing."""
    city = auditor.harbour.city
    learner, bridge = city.learner(0), f"bridge:{CHAIN}"
    city.grant(1_000)
    city.give(learner, 1_000)
    city.run(lambda unit: accounts.open_account(unit, bridge))
    city.run(lambda unit: transfers.post(unit, "bridge_out", learner, bridge, 700, actor="learner"))
    assert auditor.verify(auditor.export()).ok
    city.run(lambda unit: transfers.post(unit, "bridge_in", bridge, learner, 300, actor="system"))
    report = auditor.verify(auditor.export())
    assert set(report.counts) == {"TOTALS_MISMATCH"}
    assert "300 minor units came back by the log, 0 on chain" in report.findings[0].message


def test_a_proposal_that_is_no_list_of_the_log_is_found(auditor: Auditor) -> None:
    """Once the log shown reaches beyond its time, and unless the guardian stopped it."""
    harbour = auditor.harbour
    harbour.send("proposer", "propose", b"\7" * 32, 700, 9)
    harbour.anvil.finalize()
    report = auditor.verify(auditor.export())
    assert report.ok
    assert any("later than the entries shown" in one for one in report.unchecked)
    harbour.city.clock.advance(days=400)
    harbour.grow()
    report = auditor.verify(auditor.export())
    assert set(report.counts) == {"TOTALS_MISMATCH"}
    assert "proposal 1 on chain" in report.findings[0].message
    harbour.send("guardian", "veto", 1)
    harbour.anvil.finalize()
    report = auditor.verify(auditor.export())
    assert report.ok
    assert any("was vetoed" in one for one in report.unchecked)


def test_a_bridge_at_work_passes(anvil: Anvil, sqlite_url: str, tmp_path: Path) -> None:
    """Withdrawn, listed, claimed and partly brought back: all that the log says is what the chain has."""
    city = install(sqlite_url, tmp_path)
    site = Site.build(anvil, city)
    site.withdraw("ann", 700)
    site.list_all()
    site.claim("ann")
    site.deposit("ann", 200)
    site.settle()
    export = city.export(tmp_path / "export")
    (export / "claims").mkdir()
    with city.read() as session:
        for made in lists.all_(session, CITY, CHAIN):
            (export / "claims" / made.hash).write_bytes(made.document)
    report = run.verify(export, Wishes(chain=Contract(anvil.url, site.contract, site.crossing.contract.block)))
    assert report.ok, report.text()
    assert "that all 1 proposals on chain are lists of this log" in report.checked
    assert "1 lists of claims: hash, root and sum, each against the one before" in report.checked
    city.close()


def test_a_node_that_lies_leaves_out_or_is_silent_is_no_pass(auditor: Auditor) -> None:
    """Never a verdict that all holds, and nothing of the node's URL in the report."""
    gateway = Gateway(auditor.harbour.anvil.url)
    export, contract = auditor.export(), auditor.contract(gateway.url)
    answers: dict[str, Any] = {
        "eth_getLogs": lambda found: found[1:],
        "eth_call": lambda found: "0x",
        "eth_chainId": lambda found: "much",
        "eth_getBlockByNumber": lambda found: {"number": None},
    }

    def change(question: dict[str, Any], method: str) -> Any:
        if question["method"] != method:
            return None
        found = auditor.harbour.anvil.rpc(question["method"], *question["params"])
        return {"jsonrpc": "2.0", "id": question["id"], "result": answers[method](found)}

    for method in answers:
        gateway.rule = lambda question: change(question, method)
        report = auditor.verify(export, contract)
        assert set(report.counts) == {"VERIFICATION_INCOMPLETE"}, method
        assert "secret-key" not in json.dumps(report.as_json())
    for nonsense in (b"", b"[]", b'{"jsonrpc":"2.0"}', b"{" * 50):
        gateway.rule = lambda question: nonsense
        assert set(auditor.verify(export, contract).counts) == {"VERIFICATION_INCOMPLETE"}
    gateway.close()
    assert set(auditor.verify(export, contract).counts) == {"VERIFICATION_INCOMPLETE"}
    elsewhere = auditor.contract(token="0x" + "12" * 20)
    assert set(auditor.verify(export, elsewhere).counts) == {"VERIFICATION_INCOMPLETE"}


def test_a_node_with_narrow_limits_is_asked_in_pieces(auditor: Auditor) -> None:
    """Where so many blocks are too many, fewer are asked for; a chain that tells no final block is said to."""
    gateway = Gateway(auditor.harbour.anvil.url)

    def narrow(question: dict[str, Any]) -> Any:
        if question["method"] == "eth_getLogs":
            wanted = question["params"][0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) > 3:
                return error(question, -32005, "query returned more than 10000 results")
        if question["method"] == "eth_getBlockByNumber" and question["params"][0] == "finalized":
            return error(question, -32601, "unknown block")
        return None

    gateway.rule = narrow
    reading = chain.read(auditor.contract(gateway.url))
    assert [size for size, _ in reading.anchors] == [4, 9]
    report = auditor.verify(auditor.export(), auditor.contract(gateway.url))
    assert report.ok
    assert any("is final" in one for one in report.unchecked)
    gateway.rule = lambda question: error(question, -1, "no") if question["method"] == "eth_getLogs" else None
    with pytest.raises(ChainFault, match="refuses eth_getLogs"):
        chain.read(auditor.contract(gateway.url))
    gateway.close()


def test_another_logs_contract_is_of_no_use(auditor: Auditor) -> None:
    """Its origin hash is another's."""
    export = auditor.export()
    note = (export / "checkpoint").read_text()
    assert chain.read(auditor.contract()).is_for(note.splitlines()[0])
    assert not chain.read(auditor.contract()).is_for("another.example/log")


def test_the_command_line_asks_the_node(auditor: Auditor, capsys: pytest.CaptureFixture[str]) -> None:
    """`--rpc` and `--contract` go together; the exit status says what was found."""
    export, harbour = str(auditor.export()), auditor.harbour
    where = ("--rpc", harbour.anvil.url, "--contract", harbour.token, "--first-block", str(harbour.block))
    assert main([export, "--no-state", *where]) == 0
    assert "checked: 2 anchors on chain" in capsys.readouterr().out
    for wrong in (where[:2], where[2:4], (*where[:2], "--contract", "0x12"), ("--rpc", "ftp://x", *where[2:4])):
        assert main([export, "--no-state", *wrong]) == 2
    auditor.anchor()
    harbour.grow(1)
    auditor.anchor()
    assert main([export, "--no-state", *where]) == 1
    assert "BEHIND_ANCHOR" in capsys.readouterr().out


def test_nothing_of_web3_is_needed() -> None:
    """The verifier reads a chain with the standard library."""
    program = (
        "import sys, ledger.verifier.cli;"
        "print([name for name in ('web3', 'requests', 'eth_abi', 'Crypto', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
