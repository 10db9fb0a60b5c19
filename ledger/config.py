"""Where an installation keeps its things: one frozen object, read once, handed down.

The environment is read by `Settings.from_environment` alone, called by the two entry points (`kgo` and the
WSGI application). Every variable is documented in `docs/operating.md`; a test compares the two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ledger import logs

VARIABLES = {
    "KGO_DATA": "The data directory: the SQLite file, the cities' keys and the published checkpoints.",
    "KGO_DATABASE_URL": "A PostgreSQL URL; without it the database is one SQLite file in the data directory.",
    "KGO_PUBLIC_URL": "The address that people reach the installation by; it stands in QR codes and links.",
    "KGO_LOG": "How log lines look: `json` or `text`; without it `text` on a terminal and `json` elsewhere.",
    "KGO_CHAIN_KEYS": "Private keys of the chain, `city/role=hex`, separated by commas; keystore files do as well.",
    "KGO_CHAIN_PASSWORD": "The password of the chain's keystore files.",
    "KGO_CORES": "Where web processes run: `own` keeps each to a core of its own; without it `any`.",
    "KGO_ACCESS_LOG": "Which requests get a log line: `all`, or `notable` (the default: failed and slow ones).",
}

FIGURES = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which `kgo serve` tells its workers, and prometheus-client in them, where the figures are kept."""

ALL, NOTABLE = "all", "notable"
ACCESS_LOGS = (ALL, NOTABLE)

OWN, ANY = "own", "any"
CORES = (OWN, ANY)


@dataclass(frozen=True)
class Settings:
    """The settings of one installation.

    Attributes:
        data: the data directory.
        database_url: an SQLAlchemy URL.
        public_url: scheme and host (and port) without a slash at the end.
        log: how log lines look, one of `logs.STYLES`.
        access_log: which requests get a line, one of `ACCESS_LOGS`.
        cores: where web processes run, one of `CORES`.
        chain_keys: private keys, as `ledger.chain.deployment` reads them.
        chain_password: opens keystore files.
    """

    data: Path
    database_url: str
    public_url: str
    log: str = logs.TEXT
    access_log: str = NOTABLE
    cores: str = ANY
    chain_keys: str = field(default="", repr=False)
    chain_password: str = field(default="", repr=False)

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        data: Path | None = None,
        public_url: str | None = None,
    ) -> Settings:
        """Settings out of the environment; an argument that is given wins over its variable.

        Raises:
            ValueError: a variable has none of the values that it may have.
        """
        env = os.environ if environ is None else environ
        directory = (data or Path(env.get("KGO_DATA", "data"))).resolve()
        url = env.get("KGO_DATABASE_URL") or f"sqlite:///{directory / 'ledger.sqlite'}"
        address = public_url or env.get("KGO_PUBLIC_URL") or "http://127.0.0.1:8000"
        log = _one_of(logs.STYLES, env, "KGO_LOG", logs.TEXT if sys.stderr.isatty() else logs.JSON)
        access_log = _one_of(ACCESS_LOGS, env, "KGO_ACCESS_LOG", NOTABLE)
        cores = _one_of(CORES, env, "KGO_CORES", ANY)
        secrets = env.get("KGO_CHAIN_KEYS", ""), env.get("KGO_CHAIN_PASSWORD", "")
        return cls(directory, _with_driver(url), address.rstrip("/"), log, access_log, cores, *secrets)

    @property
    def keys(self) -> Path:
        """The directory of the cities' key files, readable by the operator alone."""
        return self.data / "keys"

    @property
    def published(self) -> Path:
        """The directory of the last checkpoint that each city showed to anybody."""
        return self.data / "published"

    @property
    def chain(self) -> Path:
        """Where the cities' files of the chain are, one a city that has one (`<city>.toml`)."""
        return self.data / "chain"

    @property
    def witness(self) -> Path:
        """The directory of the installation's own witness: its key, the logs it witnesses, what it has seen."""
        return self.data / "witness"

    @property
    def policy(self) -> Path:
        """The file that says whose cosignatures the cities' checkpoints are to have (C2SP tlog-policy)."""
        return self.data / "policy"


def _one_of(choices: tuple[str, ...], env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise ValueError(f"{name}: use one of {', '.join(choices)}")
    return value


def _with_driver(url: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url
