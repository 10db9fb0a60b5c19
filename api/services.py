"""What a request handler may reach: the opened installation, the words, the clock, and the cities' fixed facts.

One `Services` per application, put there by `create_app`. What a city is called and how it counts (name, symbol,
scale, zone, origin) never changes once its log has begun, so that it is read once per process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import cast

from flask import Flask, current_app

from api.i18n import Catalogue
from ledger.book import cities
from ledger.book.cities import City, CityKeys
from ledger.installation import Installation
from ledger.log.public import PublicLog

EXTENSION = "kgo"


@dataclass(frozen=True)
class CityFacts:
    """What never changes of a city."""

    id: str
    name_th: str
    name_en: str
    symbol: str
    scale: int
    zone: str
    origin: str
    keys: CityKeys = field(repr=False)

    @property
    def vkey(self) -> str:
        """The verifier key that auditors pin."""
        return self.keys.vkey


@dataclass(frozen=True)
class Services:
    """Everything that is made once and used by every request."""

    installation: Installation
    catalogue: Catalogue
    clock: Callable[[], datetime]
    _cities: dict[str, CityFacts] = field(default_factory=dict)

    @cached_property
    def public_log(self) -> PublicLog:
        """The public side of the cities' logs."""
        return PublicLog(self.installation)

    @property
    def public_url(self) -> str:
        """The address that people reach the installation by, without a slash at its end."""
        return self.installation.settings.public_url

    @property
    def secure(self) -> bool:
        """Whether people reach the installation over TLS; then cookies are for TLS only."""
        return self.public_url.startswith("https://")

    def city(self, city_id: str) -> CityFacts:
        """The facts of a city.

        Raises:
            NotFound: there is none of this id.
        """
        facts = self._cities.get(city_id)
        if facts is None:
            with self.installation.database.read() as session:
                facts = self.facts(cities.get(session, city_id))
            self._cities[city_id] = facts
        return facts

    def met(self, city_id: str) -> CityFacts | None:
        """The facts of a city that somebody has asked for before; no database is asked."""
        return self._cities.get(city_id)

    def facts(self, row: City) -> CityFacts:
        """The facts out of a city's row."""
        keys = self.installation.keys.get(row)
        return CityFacts(row.id, row.name_th, row.name_en, row.symbol, row.scale, row.zone, row.origin, keys)


def attach(app: Flask, services: Services) -> None:
    """Give an application its services."""
    app.extensions[EXTENSION] = services


def services() -> Services:
    """The services of the running application."""
    return cast("Services", current_app.extensions[EXTENSION])
