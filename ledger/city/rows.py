"""The rows of a city file: each function reads one and checks it against what the file said before.

Order matters and is the caller's: districts before places and shops, places before activities, activities
before curricula, shops before promotions. Every error names the row by its number and id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import pairwise
from typing import Any, cast

from ledger.city.fields import CityFileError, Fields
from ledger.city.specs import (
    ActivitySpec,
    CitySettings,
    CurriculumSpec,
    DistrictSpec,
    Mode,
    PlaceSpec,
    PolicySpec,
    PromotionSpec,
    SessionSpec,
    ShopSpec,
)

MODES = ("poster", "kiosk", "code")
PLACE_KINDS = ("street", "exhibition", "online", "dialogue", "partner", "public")
SAMPLE_MARK_TH = "(ตัวอย่าง)"
SAMPLE_MARK_EN = "(sample)"


def district_row(row: Fields) -> DistrictSpec:
    """A district of the province."""
    row.only(*names(DistrictSpec))
    return DistrictSpec(id=row.slug("id"), name_th=row.text("name_th"), name_en=row.text("name_en"))


def place_row(row: Fields, districts: set[str]) -> PlaceSpec:
    """A learning space; one without a district is online or moves about."""
    row.only(*names(PlaceSpec))
    place = PlaceSpec(
        id=row.slug("id"),
        name_th=row.text("name_th"),
        name_en=row.text("name_en"),
        kind=row.choice("kind", PLACE_KINDS),
        district=row.optional_slug("district"),
        street_order=row.optional_whole("street_order"),
        note_th=row.optional_text("note_th"),
        note_en=row.optional_text("note_en"),
    )
    if place.district is not None:
        _exists(row, "district", place.district, districts, "districts")
    if place.kind == "street" and place.street_order is None:
        raise row.error("street_order", 'missing; a place of kind "street" has its number along the street')
    if place.kind != "street" and place.street_order is not None:
        raise row.error("street_order", 'remove it; only kind "street" has a number along the street')
    return place


def street(places: Iterable[PlaceSpec]) -> None:
    """Refuse a street whose places are not numbered 1, 2, 3 … without a gap."""
    numbered = sorted(place.street_order for place in places if place.street_order is not None)
    if numbered != list(range(1, len(numbered) + 1)):
        raise CityFileError("[[places]]", "street_order", f"number the street 1, 2, 3 …; found {numbered}")


def activity_row(row: Fields, places: set[str], settings: CitySettings) -> ActivitySpec:
    """An activity with its policy and its times."""
    row.only(*names(ActivitySpec))
    mode = cast("Mode", row.choice("mode", MODES))
    activity = ActivitySpec(
        id=row.slug("id"),
        place=_exists(row, "place", row.slug("place"), places, "places"),
        name_th=row.text("name_th"),
        name_en=row.text("name_en"),
        about_th=row.optional_text("about_th"),
        about_en=row.optional_text("about_en"),
        organiser_th=row.optional_text("organiser_th"),
        organiser_en=row.optional_text("organiser_en"),
        mode=mode,
        policy=_policy(row.table("policy"), mode, settings),
        daily_from=row.clock("daily_from"),
        daily_until=row.clock("daily_until"),
        sessions=_sessions(row),
        budget_minor=row.optional_whole("budget_minor"),
        sample=row.flag("sample"),
    )
    _daily(row, activity)
    _marked(row, "name_th", "name_en", activity.sample)
    if activity.budget_minor is not None and not activity.sample:
        raise row.error("budget_minor", "remove it; only samples are funded by the file, the treasurer funds the rest")
    return activity


def _policy(table: Fields, mode: Mode, settings: CitySettings) -> PolicySpec:
    table.only(*names(PolicySpec))
    policy = PolicySpec(
        amount_minor=table.whole("amount_minor"),
        max_per_person=table.optional_whole("max_per_person"),
        max_per_day=table.optional_whole("max_per_day"),
        code_once=table.flag("code_once"),
    )
    cap = getattr(settings.assurance_caps, mode)
    if policy.amount_minor > cap:
        raise table.error("amount_minor", f"give at most {cap}, the assurance cap of mode {mode}")
    if policy.code_once and mode == "poster":
        raise table.error("code_once", "remove it; a poster has one code for everybody")
    return policy


def _daily(row: Fields, activity: ActivitySpec) -> None:
    start, end = activity.daily_from, activity.daily_until
    if (start is None) != (end is None):
        raise row.error("daily_until" if end is None else "daily_from", "missing; a daily window has both ends")
    if start is None or end is None:
        return
    if activity.sessions:
        raise row.error("sessions", "remove them or the daily window; an activity has one or the other")
    if not start < end:
        raise row.error("daily_until", f"give a time after daily_from ({start}); a window ends on the same day")


def _sessions(row: Fields) -> tuple[SessionSpec, ...]:
    sessions = []
    for inner in row.tables("sessions"):
        inner.only(*names(SessionSpec))
        session = SessionSpec(
            id=inner.slug("id"),
            starts_at=inner.instant("starts_at"),
            ends_at=inner.instant("ends_at"),
            seats=inner.optional_whole("seats"),
        )
        if session.ends_at <= session.starts_at:
            raise inner.error("ends_at", "give a time after starts_at")
        sessions.append(session)
    unique(f"{row.where} sessions", sessions)
    sessions.sort(key=lambda session: session.starts_at)
    for earlier, later in pairwise(sessions):
        if later.starts_at < earlier.ends_at:
            raise row.error("sessions", f"let {later.id} start after {earlier.id} has ended")
    return tuple(sessions)


def curriculum_row(row: Fields, activities: dict[str, bool]) -> CurriculumSpec:
    """A curriculum; `activities` says of each activity whether it is a sample, and a curriculum takes none."""
    row.only(*names(CurriculumSpec))
    for activity in row.slugs("activities"):
        if activities[_exists(row, "activities", activity, set(activities), "activities")]:
            raise row.error(
                "activities", f"leave out {activity!r}: a sample may be absent, a curriculum may not lack it"
            )
    return CurriculumSpec(
        id=row.slug("id"),
        name_th=row.text("name_th"),
        name_en=row.text("name_en"),
        about_th=row.optional_text("about_th"),
        about_en=row.optional_text("about_en"),
        activities=row.slugs("activities"),
    )


def shop_row(row: Fields, districts: set[str]) -> ShopSpec:
    """A shop in a district of this file."""
    row.only(*names(ShopSpec))
    shop = ShopSpec(
        id=row.slug("id"),
        name_th=row.text("name_th"),
        name_en=row.text("name_en"),
        about_th=row.optional_text("about_th"),
        about_en=row.optional_text("about_en"),
        district=_exists(row, "district", row.slug("district"), districts, "districts"),
        category=row.slug("category"),
        sample=row.flag("sample"),
    )
    _marked(row, "name_th", "name_en", shop.sample)
    return shop


def promotion_row(row: Fields, shops: dict[str, bool]) -> PromotionSpec:
    """A promotion; `shops` says of each shop whether it is a sample."""
    row.only(*names(PromotionSpec))
    promotion = PromotionSpec(
        id=row.slug("id"),
        shop=_exists(row, "shop", row.slug("shop"), set(shops), "shops"),
        title_th=row.text("title_th"),
        title_en=row.text("title_en"),
        benefit_th=row.text("benefit_th"),
        benefit_en=row.text("benefit_en"),
        price_minor=row.whole("price_minor"),
        stock=row.whole("stock"),
        per_learner=row.whole("per_learner"),
        starts_at=row.optional_instant("starts_at"),
        ends_at=row.optional_instant("ends_at"),
        sample=row.flag("sample"),
    )
    if promotion.sample != shops[promotion.shop]:
        raise row.error("sample", f"write the same as for its shop, {promotion.shop}")
    if promotion.starts_at and promotion.ends_at and promotion.ends_at <= promotion.starts_at:
        raise row.error("ends_at", "give a time after starts_at")
    _marked(row, "title_th", "title_en", promotion.sample)
    return promotion


def _marked(row: Fields, field_th: str, field_en: str, sample: bool) -> None:
    """A sample is named as one in both languages, so that nobody takes it for a real offer."""
    for field, mark in ((field_th, SAMPLE_MARK_TH), (field_en, SAMPLE_MARK_EN)):
        marked = row.text(field).endswith(mark)
        if sample and not marked:
            raise row.error(field, f"end it with {mark}: it is a sample")
        if marked and not sample:
            raise row.error(field, f"remove {mark} or write sample = true")


def _exists(row: Fields, field: str, value: str, known: set[str], table: str) -> str:
    if value not in known:
        raise row.error(field, f"{value!r} is not in [[{table}]]; add it there or name one that is")
    return value


def unique(table: str, rows: Iterable[Any]) -> None:
    """Refuse an id that stands twice in a table."""
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            name = table if table.startswith("[") else f"[[{table}]]"
            raise CityFileError(name, "id", f"{row.id!r} stands twice; give each its own")
        seen.add(row.id)


def names(spec: type[Any]) -> tuple[str, ...]:
    """The keys that a table may have: the fields of its spec."""
    return tuple(field.name for field in fields(spec))
