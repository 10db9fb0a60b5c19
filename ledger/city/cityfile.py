"""Reads a city file: TOML in, one frozen `CityFile` out, or an error that says what to mend.

A city file is what an installation knows of a city before anybody has done anything in it: names, rules,
districts, learning spaces, activities, and samples to try it with. The same checks run on the files in the
package and on one that an operator wrote.

What holds for every `CityFile`:
- ids are slugs, unique in their table (a session's in its activity), and every reference names a row that exists;
- an activity's reward is within the assurance cap of its mode, so that no policy promises what a check-in
  cannot give;
- an activity is open daily or in sessions, never both; sessions do not overlap, since a code must mean one;
- whatever is a sample says so in both languages, and whatever is not does not;
- only samples have a budget, the grant covers all budgets together, and no curriculum rests on a sample;
- places of kind "street" are numbered 1, 2, 3 … without a gap;
- no key is ignored: a misspelt one is refused by name.

Pure but for reading the one file that `load` is given.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.city import rows
from ledger.city.fields import CityFileError, Fields
from ledger.city.specs import (
    ActivitySpec,
    AssuranceCaps,
    CityFile,
    CitySettings,
    CurriculumSpec,
    DistrictSpec,
    GrantSpec,
    PlaceSpec,
    PolicySpec,
    PromotionSpec,
    SessionSpec,
    ShopSpec,
)
from ledger.commerce import phones
from ledger.errors import ValidationFailed

__all__ = [
    "ActivitySpec",
    "AssuranceCaps",
    "CityFile",
    "CityFileError",
    "CitySettings",
    "CurriculumSpec",
    "DistrictSpec",
    "GrantSpec",
    "PlaceSpec",
    "PolicySpec",
    "PromotionSpec",
    "SessionSpec",
    "ShopSpec",
    "load",
    "shipped",
]

_TABLES = (
    "districts",
    "city",
    "settings",
    "places",
    "activities",
    "curricula",
    "shops",
    "promotions",
    "grant",
)
_CITY = (
    *("id", "name_th", "name_en", "province_th", "province_en", "symbol", "scale", "zone", "origin"),
    *("code_prefix", "member_since"),
)
_SYMBOL = re.compile(r"[A-Z]{3,5}")
_PREFIX = re.compile(r"[a-z2-7]{2}")
# A key name of a signed note: no white space and no plus sign; host-like, so that no two cities share one.
_ORIGIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[a-z0-9-]+)*")


def load(source: Path | str) -> CityFile:
    """The city of a file (`Path`) or of TOML text (`str`).

    Raises:
        CityFileError: the file is no TOML or breaks a rule; it names the table, the field and the remedy.
        OSError: the file cannot be read.
    """
    if isinstance(source, str):
        return _parse(source)
    try:
        return _parse(source.read_text("utf-8"))
    except CityFileError as error:
        raise error.within(source.name) from None
    except UnicodeDecodeError:
        raise CityFileError("file", "encoding", "save it as UTF-8", source.name) from None


def shipped() -> list[Path]:
    """The city files that come with the package, by name."""
    folder = resources.files("ledger.data")
    return sorted(Path(str(item)) for item in folder.iterdir() if item.name.endswith(".toml"))


def _parse(text: str) -> CityFile:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CityFileError("file", "TOML", f"mend the syntax: {error}") from None
    root = Fields("", raw)
    unknown = [name for name in raw if name not in _TABLES]
    if unknown:
        raise CityFileError("file", unknown[0], f"unknown table; remove it or use one of: {', '.join(_TABLES)}")
    for name in ("city", "settings"):
        if name not in raw:
            raise CityFileError("file", name, f"missing; add the table [{name}]")
    settings = _settings(root.table("settings"))
    districts = tuple(rows.district_row(row) for row in root.tables("districts"))
    rows.unique("districts", districts)
    known = {district.id for district in districts}
    places = tuple(rows.place_row(row, known) for row in root.tables("places"))
    rows.unique("places", places)
    rows.street(places)
    place_ids = {place.id for place in places}
    activities = tuple(rows.activity_row(row, place_ids, settings) for row in root.tables("activities"))
    rows.unique("activities", activities)
    trial = {activity.id: activity.sample for activity in activities}
    curricula = tuple(rows.curriculum_row(row, trial) for row in root.tables("curricula"))
    rows.unique("curricula", curricula)
    shops = tuple(rows.shop_row(row, known) for row in root.tables("shops"))
    rows.unique("shops", shops)
    samples = {shop.id: shop.sample for shop in shops}
    promotions = tuple(rows.promotion_row(row, samples) for row in root.tables("promotions"))
    rows.unique("promotions", promotions)
    grant = _grant(root.table("grant")) if root.has("grant") else None
    _funded(activities, grant)
    return CityFile(
        **_city(root.table("city")),
        settings=settings,
        districts=districts,
        places=places,
        activities=activities,
        curricula=curricula,
        shops=shops,
        promotions=promotions,
        grant=grant,
    )


def _city(table: Fields) -> dict[str, Any]:
    table.only(*_CITY)
    zone = table.text("zone")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise table.error("zone", "give an IANA time zone, e.g. Asia/Bangkok") from None
    return {
        "id": table.slug("id"),
        "name_th": table.text("name_th"),
        "name_en": table.text("name_en"),
        "province_th": table.text("province_th"),
        "province_en": table.text("province_en"),
        "symbol": table.text("symbol", _SYMBOL, "use 3 to 5 capital letters A-Z"),
        "scale": table.whole("scale", 0, 6),
        "zone": zone,
        "origin": table.text("origin", _ORIGIN, "give a host-like name, e.g. a-city.ledger.example/log"),
        "code_prefix": table.text("code_prefix", _PREFIX, "use exactly two of a-z and 2-7"),
        # The UNESCO network was opened in 2013; years are CE here as everywhere in storage.
        "member_since": table.whole("member_since", 2013, 2200),
    }


def _settings(table: Fields) -> CitySettings:
    table.only(*rows.names(CitySettings))
    caps = table.table("assurance_caps")
    names = rows.names(AssuranceCaps)
    caps.only(*names)
    amounts = [caps.whole(name) for name in names]
    for weaker, stronger, name in zip(amounts, amounts[1:], names[1:], strict=False):
        if stronger < weaker:
            raise caps.error(name, f"give at least {weaker}: better evidence never earns less")
    return CitySettings(
        unsecured_cap_minor=table.whole("unsecured_cap_minor"),
        rewards_per_day=table.whole("rewards_per_day"),
        hold_minutes=table.whole("hold_minutes", 1, 24 * 60),
        assurance_caps=AssuranceCaps(*amounts),
        help_phone=_phone(table, "help_phone"),
        help_th=table.optional_text("help_th"),
        help_en=table.optional_text("help_en"),
    )


def _phone(table: Fields, field: str) -> str:
    try:
        return phones.national(field, table.optional_text(field))
    except ValidationFailed:
        raise table.error(field, "give a whole Thai number, e.g. +6643123456") from None


def _grant(table: Fields) -> GrantSpec:
    table.only(*rows.names(GrantSpec))
    grant = GrantSpec(amount_minor=table.whole("amount_minor"), sample=table.flag("sample"))
    if not grant.sample:
        raise table.error("sample", "write true; a real grant is the treasurer's act, not the file's")
    return grant


def _funded(activities: Iterable[ActivitySpec], grant: GrantSpec | None) -> None:
    budgets = sum(activity.budget_minor or 0 for activity in activities)
    granted = grant.amount_minor if grant else 0
    if budgets > granted:
        raise CityFileError("[grant]", "amount_minor", f"grant at least {budgets}, what the budgets need together")
