"""Witnesses that are friends of an installation: each a real one, with a database and a key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.book.cities import KeyRing
from ledger.db import Database, upgrade
from ledger.log import cosigning
from ledger.log.cosigning import Standing
from ledger.log.policies import Rule
from ledger.log.witness import Reply, Witness
from ledger.proof import checkpoint, policy
from tests.factories import CITY, Installation


class Friend:
    """A witness elsewhere that knows the installation's city, asked without HTTP.

    Attributes:
        name: what policies call it.
        vkey: its verifier key.
        asked: how often it was asked.
    """

    def __init__(self, installation: Installation, name: str) -> None:
        self._installation = installation
        home = installation.keys.directory.parent / f"friend-{name}"
        url = f"sqlite:///{home / 'friend.sqlite'}"
        upgrade(url)
        self.witness = Witness(Database(url), KeyRing(home / "keys"), home / "witness", installation.clock)
        self.vkey = self.witness.create(f"{name}.example/w").vkey
        (home / "witness" / "logs").write_text(installation.city_keys().vkey + "\n")
        self.name, self.asked = name, 0

    def __call__(self, body: bytes) -> Reply:
        """Answer a request."""
        self.asked += 1
        return self.witness.add_checkpoint(body)

    def cosign(self, wanted: Rule) -> list[Standing]:
        """Have it cosign the installation's newest checkpoint, for a policy that names it."""
        made = self._installation
        return cosigning.collect(made.database, CITY, wanted, {self.name: self}, made.clock)

    @staticmethod
    def log_vkey(origin: str) -> str:
        """The verifier key of a log of nobody's."""
        return checkpoint.vkey(origin, Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32).public_key())


def rule(friends: Sequence[Friend], rest: str, urls: Sequence[str] = ()) -> Rule:
    """A policy that names witnesses and goes on with groups and a quorum."""
    lines = [f"witness {friend.name} {friend.vkey}" for friend in friends]
    for place, url in enumerate(urls):
        lines[place] += f" {url}"
    content = "\n".join([*lines, rest, ""]).encode()
    return Rule(policy.parse(content), sha256(content).hexdigest())
