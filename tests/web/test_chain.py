"""The learner's side of the bridge: linking a wallet, withdrawing, following, claiming, depositing back."""

from __future__ import annotations

import re

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from sqlalchemy import select

from ledger.book import entries, tree
from ledger.book.unit import Unit
from ledger.chain import badges, bridges, deployment, deposits, lists, outbox
from ledger.chain.anchors import Anchor
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Contract
from ledger.chain.claims import checksummed
from ledger.chain.deployment import Deployment
from ledger.chain.deposits import Arrival, DepositTicket
from ledger.proof.encoding import canonical
from ledger.proof.merkle import leaf_hash
from tests.chain.crossing import CHAIN, TOKEN, Sent
from tests.chain.gateway import Gateway
from tests.factories import CITY
from tests.web.conftest import HOME, Town
from tests.web.visitor import Form, Page, Visitor

BADGES = "0x" + "b0" * 20
KEY = bytes([9] * 32)
WALLET = str(Account.from_key(KEY).address)


def build(town: Town) -> None:
    """Give the town a bridge."""
    contract = Contract(CHAIN, TOKEN, 1, 50_000, 20_000)
    town.installation.run(lambda unit: bridges.open_bridge(unit, contract).chain_id)


def ask(learner: Visitor) -> Page:
    """Name a wallet and get a message to sign."""
    return learner.send(learner.get(f"{HOME}/chain").form("/chain/wallet"), address=WALLET)


def signature(page: Page, key: bytes = KEY) -> str:
    """What a wallet answers to the message on a page."""
    shown = re.search(r'id="message"[^>]*>([^<]+)<', page.html)
    assert shown
    return "0x" + bytes(Account.sign_message(encode_defunct(text=shown[1]), key).signature).hex()


def link(learner: Visitor) -> Page:
    """Link a wallet by pasting its signature."""
    asked = ask(learner)
    return learner.send(asked.form("/wallet/link"), signature=signature(asked))


def withdraw(learner: Visitor, amount: str = "3") -> Page:
    """Take tokens to the chain, knowing that the wallet is public."""
    return learner.send(learner.get(f"{HOME}/chain").form("/withdrawals"), amount=amount, told="yes")


def activate(town: Town) -> None:
    """Everything asked for is in an active list."""

    def run(unit: Unit) -> None:
        made = lists.commit(unit, CHAIN, (unit.next_seq,), Sent())
        assert made is not None
        bridge = bridges.get(unit.session, CITY, CHAIN)
        lists.proposed(unit, bridge, made.root, made.total_minor, made.size, 1, unit.now)
        unit.session.flush()
        lists.ended(unit, bridge, 1, lists.ACTIVE)

    town.installation.run(run)


def crossers(town: Town) -> tuple[Visitor, Visitor]:
    """In a town with a bridge: somebody who is to sign, and somebody with a withdrawal in each of some states."""
    build(town)
    signing, crossing = town.learner(), town.learner()
    ask(signing)
    link(crossing)
    withdraw(crossing, "1")
    activate(town)
    withdraw(crossing, "1.50")
    return signing, crossing


def ticket(learner: Visitor) -> str:
    """Draw a ticket for a deposit; the address of its page."""
    page = learner.send(learner.get(f"{HOME}/chain").form("/chain/deposits"), back="2", follow=True)
    assert page.status == 200
    return page.address


def test_without_a_bridge_nothing_speaks_of_one(town: Town) -> None:
    """The wallet has no way there, and the page does not exist."""
    learner = town.learner()
    assert "/chain" not in learner.get(f"{HOME}/wallet").html
    assert learner.get(f"{HOME}/chain").status == 404


def test_with_a_bridge_the_wallet_leads_there_and_it_says_that_a_chain_is_public(town: Town) -> None:
    """Before anything can be done; somebody without a wallet is shown how to get one."""
    build(town)
    learner = town.learner()
    assert f"{HOME}/chain" in learner.get(f"{HOME}/wallet").links
    assert "กระเป๋าบนเชนเปิดเผยต่อทุกคน" in learner.get(f"{HOME}/chain").text
    assert town.visitor().get(f"{HOME}/chain").form("/join")


def test_a_wallet_is_linked_by_a_pasted_signature(town: Town) -> None:
    """Of the message shown, which names this address; and it can be unlinked."""
    build(town)
    learner = town.learner()
    page = link(learner)
    assert WALLET in page.text
    assert "ผูกกระเป๋าแล้ว" in page.text
    page = learner.send(page.form("/unlink"))
    assert WALLET not in page.text


def test_what_cannot_be_linked_is_told_at_its_field(town: Town) -> None:
    """A wrong address, no signature, another wallet's signature, a message that is over: each says what to do."""
    build(town)
    learner = town.learner()
    wrong = learner.send(learner.get(f"{HOME}/chain?lang=en").form("/chain/wallet"), address="0x12")
    assert (wrong.status, wrong.form("/chain/wallet").fields["address"]) == (422, "0x12")
    assert "Paste the whole address" in wrong.text
    asked = ask(learner)
    nothing = learner.send(asked.form("/wallet/link"), signature="0x12")
    assert "Paste the whole signature" in nothing.text
    other = learner.send(asked.form("/wallet/link"), signature=signature(asked, bytes([8] * 32)))
    assert (other.status, "Another wallet signed" in other.text) == (422, True)
    town.installation.clock.advance(minutes=10)
    late = learner.send(asked.form("/wallet/link"), signature=signature(asked))
    assert (late.status, "expired" in late.text) == (422, True)


def test_withdrawing_needs_the_tick_and_an_amount(town: Town) -> None:
    """Whoever has not said that they know that the wallet is public takes nothing there; nor more than they have."""
    build(town)
    learner = town.learner()
    link(learner)
    form = learner.get(f"{HOME}/chain?lang=en").form("/withdrawals")
    untold = learner.send(form, amount="3")
    assert (untold.status, "Tick this first" in untold.text) == (422, True)
    assert learner.send(form, amount="three", told="yes").status == 422
    assert learner.send(form, amount="5.01", told="yes").status == 422
    assert "bridge_out" not in town.kinds()


def test_a_withdrawal_is_followed_cancelled_and_claimed(town: Town) -> None:
    """Its state stands there, it can be cancelled until it is listed, and then claimed by wallet, by hand or by us."""
    build(town)
    learner = town.learner()
    link(learner)
    page = learner.send(withdraw(learner, "2").form("/cancel"))
    assert "เหรียญกลับมาอยู่ในกระเป๋าที่นี่" in page.text
    assert town.kinds()[-2:] == ["bridge_out", "bridge_cancel"]
    page = withdraw(learner, "3")
    assert "เหรียญกำลังเดินทาง" in page.text
    assert "ขอแล้ว" in page.text
    activate(town)
    page = learner.get(f"{HOME}/chain")
    assert not [form for form in page.forms if form.action.endswith("/cancel")]
    with town.installation.read() as session:
        call = lists.claiming(session, bridges.get(session, CITY, CHAIN), WALLET.lower())
    assert call.data.hex() in page.html
    page = learner.send(page.form("/chain/claim"))
    assert "เมืองจะส่งไปยังเชนให้" in page.text
    assert "เมืองกำลังส่งไปยังเชนให้" in page.text
    assert not [form for form in page.forms if form.action.endswith("/chain/claim")]
    with town.installation.read() as session:
        staged = outbox.open_(session, CITY)
    assert [(one.wish.role, one.wish.data) for one in staged] == [("relayer", call.data)]


def test_nobody_claims_at_our_cost_for_others(town: Town) -> None:
    """The wallet must be one that the learner withdrew to."""
    build(town)
    learner, other = town.learner(), town.learner()
    link(learner)
    withdraw(learner)
    activate(town)
    form = learner.get(f"{HOME}/chain").form("/chain/claim")
    assert other.send(form).status == 404


def test_tokens_come_back_by_ticket(town: Town) -> None:
    """The page shows the call that uses the ticket; once credited, the deposit stands there instead."""
    build(town)
    learner = town.learner()
    link(learner)
    withdraw(learner, "5")
    address = ticket(learner)
    page = learner.get(address)
    drawn = address.split("/deposits/")[1].split("?")[0]
    data = artifact("KgoToken").call_data("deposit", 200, bytes.fromhex(drawn[2:]))
    assert data.hex() in page.html
    arrival = Arrival(0, WALLET.lower(), drawn, 200, "0x" + "a" * 64, 5)
    town.installation.run(lambda unit: deposits.credit(unit, CHAIN, [arrival]))
    assert "+2.00 KGO" in learner.get(f"{HOME}/chain").text
    assert "+2.00 KGO" in learner.get(address).text
    other = town.learner()
    assert other.get(address).status == 404


def test_a_ticket_is_found_again(town: Town) -> None:
    """Whoever left its page finds it in the list, says once more how much, and draws no second one."""
    build(town)
    learner = town.learner()
    link(learner)
    withdraw(learner, "5")
    drawn = ticket(learner).split("?")[0]
    page = learner.get(f"{HOME}/chain")
    assert drawn in page.links
    again = learner.send(learner.get(drawn).form("/chain/deposits"), back="1.5")
    data = artifact("KgoToken").call_data("deposit", 150, bytes.fromhex(drawn.split("/deposits/")[1][2:]))
    assert data.hex() in again.html
    with town.installation.read() as session:
        assert len(session.scalars(select(DepositTicket)).all()) == 1


def test_a_pause_is_told_and_stops(town: Town) -> None:
    """The page says that tokens are safe, and a withdrawal is refused in words."""
    build(town)
    learner = town.learner()
    link(learner)
    form = learner.get(f"{HOME}/chain?lang=en").form("/withdrawals")
    town.installation.run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    assert "The way to the chain is closed" in learner.get(f"{HOME}/chain").text
    refused = learner.send(form, amount="1", told="yes")
    assert (refused.status, "All tokens are safe" in refused.text) == (422, True)


def test_the_audit_page_links_each_anchor(town: Town) -> None:
    """In both languages; without an explorer the whole hash stands there, and a foreign root is called so."""
    installation = town.installation
    with installation.read() as session:
        size = entries.size(session, CITY)
        roots = {1: tree.root_at(session, CITY, 1), size: b"\7" * 32}
    with installation.database.write() as session:
        for number, (covered, root) in enumerate(roots.items()):
            session.add(
                Anchor(
                    city=CITY, chain_id=CHAIN, contract=TOKEN, size=covered, old_size=number, root=root,
                    transaction=f"0x{number:064x}", block_number=1_234, at=installation.clock.now,
                )
            )  # fmt: skip
        session.commit()
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert f"0x{1:064x}" in page.html
    assert "not of this log" in page.text
    assert "block 1,234" in page.text
    settings = town.app.extensions["kgo"].installation.settings
    token = deployment.Contract(TOKEN, "0x" + "1" * 64, 5)
    deployment.save(settings, Deployment(CITY, "http://node", CHAIN, token, explorer="https://seen.example/"))
    page = town.visitor().get(f"{HOME}/audit/?lang=en")
    assert f"https://seen.example/tx/0x{1:064x}" in page.links
    assert f"--contract {checksummed(TOKEN)} --first-block 5" in page.text
    thai = town.visitor().get(f"{HOME}/audit/?lang=th")
    assert f"https://seen.example/tx/0x{0:064x}" in thai.links
    assert "เทียบบันทึกกับสัญญาบนเชนได้เอง" in thai.text


def test_a_list_of_claims_is_open_to_everybody(town: Town) -> None:
    """By its hash, byte for byte, for ever; an unknown hash is 404."""
    build(town)
    learner = town.learner()
    link(learner)
    withdraw(learner)
    activate(town)
    with town.installation.read() as session:
        made = lists.current(session, bridges.get(session, CITY, CHAIN))
    assert made is not None
    answer = town.visitor().client.get(f"/log/{CITY}/claims/{made.hash}")
    assert (answer.data, answer.headers["Access-Control-Allow-Origin"]) == (made.document, "*")
    assert "immutable" in answer.headers["Cache-Control"]
    assert town.visitor().client.get(f"/log/{CITY}/claims/{'0' * 64}").status_code == 404


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
