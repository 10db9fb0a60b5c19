"""Who may do what with a token, and how roles change hands."""

from __future__ import annotations

import pytest

from tests.chain.evm import DAY, SETTINGS, Contract, Evm, Refused

ROLE_NAMES = ("PROPOSER_ROLE", "GUARDIAN_ROLE", "ANCHORER_ROLE", "PAUSER_ROLE")


def test_each_role_has_its_one_holder(token: Contract) -> None:
    """The four roles and the admin are five accounts, and nobody holds a role of another."""
    who = token.evm.who
    for role in ROLE_NAMES:
        identifier = token.read(role)
        assert identifier == role.encode().ljust(32, b"\0")
        holders = [name for name in who if token.read("hasRole", identifier, who[name])]
        assert holders == [role.removesuffix("_ROLE").lower()]
    assert token.read("defaultAdmin") == who["admin"]


@pytest.mark.parametrize("other", ["admin", "proposer"])
def test_a_guardian_who_guards_himself_is_refused(evm: Evm, other: str) -> None:
    """The guardian is neither the proposer nor the admin, and is somebody."""
    for guardian in (evm.who[other], "0x" + "0" * 40):
        with pytest.raises(Refused, match="InvalidSettings"):
            evm.token(guardian=guardian)


def test_the_admin_appoints_and_dismisses(token: Contract) -> None:
    """A role moves from one key to another, and only by the admin."""
    role, new, old = token.read("ANCHORER_ROLE"), token.evm.who["bob"], token.evm.who["anchorer"]
    assert token.refusal("anchorer", "grantRole", role, new) == "AccessControlUnauthorizedAccount"
    token.send("admin", "grantRole", role, new)
    token.send("admin", "revokeRole", role, old)
    assert token.refusal("anchorer", "anchor", 0, 5, bytes(range(32)), []) == "AccessControlUnauthorizedAccount"
    token.send("bob", "anchor", 0, 5, bytes(range(32)), [])
    assert token.refusal("mallory", "revokeRole", role, new) == "AccessControlUnauthorizedAccount"


def test_the_admin_cannot_take_the_veto_away(token: Contract) -> None:
    """Guardians can be added, but only resign: whoever steals the admin's key still meets a veto."""
    role, guardian = token.read("GUARDIAN_ROLE"), token.evm.who["guardian"]
    assert token.refusal("admin", "revokeRole", role, guardian) == "GuardianStays"
    token.send("admin", "grantRole", role, token.evm.who["carol"])
    token.send("guardian", "renounceRole", role, guardian)
    assert token.read("hasRole", role, guardian) is False
    assert token.read("hasRole", role, token.evm.who["carol"]) is True


def test_the_admin_role_changes_hands_in_two_steps(token: Contract) -> None:
    """Begun by the old admin, accepted by the new one, not before the delay is over."""
    token.send("admin", "beginDefaultAdminTransfer", token.evm.who["carol"])
    assert token.refusal("carol", "acceptDefaultAdminTransfer") == "AccessControlEnforcedDefaultAdminDelay"
    token.evm.sleep(SETTINGS["delay"] + DAY)
    assert token.refusal("bob", "acceptDefaultAdminTransfer") == "AccessControlInvalidDefaultAdmin"
    token.send("carol", "acceptDefaultAdminTransfer")
    assert token.read("defaultAdmin") == token.evm.who["carol"]
    assert token.refusal("admin", "unpause") == "AccessControlUnauthorizedAccount"
