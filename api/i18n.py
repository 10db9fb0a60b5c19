"""Words, amounts and dates in the reader's language: Thai and English.

The gettext catalogues (`web/translations/<language>/LC_MESSAGES/*.po`) are read by Babel once, when the
application starts, into plain dictionaries; no compiled catalogue is kept. A message that a catalogue lacks falls
back to its own id, so that ids which are English sentences need no English entry. Parameters are named: `{amount}`.

Everything here is pure after loading: the language, the zone and the currency arrive as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.messages.pofile import read_po

LANGUAGES = ("th", "en")
TRANSLATIONS = Path(__file__).parent / "web" / "translations"

BUDDHIST_ERA_OFFSET = 543
"""Thai dates count from the Buddha's passing: CE 2026 is พ.ศ. 2569. Storage stays CE."""

BUDDHIST_YEARS_FROM = 2400
"""Nobody plans for the CE years from here on: whoever types such a year counts from the Buddha's passing."""


COUNTED = ("count", "limit", "retry_after_seconds")
"""The parameters by which a message with two forms chooses: pages count `{count}`, refusals state these facts."""


class _Params(dict[str, Any]):
    """Parameters of a message; one that is missing shows as a dash instead of breaking the answer."""

    def __missing__(self, key: str) -> str:
        return "–"


@dataclass(frozen=True)
class Catalogue:
    """All messages of all languages: `{language: {msgid: text}}`.

    Attributes:
        messages: a text for each message; of one that counts, the text for many.
        singular: the other text of messages that count, for the number 1. Thai has one form for all numbers.
    """

    messages: Mapping[str, Mapping[str, str]]
    singular: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    @cache
    def load(cls, directory: Path = TRANSLATIONS) -> Catalogue:
        """Read every `.po` file below a directory of languages, once per process."""
        read = {language: _read(language, directory / language / "LC_MESSAGES") for language in LANGUAGES}
        messages = {language: {msgid: forms[-1] for msgid, forms in found.items()} for language, found in read.items()}
        singular = {
            language: {msgid: forms[0] for msgid, forms in found.items() if len(forms) > 1}
            for language, found in read.items()
        }
        return cls(messages, singular)

    def has(self, language: str, msgid: str) -> bool:
        """Whether the catalogue of a language has its own text for a message."""
        return msgid in self.messages[language]

    def fits(self, language: str, msgid: str, params: Mapping[str, Any]) -> bool:
        """Whether every parameter that a message names is among those given."""
        named = {name for _, name, _, _ in Formatter().parse(self.messages[language].get(msgid, "")) if name}
        return named <= params.keys()

    def text(self, language: str, msgid: str, **params: Any) -> str:
        """The message in a language, its named parameters filled in; the number that it counts is `COUNTED` in it."""
        found = self.messages[language].get(msgid, msgid)
        one = self.singular.get(language, {}).get(msgid)
        if one is not None and any(params.get(name) in (1, "1") for name in COUNTED):
            found = one
        return found.format_map(_Params(params)) if "{" in found else found


def _read(language: str, directory: Path) -> dict[str, tuple[str, ...]]:
    """The forms of each message: one, or the singular and the plural."""
    messages: dict[str, tuple[str, ...]] = {}
    for path in sorted(directory.glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                msgid, text = message.id, message.string
                forms = (text,) if isinstance(text, str) else tuple(text or ("",))
                if msgid and all(forms) and not message.fuzzy:
                    messages[msgid if isinstance(msgid, str) else msgid[0]] = forms
    return messages


def choose_language(
    query: str | None, cookie: str | None, accepted: str | None, *, default: str, header: bool = True
) -> str:
    """The language of an answer: `?lang`, then the cookie, then the browser's list, then the default.

    Args:
        query: the value of `?lang`.
        cookie: the value of the cookie `lang`.
        accepted: the header `Accept-Language`.
        default: the language when nobody chose.
        header: whether the browser's list counts; pages are Thai first and leave it aside.
    """
    for wish in (query, cookie):
        if wish in LANGUAGES:
            return wish
    if header and accepted:
        for language in _by_preference(accepted):
            if language in LANGUAGES:
                return language
    return default


@lru_cache(maxsize=256)
def _by_preference(accepted: str) -> tuple[str, ...]:
    wishes: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        tag, _, parameter = part.strip().partition(";")
        quality = parameter.strip().removeprefix("q=") or "1"
        try:
            wishes.append((-float(quality), tag.split("-")[0].lower()))
        except ValueError:
            continue
    return tuple(tag for weight, tag in sorted(wishes, key=lambda wish: wish[0]) if weight < 0)


def amount(minor: int, symbol: str, scale: int) -> str:
    """An amount as people read it: `1,250.00 KGO`."""
    return f"{number(minor, scale)} {symbol}"


def number(minor: int, scale: int) -> str:
    """An amount without its symbol: `1,250.00`; whole-number arithmetic only."""
    sign = "−" if minor < 0 else ""
    if scale == 0:
        return f"{sign}{abs(minor):,}"
    whole, rest = divmod(abs(minor), 10**scale)
    return f"{sign}{whole:,}.{rest:0{scale}d}"


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The time zone of a city, by its IANA name."""
    return ZoneInfo(name)


def long_date(language: str, day: date) -> str:
    """`22 พฤศจิกายน 2569` or `22 November 2026`."""
    return f"{day.day} {_months(language, 'wide')[day.month]} {year(language, day)}"


def short_date(language: str, day: date) -> str:
    """`22 พ.ย. 2569` or `22 Nov 2026`."""
    return f"{day.day} {_months(language, 'abbreviated')[day.month]} {year(language, day)}"


def day_month(language: str, day: date) -> str:
    """`22 พ.ย.` or `22 Nov`, where the year is known."""
    return f"{day.day} {_months(language, 'abbreviated')[day.month]}"


def month_year(language: str, day: date) -> str:
    """`พฤศจิกายน 2569` or `November 2026`."""
    return f"{_months(language, 'wide')[day.month]} {year(language, day)}"


def weekday(language: str, day: date) -> str:
    """`วันอาทิตย์` or `Sunday`."""
    return str(_locale(language).days["format"]["wide"][day.weekday()])


def short_weekday(language: str, day: date) -> str:
    """`อา.` or `Sun`."""
    return str(_locale(language).days["format"]["abbreviated"][day.weekday()])


def local(at: datetime, zone_name: str) -> datetime:
    """An instant on the city's clock."""
    return at.astimezone(zone(zone_name))


def time_of_day(language: str, at: datetime, zone_name: str) -> str:
    """`21:06 น.` or `21:06`, on the city's clock."""
    shown = local(at, zone_name).strftime("%H:%M")
    return f"{shown} น." if language == "th" else shown


def date_time(language: str, at: datetime, zone_name: str) -> str:
    """`22 พ.ย. 2569 21:06 น.` or `22 Nov 2026, 21:06`, on the city's clock."""
    day = short_date(language, local(at, zone_name).date())
    clock = time_of_day(language, at, zone_name)
    return f"{day} {clock}" if language == "th" else f"{day}, {clock}"


def typed_moment(text: str) -> datetime | None:
    """What a `datetime-local` field gives, without a zone; None where it is no date and time.

    Browsers offer the years of their own calendar. A year that only the Buddhist era has reached is taken as one of it.
    """
    try:
        typed = datetime.strptime(text.strip().replace(" ", "T")[:16], "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the city's
        return typed.replace(year=typed.year - BUDDHIST_ERA_OFFSET) if typed.year >= BUDDHIST_YEARS_FROM else typed
    except ValueError:
        return None


def year(language: str, day: date) -> int:
    """`2569` in Thai, `2026` in English."""
    return day.year + BUDDHIST_ERA_OFFSET if language == "th" else day.year


@lru_cache(maxsize=8)
def _months(language: str, width: str) -> Mapping[int, str]:
    return dict(_locale(language).months["format"][width])


@lru_cache(maxsize=4)
def _locale(language: str) -> Locale:
    return Locale.parse(language)
