"""The bridge's pages in a browser whose wallet signs and sends: the key is real, only the extension's window is not."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from playwright.sync_api import expect

from tests.browser.looks import check_with_axe
from tests.browser.scene import ADDRESS, KEY, activate_claims, build_bridge
from tests.browser.site import LAPTOP, Person, Site
from tests.chain.crossing import CHAIN, TOKEN

PROVIDER = """
window.ethereum = {
    request: async (question) => {
        const answer = await window.askWallet(question);
        if (answer === null) throw { code: 4001, message: 'User rejected the request.' };
        return answer;
    },
};
"""


class Wallet:
    """What a browser's wallet does: give its address, sign, switch, send. `declines` is what its owner says no to."""

    def __init__(self, person: Person) -> None:
        self.declines: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.chain = ""
        person.page.expose_function("askWallet", self.ask)
        person.page.add_init_script(PROVIDER)

    def ask(self, question: dict[str, Any]) -> Any:
        """Answer one question (EIP-1193)."""
        method, params = question["method"], question["params"]
        if method in self.declines:
            return None
        if method == "personal_sign":
            assert params[1] == ADDRESS.lower()
            message = encode_defunct(hexstr=params[0])
            return "0x" + bytes(Account.sign_message(message, KEY).signature).hex()
        if method == "wallet_switchEthereumChain":
            self.chain = params[0]["chainId"]
            return ""
        if method == "eth_sendTransaction":
            self.sent.append(params[0])
            return "0x" + "a" * 64
        assert method == "eth_requestAccounts"
        return [ADDRESS]


def test_a_wallet_links_claims_and_brings_back(site: Site) -> None:
    """One tap each: address, signature, claim, deposit; the calls go to the contract on its own chain."""
    build_bridge(site)
    person = site.learner()
    wallet = Wallet(person)
    page = person.page
    page.goto(f"{site.home}/chain")
    check_with_axe(page)
    page.locator("[data-ask]").click()
    wallet.declines.add("personal_sign")
    page.locator("[data-sign]").click()
    expect(page.locator("[data-said]")).to_contain_text("กระเป๋าไม่ได้ลงนาม")
    check_with_axe(page)
    wallet.declines.clear()
    page.locator("[data-sign]").click()
    expect(page.locator(".notice.good")).to_contain_text("ผูกกระเป๋าแล้ว")
    page.get_by_label("เท่าไร", exact=True).fill("3")
    page.get_by_label("ฉันทราบว่าทุกคนมองเห็นกระเป๋านี้ได้").check()
    page.get_by_role("button", name="ย้ายไป", exact=True).click()
    expect(page.locator(".notice.good")).to_be_visible()
    activate_claims(site)
    page.reload()
    check_with_axe(page)
    page.locator("[data-send]").click()
    expect(page.locator("[data-said]")).to_contain_text("ส่งแล้ว")
    page.locator("summary", has_text="นำเหรียญกลับมา").click()
    page.get_by_label("จะนำกลับมาเท่าไร").fill("1.5")
    page.get_by_role("button", name="รับตั๋ว").click()
    page.locator("[data-send]").click()
    expect(page.locator("[data-said]")).to_contain_text("ส่งแล้ว")
    check_with_axe(page)
    assert [(one["to"], one["from"]) for one in wallet.sent] == [(TOKEN, ADDRESS)] * 2
    assert wallet.chain == hex(CHAIN)


def test_without_a_wallet_in_the_browser_everything_can_be_pasted(site: Site) -> None:
    """No button that could not work is shown."""
    build_bridge(site)
    person = site.learner(LAPTOP)
    page = person.page
    page.goto(f"{site.home}/chain")
    expect(page.locator("[data-ask]")).to_be_hidden()
    page.get_by_label("ที่อยู่ของกระเป๋า").fill(ADDRESS)
    page.get_by_role("button", name="ต่อไป").click()
    expect(page.locator("[data-sign]")).to_be_hidden()
    message = encode_defunct(text=page.locator("#message").text_content() or "")
    page.get_by_label("ลายเซ็น").fill("0x" + bytes(Account.sign_message(message, KEY).signature).hex())
    page.get_by_role("button", name="ผูกกระเป๋านี้").click()
    expect(page.locator(".notice.good")).to_contain_text("ผูกกระเป๋าแล้ว")
    page.locator("summary", has_text="นำเหรียญกลับมา").click()
    page.get_by_label("จะนำกลับมาเท่าไร").fill("1.5")
    page.get_by_role("button", name="รับตั๋ว").click()
    expect(page.locator("[data-send]")).to_be_hidden()
    expect(page.get_by_text(TOKEN)).to_be_visible()
    expect(page.get_by_role("button", name="คัดลอก")).to_have_count(2)
    check_with_axe(page)
