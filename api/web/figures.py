"""The city's totals, out of its institutional accounts: the same identities that the verifier checks.

issued = -issuance; redeemed = shops + settled; bridged = bridge + suspense; circulating is the rest but `expired`.
Nothing here reads a person's account: what learners hold is what remains.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.book import accounts
from ledger.errors import NotFound


@dataclass(frozen=True)
class Totals:
    """Where a city's tokens are, in minor units. `shops` and `budgets` by the path of the account."""

    issued: int
    treasury: int
    sponsors: int
    budgets: dict[str, int]
    shops: dict[str, int]
    settled: int
    bridged: int
    expired: int

    @property
    def redeemed(self) -> int:
        """What reached shops, settled or not."""
        return sum(self.shops.values()) + self.settled

    @property
    def circulating(self) -> int:
        """What may still be earned or spent."""
        return self.issued - self.redeemed - self.bridged - self.expired

    @property
    def in_budgets(self) -> int:
        """What waits in the budgets of activities."""
        return sum(self.budgets.values())

    @property
    def learners(self) -> int:
        """What learners hold."""
        return self.circulating - self.treasury - self.in_budgets - self.sponsors


def of(session: Session, city: str) -> Totals:
    """The totals of a city as they are now."""

    def one(path: str) -> int:
        try:
            return accounts.balance(session, city, path).posted_minor
        except NotFound:
            return 0

    def many(prefix: str) -> dict[str, int]:
        return {one.account: one.posted_minor for one in accounts.with_prefix(session, city, prefix)}

    return Totals(
        issued=-one("issuance"),
        treasury=one("treasury"),
        sponsors=sum(many("sponsor:").values()),
        budgets=many("budget:"),
        shops=many("shop:"),
        settled=one("settled"),
        bridged=sum(many("bridge:").values()) + sum(many("suspense:").values()),
        expired=one("expired"),
    )
