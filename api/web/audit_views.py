"""What the audit page draws: supply and log over time, threads from activities to shops, the names of accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.web import charts
from api.web.shell import Visit
from api.web.words import N_, name, say
from ledger.commerce import shops
from ledger.errors import NotFound
from ledger.log.flows import Flows, Holding
from ledger.log.growth import Sample
from ledger.programme import activities

ROWS = 6
"""How many activities and shops have a thread of their own; the rest share one."""

LISTED = 10

SINGLE = {
    "treasury": N_("Treasury"),
    "settled": N_("Paid out to shops"),
    "expired": N_("Expired"),
    "issuance": N_("Issuance"),
}
TYPES = {
    "budget": N_("Activity: {name}"),
    "shop": N_("Shop: {name}"),
    "sponsor": N_("Sponsor: {name}"),
    "bridge": N_("Chain: {name}"),
    "suspense": N_("From a chain, for nobody known: {name}"),
}


ACTORS = {
    "learner": N_("Learner"),
    "shop": N_("Shop"),
    "steward": N_("City learning administrator"),
    "treasurer": N_("Treasurer"),
    "auditor": N_("Auditor"),
    "operator": N_("Operator"),
    "integrator": N_("Integrator"),
    "system": N_("The system by itself"),
}
EVIDENCE = {
    "poster": N_("The poster's QR was scanned"),
    "kiosk": N_("The changing QR of the kiosk was scanned"),
    "code": N_("A one-time code was used"),
    "staff": N_("Staff attested it in a list"),
}
"""Levels of assurance (`ledger.programme.checkins`, `ledger.programme.airdrops`) in words."""


@dataclass(frozen=True)
class Band:
    """One area of a chart: which colour, what it is called, its shape, its value now."""

    look: str
    label: str
    path: str
    now: int


@dataclass(frozen=True)
class Timeline:
    """A chart over time and its table. A row holds the moment and a value for each head, newest first."""

    top: int
    since: datetime
    until: datetime
    bands: list[Band]
    heads: list[str]
    rows: list[tuple[datetime, list[int]]]


@dataclass(frozen=True)
class Thread:
    """A row at one side of the threads."""

    label: str
    value: int
    path: str
    look: str = ""


@dataclass(frozen=True)
class Sides:
    """Where what learners received came from, and where it went; both sides add up to the same."""

    left: list[Thread]
    right: list[Thread]


Series = tuple[str, str, Callable[[Sample], int]]
"""A look, a label, and the value at a moment."""


def supply(history: Sequence[Sample]) -> Timeline | None:
    """What was issued, by where it is, over time; what never held anything is left out."""
    known: list[Series] = [
        ("circulating", say(N_("Circulating")), lambda one: one.circulating),
        ("redeemed", say(N_("Redeemed")), lambda one: one.redeemed),
        ("expired", say(N_("Expired")), lambda one: one.expired),
        ("bridged", say(N_("On the chain")), lambda one: one.bridged),
    ]
    shown = known[:2] + [series for series in known[2:] if any(map(series[2], history))]
    return _timeline(history, shown, [(say(N_("Issued")), lambda one: one.issued)])


def redeemed(history: Sequence[Sample]) -> Timeline | None:
    """What reached shops, over time, on a scale of its own; nothing while there is nothing."""
    series: Series = ("redeemed", say(N_("Redeemed")), lambda one: one.redeemed)
    return _timeline(history, [series]) if history and history[-1].redeemed else None


def growth(history: Sequence[Sample]) -> Timeline | None:
    """How many entries the log had over time."""
    return _timeline(history, [("entries", say(N_("Entries")), lambda one: one.size)])


def _timeline(
    history: Sequence[Sample],
    drawn: Sequence[Series],
    counted: Sequence[tuple[str, Callable[[Sample], int]]] = (),
) -> Timeline | None:
    """The chart of some series, and a table of them behind those that are only counted."""
    if not history:
        return None
    values = [[max(0, value(one)) for one in history] for _, _, value in drawn]
    shapes = charts.layers([one.at.timestamp() for one in history], values)
    bands = [
        Band(look, label, path, found[-1])
        for (look, label, _), path, found in zip(drawn, shapes.paths, values, strict=True)
    ]
    columns = [*counted, *((label, value) for _, label, value in drawn)]
    rows = [(one.at, [value(one) for _, value in columns]) for one in history]
    heads = [label for label, _ in columns]
    return Timeline(shapes.top, history[0].at, history[-1].at, bands, heads, rows[::-1])


def threads(visit: Visit, moved: Flows) -> Sides | None:
    """From activities through the learners to shops."""
    left = _few(visit, "budget", moved.earned, say(N_("Other activities")))
    left += [(say(N_("The city directly")), moved.given)] if moved.given > 0 else []
    right = _few(visit, "shop", moved.taken, say(N_("Other shops")))
    ends = (
        (N_("Still with learners"), moved.with_learners),
        (N_("Expired"), moved.expired),
        (N_("On the chain"), moved.bridged),
    )
    shops_shown = len(right)
    right += [(say(label), value) for label, value in ends if value > 0]
    if not left:
        return None
    drawn = charts.threads([value for _, value in left], [value for _, value in right])
    return Sides(
        [Thread(label, value, path) for (label, value), path in zip(left, drawn.left, strict=True)],
        [
            Thread(label, value, path, "" if row < shops_shown else "rest")
            for row, ((label, value), path) in enumerate(zip(right, drawn.right, strict=True))
        ],
    )


@dataclass(frozen=True)
class Ranking:
    """The largest by name, and how many others there are, with what they make together."""

    rows: list[tuple[str, int]]
    others: int
    others_minor: int


def ranked(visit: Visit, kind: str, values: Mapping[str, int]) -> Ranking:
    """The activities or shops with the largest values."""
    order = _ordered(values)
    rest = order[LISTED:]
    rows = [(_name(visit, kind, identifier), value) for identifier, value in order[:LISTED]]
    return Ranking(rows, len(rest), sum(value for _, value in rest))


def _ordered(values: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((one, value) for one, value in values.items() if value > 0), key=lambda row: (-row[1], row[0]))


def _few(visit: Visit, kind: str, values: Mapping[str, int], rest: str) -> list[tuple[str, int]]:
    """The largest by name, and the rest as one, so that the list adds up."""
    order = _ordered(values)
    few = order if len(order) <= ROWS + 1 else order[:ROWS]
    others = sum(value for _, value in order[len(few) :])
    shown = [(_name(visit, kind, identifier), value) for identifier, value in few]
    return [*shown, (rest, others)] if others else shown


def holdings(visit: Visit, found: Sequence[Holding]) -> list[tuple[str, int]]:
    """Institutional accounts by what they are called."""
    return [(account_name(visit, one.account), one.posted_minor) for one in found]


def account_name(visit: Visit, path: str) -> str:
    """What an institutional account is called; a handle says that it is a person's."""
    kind, _, identifier = path.partition(":")
    if kind == "learner":
        return say(N_("A learner, under a handle"))
    if kind in SINGLE:
        return say(SINGLE[kind])
    return say(TYPES[kind], name=_name(visit, kind, identifier))


def short_name(visit: Visit, path: str) -> str:
    """The same for a list, where the kind of the entry tells what the account is."""
    kind, _, identifier = path.partition(":")
    if kind == "learner":
        return say(N_("Learner"))
    return say(SINGLE[kind]) if kind in SINGLE else _name(visit, kind, identifier)


def actor_name(visit: Visit, actor: str) -> str:
    """Who made an entry, in words: a role or an institution."""
    role, _, identifier = actor.partition(":")
    if role == "shop" and identifier:
        return say(TYPES["shop"], name=_name(visit, "shop", identifier))
    return say(ACTORS[role]) if role in ACTORS else actor


def evidence_name(evidence: Mapping[str, Any] | None) -> str:
    """What proved that somebody took part, in words."""
    level = str((evidence or {}).get("assurance", ""))
    return say(EVIDENCE[level]) if level in EVIDENCE else level


def _name(visit: Visit, kind: str, identifier: str) -> str:
    """The name of an activity or a shop in the reader's language; the id where nobody has it, as of a sponsor."""
    find: dict[str, Callable[..., Any]] = {"budget": activities.row, "shop": shops.find}
    if kind not in find:
        return identifier
    try:
        return name(find[kind](visit.session, visit.city.id, identifier))
    except NotFound:
        return identifier
