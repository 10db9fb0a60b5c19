"""Badges on the pages: an activity offers one, who was there and has a wallet asks for it, once."""

from __future__ import annotations

import httpx

from ledger.chain import badges, deployment, outbox
from ledger.chain.artifacts import artifact
from ledger.chain.deployment import Deployment
from ledger.proof.encoding import canonical
from ledger.proof.merkle import leaf_hash
from tests.chain.crossing import CHAIN, TOKEN
from tests.chain.gateway import Gateway
from tests.factories import CITY
from tests.web.conftest import HOME, Town
from tests.web.test_chain import WALLET, activate, build, link, ticket, withdraw
from tests.web.visitor import Form

BADGES = "0x" + "b0" * 20


def with_badges(town: Town, rpc: str = "http://127.0.0.1:1") -> None:
    """Give the town a bridge and a contract for badges, on a chain whose node nobody should ask."""
    build(town)
    contracts = [deployment.Contract(address, "0x" + "0" * 64, 1) for address in (TOKEN, BADGES)]
    installation = town.app.extensions["kgo"].installation
    deployment.save(installation.settings, Deployment(CITY, rpc, CHAIN, contracts[0], contracts[1]))
    installation.writer.published.trust(CITY)  # as if the chain had been asked


def test_no_request_asks_a_node(town: Town) -> None:
    """Linking, withdrawing, claiming, tickets, badges, the audit: all that is wanted of a chain waits for the jobs."""
    asked: list[object] = []

    def note(question: object) -> bytes:
        asked.append(question)
        return b"{}"

    node = Gateway("http://127.0.0.1:1")
    node.rule = note
    with_badges(town, node.url)
    steward, learner = town.worker({"steward", "treasurer"}), town.learner()
    link(learner)
    steward.send(steward.get(f"{HOME}/steward/activities/walk").form("/badge"))
    learner.send(learner.get(f"{HOME}/chain").form("/badges/walk"))
    withdraw(learner)
    activate(town)
    learner.send(learner.get(f"{HOME}/chain").form("/chain/claim"))
    ticket(learner)
    assert learner.get(f"{HOME}/audit/").status == 200
    with town.installation.read() as session:
        assert {one.wish.purpose for one in outbox.open_(session, CITY)} == {"badge", "bridge"}
    assert asked == []
    httpx.post(node.url, json={})
    assert asked == [{}]
    node.close()


def test_an_activity_awards_a_badge_to_who_was_there_and_asks(town: Town) -> None:
    """Once; it stands as an entry that names the activity alone, and its minting waits for the sender."""
    with_badges(town)
    steward, learner = town.worker({"steward", "treasurer"}), town.learner()
    assert "ตราเกียรติบัตร" not in learner.get(f"{HOME}/chain").text
    town.installation.run(lambda unit: badges.offer(unit, "walk"))
    assert "เมื่อผูกกระเป๋าแล้วขอรับได้ที่นี่" in learner.get(f"{HOME}/chain").text
    town.installation.run(lambda unit: badges.withdraw(unit, "walk"))
    link(learner)
    assert not [form for form in learner.get(f"{HOME}/chain").forms if "/badges/" in form.action]
    assert steward.send(steward.get(f"{HOME}/steward/activities/walk").form("/badge")).status == 200
    asked = learner.get(f"{HOME}/chain").form("/badges/walk")
    learner.send(asked)
    leaf = town.installation.leaves()[-1]
    assert (leaf["kind"], leaf["ref"], leaf["postings"]) == ("badge", {"activity": "walk"}, [])
    with town.installation.read() as session:
        (staged,) = outbox.open_(session, CITY)
    minting = artifact("KgoBadge").call_data("award", WALLET.lower(), leaf["seq"], leaf_hash(canonical(leaf)))
    assert (staged.wish.contract, staged.wish.address, staged.wish.data) == ("KgoBadge", BADGES, minting)
    page = learner.get(f"{HOME}/chain")
    assert not [form for form in page.forms if "/badges/" in form.action]
    assert "ตราเกียรติบัตรของคุณ" in page.text
    again = learner.send(Form(asked.action, {**asked.fields, "key": "another-key-of-this-form"}))
    assert again.status == 409
    told = learner.client.get(f"{HOME}/badges/{leaf['seq']}").get_json()
    assert "Walk" in told["name"]


def test_who_was_not_there_gets_no_badge(town: Town) -> None:
    """Nor does anybody of an activity that awards none; a steward can end it."""
    with_badges(town)
    learner, other = town.learner(), town.visitor()
    link(learner)
    other.send(other.get(f"{HOME}/wallet").form("/join"))
    link(other)
    form = Form(f"{HOME}/chain/badges/walk", {"key": "a-key-of-some-form"})
    assert learner.send(form).status == 404
    town.installation.run(lambda unit: badges.offer(unit, "walk"))
    assert other.send(form).status == 404
    steward = town.worker({"steward", "treasurer"})
    steward.send(steward.get(f"{HOME}/steward/activities/walk").form("/badge"))
    assert learner.send(Form(form.action, {"key": "another-key-of-a-form"})).status == 404
    assert "badge" not in town.kinds()
