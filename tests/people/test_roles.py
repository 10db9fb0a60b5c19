"""Who may do what."""

from __future__ import annotations

import pytest

from ledger.errors import Forbidden, Unauthenticated, ValidationFailed
from ledger.people.roles import PERMISSIONS, PUBLIC, ROLES, Principal, check_roles, require, require_account
from ledger.proof.rules import ROLES as LEAF_ROLES

CITY = "khon-kaen"


def _one(role: str, subject: str | None = None) -> Principal:
    return Principal(CITY, frozenset({role}), subject, "token")


def test_the_table_names_known_roles() -> None:
    """Every permission is granted to somebody, by a role that exists or to the public alone."""
    for permission, roles in PERMISSIONS.items():
        assert roles == {PUBLIC} or (roles and roles <= ROLES), permission


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_each_permission_is_for_its_roles_alone(permission: str) -> None:
    """Whoever holds a granting role passes; others are forbidden, and the anonymous are asked to sign in."""
    granted = PERMISSIONS[permission]
    if PUBLIC in granted:
        require(Principal.anonymous(CITY), permission)
        return
    with pytest.raises(Unauthenticated):
        require(Principal.anonymous(CITY), permission)
    for role in ROLES:
        if role in granted:
            require(_one(role, "mine"), permission, "mine")
        else:
            with pytest.raises(Forbidden) as refusal:
                require(_one(role, "mine"), permission, "mine")
            assert refusal.value.params == {"permission": permission}


def test_a_bound_role_reaches_its_own_subject_alone() -> None:
    """A kiosk shows its own activity's code and no other's; a steward shows any."""
    require(_one("kiosk", "library"), "code.read", "library")
    with pytest.raises(Forbidden):
        require(_one("kiosk", "library"), "code.read", "museum")
    require(_one("steward"), "code.read", "museum")


def test_an_unknown_permission_is_a_fault_of_the_program() -> None:
    """A misspelt permission never lets anybody pass."""
    with pytest.raises(KeyError):
        require(_one("steward"), "activity.wirte")


@pytest.mark.parametrize(
    ("principal", "path", "passes"),
    [
        (_one("learner", "a" * 26), "learner:" + "a" * 26, True),
        (_one("learner", "a" * 26), "learner:" + "b" * 26, False),
        (_one("shop", "a" * 26), "learner:" + "a" * 26, False),
        (_one("steward"), "learner:" + "a" * 26, False),
        (_one("treasurer"), "learner:" + "a" * 26, False),
        (_one("auditor"), "learner:" + "a" * 26, True),
        (_one("shop", "noodles"), "shop:noodles", True),
        (_one("shop", "noodles"), "shop:tea", False),
        (_one("treasurer"), "shop:tea", True),
        (Principal.anonymous(CITY), "treasury", True),
        (Principal.anonymous(CITY), "budget:library", True),
    ],
)
def test_who_reads_which_account(principal: Principal, path: str, passes: bool) -> None:
    """A person's account is open to that person and an auditor; the city's own accounts to everybody."""
    if passes:
        require_account(principal, path)
    else:
        with pytest.raises(Forbidden):
            require_account(principal, path)


def test_the_anonymous_read_nobodys_account() -> None:
    """Without a sign-in, a person's or a shop's account answers with the wish to sign in."""
    for path in ("learner:" + "a" * 26, "shop:noodles"):
        with pytest.raises(Unauthenticated):
            require_account(Principal.anonymous(CITY), path)


def test_the_actor_is_a_role_or_an_institution() -> None:
    """A leaf names what somebody acted as, never a person; of several roles, the one that allowed it."""
    both = Principal(CITY, frozenset({"steward", "treasurer"}))
    assert _one("learner", "a" * 26).actor() == "learner"
    assert _one("shop", "noodles").actor() == "shop:noodles"
    assert both.actor("entry.post") == "treasurer"
    assert both.actor("activity.write") == "steward"
    assert Principal.system(CITY).actor("activity.write") == "system"
    assert {both.actor(), both.actor("entry.post"), "learner", "system"} <= LEAF_ROLES


@pytest.mark.parametrize(
    ("roles", "subject", "field"),
    [
        (set(), None, "roles"),
        ({"mayor"}, None, "roles"),
        ({"learner", "steward"}, "x", "roles"),
        ({"shop"}, None, "subject"),
        ({"kiosk"}, "", "subject"),
        ({"steward"}, "noodles", "subject"),
    ],
)
def test_roles_that_nobody_can_hold(roles: set[str], subject: str | None, field: str) -> None:
    """A bound role stands alone and has a subject; a staff role has none."""
    with pytest.raises(ValidationFailed) as refusal:
        check_roles(frozenset(roles), subject)
    assert set(refusal.value.fields) == {field}


def test_roles_that_somebody_can_hold() -> None:
    """Staff roles go together; a bound role goes with its subject."""
    check_roles(frozenset({"steward", "treasurer"}), None)
    check_roles(frozenset({"kiosk"}), "library")
