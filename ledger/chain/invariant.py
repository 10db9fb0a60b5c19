"""The identity that ties a bridge to its contract, judged at one finalized block.

    bridge = totalSupply + (withdrawn − totalClaimed) + (totalDeposited − arrived)

`withdrawn` is bridge_out less bridge_cancel, `arrived` all bridge_in that left the bridge account, be it for a learner
or for suspense; both come from the journal's legs and not from the rows that the bridge keeps for itself, which are
held against them as well. Each bracket is what is on its way, and never below zero. Transfers between wallets change
none of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.book import accounts
from ledger.book.entries import Entry
from ledger.book.legs import Leg
from ledger.book.unit import Unit
from ledger.chain import bridges, deposits, requests
from ledger.chain.bridges import Bridge
from ledger.chain.watching import Figures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """A bridge's figures and the contract's, in minor units.

    Attributes:
        bridge_minor: the balance of the bridge account.
        withdrawn_minor: bridge_out less bridge_cancel.
        arrived_minor: bridge_in out of the bridge account.
        requested_minor: what the rows of withdrawals say in place of `withdrawn_minor`.
        credited_minor: what the rows of deposits say in place of `arrived_minor`.
        figures: the contract's.
    """

    bridge_minor: int
    withdrawn_minor: int
    arrived_minor: int
    requested_minor: int
    credited_minor: int
    figures: Figures

    @property
    def outwards_minor(self) -> int:
        """Withdrawn and not yet claimed."""
        return self.withdrawn_minor - self.figures.claimed_minor

    @property
    def inwards_minor(self) -> int:
        """Deposited and not yet credited."""
        return self.figures.deposited_minor - self.arrived_minor

    def problem(self) -> str | None:
        """Why this cannot be, or None."""
        if self.bridge_minor != self.figures.supply_minor + self.outwards_minor + self.inwards_minor:
            return "identity"
        if self.outwards_minor < 0:
            return "claimed_more"
        if self.inwards_minor < 0:
            return "credited_more"
        if (self.requested_minor, self.credited_minor) != (self.withdrawn_minor, self.arrived_minor):
            return "rows"
        return None


def standing(session: Session, bridge: Bridge, figures: Figures) -> Standing:
    """A bridge's figures as they are now, beside the contract's at a block that was followed.

    The ledger may be ahead of that block by what was requested since, which only raises a bracket; it has credited no
    deposit that is later.
    """
    moved: dict[str, int] = dict.fromkeys(("bridge_out", "bridge_cancel", "bridge_in"), 0)
    rows = session.execute(
        select(Entry.kind, func.sum(Leg.posted_change))
        .join(Leg, (Leg.city == Entry.city) & (Leg.seq == Entry.seq))
        .where(Leg.city == bridge.city, Leg.account == bridge.account)
        .group_by(Entry.kind)
    )
    moved |= {kind: int(total) for kind, total in rows}
    return Standing(
        bridge_minor=accounts.balance(session, bridge.city, bridge.account).posted_minor,
        withdrawn_minor=moved["bridge_out"] + moved["bridge_cancel"],
        arrived_minor=-moved["bridge_in"],
        requested_minor=requests.total(session, bridge),
        credited_minor=deposits.sums(session, bridge)[1],
        figures=figures,
    )


def check(unit: Unit, chain_id: int, figures: Figures, block: int) -> str | None:
    """Judge a bridge in the writer's transaction, and pause it over a mismatch; the problem, or None.

    Args:
        unit: the running command's.
        chain_id: of the bridge.
        figures: the contract's at `block`.
        block: must be the one that was followed last, by whatever process; otherwise nothing is judged.
    """
    unit.flush()
    bridge = bridges.get(unit.session, unit.city.id, chain_id)
    if (bridge.block, bridge.deposits) != (block, figures.deposits):
        return None
    found = standing(unit.session, bridge, figures)
    problem = found.problem()
    bridge.checked_at = unit.now
    if problem is not None:
        log.error("the bridge of %s to chain %s does not add up (%s): %s", unit.city.id, chain_id, problem, found)
        bridges.pause(unit, chain_id, f"invariant_{problem}")
    return problem
