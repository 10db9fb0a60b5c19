"""Pages of the bridge for learners: link a wallet, withdraw to it, follow each withdrawal, claim, deposit back.

They exist where the city has a bridge. Nothing here asks a node: what is shown is what the job followed, and what is
to be sent to the chain is shown as a call that the learner's own wallet sends, by the page's script or by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from flask import Response

from api import problems
from api.services import services
from api.web import audit
from api.web.forms import Form
from api.web.learner import balance_of
from api.web.shell import Answer, Visit, asked_whole, page, render, says, see, static, web
from api.web.words import N_
from ledger.book.unit import Unit
from ledger.chain import (
    anchors,
    badges,
    bridges,
    bridging,
    deployment,
    deposits,
    keys,
    lists,
    outbox,
    wallets,
    withdrawals,
)  # fmt: skip
from ledger.chain.bridges import Bridge
from ledger.chain.claims import checksummed
from ledger.chain.deployment import Contract, Deployment, DeploymentUnusable
from ledger.chain.outbox import Staging
from ledger.chain.withdrawals import WithdrawalView
from ledger.city import badging
from ledger.errors import LedgerError, NotFound, Refused
from ledger.programme import activities

says("wallet_linked", N_("Your wallet is linked."))
says("wallet_unlinked", N_("Your wallet is no longer linked."))
says("withdrawal_asked", N_("Your tokens are on their way. This takes some time; you can follow each step here."))
says("withdrawal_cancelled", N_("Cancelled. The tokens are back in your wallet here."))
says("badge_awarded", N_("The badge is on its way to your chain wallet."))
says("badge_offered", N_("Done. The activity awards a badge."))
says("badge_withdrawn", N_("Done. The activity awards no more badges."))
says("claim_sent", N_("The city sends it to the chain for you. The tokens will be in your wallet soon."))

ANCHORS_SHOWN = 8

STATES = {
    withdrawals.REQUESTED: N_("Asked for"),
    withdrawals.ROOTED: N_("Listed in the public log"),
    withdrawals.PROPOSED: N_("Waiting on the chain"),
    withdrawals.ACTIVE: N_("Ready to claim"),
    withdrawals.CLAIMED: N_("In your wallet"),
    withdrawals.CANCELLED: N_("Cancelled"),
}
SENDING = N_("Being sent")
"""What an active one is called while the city sends the claim."""

NEXT = {
    withdrawals.REQUESTED: N_("Next: a list in the public log. Until then you can cancel."),
    withdrawals.ROOTED: N_("Next: the list goes to the chain. It can no longer be cancelled."),
    withdrawals.PROPOSED: N_("The chain keeps it for a while, so that a wrong list can be stopped."),
    withdrawals.ACTIVE: N_("You can claim it above."),
}
"""What a withdrawal waits for, where there is something to say."""

HELD_UP = {
    withdrawals.REQUESTED: N_("It goes on as soon as the way is open again. You can cancel meanwhile."),
    withdrawals.ROOTED: N_("It goes on as soon as the way is open again."),
    withdrawals.PROPOSED: N_("It goes on as soon as the way is open again."),
}
"""The same for what a pause holds up; who can claim still can, on the chain."""

SUSPENDED = {
    deposits.SENDER: N_("It came from another wallet than the one of its ticket."),
    deposits.USED: N_("Its ticket had been used already."),
    deposits.EXPIRED: N_("It came after the time of its ticket."),
    deposits.UNKNOWN: N_("It came without a ticket that is known here."),
}
"""Why a deposit waits in suspense."""


def bridge_of(visit: Visit) -> Bridge:
    """The city's bridge.

    Raises:
        NotFound: the city has none.
    """
    return bridges.first(visit.session, visit.city.id)


def contracts_of(city: str) -> Deployment | None:
    """Where the city's contracts are, if this machine knows."""
    try:
        return deployment.load(services().installation.settings, city)
    except DeploymentUnusable:
        return None


def badges_of(city: str) -> Contract | None:
    """The city's contract for badges, if it has one."""
    found = contracts_of(city)
    return found.badge if found is not None else None


def anchored_of(visit: Visit) -> audit.Anchored:
    """What the audit page tells of the city's anchors."""
    found = anchors.list_(visit.session, visit.city.id, ANCHORS_SHOWN)
    known = contracts_of(visit.city.id) if found else None
    return audit.Anchored(
        [
            audit.Anchor(
                one.size, str(one.chain_id), one.transaction, one.at, (known and known.link(one.transaction)) or "",
                one.block_number, one.contract, one.agrees,
            )
            for one in found
        ],
        anchors.count(visit.session, visit.city.id),
        f"--contract {checksummed(known.token.address)} --first-block {known.token.block}" if known else "",
    )  # fmt: skip


audit.ANCHORS.append(anchored_of)


@web.get("/c/<city>/chain")
@page("chain.read", door="wallet")
def chain(visit: Visit) -> Answer:
    """The learner's side of the bridge."""
    return _shown(visit, Form(visit))


@web.post("/c/<city>/chain/wallet")
@page("wallet.link", door="wallet")
def chain_wallet(visit: Visit) -> Answer:
    """Give the learner a message that the wallet is to sign."""
    form, learner = Form.sent(visit), visit.learner.subject or ""
    chain_id, url = bridge_of(visit).chain_id, services().public_url

    def run(unit: Unit) -> str:
        asked = wallets.challenge(unit, learner, form.word("address"), public_url=url, chain_id=chain_id)
        return asked.nonce

    try:
        visit.write(run, visit.learner)
    except LedgerError as refusal:
        return _shown(visit, form.refused(refusal)), 422
    return see(visit.address("chain"))


@web.post("/c/<city>/chain/wallet/link")
@page("wallet.link", door="wallet")
def chain_link(visit: Visit) -> Answer:
    """Link the wallet that signed."""
    form, learner = Form.sent(visit), visit.learner.subject or ""
    bridge_of(visit)
    keys.prepare()
    try:
        visit.write(
            lambda unit: wallets.link(unit, learner, form.value("nonce"), form.value("signature")), visit.learner
        )
    except NotFound:
        return _shown(visit, form.refused(Refused("wallet_refused", "expired"))), 409
    except LedgerError as refusal:
        return _shown(visit, form.refused(refusal)), 422
    return see(visit.address("chain"), done="wallet_linked")


@web.post("/c/<city>/chain/wallet/unlink")
@page("wallet.link", door="wallet")
def chain_unlink(visit: Visit) -> Answer:
    """Forget the wallet."""
    learner = visit.learner.subject or ""

    def run(unit: Unit) -> str:
        wallets.unlink(unit, learner)
        return learner

    visit.write(run, visit.learner)
    return see(visit.address("chain"), done="wallet_unlinked")


@web.post("/c/<city>/chain/withdrawals")
@page("withdrawal.write", door="wallet")
def chain_withdraw(visit: Visit) -> Answer:
    """Withdraw to the linked wallet; only by somebody who was told that it is public."""
    form, learner = Form.sent(visit), visit.learner.subject or ""
    chain_id, amount = bridge_of(visit).chain_id, form.amount("amount")
    if not form.has("told"):
        form.fail("told", N_("Tick this first: it cannot be undone later."))
    try:
        form.check()
        visit.write(lambda unit: str(withdrawals.request(unit, chain_id, learner, amount)), visit.learner)
    except LedgerError as refusal:
        return _shown(visit, form.refused(refusal, {"amount_minor": "amount"})), 422
    return see(visit.address("chain"), done="withdrawal_asked")


@web.post("/c/<city>/chain/withdrawals/<int:seq>/cancel")
@page("withdrawal.write", door="wallet")
def chain_cancel(visit: Visit, seq: int) -> Answer:
    """Call a withdrawal off; where a list was quicker, the page says so and shows how far it is."""
    learner, chain_id = visit.learner.subject or "", bridge_of(visit).chain_id
    try:
        visit.write(lambda unit: str(withdrawals.cancel(unit, chain_id, learner, seq).seq), visit.learner)
    except Refused as refusal:
        return _shown(visit, Form(visit), problems.describe(refusal, visit.language, visit.city).detail), 409
    return see(visit.address("chain"), done="withdrawal_cancelled")


@web.post("/c/<city>/chain/claim")
@page("withdrawal.write", door="wallet")
def chain_claim(visit: Visit) -> Answer:
    """Have the operator send the learner's claim, for whoever has nothing to pay gas with."""
    learner, chain_id = visit.learner.subject or "", bridge_of(visit).chain_id
    wallet = Form.sent(visit).value("wallet")
    own = {one.wallet for one in withdrawals.of_learner(visit.session, bridge_of(visit), learner)}
    if wallet not in own:
        raise NotFound("claim", wallet)
    visit.write(
        lambda unit: lists.relay(unit, chain_id, wallet, Staging(bridging.PURPOSE, chain_id)).wallet, visit.learner
    )  # fmt: skip
    return see(visit.address("chain"), done="claim_sent")


@web.post("/c/<city>/chain/deposits")
@page("deposit.write", door="wallet")
def chain_deposit(visit: Visit) -> Answer:
    """Draw a ticket for a deposit, unless one was drawn, and show the call that uses it."""
    form, learner = Form.sent(visit), visit.learner.subject or ""
    chain_id, amount = bridge_of(visit).chain_id, form.amount("back")
    drawn = form.value("ticket")
    try:
        form.check()
        ticket = drawn or visit.write(lambda unit: deposits.draw(unit, chain_id, learner).ticket, visit.learner)
    except LedgerError as refusal:
        return _shown(visit, form.refused(refusal)), 422
    return see(visit.address("chain_ticket", ticket=ticket, amount=amount))


@web.get("/c/<city>/chain/deposits/<ticket>")
@page("deposit.write", door="wallet")
def chain_ticket(visit: Visit, ticket: str) -> Answer:
    """A ticket that can be used, with the call that deposits so much by it."""
    bridge, learner = bridge_of(visit), visit.learner.subject or ""
    if any(one.ticket == ticket for one in deposits.of_learner(visit.session, bridge, learner)):
        return see(visit.address("chain"))  # where the deposit stands
    known = deposits.tickets_of(visit.session, bridge, learner, visit.now)
    found = next((one for one in known if one.ticket == ticket), None)
    if found is None:
        raise NotFound("ticket", ticket)
    amount = asked_whole("amount") or 0
    return render(
        "learner/chain_ticket.html",
        bridge=bridge,
        form=Form(visit),
        ticket=found,
        amount=amount,
        call=deposits.depositing(bridge, ticket, amount) if amount > 0 else None,
        wallet=checksummed(found.wallet),
        silent_since=bridges.silent_since(bridge, visit.now),
    )


@web.post("/c/<city>/chain/badges/<activity_id>")
@page("badge.award", door="wallet")
def chain_badge(visit: Visit, activity_id: str) -> Answer:
    """Award the badge of an activity to the learner who asks for it."""
    learner, contract, chain_id = visit.learner, badges_of(visit.city.id), bridge_of(visit).chain_id
    if contract is None:
        raise NotFound("badge", activity_id)
    staging = Staging(badges.PURPOSE, chain_id, "KgoBadge")
    keys.prepare()
    visit.write(lambda unit: str(badging.award(unit, learner, activity_id, contract.address, staging).seq), learner)
    return see(visit.address("chain"), done="badge_awarded")


@web.get("/c/<city>/badges/<int:seq>")
@page("log.read")
def badge(visit: Visit, seq: int) -> Answer:
    """What a badge is, for wallets and markets (ERC-721 metadata)."""
    awarded = badges.activity_of(visit.session, visit.city.id, seq)
    activity = activities.get(visit.session, visit.city.id, awarded, visit.now)
    described = {
        "name": f"{activity.name_en or activity.name_th} · {visit.city.name_en}",
        "description": f"{activity.name_th}: entry {seq} of the public log of {visit.city.origin}",
        "external_url": f"{services().public_url}{visit.address('audit_entry', seq=seq)}",
        "image": f"{services().public_url}{static('token.svg')}",
    }
    return Response(json.dumps(described, ensure_ascii=False), mimetype="application/json")


@web.post("/c/<city>/steward/activities/<activity_id>/badge")
@page("activity.write", door="desk")
def badge_offer(visit: Visit, activity_id: str) -> Answer:
    """Let an activity award a badge, or no more."""
    activities.get(visit.session, visit.city.id, activity_id, visit.now)
    wanted = Form.sent(visit).has("offer")

    def run(unit: Unit) -> str:
        (badges.offer if wanted else badges.withdraw)(unit, activity_id)
        return activity_id

    visit.write(run, visit.staff)
    done = "badge_offered" if wanted else "badge_withdrawn"
    return see(visit.address("steward_activity", activity_id=activity_id), done=done)


def _shown(visit: Visit, form: Form, overtaken: str = "") -> str:
    bridge, learner = bridge_of(visit), visit.learner.subject or ""
    session, city = visit.session, visit.city.id
    wallet = wallets.of(session, city, learner)
    own = withdrawals.of_learner(session, bridge, learner)
    known = contracts_of(city)
    earned = badging.earned(session, city, learner) if known is not None and known.badge is not None else []
    owned = badges.of_learner(session, city, learner)
    wanted = {*earned, *(one.activity for one in owned)}
    named = {one: activities.get(session, city, one, visit.now) for one in wanted}
    waiting = None if wallet is not None else wallets.waiting(session, city, learner, visit.now)
    claims = _claims(visit, bridge, own)
    sent = {one.call.wallet for one in claims if one.relayed}
    sending = {one.seq for one in own if one.state == withdrawals.ACTIVE and one.wallet in sent}
    steps = NEXT | HELD_UP if bridge.paused_at else NEXT
    return render(
        "learner/chain.html",
        bridge=bridge,
        form=form,
        balance=balance_of(visit),
        wallet=checksummed(wallet.address) if wallet else None,
        waiting=waiting,
        signer=checksummed(waiting.address) if waiting else None,
        withdrawals=own,
        overtaken=overtaken,
        silent_since=bridges.silent_since(bridge, visit.now),
        next_steps={
            one.seq: visit.text(steps[one.state]) for one in own if one.state in steps and one.seq not in sending
        },
        states={one.seq: visit.text(SENDING if one.seq in sending else STATES[one.state]) for one in own},
        link=known.link if known is not None and known.explorer else None,
        earned=[named[one] for one in earned],
        badges=[(one, named[one.activity]) for one in owned],
        minted={one.seq: _is_minted(visit, one.seq) for one in owned},
        claims=claims,
        tickets=deposits.tickets_of(session, bridge, learner, visit.now),
        arrived=deposits.of_learner(session, bridge, learner),
        reasons={outcome: visit.text(why) for outcome, why in SUSPENDED.items()},
        suspended=deposits.suspended_of(session, bridge, learner, wallet.address if wallet else None),
    )


def _is_minted(visit: Visit, seq: int) -> bool:
    call = outbox.find(visit.session, visit.city.id, badges.PURPOSE, badges.key(seq))
    return call is not None and call.state == outbox.DONE


@dataclass(frozen=True)
class Claimable:
    """What a wallet can claim now.

    Attributes:
        call: the call that pays it.
        amount_minor: how much of the learner's that is.
        relayed: whether the city sends it already.
    """

    call: lists.Claiming
    amount_minor: int
    relayed: bool


def _claims(visit: Visit, bridge: Bridge, own: list[WithdrawalView]) -> list[Claimable]:
    """What can be claimed now, wallet by wallet."""
    ready: Counter[str] = Counter()
    for one in own:
        if one.state == withdrawals.ACTIVE:
            ready[one.wallet] += one.amount_minor
    found = []
    for wallet, amount in sorted(ready.items()):
        call = lists.claiming(visit.session, bridge, wallet)
        sent = outbox.find(visit.session, visit.city.id, bridging.PURPOSE, call.key)
        found.append(Claimable(call, amount, sent is not None and sent.state != outbox.REVERTED))
    return found
