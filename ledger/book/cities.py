"""Cities, the heads of their logs, and their secrets.

A city is a ledger and a log of its own; every other table has `city` first in its primary key. The head row is
the one place where a city's processes meet: whoever writes for the city holds it until the commit.

Secrets live outside the database, one file per city that only the operator can read: the Ed25519 key that signs
the checkpoints, and a secret from which every other key of the city is derived (HKDF, one label a purpose).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary, SmallInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ledger.db import Base, Instant, Json
from ledger.errors import LedgerError, NotFound
from ledger.proof.checkpoint import vkey
from ledger.proof.merkle import Frontier
from ledger.rows import Driver, Entities, Where, driver_of, run
from ledger.values import from_milliseconds


class City(Base):
    """A learning city. `origin` names its log and its key for ever; `code_prefix` begins its QR codes."""

    __tablename__ = "cities"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name_th: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    symbol: Mapped[str] = mapped_column(Text)
    scale: Mapped[int] = mapped_column(SmallInteger)
    zone: Mapped[str] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text, unique=True)
    code_prefix: Mapped[str] = mapped_column(Text, unique=True)
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Head(Base):
    """Where a city's log ends. `frontier` is the incremental Merkle tree, `last_at` the latest entry's time."""

    __tablename__ = "heads"
    __table_args__ = (CheckConstraint("size >= 0", name="heads_size"),)

    city: Mapped[str] = mapped_column(ForeignKey("cities.id"), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[bytes] = mapped_column(LargeBinary)
    last_at: Mapped[datetime] = mapped_column(Instant)


class LogEnd(NamedTuple):
    """Where a city's log ends, while the head row is held."""

    frontier: Frontier
    last_at: datetime


class KeysMissing(LedgerError):
    """The city's key file is not in the data directory; without it nothing of the city can be signed."""

    code = "keys_missing"


@dataclass(frozen=True)
class CityKeys:
    """The secrets of one city. `origin` is the name that the signing key bears."""

    origin: str
    signer: Ed25519PrivateKey = field(repr=False)
    secret: bytes = field(repr=False)

    def derive(self, label: str) -> bytes:
        """The 32-byte key for one purpose: HKDF-SHA256 (RFC 5869) in its single-block form."""
        return _derived(self.secret, label)

    @property
    def vkey(self) -> str:
        """The verifier key that auditors pin."""
        return vkey(self.origin, self.signer.public_key())


@lru_cache(maxsize=1_024)
def _derived(secret: bytes, label: str) -> bytes:
    extracted = hmac.digest(b"kgo-ledger", secret, hashlib.sha256)
    return hmac.digest(extracted, label.encode() + b"\x01", hashlib.sha256)


class KeyRing:
    """The key files of an installation: `<directory>/<city>.key`, two hexadecimal lines, mode 0600."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[str, CityKeys] = {}

    def get(self, city: City) -> CityKeys:
        """The keys of a city, read once.

        Raises:
            KeysMissing: there is no key file.
        """
        keys = self._known.get(city.id)
        if keys is None:
            path = self._path(city.id)
            if not path.exists():
                raise KeysMissing(path=str(path), city=city.id)
            signing, secret = (bytes.fromhex(line) for line in path.read_text("ascii").split())
            keys = CityKeys(city.origin, Ed25519PrivateKey.from_private_bytes(signing), secret)
            self._known[city.id] = keys
        return keys

    def create(self, city_id: str) -> None:
        """Make a city's secrets unless they exist; two processes that try at once agree on one file."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(city_id)
        if path.exists():
            return
        draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(32)}\n{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def _path(self, city_id: str) -> Path:
        return self.directory / f"{city_id}.key"


def create(session: Session, city: City) -> None:
    """Add a city with an empty log."""
    session.add(city)
    session.flush()
    empty = Frontier().to_bytes()
    session.add(Head(city=city.id, size=0, frontier=empty, last_at=city.created_at))
    session.flush()


def get(session: Session, city_id: str) -> City:
    """The city of this id.

    Raises:
        NotFound: there is none.
    """
    city = session.get(City, city_id)
    if city is None:
        raise NotFound("city", city_id)
    return city


def take_head(where: Where, city_id: str) -> tuple[City, LogEnd]:
    """Hold the city's head row until the transaction ends; the city as it is now, and where its log ends.

    Raises:
        NotFound: there is none.
    """
    return ask_head(driver_of(where), city_id)()


def ask_head(driver: Driver, city_id: str) -> Callable[[], tuple[City, LogEnd]]:
    """The same, to be fetched later: what is asked `together` is on its way at once."""
    held = " FOR UPDATE OF heads" if driver.is_postgresql else ""
    asked = driver.execute(_HEAD + held, (city_id,))

    def answer() -> tuple[City, LogEnd]:
        found = asked.fetchone()
        if found is None:
            raise NotFound("city", city_id)
        frontier, last_at, *city = found
        return _CITIES.of(*city), LogEnd(Frontier.from_bytes(bytes(frontier)), from_milliseconds(last_at))

    return answer


def move_head(where: Where, city_id: str, frontier: Frontier, last_at_ms: int) -> None:
    """Write where the log ends from now on."""
    run(where, _MOVE_HEAD, frontier.size, frontier.to_bytes(), last_at_ms, city_id)


_CITIES = Entities(City)
_HEAD = f"SELECT frontier, last_at, {_CITIES.columns} FROM heads JOIN cities ON id = city WHERE city = ?"
_MOVE_HEAD = "UPDATE heads SET size = ?, frontier = ?, last_at = ? WHERE city = ?"


def by_code_prefix(session: Session, prefix: str) -> City | None:
    """The city whose codes, links and secrets begin with these two characters."""
    return session.scalar(select(City).where(City.code_prefix == prefix))


def all_(session: Session) -> list[City]:
    """Every city of the installation, by id."""
    return list(session.scalars(select(City).order_by(City.id)))
