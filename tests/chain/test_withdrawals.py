"""Withdrawals: what they cost, which list holds them, when they can be called off, and what is published."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from ledger.chain import bridges, lists, outbox, requests, withdrawals
from ledger.chain.artifacts import artifact
from ledger.chain.bridges import Contract
from ledger.chain.claims import Claim, claims_tree
from ledger.chain.outbox import Staging
from ledger.errors import NotFound, Refused
from ledger.verifier.run import verify_export
from tests.chain.crossing import BRIDGE, CHAIN, TOKEN, Crossing, wallet
from tests.factories import CITY, Installation


@pytest.fixture
def crossing(installation: Installation) -> Crossing:
    """A bridge that nobody has used."""
    return Crossing(installation)


def test_a_request_moves_tokens_to_the_bridge_at_once(crossing: Crossing) -> None:
    """They are out of the learner's account, in one entry that names neither the learner nor the wallet."""
    seq = crossing.withdraw("ann", 1_500)
    leaf = crossing.city.leaves()[seq]
    assert (leaf["kind"], leaf["postings"][0]["to"], leaf["postings"][0]["amount"]) == ("bridge_out", BRIDGE, 1_500)
    assert (crossing.held("ann"), crossing.city.balance(BRIDGE).posted_minor) == (8_500, 1_500)
    told = str(leaf)
    assert wallet("ann") not in told
    assert crossing.learners["ann"] not in told
    assert crossing.state("ann", seq) == withdrawals.REQUESTED


def test_nobody_withdraws_more_than_they_have(crossing: Crossing) -> None:
    """The book's floor holds here as everywhere, and nothing remains of the attempt."""
    with pytest.raises(Refused, match="insufficient_funds"):
        crossing.withdraw("ann", 10_001)
    assert crossing.views("ann") == {}


@pytest.mark.parametrize(("cap", "increase", "reason"), [(1_000, 9_000, "cap"), (9_000, 1_000, "increase")])
def test_what_the_contract_would_never_take_is_refused_before(
    installation: Installation, cap: int, increase: int, reason: str
) -> None:
    """A list above the supply cap or the increase limit could never be proposed; up to them all is well."""
    crossing = Crossing(installation, Contract(CHAIN, TOKEN, 1, cap, increase))
    crossing.withdraw("ann", 600)
    with pytest.raises(Refused) as refused:
        crossing.withdraw("bo", 401)
    assert (refused.value.code, refused.value.reason) == ("bridge_limit", reason)
    assert refused.value.params == {"amount_minor": 400}
    crossing.withdraw("bo", 400)


def test_the_increase_begins_anew_with_each_active_list(installation: Installation) -> None:
    """What can be claimed already does not count towards the limit of the next list."""
    crossing = Crossing(installation, Contract(CHAIN, TOKEN, 1, 9_000, 1_000))
    crossing.withdraw("ann", 1_000)
    crossing.activate(crossing.made())
    crossing.withdraw("ann", 1_000)
    with pytest.raises(Refused, match="bridge_limit"):
        crossing.withdraw("ann", 1)


def test_a_withdrawal_goes_from_request_to_claim(crossing: Crossing) -> None:
    """Each state follows from what the lists and the contract say."""
    seq = crossing.withdraw("ann", 700)
    states = [crossing.state("ann", seq)]
    made = crossing.made()
    states.append(crossing.state("ann", seq))
    crossing.propose(made)
    states.append(crossing.state("ann", seq))
    crossing.end(1, lists.ACTIVE)
    states.append(crossing.state("ann", seq))
    crossing.city.run(
        lambda unit: withdrawals.paid(unit, bridges.get(unit.session, CITY, CHAIN), wallet("ann"), 700, "0xaa")
    )
    states.append(crossing.state("ann", seq))
    assert states == ["requested", "rooted", "proposed", "active", "claimed"]
    assert crossing.views("ann")[seq].transaction == "0xaa"


def test_payments_count_towards_the_oldest_withdrawals(crossing: Crossing) -> None:
    """Claims are cumulative: of two withdrawals to one wallet, a payment of the first leaves the second open."""
    first, second = crossing.withdraw("ann", 300), crossing.withdraw("ann", 200)
    made = crossing.made(second)
    crossing.activate(made)
    crossing.city.run(
        lambda unit: withdrawals.paid(unit, bridges.get(unit.session, CITY, CHAIN), wallet("ann"), 300, "0xaa")
    )
    assert (crossing.state("ann", first), crossing.state("ann", second)) == ("claimed", "requested")


def test_the_list_is_published_and_its_hash_stands_in_the_log(crossing: Crossing, tmp_path: Path) -> None:
    """Anybody finds the list by the hash in the log, sees what adds up, and makes the same root; verify agrees."""
    crossing.withdraw("ann", 300)
    crossing.withdraw("bo", 50)
    crossing.withdraw("ann", 25)
    size = crossing.size
    made = crossing.made()
    leaf = crossing.city.leaves()[made.seq]
    committed = leaf["ref"]["claims"]
    published = crossing.published(made)
    assert leaf["kind"] == "attest"
    assert committed["list"] == sha256(made.document).hexdigest()
    assert published == {
        "chain_id": CHAIN,
        "city": CITY,
        "claims": sorted([[wallet("ann"), 325], [wallet("bo"), 50]]),
        "contract": TOKEN,
        "size": size,
        "total": 375,
    }
    tree = claims_tree(CHAIN, TOKEN, [Claim(*entry) for entry in published["claims"]])
    assert (committed["root"], committed["total"], committed["size"]) == (tree.root.hex(), 375, size)
    assert verify_export(crossing.city.export(tmp_path / "export")).ok
    assert crossing.city.audit().ok


def test_the_proposal_is_staged_with_the_list_and_only_once(crossing: Crossing) -> None:
    """One transaction for one list; no second list is begun while the first is under way."""
    crossing.withdraw("ann", 300)
    made = crossing.made()
    call = artifact("KgoToken").call_data("propose", made.root, 300, made.size)
    assert crossing.sent.calls == {f"propose {made.seq}": ("proposer", TOKEN, call)}
    crossing.withdraw("ann", 10)
    assert crossing.commit() is None
    crossing.propose(made)
    assert crossing.commit() is None


def test_a_list_needs_an_anchor_and_something_new(crossing: Crossing) -> None:
    """Without withdrawals, anchors, or news there is none; an anchor beyond the log does not count."""
    assert crossing.commit() is None
    seq = crossing.withdraw("ann", 300)
    assert crossing.commit(seq) is None
    assert crossing.commit(seq + 100) is None
    crossing.activate(crossing.made(seq + 1, seq + 100))
    assert crossing.commit() is None


def test_a_withdrawal_can_be_called_off_until_a_list_holds_it(crossing: Crossing) -> None:
    """Before, all comes back in one entry of the case; from the list on it is refused, and nobody else's can be."""
    seq, kept = crossing.withdraw("ann", 300), crossing.withdraw("ann", 20)
    with pytest.raises(NotFound):
        crossing.cancel("bo", seq)
    back = crossing.cancel("ann", seq)
    assert crossing.city.leaves()[back]["ref"] == {"origin": seq}
    assert (crossing.held("ann"), crossing.state("ann", seq)) == (9_980, "cancelled")
    for closed, reason in ((seq, "cancelled"), (kept, "listed")):
        if closed == kept:
            crossing.made()
        with pytest.raises(Refused) as refused:
            crossing.cancel("ann", closed)
        assert (refused.value.code, refused.value.reason) == ("case_closed", reason)
    assert crossing.city.audit().ok


def test_no_list_pays_what_was_called_off_after_its_anchor(crossing: Crossing) -> None:
    """An anchor that covers the request and not the cancellation makes no list; an earlier or a later one does."""
    kept = crossing.withdraw("bo", 50)
    seq = crossing.withdraw("ann", 300)
    anchored = crossing.size
    crossing.cancel("ann", seq)
    assert crossing.commit(anchored) is None
    made = crossing.made(anchored, kept + 1)
    assert (made.size, made.total_minor) == (kept + 1, 50)
    crossing.activate(made)
    crossing.withdraw("bo", 5)
    later = crossing.made(anchored, crossing.size)
    assert crossing.published(later)["claims"] == [[wallet("bo"), 55]]


def test_only_a_finalized_veto_frees_what_a_list_held(crossing: Crossing) -> None:
    """While the proposal waits nothing can be called off; after its veto it can, and the next list lacks it."""
    seq, kept = crossing.withdraw("ann", 300), crossing.withdraw("bo", 50)
    made = crossing.made()
    crossing.propose(made)
    assert not crossing.views("ann")[seq].can_cancel
    crossing.end(1, lists.VETOED)
    assert crossing.views("ann")[seq].can_cancel
    crossing.cancel("ann", seq)
    again = crossing.made()
    assert crossing.published(again)["claims"] == [[wallet("bo"), 50]]
    assert crossing.state("bo", kept) == "rooted"


def test_what_the_contract_refused_stays_held_and_comes_again(crossing: Crossing) -> None:
    """A proposal that failed might have been signed: its withdrawals are in the next list and cannot be called off."""
    seq = crossing.withdraw("ann", 300)
    made = crossing.made()
    crossing.city.run(lambda unit: lists.fail(unit, CHAIN, made.seq))
    with pytest.raises(Refused, match="listed"):
        crossing.cancel("ann", seq)
    again = crossing.made()
    assert (again.total_minor, again.seq > made.seq) == (300, True)
    crossing.activate(again)
    assert crossing.state("ann", seq) == "active"


def test_no_cumulative_amount_ever_falls(crossing: Crossing) -> None:
    """Over many lists with calls off in between, each wallet's amount only rises from one active list to the next."""
    before: dict[str, int] = {}
    for proposal in range(1, 8):
        crossing.withdraw("ann", 10 * proposal)
        crossing.cancel("bo", crossing.withdraw("bo", 7))
        crossing.withdraw("bo", proposal)
        made = crossing.made()
        crossing.activate(made, proposal)
        listed = dict(crossing.published(made)["claims"])
        assert all(listed[one] >= amount for one, amount in before.items())
        assert sum(listed.values()) == made.total_minor == crossing.city.balance(BRIDGE).posted_minor
        before = listed


def test_anybody_can_send_the_claim_and_it_pays_the_wallet(crossing: Crossing) -> None:
    """The call names wallet, cumulative amount, root and proof; without an active list there is none."""
    crossing.withdraw("ann", 300)
    crossing.withdraw("bo", 20)
    with crossing.city.read() as session, pytest.raises(NotFound):
        lists.claiming(session, crossing.bridge, wallet("ann"))
    made = crossing.made()
    crossing.activate(made)
    with crossing.city.read() as session:
        call = lists.claiming(session, crossing.bridge, wallet("ann"))
        with pytest.raises(NotFound):
            lists.claiming(session, crossing.bridge, wallet("cha"))
    tree = claims_tree(CHAIN, TOKEN, [Claim(*entry) for entry in crossing.published(made)["claims"]])
    proof = tree.proof(wallet("ann"))
    assert call.data == artifact("KgoToken").call_data("claim", wallet("ann"), 300, made.root, proof)


def test_a_relayed_claim_is_staged_once(crossing: Crossing) -> None:
    """However often the learner taps, the operator pays for one transaction; after a later list for another one."""

    def relay() -> None:
        staging = Staging("bridge", CHAIN)
        for _ in range(3):
            crossing.city.run(lambda unit: lists.relay(unit, CHAIN, wallet("ann"), staging))

    crossing.withdraw("ann", 300)
    crossing.activate(crossing.made())
    relay()
    crossing.withdraw("bo", 100)
    crossing.activate(crossing.made(), 2)
    relay()
    with crossing.city.read() as session:
        staged = [one.wish for one in outbox.open_(session, CITY, "bridge")]
        call = lists.claiming(session, crossing.bridge, wallet("ann"))
    assert len({one.data for one in staged}) == len(staged) == 2
    assert call.data in {one.data for one in staged}


def test_a_pause_stops_requests_and_lists_but_not_calling_off(crossing: Crossing) -> None:
    """It holds until somebody resumes, whatever process asks."""
    seq = crossing.withdraw("ann", 300)
    crossing.city.run(lambda unit: bridges.pause(unit, CHAIN, "drill"))
    crossing.city.run(lambda unit: bridges.pause(unit, CHAIN, "another"))
    with pytest.raises(Refused, match="bridge_paused"):
        crossing.withdraw("ann", 1)
    with pytest.raises(Refused, match="bridge_paused"):
        crossing.commit()
    assert crossing.bridge.pause_reason == "drill"
    crossing.cancel("ann", seq)
    crossing.city.run(lambda unit: bridges.resume(unit, CHAIN))
    crossing.withdraw("ann", 1)


def test_a_bridge_keeps_its_contract(crossing: Crossing) -> None:
    """Opening it again changes nothing; another contract on the same chain would pay everything once more."""
    crossing.city.run(lambda unit: bridges.open_bridge(unit, crossing.contract))
    other = Contract(CHAIN, "0x" + "d0" * 20, 1, 50_000, 20_000)
    with pytest.raises(Refused, match="bridge_exists"):
        crossing.city.run(lambda unit: bridges.open_bridge(unit, other))


def test_the_erased_leave_nothing_but_what_is_public(crossing: Crossing) -> None:
    """Their withdrawals stand without them, so that lists still add up."""
    crossing.withdraw("ann", 300)
    crossing.city.run(lambda unit: requests.forget(unit, crossing.learners["ann"]))
    assert crossing.views("ann") == {}
    assert crossing.made().total_minor == 300
