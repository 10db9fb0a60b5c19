"""The published lists of claims against the entries that commit to them: each way in which one can be false."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.claims import Claim, claims_tree
from ledger.chain.claims import keccak256 as fast_keccak256
from ledger.proof.encoding import canonical
from ledger.proof.report import Report
from ledger.verifier import lists
from ledger.verifier.chain import Proposal, Reading
from ledger.verifier.keccak import keccak256
from ledger.verifier.lists import ClaimLists
from ledger.verifier.memory import Memory
from ledger.verifier.run import Wishes, verify
from ledger.verifier.source import open_source
from tests.proof.logs import day, write
from tests.verifier.mirrors import publish, served

CHAIN = 31_337
CONTRACT = "0x" + "c0" * 20
ANN, BO = "0x" + "0a" * 20, "0x" + "0b" * 20
Change = Callable[[dict[str, Any], dict[str, Any]], None]


class Lists:
    """A log with a bridge, and the lists that it publishes."""

    def __init__(self) -> None:
        self.log = day()
        self.published: dict[str, bytes] = {}

    def withdraw(self, name: str, amount: int) -> None:
        """Somebody withdraws."""
        giver = f"learner:{name}"
        self.log.add("reward", ("budget:museum", giver, amount), at=self._at)
        self.log.add("bridge_out", (giver, f"bridge:{CHAIN}", amount), at=self._at, actor="learner")

    def list(self, claims: dict[str, int], change: Change = lambda listed, said: None) -> int:
        """Commit to a list, of which `change` may forge the document or what the entry says of it."""
        total = sum(claims.values())
        listed: dict[str, Any] = {
            "chain_id": CHAIN, "city": "khon-kaen", "claims": [[wallet, claims[wallet]] for wallet in sorted(claims)],
            "contract": CONTRACT, "size": len(self.log.leaves), "total": total,
        }  # fmt: skip
        tree = claims_tree(CHAIN, CONTRACT, [Claim(wallet, amount) for wallet, amount in claims.items()])
        said: dict[str, Any] = {
            "chain_id": CHAIN, "contract": CONTRACT, "root": tree.root.hex(), "size": listed["size"], "total": total,
        }  # fmt: skip
        change(listed, said)
        data = canonical(listed)
        said.setdefault("list", sha256(data).hexdigest())
        self.published[said["list"]] = data
        return self.log.add("attest", ref={"claims": said}, at=self._at)

    def save(self, folder: Path, *, tiles: bool = False) -> Path:
        """Write the log, and its lists beside it."""
        (publish if tiles else write)(folder, self.log.lines())
        (folder / "claims").mkdir(exist_ok=True)
        for name, data in self.published.items():
            (folder / "claims" / name).write_bytes(data)
        return folder

    @property
    def _at(self) -> str:
        return str(self.log.leaves[-1]["at"])


@pytest.fixture
def bridged() -> Lists:
    """Two people have withdrawn, and nothing is listed."""
    made = Lists()
    made.withdraw("ann", 500)
    made.withdraw("bo", 300)
    return made


def found(report: Report) -> set[str]:
    """The codes of what was found."""
    return set(report.counts)


def test_lists_that_are_what_the_log_says_pass(bridged: Lists, tmp_path: Path) -> None:
    """In an export with its lists, in a folder of tiles, at an address, and when a walk goes on later."""
    bridged.list({ANN: 500, BO: 300})
    bridged.withdraw("ann", 50)
    bridged.list({ANN: 550, BO: 300})
    line = "2 lists of claims: hash, root and sum, each against the one before"
    assert line in verify(bridged.save(tmp_path / "export"), Wishes()).checked
    memory = Memory(tmp_path / "memory")
    folder = bridged.save(tmp_path / "tiles", tiles=True)
    with served(folder) as site:
        for where in (folder, site.url, site.url):
            report = verify(where, Wishes(memory=memory))
            assert report.ok, report.text()
            assert line in report.checked


def test_a_walk_that_goes_on_remembers_the_lists_it_passed(bridged: Lists, tmp_path: Path) -> None:
    """An entry that is not fetched again still says which list to ask for."""
    bridged.list({ANN: 500, BO: 300})
    for number in range(300):
        bridged.log.add("reward", ("budget:museum", f"learner:{number}", 1), at=bridged._at)
    memory, folder = Memory(tmp_path / "memory"), bridged.save(tmp_path / "tiles", tiles=True)
    with served(folder) as site:
        assert verify(site.url, Wishes(memory=memory)).ok
        next((folder / "claims").iterdir()).write_bytes(b"{}")
        report = verify(site.url, Wishes(memory=memory))
        assert any("not fetched again" in one for one in report.checked)
        assert found(report) == {"HASH_MISMATCH"}


def test_a_list_that_is_not_published_is_missed(bridged: Lists, tmp_path: Path) -> None:
    """At the log's address it has to be; an export that comes without says that this was not checked."""
    bridged.list({ANN: 500, BO: 300})
    bridged.published.clear()
    report = verify(bridged.save(tmp_path / "export"), Wishes())
    assert report.ok
    assert any("lists of claims" in one for one in report.unchecked)
    with served(bridged.save(tmp_path / "tiles", tiles=True)) as site:
        report = verify(site.url, Wishes())
        assert found(report) == {"VERIFICATION_INCOMPLETE"}
        assert "is not published" in report.text()


def _other_city(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["city"] = "elsewhere"


def _other_size(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["size"] -= 1


def _unordered(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"].reverse()


def _twice(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"] = [[ANN, 400], [ANN, 400]]


def _negative(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"] = [[ANN, 900], [BO, -100]]


def _capitals(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"][0][0] = "0x" + "0A" * 20


def _extra(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["note"] = 1


def _shapeless(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"] = 5


def _too_much(listed: dict[str, Any], said: dict[str, Any]) -> None:
    listed["claims"][0][1] += 1
    claims = [Claim(wallet, amount) for wallet, amount in listed["claims"]]
    said["root"] = claims_tree(CHAIN, CONTRACT, claims).root.hex()


def _other_root(listed: dict[str, Any], said: dict[str, Any]) -> None:
    said["root"] = "ab" * 32


def _other_chain(listed: dict[str, Any], said: dict[str, Any]) -> None:
    claims = [Claim(wallet, amount) for wallet, amount in listed["claims"]]
    said["root"] = claims_tree(CHAIN + 1, CONTRACT, claims).root.hex()


def _other_list(listed: dict[str, Any], said: dict[str, Any]) -> None:
    said["list"] = "cd" * 32


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_other_city, "CASE_VIOLATION"), (_other_size, "CASE_VIOLATION"), (_unordered, "CASE_VIOLATION"),
        (_twice, "CASE_VIOLATION"), (_negative, "CASE_VIOLATION"), (_capitals, "CASE_VIOLATION"),
        (_extra, "CASE_VIOLATION"), (_shapeless, "CASE_VIOLATION"), (_too_much, "TOTALS_MISMATCH"),
        (_other_root, "HASH_MISMATCH"), (_other_chain, "HASH_MISMATCH"), (_other_list, "HASH_MISMATCH"),
    ],
)  # fmt: skip
def test_a_false_list_is_found(bridged: Lists, tmp_path: Path, change: Change, code: str) -> None:
    """Whatever is forged, by its own code and at the entry that commits to it."""
    seq = bridged.list({ANN: 500, BO: 300}, change)
    report = verify(bridged.save(tmp_path / "log"), Wishes())
    assert found(report) == {code}, report.text()
    assert [one.seq for one in report.findings] == [seq]


def test_a_total_that_is_not_what_was_withdrawn_is_found(bridged: Lists, tmp_path: Path) -> None:
    """A list that is right in itself, and gives somebody what nobody withdrew."""
    bridged.list({ANN: 500, BO: 301})
    assert found(verify(bridged.save(tmp_path / "log"), Wishes())) == {"TOTALS_MISMATCH"}


@pytest.mark.parametrize("later", [{ANN: 499, BO: 351}, {BO: 850}])
@pytest.mark.parametrize("vetoed", [False, True])
def test_a_list_that_takes_back_is_found(
    bridged: Lists, tmp_path: Path, later: dict[str, int], vetoed: bool
) -> None:  # fmt: skip
    """Less for a wallet than before, or a wallet left out, though the sum is right; only a veto allows it."""
    first = bridged.list({ANN: 500, BO: 300})
    bridged.withdraw("bo", 50)
    seq = bridged.list(later)
    folder = bridged.save(tmp_path / "log")
    noted, report = ClaimLists(), Report()
    noted.add(bridged.log.lines())
    offered = tuple(
        Proposal(number, bytes.fromhex(one.root), one.total, one.size, 5, vetoed and one.seq == first)
        for number, one in enumerate(noted.known, 1)
    )
    reading = Reading(CHAIN, 9, True, (), 0, b"o" * 32, CONTRACT, 0, 0, offered)
    with closing(open_source(folder)) as source:
        noted.judge(source, report, reading, lambda proposal: 0)
    assert found(report) == (set() if vetoed else {"CASE_VIOLATION"})
    assert vetoed or (report.findings[0].seq == seq and ANN in report.findings[0].message)
    assert "that all 2 proposals on chain are lists of this log" in report.checked
    alone = verify(folder, Wishes())
    assert alone.ok
    assert any("right if that one was vetoed" in one for one in alone.unchecked)


def test_an_entry_of_another_shape_leads_to_no_file(bridged: Lists, tmp_path: Path) -> None:
    """The name of a list comes out of a log that anybody may have written: it is a hash, or not asked for."""
    (tmp_path / "secret").write_text("secret")
    bridged.list({ANN: 500, BO: 300}, lambda listed, said: said.update(list="../../secret"))
    bridged.published.clear()
    report = verify(bridged.save(tmp_path / "log"), Wishes())
    assert found(report) == {"CASE_VIOLATION"}
    assert not any("HASH" in one.code for one in report.findings)


def test_keccak_and_root_are_those_of_other_programs() -> None:
    """Against pycryptodome, around the rate, and against the tree that the contract accepts."""
    chance = random.Random(5)  # noqa: S311 - repeatable
    for size in (0, 1, 64, 128, 135, 136, 137, 271, 272, 500):
        data = chance.randbytes(size)
        assert keccak256(data) == fast_keccak256(data)
    for count in (1, 2, 3, 7, 64):
        claims = {"0x" + chance.randbytes(20).hex(): chance.randint(1, 10**9) for _ in range(count)}
        tree = claims_tree(CHAIN, CONTRACT, [Claim(wallet, amount) for wallet, amount in claims.items()])
        assert lists.root(CHAIN, CONTRACT, claims) == tree.root
