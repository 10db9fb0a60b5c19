"""Whose cosignatures an installation wants: its policy file, C2SP tlog-policy, one for all of its cities.

The file is read again when it has changed, so that an operator edits it while the servers run. One that is spoilt is
told in the log and counts as none: the cities' checkpoints are then served as the cities signed them.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.proof import policy
from ledger.proof.policy import Policy, PolicyError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """A policy and its name, the SHA-256 of the file, for what satisfies one need not satisfy the next."""

    policy: Policy
    name: str

    def concerns(self, vkey: str) -> bool:
        """Whether it is about this log: it names it, or names no log at all."""
        logs = self.policy.logs
        return not logs or vkey in [one.vkey for one in logs]


class PolicyFile:
    """The policy of an installation.

    Args:
        path: the file; where there is none, no cosignatures are wanted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._read: tuple[tuple[int, int], Rule | None] | None = None

    def load(self) -> Rule | None:
        """The policy as it stands there now; None where there is none.

        Raises:
            PolicyError: it is malformed.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return Rule(policy.parse(content), sha256(content).hexdigest())

    def current(self) -> Rule | None:
        """The policy, or None where there is none that can be read."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        version = (stat.st_mtime_ns, stat.st_size)
        with self._guard:
            if self._read is None or self._read[0] != version:
                try:
                    rule = self.load()
                except PolicyError as fault:
                    log.error("%s: %s", self._path, fault)  # noqa: TRY400 - an operator's mistake, no fault of the program
                    rule = None
                self._read = version, rule
            return self._read[1]
