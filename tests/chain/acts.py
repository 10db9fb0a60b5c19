"""What the tests do with a token again and again: anchor, propose and activate a list, claim from it."""

from __future__ import annotations

from ledger.chain.claims import Claim, ClaimsTree, claims_tree
from tests.chain.evm import SETTINGS, Contract, History, Receipt


def anchor(token: Contract, history: History, *sizes: int) -> Receipt:
    """Anchor a history at each of some sizes, beginning with the first anchor; the last receipt."""
    receipt = None
    for old, new in zip((0, *sizes), sizes, strict=False):
        receipt = token.send("anchorer", "anchor", *history.step(old, new))
    assert receipt is not None
    return receipt


def claims_of(token: Contract, amounts: dict[str, int], *, chain_id: int = 0, contract: str = "") -> ClaimsTree:
    """The tree of cumulative amounts by name, for this token unless another chain or contract is named."""
    claims = [Claim(token.evm.who[name], amount) for name, amount in amounts.items()]
    return claims_tree(chain_id or token.evm.chain_id, contract or token.address, claims)


def propose(token: Contract, tree: ClaimsTree, at_size: int, *, total: int | None = None) -> int:
    """Propose a list, whose total may be misstated; the proposal's id."""
    receipt = token.send("proposer", "propose", tree.root, tree.total if total is None else total, at_size)
    return int(receipt.events[0][1]["id"])


def activate(token: Contract, tree: ClaimsTree, at_size: int, *, total: int | None = None) -> int:
    """Propose a list, wait, and activate it; the proposal's id."""
    proposal = propose(token, tree, at_size, total=total)
    token.evm.sleep(int(SETTINGS["delay"]))
    token.send("mallory", "activate", proposal)
    return proposal


def claim(token: Contract, tree: ClaimsTree, name: str, *, sender: str = "mallory") -> Receipt:
    """Claim what a list gives to somebody, sent by whoever."""
    return token.send(sender, "claim", *claiming(token, tree, name))


def claiming(token: Contract, tree: ClaimsTree, name: str) -> tuple[str, int, bytes, list[bytes]]:
    """The arguments of `claim`."""
    account = token.evm.who[name]
    return account, tree.claims[account].cumulative, tree.root, tree.proof(account)
