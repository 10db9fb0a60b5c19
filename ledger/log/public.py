"""What the outside world is given of an installation's logs: the one object that the surfaces hold.

It puts together the policy, the installation's own witness, and the witnesses that the policy names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from sqlalchemy.orm import Session

from ledger.book import cities
from ledger.installation import Installation
from ledger.log import checkpoints, cosigning, receipts
from ledger.log.cosigning import Standing
from ledger.log.policies import PolicyFile, Rule
from ledger.log.submission import HttpWitness, Submit
from ledger.log.witness import Witness

log = logging.getLogger(__name__)


class PublicLog:
    """The public side of an installation's logs."""

    def __init__(self, installation: Installation) -> None:
        settings = installation.settings
        self._installation = installation
        self.policy = PolicyFile(settings.policy)
        self.witness = Witness(
            installation.database, installation.keys, settings.witness, lambda: installation.writer.clock()
        )

    def rule(self, vkey: str) -> Rule | None:
        """The policy that concerns the log of a verifier key."""
        rule = self.policy.current()
        return rule if rule is not None and rule.concerns(vkey) else None

    def checkpoint(self, session: Session, city: str, vkey: str) -> str:
        """The checkpoint to show; see `checkpoints`."""
        return checkpoints.shown(session, city, self.rule(vkey))

    def receipt(self, session: Session, city: str, vkey: str, seq: int) -> str:
        """The receipt of an entry; see `receipts`."""
        return receipts.text(session, city, seq, self.rule(vkey))

    def standings(self, session: Session, city: str, vkey: str) -> list[Standing]:
        """How a city stands with each witness of the policy that concerns it."""
        rule = self.rule(vkey)
        return cosigning.standings(session, city, rule.policy) if rule else []

    def collect(self, city: str | None = None, *, insist: bool = False) -> dict[str, list[Standing]]:
        """Collect cosignatures for one city or for all; how each of them stands with the witnesses then.

        Args:
            city: only this one.
            insist: whether witnesses that failed lately are asked again, and a spoilt policy is an error.

        Raises:
            NotFound: there is no such city.
            PolicyError: the policy is malformed; only to those who insist.
        """
        installation = self._installation
        rule = self.policy.load() if insist else self.policy.current()
        with installation.database.read() as session:
            found = [cities.get(session, city)] if city else cities.all_(session)
        if rule is None:
            return {}
        concerned = [one.id for one in found if rule.concerns(installation.keys.get(one).vkey)]
        clock = installation.writer.clock
        with self._submitters(rule) as submitters:
            return {
                one: cosigning.collect(installation.database, one, rule, submitters, clock, insist=insist)
                for one in concerned
            }

    @contextmanager
    def _submitters(self, rule: Rule) -> Iterator[dict[str, Submit]]:
        """How to reach each witness of a policy: the installation's own by a call, others where they say they are."""
        key = self.witness.key
        with ExitStack() as stack:
            found: dict[str, Submit] = {}
            for name, party in rule.policy.witnesses.items():
                if key is not None and party.vkey == key.vkey:
                    found[name] = self.witness.add_checkpoint
                elif party.url is not None:
                    try:
                        found[name] = stack.enter_context(closing(HttpWitness(party.url)))
                    except ValueError as fault:
                        log.error("the policy's witness %s: %s", name, fault)  # noqa: TRY400 - an operator's mistake
            yield found
