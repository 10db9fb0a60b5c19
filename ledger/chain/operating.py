"""What happens on the chains of an installation without anybody asking: anchors, bridges, the outbox.

    follow final anchors → is the log theirs? → wish for the next → the bridge's turn → carry out what waits

Each city is tended for itself; what goes wrong with one, a node that is down above all, is in the log and harms nobody
else. Nothing outside `ledger.chain` waits for any of this. A city without a file in `<data>/chain` costs one look into
that folder, and nothing of the chain is imported for it.

Nodes are asked who they are when they are first needed, and again after anything went wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ledger.book import cities
from ledger.chain import anchors, bridging, client, deployment, outbox
from ledger.chain.anchors import AnchorsMissing
from ledger.chain.bridging import Run
from ledger.chain.deployment import DeploymentUnusable, RoleKeys, Site
from ledger.chain.errors import WrongChain
from ledger.chain.keys import KeyUnusable
from ledger.chain.outbox import Call, Staging, Wish
from ledger.chain.sender import GWEI, Drained, Sender
from ledger.errors import LedgerError
from ledger.installation import Installation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tended:
    """What a round did for a city: anchors that became final, calls sent and settled; or what went wrong."""

    anchors: int = 0
    calls: Drained | None = None
    problem: str | None = None


class Chains:
    """The chains of an installation. One object for a process; its methods are called by one thread at a time."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._sites: dict[str, Site] = {}
        self._keys: dict[str, RoleKeys] = {}

    def tend(self) -> dict[str, Tended]:
        """One round for every city that has a chain; what it did, or what went wrong, by city."""
        return {city: self.guarded(city) for city in deployment.cities_with_a_chain(self._installation.settings)}

    def guarded(self, city: str) -> Tended:
        """One round for one city; what went wrong is in the log and in the answer."""
        try:
            return self.tend_city(city)
        except (LedgerError, DeploymentUnusable, KeyUnusable) as fault:
            self._sites.pop(city, None)
            log.warning("the chain of %s: %s", city, fault)
            return Tended(problem=str(fault))

    def tend_city(self, city: str) -> Tended:
        """One round for one city.

        Raises:
            NotFound: it has no chain.
            LedgerError, DeploymentUnusable, KeyUnusable: it could not be finished; nothing is lost.
        """
        site, followed = self.site(city), 0
        fault: LedgerError | None = None
        try:
            followed = anchors.follow(self._installation.database, city, site)
        except AnchorsMissing as missing:
            fault = missing
        for step in (self._guard, self._wish, self._cross):
            try:
                step(city, site)
            except WrongChain:
                raise
            except LedgerError as refusal:
                # What is signed already has to go on, whatever else is amiss.
                fault = refusal
        drained = self.sender(city).drain()
        if fault is not None:
            raise fault
        return Tended(followed, drained)

    def judge(self, city: str) -> None:
        """Ask the chain what is anchored, and whether the log leads to it.

        Raises:
            NotFound: it has no chain.
            LedgerError, DeploymentUnusable: it does not, or nobody can tell.
        """
        site = self.site(city)
        anchors.follow(self._installation.database, city, site)
        self._guard(city, site)

    def _guard(self, city: str, site: Site) -> None:
        anchors.guard(self._installation.database, self._installation.writer.published, city, site)

    def _wish(self, city: str, site: Site) -> None:
        anchors.wish(self._installation.database, city, site, self._installation.writer.clock())

    def _cross(self, city: str, site: Site) -> None:
        cross(self._installation, city, site)

    def site(self, city: str) -> Site:
        """A city's contracts, connected; a node that is known already is asked again of which chain it is.

        Raises:
            NotFound: it has no chain.
            ChainError, DeploymentUnusable: see `deployment`.
        """
        found = self._sites.get(city)
        if found is None:
            with self._installation.database.read() as session:
                row = cities.get(session, city)
            described = deployment.known(self._installation.settings, city)
            found = self._sites[city] = deployment.open_site(described, row)
        else:
            client.confirm(found.node, found.token)
        return found

    def keys(self, city: str) -> RoleKeys:
        """The city's private keys that are on this machine."""
        if city not in self._keys:
            self._keys[city] = RoleKeys(self._installation.settings, city)
        return self._keys[city]

    def call(self, city: str, wanted: Wish) -> Call:
        """What became of a wish."""
        with self._installation.database.read() as session:
            return outbox.get(session, city, wanted.purpose, wanted.key)

    def sender(self, city: str) -> Sender:
        """What carries out the city's calls."""
        site = self.site(city)
        return Sender(
            self._installation.database,
            city,
            site.node,
            self.keys(city),
            self._installation.writer.clock,
            site.final,
            site.deployment.fee_limit_gwei * GWEI,
        )


def cross(installation: Installation, city: str, site: Site) -> Run:
    """The bridge's turn: deposits and events are followed, the identity is checked, the next list is proposed.

    The bridge is made when it is first needed.
    """
    chain_id, token = site.node.chain_id, site.deployment.token
    bridging.establish(installation.writer, site.node, city, token.address, token.block)
    with installation.database.read() as session:
        final_sizes = anchors.sizes(session, city, chain_id, site.token)
    outbox = Staging(bridging.PURPOSE, chain_id)
    return bridging.run(installation.writer, site.node, city, chain_id, final_sizes, outbox, site.final())
