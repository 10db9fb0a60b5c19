"""Where an installation keeps its things: one frozen object, read once, handed down.

The environment is read by `Settings.from_environment` alone, called by the two entry points (`kgo` and the
WSGI application). Every variable is documented in `docs/operating.md`; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLES = {
    "KGO_DATA": "The data directory: the SQLite file, the cities' keys and the published checkpoints.",
    "KGO_DATABASE_URL": "A PostgreSQL URL; without it the database is one SQLite file in the data directory.",
    "KGO_PUBLIC_URL": "The address that people reach the installation by; it stands in QR codes and links.",
}


@dataclass(frozen=True)
class Settings:
    """The settings of one installation.

    Attributes:
        data: the data directory.
        database_url: an SQLAlchemy URL.
        public_url: scheme and host (and port) without a slash at the end.
    """

    data: Path
    database_url: str
    public_url: str

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        data: Path | None = None,
        public_url: str | None = None,
    ) -> Settings:
        """Settings out of the environment; an argument that is given wins over its variable."""
        env = os.environ if environ is None else environ
        directory = (data or Path(env.get("KGO_DATA", "data"))).resolve()
        url = env.get("KGO_DATABASE_URL") or f"sqlite:///{directory / 'ledger.sqlite'}"
        address = public_url or env.get("KGO_PUBLIC_URL") or "http://127.0.0.1:8000"
        return cls(directory, _with_driver(url), address.rstrip("/"))

    @property
    def keys(self) -> Path:
        """The directory of the cities' key files, readable by the operator alone."""
        return self.data / "keys"

    @property
    def published(self) -> Path:
        """The directory of the last checkpoint that each city showed to anybody."""
        return self.data / "published"


def _with_driver(url: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url
