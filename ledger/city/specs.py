"""What a city file says, as values.

Frozen and plain: `cityfile` builds them from TOML, `load` turns them into rows and entries. Amounts are
integers in the city's minor units, instants are aware UTC datetimes, times of day are "HH:MM" in the city's
zone, and an absent limit is `None`. A field of a spec has the name of the key in the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

Mode = Literal["poster", "kiosk", "code"]


@dataclass(frozen=True)
class AssuranceCaps:
    """The most that one reward may be, by how well the participation was proved, weakest first."""

    poster: int
    kiosk: int
    code: int
    staff: int
    double: int


@dataclass(frozen=True)
class CitySettings:
    """The rules that hold all over the city, and whom one asks.

    `rewards_per_day` counts one learner's rewards in a local day. `help_phone` is a Thai number in the national form;
    `help_th` and `help_en` say who answers, when, or how else one reaches them.
    """

    unsecured_cap_minor: int
    rewards_per_day: int
    hold_minutes: int
    assurance_caps: AssuranceCaps
    help_phone: str = ""
    help_th: str = ""
    help_en: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The settings as the city's row keeps them; a word that is not given is left out."""
        return {name: value for name, value in asdict(self).items() if value != ""}


@dataclass(frozen=True)
class DistrictSpec:
    """An amphoe of the province."""

    id: str
    name_th: str
    name_en: str


@dataclass(frozen=True)
class PlaceSpec:
    """A learning space. `street_order` counts along the street from 1 and belongs to kind "street" alone."""

    id: str
    name_th: str
    name_en: str
    kind: str
    district: str | None = None
    street_order: int | None = None
    note_th: str = ""
    note_en: str = ""


@dataclass(frozen=True)
class PolicySpec:
    """What a check-in earns. With `code_once` each kiosk code serves one claim."""

    amount_minor: int
    max_per_person: int | None = None
    max_per_day: int | None = None
    code_once: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The policy as an activity's row keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class SessionSpec:
    """One meeting of an activity, from `starts_at` up to but not including `ends_at`."""

    id: str
    starts_at: datetime
    ends_at: datetime
    seats: int | None = None


@dataclass(frozen=True)
class ActivitySpec:
    """A learning activity: open daily, in sessions, or (with neither) waiting for a steward to set a time."""

    id: str
    place: str
    name_th: str
    name_en: str
    mode: Mode
    policy: PolicySpec
    about_th: str = ""
    about_en: str = ""
    organiser_th: str = ""
    organiser_en: str = ""
    daily_from: str | None = None
    daily_until: str | None = None
    sessions: tuple[SessionSpec, ...] = ()
    budget_minor: int | None = None
    sample: bool = False


@dataclass(frozen=True)
class CurriculumSpec:
    """Activities in the order in which a learner takes them."""

    id: str
    name_th: str
    name_en: str
    activities: tuple[str, ...]
    about_th: str = ""
    about_en: str = ""


@dataclass(frozen=True)
class ShopSpec:
    """A small shop that takes the city's tokens."""

    id: str
    name_th: str
    name_en: str
    district: str
    category: str
    about_th: str = ""
    about_en: str = ""
    sample: bool = False


@dataclass(frozen=True)
class PromotionSpec:
    """A shop's offer, priced in tokens; without `starts_at` and `ends_at` it is open-ended."""

    id: str
    shop: str
    title_th: str
    title_en: str
    benefit_th: str
    benefit_en: str
    price_minor: int
    stock: int
    per_learner: int
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    sample: bool = False


@dataclass(frozen=True)
class GrantSpec:
    """Tokens issued to the treasury when the samples are loaded."""

    amount_minor: int
    sample: bool


@dataclass(frozen=True)
class CityFile:
    """One city: who it is, its rules, its spaces and what happens in them."""

    id: str
    name_th: str
    name_en: str
    province_th: str
    province_en: str
    symbol: str
    scale: int
    zone: str
    origin: str
    code_prefix: str
    member_since: int
    settings: CitySettings
    districts: tuple[DistrictSpec, ...]
    places: tuple[PlaceSpec, ...]
    activities: tuple[ActivitySpec, ...]
    curricula: tuple[CurriculumSpec, ...]
    shops: tuple[ShopSpec, ...]
    promotions: tuple[PromotionSpec, ...]
    grant: GrantSpec | None
