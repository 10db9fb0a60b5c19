"""The page of the city's figures, and each of its tables as a file. The counting is `ledger.city.report`'s."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from flask import Response, request

from api.web import figures
from api.web.shell import Visit, asked_whole, page, render, web
from api.web.words import N_, name, num, say
from ledger.book import cities
from ledger.city import report
from ledger.city.report import NOWHERE, PERIODS, Pair, Report
from ledger.city.tracing import UNTRACED
from ledger.city.withholding import FEWEST, Figure, Measure
from ledger.commerce import shops
from ledger.errors import NotFound
from ledger.programme import activities, places

TOP = 12
"""Rows of a table on the page; the file has all of them."""

NOBODY = Pair(Measure(0, 0, 0), Measure(0, 0, 0))
TABLES = ("weeks", "districts", "activities", "shops", "flows", "district_flows")
PERIOD_NAMES = {4: N_("Four weeks"), 13: N_("Three months"), 52: N_("A year")}

SEVERAL_NOWHERE = {
    "Several shops in {district}": N_("Several shops of no district"),
    "Several activities in {district}": N_("Several activities of no district"),
}
"""What is said instead where there is no district."""

Way = TypeVar("Way", bound=tuple[str, ...])
"""From an activity or district to a shop or district, and perhaps the Monday of a week (ISO)."""


@dataclass(frozen=True)
class Names:
    """What the ids of a report are called, in the language of the page."""

    activities: Mapping[str, str]
    shops: Mapping[str, str]
    districts: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """A row of a table: what it is called, and its figures."""

    label: str
    pair: Pair


@dataclass(frozen=True)
class Flow:
    """What was earned at an activity, or in a district, and spent at a shop, or in a district.

    `summed` says that it stands among ways of single activities and shops, and is told of several together.
    """

    source: str
    target: str
    figure: Measure
    summed: bool = False


@dataclass(frozen=True)
class FlowWeek:
    """What is told of one week of the flows between two districts."""

    monday: date
    flow: Flow


@web.get("/c/<city>/steward/figures")
@page("report.read", door="desk")
def city_figures(visit: Visit) -> str:
    """People, participation, earned and spent, which activities feed which shops; `?weeks=` and `?district=`."""
    weeks, found = _asked(visit)
    names = _names(visit)
    district = request.args.get("district", "")
    chosen = district if district and district in names.districts else None
    weekly = found.weeks if chosen is None else _weeks_of(found, chosen)
    learnt, bought = found.activities, found.shops
    if chosen is not None:
        places_of, shops_of = _districts_of(visit)
        learnt = {key: pair for key, pair in learnt.items() if places_of.get(key) == chosen}
        bought = {key: pair for key, pair in bought.items() if shops_of.get(key) == chosen}
        found = _touching_one(found, chosen, places_of, shops_of)
    between = _fed(_touching(found.district_flows, chosen), names.districts, names.districts)
    return render(
        "steward/figures.html",
        totals=figures.of(visit.session, visit.city.id),
        report=found,
        weeks=weeks,
        periods=PERIOD_NAMES,
        chosen=chosen,
        district=names.districts.get(chosen or "", ""),
        districts_known=names.districts,
        total=found.total if chosen is None else found.districts.get(chosen, NOBODY),
        weekly=[(monday, pair) for monday, pair in weekly.items()],
        districts=_rows(found.districts, names.districts),
        activities=_rows(learnt, names.activities)[:TOP],
        shops=_rows(bought, names.shops)[:TOP],
        flows=[*_fed(found.flows, names.activities, names.shops)[:TOP], *_summed(found, names)[:TOP]],
        nobody=_is_empty(found),
        between=between,
        between_weeks=_by_week(_touching(found.district_flow_weeks, chosen), names),
        fewest=FEWEST,
    )


@web.get("/c/<city>/steward/figures/<table>.csv")
@page("report.read", door="desk")
def figures_file(visit: Visit, table: str) -> Response:
    """A table of the figures, whole; what is withheld is an empty cell.

    Raises:
        NotFound: there is no such table.
    """
    if table not in TABLES:
        raise NotFound("table", table)
    weeks, found = _asked(visit)
    file = io.StringIO()
    writer = csv.writer(file)
    for row in _table(table, found, _names(visit)):
        writer.writerow([_harmless(cell) for cell in row])
    filename = f"{visit.city.id}-{table}-{found.first_day}-{weeks}w.csv"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response("\ufeff" + file.getvalue(), mimetype="text/csv", headers=headers)


def _asked(visit: Visit) -> tuple[int, Report]:
    wanted = asked_whole("weeks")
    weeks = wanted if wanted in PERIODS else PERIODS[1]
    return weeks, report.of(visit.session, cities.get(visit.session, visit.city.id), visit.now, weeks)


def _names(visit: Visit) -> Names:
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    known = {one.id: name(one) for one in shops.list_(visit.session, visit.city.id, state=None, limit=100_000)}
    districts = {one.id: name(one) for one in places.districts(visit.session, visit.city.id)}
    nowhere = say(N_("No district"))
    return Names({one.id: name(one) for one in views}, known, {**districts, "": nowhere, NOWHERE: nowhere})


def _districts_of(visit: Visit) -> tuple[dict[str, str], dict[str, str]]:
    """The district of every activity, and that of every shop."""
    views = activities.list_(visit.session, visit.city.id, visit.now, everything=True)
    known = shops.list_(visit.session, visit.city.id, state=None, limit=100_000)
    return {one.id: one.place.district or "" for one in views}, {one.id: one.district for one in known}


def _touching(ways: Mapping[Way, Measure], district: str | None) -> dict[Way, Measure]:
    """The ways from a district or to it, or all; what came from no activity is left out."""
    return {
        way: figure for way, figure in ways.items() if way[0] != UNTRACED and (district is None or district in way[:2])
    }


def _touching_one(found: Report, district: str, places_of: Mapping[str, str], shops_of: Mapping[str, str]) -> Report:
    """The report with those flows alone that begin or end in a district."""
    return replace(
        found,
        flows={way: told for way, told in found.flows.items() if district in (places_of.get(way[0]), shops_of[way[1]])},
        flows_to_district={
            way: told for way, told in found.flows_to_district.items() if district in (places_of.get(way[0]), way[1])
        },
        flows_between={way: told for way, told in found.flows_between.items() if district in way},
    )


def _summed(found: Report, names: Names) -> list[Flow]:
    """What can be told of no single shop, the broadest first, then what can be told of no single activity either."""
    shops_in = {one: _several(N_("Several shops in {district}"), one, names) for one in names.districts}
    activities_in = {one: _several(N_("Several activities in {district}"), one, names) for one in names.districts}
    fed = _fed(found.flows_to_district, names.activities, shops_in)
    return [replace(one, summed=True) for one in (*fed, *_fed(found.flows_between, activities_in, shops_in))]


def _several(msgid: str, district: str, names: Names) -> str:
    return say(msgid, district=names.districts[district]) if district.strip(NOWHERE) else say(SEVERAL_NOWHERE[msgid])


def _is_empty(found: Report) -> bool:
    """Whether nobody learnt, spent or is told of anywhere: not even withheld."""
    return found.total == NOBODY and not found.activities and not found.shops


def _fed(ways: Mapping[Way, Measure], sources: Mapping[str, str], targets: Mapping[str, str]) -> list[Flow]:
    """The ways, the broadest first; what came from no activity is left out."""
    fed = [
        Flow(sources.get(way[0], way[0]), targets.get(way[1], way[1]), figure)
        for way, figure in ways.items()
        if way[0] != UNTRACED
    ]
    return sorted(fed, key=lambda flow: (-flow.figure.minor, flow.source, flow.target))


def _by_week(ways: Mapping[Way, Measure], names: Names) -> list[FlowWeek]:
    """The same by week, the newest first."""
    rows = [
        FlowWeek(date.fromisoformat(way[2]), flow)
        for way, figure in ways.items()
        for flow in _fed({way: figure}, names.districts, names.districts)
    ]
    return sorted(rows, key=lambda row: (-row.monday.toordinal(), -row.flow.figure.minor))


def _weeks_of(found: Report, district: str) -> dict[date, Pair]:
    return {monday: found.district_weeks.get((district, monday.isoformat()), NOBODY) for monday in found.weeks}


def _rows(pairs: Mapping[str, Pair], names: Mapping[str, str]) -> list[Row]:
    """The rows with most money first."""
    rows = [Row(names.get(key, key), pair) for key, pair in pairs.items()]
    return sorted(rows, key=lambda row: (-_minor(row.pair.learning) - _minor(row.pair.spending), row.label))


def _minor(figure: Figure) -> int:
    return 0 if figure is None else figure.minor


def _table(table: str, found: Report, names: Names) -> Iterable[list[str]]:
    """The rows of a file; the first names the columns."""
    both = ["people", "check_ins", "earned", "buyers", "purchases", "spent"]
    if table == "flows":
        districts = ("from_district", "from_name", "to_district", "to_name")
        yield ["activity", "activity_name", "shop", "shop_name", *districts, "people", "purchases", "spent"]
        for (activity, shop), figure in sorted(found.flows.items()):
            ends = [activity, names.activities.get(activity, ""), shop, names.shops.get(shop, "")]
            yield [*ends, "", "", "", "", *_cells(figure)]
        for (activity, target), figure in sorted(found.flows_to_district.items()):
            ends = [activity, names.activities.get(activity, ""), "", ""]
            yield [*ends, "", "", target, names.districts.get(target, ""), *_cells(figure)]
        for (source, target), figure in sorted(found.flows_between.items()):
            ends = [source, names.districts.get(source, ""), target, names.districts.get(target, "")]
            yield ["", "", "", "", *ends, *_cells(figure)]
        return
    if table == "district_flows":
        yield ["week", "from_district", "from_name", "to_district", "to_name", "people", "purchases", "spent"]
        for (source, target, week), told in sorted(found.district_flow_weeks.items(), key=lambda row: row[0][::-1]):
            yield [
                week,
                source,
                names.districts.get(source, ""),
                target,
                names.districts.get(target, ""),
                *_cells(told),
            ]
        return
    pairs: Mapping[str, Pair]
    if table == "weeks":
        yield ["week", "district", "district_name", *both]
        for (district, week), pair in sorted(found.district_weeks.items(), key=lambda item: (item[0][1], item[0][0])):
            yield [week, district, names.districts.get(district, ""), *_cells(pair.learning), *_cells(pair.spending)]
        return
    pairs = {"districts": found.districts, "activities": found.activities, "shops": found.shops}[table]
    called = {"districts": names.districts, "activities": names.activities, "shops": names.shops}[table]
    yield [table.replace("ies", "y").removesuffix("s"), "name", *both]
    for key, pair in pairs.items():
        yield [key, called.get(key, ""), *_cells(pair.learning), *_cells(pair.spending)]


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: whoever applies as a shop chooses its name."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _cells(figure: Figure) -> list[str]:
    """People, times and amount as a spreadsheet reads them."""
    if figure is None:
        return ["", "", ""]
    return [str(figure.people), str(figure.times), num(figure.minor).replace(",", "")]
