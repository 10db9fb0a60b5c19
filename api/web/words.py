"""How values read on a page: names, amounts, instants, opening times, the lines of a statement.

Each function is a Jinja filter. The language is that of the page; amounts and zones are those of its city.
Messages are marked with `N_` where they stand, so that the extraction finds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask import g
from markupsafe import Markup, escape

from api import i18n
from api.services import CityFacts, services
from api.web.shell import Visit, language
from ledger.book import entries
from ledger.book.statements import StatementLine
from ledger.commerce import phones, promotions, shops
from ledger.errors import NotFound
from ledger.programme import activities
from ledger.programme.views import CLOSED, ActivityView
from ledger.values import to_milliseconds

NO_BREAK = "\N{NO-BREAK SPACE}"
BREAK_HERE = "\N{ZERO WIDTH SPACE}"
_UNKNOWN_WORD = re.compile("(?<=โปรโมชั่น)(?=[ก-ฮเ-ไ])")
"""Where a line may break after a word that browsers' Thai dictionaries lack: they would break inside the next one."""

_TIGHT = re.compile(r"(?<=\d) (?=\S)|(?<=\.) (?=\d)")
_COUNTED = re.compile(r"(?<![^ ])(\d[\d.,]*) ")


def N_(msgid: str) -> str:  # noqa: N802 — the customary name
    """Mark a message for extraction; it is translated where it is shown."""
    return msgid


SPOKEN = N_("{weekday} {day} {month} {year}, {time}")
"""A moment in words, for whoever chooses one in the browser's own calendar."""

KINDS = {
    "grant": N_("Grant"),
    "fund": N_("Funding"),
    "reward": N_("Reward"),
    "transfer": N_("Transfer"),
    "redeem": N_("Redemption"),
    "hold": N_("Reservation"),
    "capture": N_("Redemption"),
    "release": N_("Reservation cancelled"),
    "hold_expire": N_("Reservation ran out"),
    "refund": N_("Refund"),
    "settle": N_("Settlement"),
    "expire": N_("Expiry"),
    "reverse": N_("Reversal"),
    "policy": N_("Reward policy published"),
    "badge": N_("Badge"),
    "erase": N_("Person erased"),
    "attest": N_("Attestation"),
    "bridge_out": N_("To the chain"),
    "bridge_cancel": N_("Back from the chain, cancelled"),
    "bridge_in": N_("From the chain"),
}
"""What the kinds of entries are called."""

CATEGORIES = {
    "food": N_("Food"),
    "drinks": N_("Drinks and sweets"),
    "groceries": N_("Groceries"),
    "crafts": N_("Crafts and silk"),
    "gifts": N_("Gifts and souvenirs"),
    "books": N_("Books and stationery"),
    "services": N_("Services"),
    "other": N_("Something else"),
}
"""The kinds of shops that one may apply as."""


def speech() -> str:
    """The language of the page."""
    visit: Visit | None = g.get("visit")
    return visit.language if visit else language()


def say(msgid: str, **params: Any) -> str:
    """A message in the language of the page."""
    return _UNKNOWN_WORD.sub(BREAK_HERE, services().catalogue.text(speech(), msgid, **params))


def ngettext(one: str, many: str, count: int, **params: Any) -> str:
    """A message that counts, in the language of the page; `{count}` in it is the number, with thousands grouped.

    Args:
        one: the message for 1, in English; the catalogues know it by this.
        many: for any other number, in English; the catalogues know it, and it stands here for who reads the page.
        count: the number.
        params: what else the message names.
    """
    if "{count}" not in one + many:
        raise ValueError(f"{one!r} does not count")
    return say(one, count=f"{count:,}", **params)


def flowing(text: str) -> str:
    """A sentence that was not made for a page: amounts, dates and times in it stay on one line."""
    return _UNKNOWN_WORD.sub(BREAK_HERE, _TIGHT.sub(NO_BREAK, text))


def field(thing: Any, stem: str) -> str:
    """`<stem>_th` or `<stem>_en` of a view; the other one where it is empty."""
    order = ("th", "en") if speech() == "th" else ("en", "th")
    return next((text for one in order if (text := getattr(thing, f"{stem}_{one}"))), "")


def name(thing: Any) -> str:
    """The name of a view."""
    return field(thing, "name")


def whole(text: str) -> str:
    """A short text that never breaks between two lines, such as an amount or a date."""
    return text.replace(" ", NO_BREAK)


def phrases(text: str) -> Markup:
    """A text that breaks between its phrases and, only where one is wider than its place, inside.

    Thai writes a space between phrases and none between words; browsers break at any word, often an unhappy one.
    A number stays with what it counts. English breaks at any space; a phrase there is what is `whole`, such as a date.
    """
    thai = speech() == "th"
    parts = (_COUNTED.sub(rf"\1{NO_BREAK}", text) if thai else text).split(" ")
    return Markup(" ").join(_phrase(part) if thai or NO_BREAK in part else escape(part) for part in parts)


def _phrase(text: str) -> Markup:
    """A block of its own breaks only where it must, and then at its spaces."""
    return Markup('<span class="phrase">{}</span>').format(text.replace(NO_BREAK, " "))


def money(minor: int, city: CityFacts | None = None) -> str:
    """`5.00 KGO`."""
    facts = city or g.visit.city
    return whole(i18n.amount(minor, facts.symbol, facts.scale))


def num(minor: int) -> str:
    """`5.00`."""
    return i18n.number(minor, g.visit.city.scale)


def signed(minor: int) -> str:
    """`+5.00 KGO` or `−5.00 KGO`."""
    return f"+{money(minor)}" if minor > 0 else money(minor)


def dt(at: datetime) -> str:
    """Date and time on the city's clock."""
    return whole(i18n.date_time(speech(), at, g.visit.city.zone))


def clock(at: datetime) -> str:
    """The time of day on the city's clock."""
    return whole(i18n.time_of_day(speech(), at, g.visit.city.zone))


def day(value: date) -> str:
    """A date."""
    return whole(i18n.short_date(speech(), value))


def date_of(at: datetime) -> date:
    """The day of an instant on the city's clock."""
    return i18n.local(at, g.visit.city.zone).date()


def near_day(at: datetime) -> str:
    """`today, 22 Nov 2026`, `yesterday, …`, else the weekday and the date."""
    then, now = date_of(at), date_of(g.visit.now)
    days = (now - then).days
    if days == 0:
        return say(N_("Today, {day}"), day=day(then))
    if days == 1:
        return say(N_("Yesterday, {day}"), day=day(then))
    return f"{i18n.weekday(speech(), then)} {day(then)}"


def spoken(typed: str) -> str:
    """What a field for date and time says, with weekday and era; nothing where it says nothing.

    The page's script fills the same words in when another moment is chosen.
    """
    at = i18n.typed_moment(typed)
    if at is None:
        return ""
    month, era = i18n.month_year(speech(), at.date()).split(" ")
    return say(SPOKEN, weekday=i18n.weekday(speech(), at.date()), day=at.day, month=month, year=era, time=f"{at:%H:%M}")


def hours(starts_at: datetime, ends_at: datetime) -> str:
    """From one time of day to another: `17:00–20:00 น.`; midnight is where the day ends."""
    end = clock(ends_at)
    return whole(f"{clock(starts_at).removesuffix(f'{NO_BREAK}น.')}–{'24' + end[2:] if end[:5] == '00:00' else end}")


def soon(at: datetime, visit: Visit | None = None) -> str:
    """An instant of the next days: `today, 18:00`, `tomorrow, 18:00`, else the date and the time."""
    zone, now = (visit or g.visit).city.zone, (visit or g.visit).now
    days = (i18n.local(at, zone).date() - i18n.local(now, zone).date()).days
    if days not in (0, 1):
        return whole(i18n.date_time(speech(), at, zone))
    return say(
        N_("tomorrow, {time}") if days else N_("today, {time}"), time=whole(i18n.time_of_day(speech(), at, zone))
    )


def opening(at: datetime, visit: Visit | None = None) -> str:
    """`opens today, 18:00`, `opens tomorrow, 18:00`, else with the date; Thai writes the word and the day as one."""
    told = soon(at, visit)
    return say(N_("opens {at}"), at=told) if told[:1].isdigit() else say(N_("opens {day}"), day=told)


def span(starts_at: datetime, ends_at: datetime) -> str:
    """From one instant to another; the date once where it is the same."""
    zone = g.visit.city.zone
    same = i18n.local(starts_at, zone).date() == i18n.local(ends_at, zone).date()
    if same:
        comma = "" if speech() == "th" else ","
        return f"{day(date_of(starts_at))}{comma} {hours(starts_at, ends_at)}"
    return f"{dt(starts_at)}{NO_BREAK}– {dt(ends_at)}"


def when(activity: ActivityView, visit: Visit | None = None) -> str:
    """When an activity is open, as short as it can be said."""
    zone = (visit or g.visit).city.zone
    now = (visit or g.visit).now
    if activity.window is not None:
        end = activity.window.ends_at
        if i18n.local(end, zone).date() <= i18n.local(now, zone).date() or activity.daily_until == "24:00":
            closing = whole(i18n.time_of_day(speech(), end, zone))
            if activity.daily_until == "24:00":
                closing = closing.replace("00:00", "24:00")
            return say(N_("today until {time}"), time=closing)
        return say(N_("until {at}"), at=whole(i18n.date_time(speech(), end, zone)))
    if activity.state == CLOSED:
        return say(N_("over"))
    if activity.daily_from and activity.daily_until:
        return say(N_("every day {start}–{end}"), start=activity.daily_from, end=activity.daily_until)
    if activity.next_opens_at is not None:
        return opening(activity.next_opens_at, visit)
    return say(N_("no date yet"))


def kind(code: str) -> str:
    """What a kind of entry is called."""
    return say(KINDS.get(code, code))


def fours(code: str) -> str:
    """A code in groups of four capital letters, for reading aloud and typing."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4)).upper()


@dataclass(frozen=True)
class Line:
    """A statement's line in words: the kind of the entry, and what it was for where that is known.

    `attended` says that it rewards a check-in, which has a receipt of its own. `posted_minor` is the balance after it.
    """

    entry: int
    at: datetime
    kind: str
    noun: str
    amount_minor: int
    held_change_minor: int
    attended: bool = False
    posted_minor: int = 0

    @property
    def what(self) -> str:
        """The kind and what it was for, in one."""
        return f"{self.kind}: {self.noun}" if self.noun else self.kind


def statement_lines(visit: Visit, lines: Iterable[StatementLine]) -> list[Line]:
    """The lines of a statement, each with what it was for; a page of them at a time."""
    lines = list(lines)
    begun = [line.ref["origin"] for line in lines if "origin" in line.ref]
    first = entries.refs(visit.session, visit.city.id, begun) if begun else {}
    known: dict[tuple[str, str], str] = {}
    return [
        Line(
            line.entry,
            line.at,
            kind(line.kind),
            _noun(visit, line, first, known),
            line.amount_minor,
            line.held_change_minor,
            line.kind == "reward" and "session" in line.ref,
            line.posted_minor,
        )
        for line in lines
    ]


def _noun(
    visit: Visit, line: StatementLine, first: dict[int, dict[str, Any]], known: dict[tuple[str, str], str]
) -> str:
    """What an entry was for, or nothing; a later entry of a case says it by the case's first."""
    ref = first[line.ref["origin"]] if "origin" in line.ref else line.ref
    for noun, find in _NOUNS.items():
        if noun in ref:
            place = (noun, str(ref[noun]))
            if place not in known:
                try:
                    known[place] = find(visit, place[1])
                except NotFound:
                    known[place] = place[1]
            return known[place]
    if line.counterparty.startswith("budget:"):
        return _activity(visit, line.counterparty.removeprefix("budget:"))
    if line.counterparty.startswith("shop:"):
        return _shop(visit, line.counterparty.removeprefix("shop:"))
    return ""


def _activity(visit: Visit, identifier: str) -> str:
    return name(activities.row(visit.session, visit.city.id, identifier))


def _promotion(visit: Visit, identifier: str) -> str:
    return field(promotions.find(visit.session, visit.city.id, identifier), "title")


def _shop(visit: Visit, identifier: str) -> str:
    return name(shops.find(visit.session, visit.city.id, identifier))


_NOUNS = {"activity": _activity, "promotion": _promotion, "shop": _shop}

FILTERS: dict[str, Callable[..., Any]] = {
    "name": name,
    "field": field,
    "money": money,
    "phrases": phrases,
    "num": num,
    "signed": signed,
    "dt": dt,
    "clock": clock,
    "spoken": spoken,
    "hours": hours,
    "day": day,
    "date_of": date_of,
    "near_day": near_day,
    "soon": soon,
    "span": span,
    "when": when,
    "kind": kind,
    "fours": fours,
    "phone": phones.shown,
    "dialled": phones.dialled,
    "ms": to_milliseconds,
}
