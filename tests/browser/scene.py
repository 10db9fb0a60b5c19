"""A city in which every page has something on it: what `looks.PAGES` names in braces is made here.

Learners and shops act through the pages' own forms, without looking at them; staff and the chain act as another
process on the same installation would.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from zoneinfo import ZoneInfo

from eth_account import Account
from eth_account.messages import encode_defunct

from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.chain import bridges, lists
from ledger.chain.bridges import Contract
from ledger.commerce import trading
from ledger.config import Settings
from ledger.installation import Installation, assemble
from ledger.people.roles import Principal
from ledger.programme import activities, airdrops, sheets
from ledger.programme.activities import NewActivity
from ledger.programme.airdrops import NewAirdrop
from ledger.programme.policy import Policy
from tests.browser.site import CITY, POSTER, SHOP, Person, Site
from tests.chain.crossing import CHAIN, TOKEN, Sent

KEY = bytes([11] * 32)
ADDRESS = str(Account.from_key(KEY).address)
"""A wallet on the chain."""

PROMOTION = "sample-sticky-rice"
SLIPS = "slips"
MEETING = "living-museum"
ZONE = ZoneInfo("Asia/Bangkok")
LIST = "learner,amount,note\n" + f"{'a' * 26},1,\n{'b' * 26},five,\n"


def opened(site: Site) -> Installation:
    """The server's installation, opened by another process as it were."""
    return assemble(Settings(site.deployment.data, site.deployment.database_url, site.server.url))


def build_bridge(site: Site) -> None:
    """Give the city a bridge."""
    with opened(site) as installation:
        contract = Contract(CHAIN, TOKEN, 1, 50_000, 20_000)
        installation.writer.run(CITY, lambda unit: bridges.open_bridge(unit, contract).chain_id)


def activate_claims(site: Site) -> None:
    """Everything asked for is in an active list."""

    def run(unit: Unit) -> None:
        made = lists.commit(unit, CHAIN, (unit.next_seq,), Sent())
        assert made is not None
        bridge = bridges.get(unit.session, CITY, CHAIN)
        lists.proposed(unit, bridge, made.root, made.total_minor, made.size, made.seq, unit.now)
        unit.session.flush()
        lists.ended(unit, bridge, made.seq, lists.ACTIVE)

    with opened(site) as installation:
        installation.writer.run(CITY, run)


def send(site: Site, person: Person, path: str, **fields: str) -> str:
    """Send a form of the city's pages as somebody's browser would; the address that it leads to."""
    form: dict[str, str | float | bool] = {"key": secrets.token_urlsafe(16), **fields}
    answer = person.context.request.post(f"{site.home}/{path}", form=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.ok, (path, answer.status, answer.text())
    return answer.url


def reserved(site: Site, learner: Person) -> str:
    """Reserve the shop's promotion; the id."""
    return send(site, learner, f"promotions/{PROMOTION}/reserve").rpartition("/")[2]


def linked(site: Site, learner: Person) -> None:
    """Link the wallet on the chain, by its signature."""
    send(site, learner, "chain/wallet", address=ADDRESS)
    page = learner.context.request.get(f"{site.home}/chain").text()
    nonce, message = re.search(r'name="nonce" value="([^"]+)"', page), re.search(r'id="message"[^>]*>([^<]+)<', page)
    assert nonce
    assert message
    signature = Account.sign_message(encode_defunct(text=message[1]), KEY).signature
    send(site, learner, "chain/wallet/link", nonce=nonce[1], signature="0x" + bytes(signature).hex())


def _stage(unit: Unit) -> None:
    system = Principal.system(CITY)
    slips = NewActivity(
        id=SLIPS,
        place="city-gate",
        name_th="ทอผ้าไหมมัดหมี่",
        name_en="Weaving mudmee silk",
        mode="code",
        policy=Policy(1500),
    )
    activities.create(unit, system, slips)
    sheets.make(unit, system, SLIPS, 13)
    begin = (unit.now.astimezone(ZONE) + timedelta(days=2)).replace(hour=23, minute=0)
    activities.add_session(unit, system, MEETING, begin, begin + timedelta(hours=2), 20, "meeting")
    bridges.open_bridge(unit, Contract(CHAIN, TOKEN, 1, 50_000, 20_000))


def _ask(unit: Unit) -> dict[str, str]:
    system, shop = Principal.system(CITY), Principal(CITY, frozenset({"shop"}), SHOP)
    open_request = trading.open_request(unit.session, CITY, SHOP) or trading.ask(unit, shop, 100)
    made = {
        "settlement": open_request.id,
        "airdrop": airdrops.create(unit, system, NewAirdrop(POSTER, LIST.encode(), "ป.5.csv")).id,
        "grant": str(transfers.post(unit, "grant", "issuance", "treasury", 700, actor="treasurer").seq),
    }
    unit.session.flush()
    return made


def staged(site: Site, learner: Person, shop: Person) -> dict[str, str]:
    """Let a learner and a shop have something of everything; what stands for the names in `looks.PAGES`."""
    buyer = site.learner()
    taken, waiting = reserved(site, buyer), reserved(site, learner)
    send(site, shop, f"shop/redemptions/{taken}/confirm")
    with opened(site) as installation:
        with installation.database.read() as session:
            is_staged = bool(bridges.all_(session, CITY))
        if not is_staged:
            installation.writer.run(CITY, _stage)
        made = installation.writer.run(CITY, _ask)
    linked(site, learner)
    send(site, learner, "chain/withdrawals", amount="1", told="yes")
    ticket = send(site, learner, "chain/deposits", back="1").rpartition("/deposits/")[2]
    received = re.search(r"/received/(\d+)", learner.page.url)
    assert received
    return {
        **made,
        "taken": taken,
        "waiting": waiting,
        "ticket": ticket,
        "received": received[1],
        "code": site.poster().rpartition("/")[2],
    }
