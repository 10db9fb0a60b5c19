"""The bridge on a real node: there and back, finality, reorganisations, gaps, vetoes, and the identity throughout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.book.unit import Unit
from ledger.chain import badges, bridges, bridging, client, lists, watching
from ledger.chain.artifacts import artifact
from ledger.chain.errors import Unreachable
from ledger.chain.outbox import Staging
from ledger.chain.wallets import Wallet
from ledger.chain.watching import Behind
from ledger.errors import Refused
from tests.anvil import Anvil
from tests.chain.crossing import BRIDGE, CHAIN, SUSPENSE
from tests.chain.gateway import LOSE_ANSWER, LOSE_QUESTION, Gateway
from tests.chain.site import CAP, DELAY, INCREASE, Site, send
from tests.factories import CITY, Installation, install


@pytest.fixture
def city(sqlite_url: str, tmp_path: Path) -> Iterator[Installation]:
    """A city on SQLite: what differs between databases is tested without a chain."""
    made = install(sqlite_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def site(anvil: Anvil, city: Installation) -> Site:
    """A bridge to a fresh token."""
    return Site.build(anvil, city)


@pytest.fixture
def funded(site: Site) -> Site:
    """Ann holds 500 on the chain, and the ledger knows."""
    site.withdraw("ann", 500)
    site.list_all()
    site.claim("ann")
    site.settle()
    return site


def test_tokens_go_out_and_come_back(site: Site) -> None:
    """Withdrawn, listed, claimed, handed on, deposited and credited: the identity holds at each step."""
    seq = site.withdraw("ann", 500)
    steps = [site.standing()]
    site.list_all()
    assert site.crossing.views("ann")[seq].state == "active"
    site.claim("ann")
    steps.append(site.standing())
    site.settle()
    assert (site.crossing.views("ann")[seq].state, site.on_chain("ann")) == ("claimed", 500)
    site.call("ann", "transfer", site.wallet("bo"), 200)
    site.deposit("bo", 150)
    steps.append(site.standing())
    assert site.settle().credited == 1
    steps.append(site.standing())
    assert (site.crossing.held("ann"), site.crossing.held("bo")) == (9_500, 10_150)
    assert site.crossing.city.balance(BRIDGE).posted_minor == 350
    assert [step.problem() for step in steps] == [None] * 4
    assert site.crossing.bridge.paused_at is None
    assert site.crossing.city.audit().ok


def test_a_deposit_counts_only_once_it_is_finalized(funded: Site) -> None:
    """Mined is not enough: nothing is credited until the block cannot be taken back."""
    funded.deposit("ann", 100)
    assert funded.run().credited == 0
    assert funded.settle().credited == 1
    assert funded.crossing.held("ann") == 9_600


def test_a_reorganisation_never_credits_twice(funded: Site) -> None:
    """A deposit that is taken back and mined again, under the same number, is credited once, at its second place."""
    ticket = funded.ticket("ann")
    first = funded.deposit("ann", 100, ticket)
    funded.run()
    funded.anvil.reorganize(1)
    assert client.receipt(funded.node, first.hash) is None
    funded.run()
    again = funded.deposit("ann", 130, ticket)
    assert again.hash != first.hash
    assert [funded.settle().credited, funded.settle().credited] == [1, 0]
    assert funded.crossing.held("ann") == 9_630
    assert funded.standing().problem() is None


def test_a_deposit_that_a_reorganisation_takes_for_good_is_never_credited(funded: Site) -> None:
    """The tokens are still on the chain, so nothing is lost either."""
    funded.deposit("ann", 100)
    funded.anvil.reorganize(1)
    assert funded.settle().credited == 0
    assert (funded.crossing.held("ann"), funded.on_chain("ann")) == (9_500, 500)


def test_silent_gaps_of_a_lagging_node_are_found(funded: Site) -> None:
    """A node that leaves events out, without a word, is held against the contract's own count: nothing is skipped."""
    for amount in (10, 20):
        funded.deposit("ann", amount)
    funded.anvil.finalize()
    gateway = Gateway(funded.anvil.url)
    topic = "0x" + artifact("KgoToken").topic("Deposited").hex()

    def leave_out(question: dict[str, Any]) -> Any:
        if question["method"] == "eth_getLogs" and question["params"][0]["topics"] == [topic]:
            return {"jsonrpc": "2.0", "id": question["id"], "result": []}
        return None

    gateway.rule = leave_out
    lagging = client.connect(gateway.url)
    before = funded.crossing.bridge.block
    with pytest.raises(Behind, match="deposited"):
        funded.run(lagging)
    assert (funded.crossing.held("ann"), funded.crossing.bridge.block) == (9_500, before)
    gateway.rule = lambda question: None
    assert funded.run(lagging).credited == 2
    assert funded.crossing.held("ann") == 9_530
    gateway.close()


def test_a_node_whose_finalized_block_goes_back_changes_nothing(funded: Site) -> None:
    """Behind a load balancer stands one that lags: what it says is older than what is known."""
    older = watching.look(funded.node, funded.crossing.bridge, client.finalized(funded.node))
    assert older is None
    funded.deposit("ann", 100)
    funded.anvil.finalize()
    old = funded.crossing.bridge
    look = watching.look(funded.node, old, client.finalized(funded.node))
    assert look is not None
    watching.follow(funded.crossing.city.writer, CITY, look)
    assert watching.follow(funded.crossing.city.writer, CITY, look) == 0
    assert funded.crossing.bridge.block == look.block.number
    assert funded.crossing.held("ann") == 9_600


@pytest.mark.parametrize("loss", [LOSE_QUESTION, LOSE_ANSWER])
def test_a_run_that_breaks_off_at_any_question_is_taken_up(funded: Site, loss: str) -> None:
    """However many answers arrive before the line is cut, nothing is credited twice or forgotten."""
    gateway = Gateway(funded.anvil.url)
    node = client.connect(gateway.url)
    credited = 0
    for patience in range(6):
        funded.deposit("ann", 10)
        funded.anvil.finalize()
        asked: list[str] = []

        def cut(question: dict[str, Any], asked: list[str] = asked, patience: int = patience) -> Any:
            asked.append(question["method"])
            return loss if len(asked) > patience else None

        gateway.rule = cut
        with pytest.raises(Unreachable):
            credited += funded.run(node).credited
        gateway.rule = lambda question: None
        credited += funded.run(node).credited
    assert (credited, funded.crossing.held("ann")) == (6, 9_560)
    assert funded.standing().problem() is None
    gateway.close()


def test_an_unknown_ticket_goes_to_suspense_and_the_identity_counts_it(funded: Site) -> None:
    """Burned tokens for nobody are neither lost nor credited."""
    funded.deposit("ann", 100, "0x" + "7" * 64)
    funded.settle()
    assert funded.crossing.city.balance(SUSPENSE).posted_minor == 100
    assert funded.standing().problem() is None
    assert funded.crossing.bridge.paused_at is None


def test_a_list_that_the_ledger_never_made_pauses_the_bridge(funded: Site) -> None:
    """Whoever holds the proposer's key cannot pay themselves unnoticed, and the guardian has the delay to veto."""
    funded.anchor()
    funded.call("proposer", "propose", b"f" * 32, 99_999, funded.sizes[-1])
    assert funded.settle().paused == "foreign_list"
    with pytest.raises(Refused, match="bridge_paused"):
        funded.withdraw("bo", 1)


def test_a_veto_frees_what_the_list_held_once_it_is_final(site: Site) -> None:
    """It pauses the bridge as well: a guardian does not veto for nothing."""
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    site.deliver()
    site.settle()
    site.call("guardian", "veto", 1)
    assert site.run().paused is None
    assert not site.crossing.views("ann")[seq].can_cancel
    assert site.settle().paused == "vetoed"
    site.crossing.cancel("ann", seq)
    assert site.crossing.held("ann") == 10_000
    assert site.standing().problem() is None


def test_a_proposal_that_a_reorganisation_takes_back_holds_on(site: Site) -> None:
    """Its list stays committed, nothing of it can be called off, and the same transaction may still come."""
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    site.deliver()
    site.anvil.reorganize(1)
    site.settle()
    assert site.crossing.views("ann")[seq].state == "rooted"
    site.deliver()
    site.settle()
    assert site.crossing.views("ann")[seq].state == "proposed"


def test_the_identity_pauses_the_bridge_over_a_mismatch_and_says_so(
    funded: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """More on the chain than ever left: bridging stops, durably, and an alarm stands in the log."""
    with funded.crossing.city.database.writing.connect() as connection:
        connection.exec_driver_sql("UPDATE withdrawals SET amount_minor = amount_minor - 1")
        connection.commit()
    funded.anvil.finalize()
    assert funded.run().paused == "invariant_rows"
    assert "does not add up" in caplog.text
    assert funded.run().paused == "invariant_rows"


def test_what_the_contract_refuses_is_listed_anew(site: Site) -> None:
    """While four anchors pass, a proposal becomes stale: the next list takes its place and all is claimed."""
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    for _ in range(4):
        site.crossing.city.give(f"learner:{site.crossing.learners['cha']}", 1)
        site.anchor()
    site.anvil.finalize()
    site.deliver()  # refused, and that is not final yet
    site.settle()
    assert site.deliver().reverted == 1
    site.run()
    assert site.crossing.views("ann")[seq].state == "rooted"
    site.anvil.sleep(bridging.RETRY.seconds)
    site.list_all()
    assert site.crossing.views("ann")[seq].state == "active"
    with site.crossing.city.read() as session:
        states = [one.state for one in lists.all_(session, CITY, CHAIN)]
    assert states == ["active", "failed"]


def test_a_period_that_is_used_up_fills_no_log(site: Site) -> None:
    """What is beyond the contract's increase waits for the next period, is listed a few times a day, and is claimed."""
    site.crossing.city.give(f"learner:{site.crossing.learners['ann']}", INCREASE)
    site.withdraw("ann", INCREASE)
    site.list_all()
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    site.deliver()
    site.settle()
    assert site.deliver().reverted == 1
    site.run()
    size = site.crossing.size
    for _ in range(6):
        site.anvil.sleep(bridging.RETRY.seconds)
        site.anchor()
        site.settle()
        site.deliver()
    assert (site.crossing.size, site.crossing.state("ann", seq)) == (size, "rooted")
    site.anvil.sleep(7 * 86_400)
    site.list_all()
    assert site.crossing.state("ann", seq) == "active"
    site.claim("ann")
    site.settle()
    assert (site.crossing.state("ann", seq), site.on_chain("ann")) == ("claimed", INCREASE + 500)


def test_nothing_is_claimable_before_its_delay(site: Site) -> None:
    """The activation is staged only when the delay is over."""
    site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    site.deliver()
    site.settle()
    assert site.calls("queued") == []
    site.anvil.sleep(DELAY + 1)
    site.run()
    assert site.calls("queued") == ["activate 1"]


def test_an_activation_that_was_refused_is_tried_again(site: Site) -> None:
    """While the contract is paused nothing is activated; afterwards the job does not give up."""
    seq = site.withdraw("ann", 500)
    site.anchor()
    site.settle()
    site.deliver()
    site.settle()
    site.call("pauser", "pause")
    site.anvil.sleep(DELAY + 1)
    site.run()
    site.deliver()
    site.settle()
    assert site.deliver().reverted == 1
    site.call("admin", "unpause")
    site.run()
    assert site.calls("queued") == []
    site.anvil.sleep(bridging.RETRY.seconds)
    site.run()
    site.deliver()
    site.settle()
    assert site.crossing.views("ann")[seq].state == "active"


def test_the_job_makes_the_bridge_from_the_contract(site: Site, new_sqlite_url: Any, tmp_path: Path) -> None:
    """Its limits are the contract's own, asked once."""
    city = install(new_sqlite_url(), tmp_path / "another")
    for _ in range(2):
        bridging.establish(city.writer, site.node, CITY, site.contract, 7)
    with city.read() as session:
        made = bridges.get(session, CITY, CHAIN)
    city.close()
    assert (made.contract, made.block) == (site.contract, 6)
    assert (made.supply_cap_minor, made.increase_limit_minor) == (CAP, INCREASE)


def test_a_badge_is_minted_once_to_the_linked_wallet(site: Site) -> None:
    """Its token is the entry's number, its content the entry's leaf; what is lost is sent again."""
    roles = [site.wallet(role) for role in ("admin", "proposer")]
    creation = artifact("KgoBadge").creation("Badge", "B", "https://kgo.example/", b"o" * 32, 60, *roles)
    contract = send(site.anvil, site.node, "admin", None, creation).contract or ""
    site.anvil.finalize()
    ann = site.crossing.learners["ann"]

    def award(unit: Unit) -> int:
        badges.offer(unit, "walk")
        unit.session.merge(Wallet(city=CITY, learner=ann, address=site.wallet("ann"), linked_at=unit.now))
        unit.session.flush()
        return badges.award(unit, ann, "walk", contract, Staging(badges.PURPOSE, CHAIN, "KgoBadge")).seq

    seq = site.crossing.city.run(award)
    site.deliver()
    site.anvil.reorganize(1)
    site.deliver()
    site.anvil.finalize()
    assert site.deliver().done == 1
    read = partial(client.read, site.node, artifact("KgoBadge"), contract)
    assert (read("ownerOf", seq), read("balanceOf", site.wallet("ann"))) == (site.wallet("ann"), 1)
    with pytest.raises(Refused, match="limit_reached"):
        site.crossing.city.run(award)
