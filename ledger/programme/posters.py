"""The codes of real activities: what stands on a poster, what a kiosk shows, and whose code somebody has opened.

Looking at a code claims nothing: chat programs fetch addresses for their previews. `look` only signs a turn for a
rotating code that is opened in time; the claim is a command of its own (`checkins.record`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.book import cities
from ledger.book.cities import City, CityKeys
from ledger.errors import NotFound, Refused
from ledger.people.roles import Principal, require
from ledger.programme import activities, codes
from ledger.programme.activities import Activity
from ledger.programme.codes import Code, Issuer, Parts
from ledger.programme.views import ActivityView


@dataclass(frozen=True)
class Look:
    """What somebody sees who opens a code.

    Attributes:
        code: the code in its plain form, to be claimed with.
        expired: whether a rotating code was opened too late; a check-in made with it before is still found.
        turn: for a rotating code opened in time, what proves that for five minutes.
    """

    code: str
    activity: ActivityView
    expired: bool
    turn: str | None


def code(
    session: Session, city: City, keys: CityKeys, principal: Principal, activity: str, public_url: str, now: datetime
) -> Code:
    """The code to print (poster) or to show for the next seconds (kiosk).

    Raises:
        Forbidden: the principal is neither a steward nor this activity's kiosk.
        NotFound: the city has no such activity, or one whose codes stand on sheets (`sheets`).
    """
    require(principal, "code.read", activity)
    row = activities.row(session, city.id, activity)
    if row.mode == activities.CODE:
        raise NotFound("code", activity)
    return codes.issue(issuer_of(city, keys, row), public_url, now if row.mode == activities.KIOSK else None)


def city_of(session: Session, text: str) -> City:
    """The city that a code belongs to, by its first two characters.

    Raises:
        Refused: `code_invalid` (`unknown`): no code, or of no city here.
    """
    city = cities.by_code_prefix(session, codes.read(text).prefix)
    if city is None:
        raise Refused("code_invalid", "unknown")
    return city


def look(session: Session, city: City, keys: CityKeys, text: str, now: datetime) -> Look:
    """What a code is for, without claiming anything.

    Raises:
        Refused: `code_invalid`: `unknown`, `wrong_city` or `forged`.
    """
    parts = codes.read(text)
    check_city(session, city, parts)
    activity = by_tag(session, city.id, parts)
    codes.check_mac(parts, issuer_of(city, keys, activity))
    in_time = parts.rotating and codes.is_fresh(parts, now)
    printed = activities.POSTER if parts.serial is None else activities.CODE
    expired = not in_time if parts.rotating else activity.mode != printed
    turn = codes.sign_turn(keys.derive("turn"), city.id, parts.text, now) if in_time else None
    return Look(parts.text, activities.get(session, city.id, activity.id, now), expired, turn)


def check_city(session: Session, city: City, parts: Parts) -> None:
    """Refuse a code of another city, by name, and one of no city.

    Raises:
        Refused: `code_invalid`: `wrong_city` (with that city's names), or `unknown`.
    """
    if parts.prefix == city.code_prefix:
        return
    other = cities.by_code_prefix(session, parts.prefix)
    if other is None:
        raise Refused("code_invalid", "unknown")
    raise Refused("code_invalid", "wrong_city", city=other.id, name_th=other.name_th, name_en=other.name_en)


def by_tag(session: Session, city: str, parts: Parts) -> Activity:
    """The activity that a code names.

    Raises:
        Refused: `code_invalid` (`unknown`).
    """
    activity = session.scalar(select(Activity).where(Activity.city == city, Activity.code_tag == parts.tag))
    if activity is None:
        raise Refused("code_invalid", "unknown")
    return activity


def issuer_of(city: City, keys: CityKeys, activity: Activity) -> Issuer:
    """What signs an activity's codes."""
    return Issuer(keys.derive("code"), city.id, city.code_prefix, activity.id, activity.code_tag, activity.code_version)
