"""The learner's side of the bridge: linking a wallet, withdrawing, following, claiming, depositing back."""

from __future__ import annotations

import re

from eth_account import Account
from eth_account.messages import encode_defunct
from sqlalchemy import select

from ledger.book import entries, tree
from ledger.book.unit import Unit
from ledger.chain import bridges, deployment, deposits, lists, outbox, withdrawals
from ledger.chain.anchors import Anchor
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Contract
from ledger.chain.claims import checksummed
from ledger.chain.deployment import Deployment
from ledger.chain.deposits import Arrival, DepositTicket
from ledger.chain.lists import ClaimList
from tests.chain.crossing import CHAIN, TOKEN, Sent
from tests.factories import CITY
from tests.web.conftest import HOME, Town
from tests.web.visitor import Page, Visitor

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


def linked(town: Town) -> Visitor:
    """A learner whose wallet is linked, in a town that gets its bridge."""
    build(town)
    learner = town.learner()
    link(learner)
    return learner


def withdraw(learner: Visitor, amount: str = "3") -> Page:
    """Take tokens to the chain, knowing that the wallet is public."""
    return learner.send(learner.get(f"{HOME}/chain").form("/withdrawals"), amount=amount, told="yes")


def commit(town: Town) -> ClaimList:
    """Everything asked for is in a list of the public log."""
    made = town.installation.run(lambda unit: lists.commit(unit, CHAIN, (unit.next_seq,), Sent()))
    assert made is not None
    return made


def activate(town: Town) -> None:
    """Everything asked for is in an active list."""
    made = commit(town)

    def run(unit: Unit) -> None:
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
    learner = linked(town)
    form = learner.get(f"{HOME}/chain?lang=en").form("/withdrawals")
    untold = learner.send(form, amount="3")
    assert (untold.status, "Tick this first" in untold.text) == (422, True)
    assert learner.send(form, amount="three", told="yes").status == 422
    assert learner.send(form, amount="5.01", told="yes").status == 422
    assert "bridge_out" not in town.kinds()


def test_a_withdrawal_is_followed_cancelled_and_claimed(town: Town) -> None:
    """Its state stands there, it can be cancelled until it is listed, and then claimed by wallet, by hand or by us."""
    learner = linked(town)
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
    assert "กดรับได้ด้านบน" not in page.text
    assert page.text.count("กำลังส่งให้") == 2  # the row below says the same as the card
    with town.installation.read() as session:
        staged = outbox.open_(session, CITY)
    assert [(one.wish.role, one.wish.data) for one in staged] == [("relayer", call.data)]


def test_what_is_listed_stays_and_the_page_says_so(town: Town) -> None:
    """Whoever taps a button that was overtaken is told on the page itself, where the withdrawal stands."""
    learner = linked(town)
    overtaken = withdraw(learner).form("/cancel")
    activate(town)
    page = learner.send(overtaken)
    assert (page.status, "ยกเลิกไม่ได้" in page.text) == (409, True)
    assert "พร้อมให้รับ" in page.text
    assert town.kinds()[-1] != "bridge_cancel"


def test_where_no_site_shows_transactions_no_link_pretends_to(town: Town) -> None:
    """A payment is linked where the city's file names an explorer, and only there."""
    learner = linked(town)
    withdraw(learner)
    activate(town)
    transaction = "0x" + "7" * 64
    town.installation.run(
        lambda unit: withdrawals.paid(unit, bridges.get(unit.session, CITY, CHAIN), WALLET.lower(), 300, transaction)
    )
    settings = town.app.extensions["kgo"].installation.settings
    token = deployment.Contract(TOKEN, "0x" + "1" * 64, 5)
    for explorer, shown in ((None, False), ("https://seen.example", True)):
        deployment.save(settings, Deployment(CITY, "http://node", CHAIN, token, explorer=explorer))
        page = learner.get(f"{HOME}/chain")
        assert "อยู่ในกระเป๋าบนเชนแล้ว" in page.text
        assert [one for one in page.links if one == "None" or transaction in one] == (
            [f"https://seen.example/tx/{transaction}"] if shown else []
        )


def test_a_long_silence_of_the_chain_is_told(town: Town) -> None:
    """Since when nothing was heard, and that nothing is lost; not while it speaks, nor beside a pause."""
    learner = linked(town)
    drawn = ticket(learner).split("?")[0]

    def hear(unit: Unit) -> None:
        bridges.get(unit.session, CITY, CHAIN).checked_at = unit.now

    town.installation.run(hear)
    town.installation.clock.advance(minutes=29)
    assert "ยังไม่มีข่าวจากเชน" not in learner.get(f"{HOME}/chain?lang=th").text
    town.installation.clock.advance(minutes=2)
    thai = learner.get(f"{HOME}/chain").text
    assert "ยังไม่มีข่าวจากเชนตั้งแต่ 2 มี.ค. 2569" in thai
    assert "ไม่มีเหรียญใดหาย" in thai
    assert "No word from the chain since 2 Mar 2026" in learner.get(f"{drawn}?lang=en").text
    town.installation.run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    assert "No word from the chain" not in learner.get(f"{HOME}/chain").text


def test_a_deposit_in_suspense_is_told_to_whoever_sent_it(town: Town) -> None:
    """By the ticket or the wallet; until somebody of the city has moved it on. Others see nothing of it."""
    build(town)
    learner, other = town.learner(), town.learner()
    link(learner)
    withdraw(learner, "5")
    drawn = ticket(learner).split("/deposits/")[1].split("?")[0]
    arrivals = [
        Arrival(0, WALLET.lower(), drawn, 100, "0x" + "a" * 64, 5),
        Arrival(1, WALLET.lower(), drawn, 150, "0x" + "b" * 64, 6),
        Arrival(2, WALLET.lower(), "0x" + "9" * 64, 25, "0x" + "c" * 64, 6),
        Arrival(3, "0x" + "ab" * 20, drawn, 10, "0x" + "d" * 64, 6),
    ]
    town.installation.run(lambda unit: deposits.credit(unit, CHAIN, arrivals))
    page = learner.get(f"{HOME}/chain?lang=en").text
    assert page.count("Waits for the city") == 3
    for why in ("Its ticket had been used already", "without a ticket that is known here", "from another wallet"):
        assert page.count(why) == 1
    assert "1.50 KGO" in page
    assert "0.25 KGO" in page
    assert "Waits for the city" not in other.get(f"{HOME}/chain?lang=en").text
    with town.installation.read() as session:
        who = session.scalars(select(DepositTicket.learner)).one()
    town.installation.run(lambda unit: deposits.resolve(unit, CHAIN, 1, who, actor="operator"))
    assert learner.get(f"{HOME}/chain?lang=en").text.count("Waits for the city") == 2


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
    learner = linked(town)
    withdraw(learner, "5")
    address = ticket(learner)
    page = learner.get(address)
    drawn = address.split("/deposits/")[1].split("?")[0]
    data = artifact("KgoToken").call_data("deposit", 200, bytes.fromhex(drawn[2:]))
    assert data.hex() in page.html
    assert "<details open data-by-hand>" in page.html  # the only way for whoever has no wallet in the browser
    arrival = Arrival(0, WALLET.lower(), drawn, 200, "0x" + "a" * 64, 5)
    town.installation.run(lambda unit: deposits.credit(unit, CHAIN, [arrival]))
    assert "+2.00 KGO" in learner.get(f"{HOME}/chain").text
    assert "+2.00 KGO" in learner.get(address).text
    other = town.learner()
    assert other.get(address).status == 404


def test_a_ticket_is_found_again(town: Town) -> None:
    """Whoever left its page finds it in the list, says once more how much, and draws no second one."""
    learner = linked(town)
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
    learner = linked(town)
    form = learner.get(f"{HOME}/chain?lang=en").form("/withdrawals")
    town.installation.run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    assert "The way to the chain is closed" in learner.get(f"{HOME}/chain").text
    refused = learner.send(form, amount="1", told="yes")
    assert (refused.status, "All tokens are safe" in refused.text) == (422, True)


def test_what_a_pause_holds_up_is_not_called_next(town: Town) -> None:
    """After a veto nothing is listed until the city goes on: the row says so, and that it can be cancelled."""
    learner = linked(town)
    withdraw(learner, "2")
    commit(town)
    withdraw(learner, "1")
    town.installation.run(lambda unit: bridges.pause(unit, CHAIN, "vetoed"))
    page = learner.get(f"{HOME}/chain?lang=en").text
    assert page.count("It goes on as soon as the way is open again") == 2
    assert page.count("You can cancel meanwhile") == 1
    assert "Next:" not in page
    town.installation.run(lambda unit: bridges.resume(unit, CHAIN))
    page = learner.get(f"{HOME}/chain").text
    assert (page.count("Next:"), "as soon as the way is open" in page) == (2, False)


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
    learner = linked(town)
    withdraw(learner)
    activate(town)
    with town.installation.read() as session:
        made = lists.current(session, bridges.get(session, CITY, CHAIN))
    assert made is not None
    answer = town.visitor().client.get(f"/log/{CITY}/claims/{made.hash}")
    assert (answer.data, answer.headers["Access-Control-Allow-Origin"]) == (made.document, "*")
    assert "immutable" in answer.headers["Cache-Control"]
    assert town.visitor().client.get(f"/log/{CITY}/claims/{'0' * 64}").status_code == 404
