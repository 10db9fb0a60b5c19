"""`KgoToken.propose`, `veto` and `activate`: what may become claimable, and when."""

from __future__ import annotations

import pytest

from tests.chain.acts import activate, anchor, claim, claims_of, propose
from tests.chain.evm import DAY, SETTINGS, Contract, Evm, History

ROOT = bytes(range(32))

LIMIT, CAP, DELAY = SETTINGS["increaseLimit"], SETTINGS["supplyCap"], SETTINGS["delay"]


@pytest.fixture
def token(token: Contract, history: History) -> Contract:
    """A token whose log is anchored at 100 entries."""
    anchor(token, history, 100)
    return token


def test_a_proposal_waits_and_becomes_active(token: Contract) -> None:
    """Proposed, it can be claimed only once its delay is over and somebody activated it; each step is an event."""
    tree = claims_of(token, {"alice": 500, "bob": 700})
    receipt = token.send("proposer", "propose", tree.root, 1200, 100)
    due = receipt.at + DELAY
    assert receipt.events == [
        ("Proposed", {"id": 1, "claimsRoot": tree.root, "total": 1200, "atSize": 100, "activeAt": due})
    ]
    assert token.read("proposal") == (1, tree.root, 1200, 100, due)
    assert token.read("active") == (bytes(32), 0)
    token.evm.sleep(DELAY - 60)
    assert token.refusal("mallory", "activate", 1) == "TooEarly"
    token.evm.sleep(60)
    receipt = token.send("mallory", "activate", 1)
    assert receipt.events == [("Activated", {"id": 1, "claimsRoot": tree.root, "total": 1200})]
    assert token.read("active") == (tree.root, 1200)
    assert token.read("proposal") == (1, tree.root, 1200, 100, 0)


def test_one_proposal_at_a_time(token: Contract) -> None:
    """While one waits, also when its time has come, another is refused; once active or vetoed it is not."""
    token.send("proposer", "propose", ROOT, 10, 100)
    assert token.refusal("proposer", "propose", ROOT, 10, 100) == "ProposalPending"
    token.evm.sleep(DELAY)
    assert token.refusal("proposer", "propose", ROOT, 10, 100) == "ProposalPending"
    token.send("mallory", "activate", 1)
    token.send("proposer", "propose", ROOT, 20, 100)
    token.send("guardian", "veto", 2)
    assert token.send("proposer", "propose", ROOT, 20, 100).events[0][1]["id"] == 3


def test_a_proposal_stands_on_one_of_the_last_four_anchors(token: Contract, history: History) -> None:
    """Its size is that of a recent anchor: an older one, one between two anchors, one to come, and none are refused."""
    for old, new in ((100, 200), (200, 300), (300, 400), (400, 500)):
        token.send("anchorer", "anchor", *history.step(old, new))
    for size in (200, 300, 400, 500):
        assert token.read("propose", ROOT, 10, size, sender="proposer") == ()
    for size in (0, 100, 250, 501, 700):
        assert token.refusal("proposer", "propose", ROOT, 10, size) == "NotAnchored"


def test_without_an_anchor_nothing_is_proposed(evm: Evm) -> None:
    """A contract that knows no history takes no claims, not even for the size 0 that its empty slots hold."""
    assert evm.token().refusal("proposer", "propose", ROOT, 10, 0) == "NotAnchored"


def test_the_total_never_falls(token: Contract) -> None:
    """A list of less than the active one is refused; one of the same total is not."""
    activate(token, claims_of(token, {"alice": 500}), 100)
    assert token.refusal("proposer", "propose", ROOT, 499, 100) == "TotalFalls"
    assert token.read("propose", ROOT, 500, 100, sender="proposer") == ()


def test_the_increase_of_a_period_is_limited(token: Contract) -> None:
    """All proposals of one period together raise the total by the limit at most; a veto gives its share back."""
    token.send("proposer", "propose", ROOT, LIMIT - 100, 100)
    token.evm.sleep(DELAY)
    token.send("mallory", "activate", 1)
    assert token.refusal("proposer", "propose", ROOT, LIMIT + 1, 100) == "AboveIncreaseLimit"
    token.send("proposer", "propose", ROOT, LIMIT, 100)
    token.send("guardian", "veto", 2)
    token.send("proposer", "propose", ROOT, LIMIT, 100)
    token.evm.sleep(DELAY)
    token.send("mallory", "activate", 3)
    assert token.refusal("proposer", "propose", ROOT, LIMIT + 1, 100) == "AboveIncreaseLimit"
    token.evm.sleep(3 * DAY)
    assert token.refusal("proposer", "propose", ROOT, 2 * LIMIT + 1, 100) == "AboveIncreaseLimit"
    token.send("proposer", "propose", ROOT, 2 * LIMIT, 100)


def test_what_is_in_circulation_is_capped(evm: Evm, history: History) -> None:
    """Claimable less deposited stays within the cap; what was deposited makes room again, for ever."""
    token = evm.token(supplyCap=1000)
    anchor(token, history, 100)
    assert token.refusal("proposer", "propose", ROOT, 1001, 100) == "AboveSupplyCap"
    tree = claims_of(token, {"alice": 1000})
    activate(token, tree, 100)
    claim(token, tree, "alice")
    assert token.refusal("proposer", "propose", ROOT, 1001, 100) == "AboveSupplyCap"
    token.send("alice", "deposit", 300, ROOT)
    assert token.refusal("proposer", "propose", ROOT, 1301, 100) == "AboveSupplyCap"
    assert token.read("propose", ROOT, 1300, 100, sender="proposer") == ()


def test_a_veto_stops_a_proposal_for_ever(token: Contract) -> None:
    """It strikes until the activation, also when the delay is over; the list that was active stays so."""
    first = claims_of(token, {"alice": 500})
    activate(token, first, 100)
    wrong = claims_of(token, {"alice": 500, "mallory": 900})
    proposal = propose(token, wrong, 100)
    token.evm.sleep(DELAY + 60)
    receipt = token.send("guardian", "veto", proposal)
    assert receipt.events == [("Vetoed", {"id": 2, "claimsRoot": wrong.root})]
    assert token.refusal("mallory", "activate", proposal) == "NotPending"
    assert token.refusal("guardian", "veto", proposal) == "NotPending"
    assert token.read("active") == (first.root, 500)


def test_veto_and_activation_name_their_proposal(token: Contract) -> None:
    """Whoever means another proposal than the one that waits does nothing."""
    assert token.refusal("guardian", "veto", 0) == "NotPending"
    assert token.refusal("mallory", "activate", 0) == "NotPending"
    proposal = propose(token, claims_of(token, {"alice": 500}), 100)
    token.evm.sleep(DELAY)
    for other in (proposal - 1, proposal + 1):
        assert token.refusal("guardian", "veto", other) == "NotPending"
        assert token.refusal("mallory", "activate", other) == "NotPending"


def test_only_the_proposer_proposes_and_only_the_guardian_vetoes(token: Contract) -> None:
    """Nobody else may, the admin included."""
    propose(token, claims_of(token, {"alice": 500}), 100)
    for name in ("admin", "anchorer", "pauser", "mallory"):
        assert token.refusal(name, "propose", ROOT, 10, 100) == "AccessControlUnauthorizedAccount"
        assert token.refusal(name, "veto", 1) == "AccessControlUnauthorizedAccount"
    assert token.refusal("guardian", "propose", ROOT, 10, 100) == "AccessControlUnauthorizedAccount"
    assert token.refusal("proposer", "veto", 1) == "AccessControlUnauthorizedAccount"


def test_a_shorter_delay_helps_no_proposal(token: Contract) -> None:
    """A proposal under a shortened delay is active no sooner than one made when the change was ordered."""
    ordered = token.evm.now
    token.send("admin", "changeDefaultAdminDelay", 3600)
    assert token.read("defaultAdminDelay") == DELAY
    token.evm.sleep(DELAY - 3600 - 60)
    receipt = token.send("proposer", "propose", ROOT, 10, 100)
    assert receipt.events[0][1]["activeAt"] == receipt.at + DELAY
    token.send("guardian", "veto", 1)
    token.evm.sleep(120)
    receipt = token.send("proposer", "propose", ROOT, 10, 100)
    assert receipt.events[0][1]["activeAt"] == receipt.at + 3600
    assert receipt.at + 3600 >= ordered + DELAY


def test_a_longer_delay_waits_too_and_can_be_taken_back(token: Contract) -> None:
    """A change takes effect later, and until then the admin may call it off."""
    token.send("admin", "changeDefaultAdminDelay", 10 * DAY)
    assert token.read("pendingDefaultAdminDelay")[0] == 10 * DAY
    token.evm.sleep(DAY)
    assert token.read("defaultAdminDelay") == DELAY
    token.send("admin", "rollbackDefaultAdminDelay")
    token.evm.sleep(20 * DAY)
    assert token.read("defaultAdminDelay") == DELAY


@pytest.mark.parametrize("seconds", [0, 3599, 30 * DAY + 1, 2**48 - 1])
def test_the_delay_has_bounds(token: Contract, seconds: int) -> None:
    """Neither shorter than the contract's minimum, nor so long that nothing could be claimed any more."""
    assert token.refusal("admin", "changeDefaultAdminDelay", seconds) == "DelayOutOfRange"
    assert token.read("changeDefaultAdminDelay", 3600, sender="admin") == ()
    assert token.refusal("mallory", "changeDefaultAdminDelay", 3600) == "AccessControlUnauthorizedAccount"
