"""What an activity pays, and to whom not again: pure values and judgements.

A policy belongs to one activity. The city adds what holds everywhere: a cap on the reward per level of assurance
(a photographed poster proves less than a rotating code), a number of rewards a person may earn per day, and a
total that a device account may earn before its recovery code is known to be kept.

The hash of the policy stands in every reward's leaf as `rule`, and the policy itself in a `policy` entry of the
log: whoever reads the log can recompute what should have been paid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ledger.errors import Refused, ValidationFailed
from ledger.proof.encoding import canonical
from ledger.values import AMOUNT_LIMIT

CAP_LIMIT = 1000
"""The largest number that a cap on repetitions may have: beyond it nobody means a cap."""


@dataclass(frozen=True)
class Policy:
    """The reward of one activity.

    Attributes:
        amount_minor: what one check-in earns, before the city's cap for its assurance.
        max_per_person: check-ins that one person may be rewarded for in all; None is no limit.
        max_per_day: the same within one day of the city; None is no limit.
        code_once: whether each rotating code serves one person only.
    """

    amount_minor: int
    max_per_person: int | None = None
    max_per_day: int | None = None
    code_once: bool = False

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Policy:
        """A policy as `to_json` wrote it."""
        return cls(stored["amount_minor"], stored["max_per_person"], stored["max_per_day"], stored["code_once"])

    def to_json(self) -> dict[str, Any]:
        """The policy as it is stored, published and hashed: always all members."""
        return {
            "amount_minor": self.amount_minor,
            "max_per_person": self.max_per_person,
            "max_per_day": self.max_per_day,
            "code_once": self.code_once,
        }


@dataclass(frozen=True)
class CityRules:
    """The city's own limits on rewards, out of `City.settings`; None is no limit.

    Attributes:
        assurance_caps: the most that one check-in pays, minor units, by level of assurance.
        rewards_per_day: check-ins that one person may be rewarded for in a day, over all activities.
        unsecured_cap_minor: the most that an unsecured learner may have earned by check-ins in all.
    """

    assurance_caps: Mapping[str, int]
    rewards_per_day: int | None
    unsecured_cap_minor: int | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> CityRules:
        """The limits of a city."""
        return cls(
            settings.get("assurance_caps", {}),
            settings.get("rewards_per_day"),
            settings.get("unsecured_cap_minor"),
        )


@dataclass(frozen=True)
class Earned:
    """What a learner has been rewarded for so far, reversed rewards included.

    Attributes:
        activity: check-ins at this activity.
        activity_today: check-ins at this activity on the day of the judgement.
        city_today: check-ins anywhere on that day.
        total_minor: everything earned by check-ins; counted for unsecured learners only.
    """

    activity: int
    activity_today: int
    city_today: int
    total_minor: int


def check(policy: Policy, assurance_caps: Mapping[str, int], assurance: str) -> None:
    """Refuse a policy that the city would not honour.

    Raises:
        ValidationFailed: names each field and the remedy.
    """
    fields: dict[str, str] = {}
    cap = assurance_caps.get(assurance, 0)
    amount = policy.amount_minor
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount < AMOUNT_LIMIT:
        fields["amount_minor"] = "Give a whole number of minor units, greater than 0."
    elif not cap:
        fields["mode"] = f"The city pays nothing for '{assurance}': choose another mode, or set its cap."
    elif amount > cap:
        fields["amount_minor"] = f"Give at most {cap}: the city's cap for '{assurance}'."
    for name, limit in (("max_per_person", policy.max_per_person), ("max_per_day", policy.max_per_day)):
        if limit is not None and not 0 < limit <= CAP_LIMIT:
            fields[name] = f"Give 1 to {CAP_LIMIT}, or leave it empty for no limit."
    if policy.code_once and assurance == "poster":
        fields["code_once"] = "Turn this off: a poster has one code for everybody."
    if fields:
        raise ValidationFailed(fields)


def points_for(policy: Policy, assurance_caps: Mapping[str, int], assurance: str) -> int:
    """What a check-in of this assurance earns, minor units: the policy's amount, within the city's cap."""
    return min(policy.amount_minor, assurance_caps.get(assurance, 0))


@lru_cache(maxsize=1024)
def rule_hash(policy: Policy) -> str:
    """The hash that names a policy in the log: SHA-256 of its canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(policy.to_json())).hexdigest()


def judge_caps(policy: Policy, rules: CityRules, earned: Earned, points: int, *, secured: bool) -> None:
    """Refuse a check-in that would exceed a cap, the narrowest first.

    Raises:
        Refused: `cap_reached`, for reason `person`, `day`, `city` or `unsecured`, with the `limit`.
    """
    counted = (
        ("person", earned.activity, policy.max_per_person),
        ("day", earned.activity_today, policy.max_per_day),
        ("city", earned.city_today, rules.rewards_per_day),
    )
    for reason, count, limit in counted:
        if limit is not None and count >= limit:
            raise Refused("cap_reached", reason, limit=limit)
    cap = rules.unsecured_cap_minor
    if not secured and cap is not None and earned.total_minor + points > cap:
        raise Refused("cap_reached", "unsecured", limit_minor=cap)
