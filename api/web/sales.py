"""A shop's figures and papers: sales by day, week and month, and the statement to read, to print and as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice

from flask import Response

from api import i18n
from api.web import periods
from api.web.periods import DAY, KINDS, MONTH, WEEK, YEAR, Period
from api.web.shell import Answer, Visit, page, render, web
from api.web.shop import own_shop
from api.web.words import Line, date_of, field, kind, say, speech, statement_lines
from ledger.book import accounts, statements
from ledger.book.statements import StatementLine
from ledger.commerce import sales
from ledger.commerce.sales import Sales
from ledger.commerce.shops import ShopView
from ledger.errors import NotFound

SALES_KINDS, STATEMENT_KINDS = (DAY, WEEK, MONTH), (DAY, WEEK, MONTH, YEAR)
PRINTED_LINES = 2_000
"""A printed statement has at most so many lines, some fifty sheets; the CSV has them all."""

SCREEN_LINES = 200
OPEN_HOURS = (8, 20)
"""The hours that a day's chart shows at least."""


@web.get("/c/<city>/shop/sales")
@page("shop.till", door="shop")
def shop_sales(visit: Visit) -> str:
    """Totals, a chart and what sold best, for a day, a week or a month."""
    shop = own_shop(visit)
    period = periods.asked(visit, DAY, SALES_KINDS)
    found = sales.of(visit.session, visit.city.id, shop.id, period.first, period.last)
    return render(
        "shop/sales.html",
        shop=shop,
        sales=found,
        rows=_rows(found, period),
        best=[(field(one, "title"), one.sold.total_minor) for one in found.promotions],
        **_choice(visit, period, SALES_KINDS),
    )


@web.get("/c/<city>/shop/statement")
@page("shop.till", door="shop")
def shop_statement(visit: Visit) -> str:
    """What came to the shop's account and what went, in a period, newest first, by day."""
    return _statement(visit, "shop/statement.html", SCREEN_LINES)


@web.get("/c/<city>/shop/statement/print")
@page("shop.till", door="shop")
def shop_statement_print(visit: Visit) -> str:
    """The same on A4, oldest first."""
    return _statement(visit, "shop/statement_print.html", PRINTED_LINES)


@web.get("/c/<city>/shop/statement.csv")
@page("shop.till", door="shop")
def shop_statement_csv(visit: Visit) -> Answer:
    """The same for a spreadsheet: every line, oldest first, amounts as plain numbers."""
    shop, period = own_shop(visit), periods.asked(visit, MONTH, STATEMENT_KINDS)
    response = Response(_csv(visit, shop, period), mimetype="text/csv")
    name = f"{visit.city.id}-{shop.id}-{period.first}-{period.last}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _statement(visit: Visit, template: str, limit: int) -> str:
    shop, period = own_shop(visit), periods.asked(visit, MONTH, STATEMENT_KINDS)
    lines, more = _lines(visit, shop, period, limit)
    by_day = groupby(reversed(lines), key=lambda line: date_of(line.at))
    return render(
        template,
        shop=shop,
        lines=lines,
        days=[(periods.around(DAY, day).label, list(of_day)) for day, of_day in by_day],
        more=more,
        **_balances(visit, shop, period),
        **_choice(visit, period, STATEMENT_KINDS),
    )


def _choice(visit: Visit, period: Period, kinds: tuple[str, ...]) -> dict[str, object]:
    """The period and the ways to others; there is no way into the future."""
    later = period.later
    return {
        "period": period,
        "kinds": [(one, say(KINDS[one]), one == period.kind) for one in kinds],
        "has_later": later.span(visit.city.zone)[0] <= visit.now,
    }


def _rows(found: Sales, period: Period) -> list[tuple[str, int]]:
    """What the chart draws: the hours of a day, else its days."""
    if period.kind == DAY:
        busy = [hour for hour, one in enumerate(found.hours) if one.count]
        first, last = min([OPEN_HOURS[0], *busy]), max([OPEN_HOURS[1], *busy])
        return [(f"{hour:02d}:00", found.hours[hour].total_minor) for hour in range(first, last + 1)]
    if period.kind == WEEK:
        return [(f"{i18n.short_weekday(speech(), day)} {day.day}", one.total_minor) for day, one in found.days]
    return [(i18n.day_month(speech(), day), one.total_minor) for day, one in found.days]


def _balances(visit: Visit, shop: ShopView, period: Period) -> dict[str, int]:
    begin, end = period.span(visit.city.zone)
    return {"before": _posted_minor(visit, shop, begin), "after": _posted_minor(visit, shop, end)}


def _posted_minor(visit: Visit, shop: ShopView, until: datetime) -> int:
    """What the shop had just before an instant; nothing before the city opened its account."""
    at = until - timedelta(milliseconds=1)
    try:
        return accounts.balance(visit.session, visit.city.id, shop.account, at).posted_minor
    except NotFound:
        return 0


def _movements(visit: Visit, shop: ShopView, period: Period) -> Iterator[StatementLine]:
    """The period's movements, oldest first; none before the city opened the shop's account."""
    with contextlib.suppress(NotFound):
        yield from statements.between(visit.session, visit.city.id, shop.account, *period.span(visit.city.zone))


def _lines(visit: Visit, shop: ShopView, period: Period, limit: int) -> tuple[list[Line], bool]:
    """The period's first lines, and whether there are more."""
    found: list[StatementLine] = []
    for line in _movements(visit, shop, period):
        if len(found) == limit:
            return statement_lines(visit, found), True
        found.append(line)
    return statement_lines(visit, found), False


def _csv(visit: Visit, shop: ShopView, period: Period) -> str:
    """Header and rows, with the mark by which spreadsheets know UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    writer.writerow(["entry", "date", "time", "kind", "what", "amount", "balance", "unit", "id"])
    lines = _movements(visit, shop, period)
    while page := list(islice(lines, statements.PAGE)):
        for line, told in zip(page, statement_lines(visit, page), strict=True):
            at = i18n.local(line.at, visit.city.zone)
            numbers = [_decimal(visit, line.amount_minor), _decimal(visit, line.posted_minor)]
            day, clock = at.date().isoformat(), at.strftime("%H:%M:%S")
            writer.writerow(
                [line.entry, day, clock, kind(line.kind), _text(told.what), *numbers, visit.city.symbol, line.id]
            )
    return buffer.getvalue()


def _text(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _decimal(visit: Visit, minor: int) -> str:
    """`-1250.00`: no groups, a plain hyphen, as programs read it."""
    return i18n.number(minor, visit.city.scale).replace(",", "").replace("−", "-")
