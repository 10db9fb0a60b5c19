"""Policies: checking, pricing, caps, and the hash that stands in the log."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Refused, ValidationFailed
from ledger.programme import policy as policies
from ledger.programme.policy import CityRules, Earned, Policy

CAPS = {"poster": 1_000, "kiosk": 5_000}
RULES = CityRules(CAPS, rewards_per_day=3, unsecured_cap_minor=10_000)
NOTHING = Earned(0, 0, 0, 0)

LIMITS = st.none() | st.integers(1, 1_000)
POLICIES = st.builds(Policy, st.integers(1, 5_000), LIMITS, LIMITS, st.booleans())


@given(POLICIES)
def test_a_policy_survives_its_json(policy: Policy) -> None:
    """Stored and read back it is the same, and its hash is that of its RFC 8785 form."""
    assert Policy.from_json(policy.to_json()) == policy
    assert policies.rule_hash(policy) == hashlib.sha256(rfc8785.dumps(policy.to_json())).hexdigest()


@given(POLICIES, POLICIES)
def test_the_hash_tells_policies_apart(one: Policy, other: Policy) -> None:
    """Two policies have one hash only if they are the same."""
    assert (policies.rule_hash(one) == policies.rule_hash(other)) == (one == other)


@given(POLICIES, st.sampled_from(["poster", "kiosk", "staff"]))
def test_points_stay_within_the_city_s_cap(policy: Policy, assurance: str) -> None:
    """A check-in pays the policy's amount, at most the cap of its assurance, nothing where there is none."""
    points = policies.points_for(policy, CAPS, assurance)
    assert points == min(policy.amount_minor, CAPS.get(assurance, 0))


@pytest.mark.parametrize(
    ("changes", "mode", "fields"),
    [
        ({"amount_minor": 0}, "poster", {"amount_minor"}),
        ({"amount_minor": -5}, "poster", {"amount_minor"}),
        ({"amount_minor": True}, "poster", {"amount_minor"}),
        ({"amount_minor": 1_001}, "poster", {"amount_minor"}),
        ({"amount_minor": 5_001}, "kiosk", {"amount_minor"}),
        ({"max_per_person": 0}, "poster", {"max_per_person"}),
        ({"max_per_day": -1, "amount_minor": 9_999}, "poster", {"max_per_day", "amount_minor"}),
        ({"max_per_person": 1_001}, "poster", {"max_per_person"}),
        ({"code_once": True}, "poster", {"code_once"}),
        ({}, "double", {"mode"}),
    ],
)
def test_a_policy_that_the_city_would_not_honour(changes: dict[str, Any], mode: str, fields: set[str]) -> None:
    """It is refused, each field with its remedy."""
    with pytest.raises(ValidationFailed) as refusal:
        policies.check(replace(Policy(500), **changes), CAPS, mode)
    assert set(refusal.value.fields) == fields


def test_a_policy_at_its_bounds_is_fine() -> None:
    """The cap itself may be paid, and rotating codes may serve once."""
    policies.check(Policy(1_000, 1, 1_000), CAPS, "poster")
    policies.check(Policy(5_000, None, None, code_once=True), CAPS, "kiosk")


@pytest.mark.parametrize(
    ("earned", "policy", "reason"),
    [
        (Earned(2, 0, 0, 0), Policy(500, max_per_person=2), "person"),
        (Earned(1, 1, 1, 0), Policy(500, max_per_day=1), "day"),
        (Earned(0, 0, 3, 0), Policy(500), "city"),
        (Earned(0, 0, 0, 9_501), Policy(500), "unsecured"),
        (Earned(2, 1, 3, 10_000), Policy(500, 2, 1), "person"),
    ],
)
def test_each_cap_has_its_answer(earned: Earned, policy: Policy, reason: str) -> None:
    """At a cap the check-in is refused and the narrowest cap is named; one below it, it passes."""
    with pytest.raises(Refused) as refusal:
        policies.judge_caps(policy, RULES, earned, 500, secured=False)
    assert (refusal.value.code, refusal.value.reason) == ("cap_reached", reason)
    below = Earned(*(max(count - 1, 0) for count in vars(earned).values()))
    if reason != "person" or earned.city_today == 0:
        policies.judge_caps(policy, RULES, below, 500, secured=False)


def test_a_secured_learner_has_no_cap_on_the_whole() -> None:
    """Keeping the recovery code takes the cap away."""
    rich = Earned(0, 0, 0, 1_000_000)
    policies.judge_caps(Policy(500), RULES, rich, 500, secured=True)
    with pytest.raises(Refused, match="unsecured"):
        policies.judge_caps(Policy(500), RULES, rich, 500, secured=False)


def test_what_a_city_does_not_limit_is_not_limited() -> None:
    """Settings that are missing are no limits."""
    policies.judge_caps(Policy(500), CityRules.of({}), Earned(10**6, 10**6, 10**6, 10**9), 500, secured=False)
    policies.judge_caps(Policy(500), RULES, NOTHING, 500, secured=False)
