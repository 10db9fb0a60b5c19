"""Addresses that somebody makes up: whatever stands in them is refused and is never a fault of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from api.addresses import whole
from api.app import create_app
from ledger.config import Settings
from ledger.people import tokens
from tests.api.client import PUBLIC_URL
from tests.factories import CITY, install
from tests.web.conftest import Town, build
from tests.web.visitor import SAME_ORIGIN, Visitor

EVERYTHING = ("steward", "treasurer", "operator", "auditor")
ODD = ("a%00b", "9223372036854775807", "9223372036854775808")
QUERIES = (
    "after", "amount", "as_of", "at", "before", "by", "code", "cursor", "district", "like", "limit", "made", "month",
    "place", "shop", "state", "weeks", "width",
)  # fmt: skip
FIELDS = ("activity", "amount", "code", "district", "fund_amount", "grant_amount", "name_th", "settle", "shop", "spend")


@pytest.fixture
def app(postgresql_url: str, tmp_path: Path) -> Iterator[Flask]:
    """A town on PostgreSQL, which takes less than SQLite does, and a browser in which every part is signed in."""
    installation = install(postgresql_url, tmp_path)
    installation.grant(100_000)
    installation.run(build)
    app = create_app(Settings(tmp_path, postgresql_url, PUBLIC_URL), clock=installation.clock)
    app.extensions["tests.browser"] = _browser(Town(app, installation))
    yield app
    app.extensions["kgo"].installation.close()
    installation.close()


def _browser(town: Town) -> Visitor:
    browser = town.learner()
    for roles, subject in ((EVERYTHING, None), ({"shop"}, "cafe")):
        secret = town.installation.run(lambda unit, of=roles, at=subject: tokens.create_link(unit, of, at))  # type: ignore[misc]
        browser.send(browser.get(f"/l/{secret}").form())
    return browser


def _faults(app: Flask, rule: Rule, query: str, odd: str) -> list[str]:
    """The requests to a rule that ended in a fault."""
    client, found = app.extensions["tests.browser"].client, []
    url = re.sub(r"<(?:\w+(?:\(.*?\))?:)?(\w+)>", lambda name: CITY if name[1] == "city" else odd, rule.rule) + query
    wanted = (rule.methods or set()) - {"HEAD", "OPTIONS"} if rule.endpoint != "web.sign_out" else set()
    for method in sorted(wanted):
        data = dict.fromkeys(FIELDS, odd.replace("%00", "\0")) if method != "GET" else None
        answer = client.open(url, method=method, data=data, headers=SAME_ORIGIN)
        if answer.status_code >= 500:
            found.append(f"{method} {url}")
        answer.close()
    return found


def test_no_address_is_a_fault(app: Flask) -> None:
    """Something odd in each place of every path, in the fields of every form and in each query that anybody reads."""
    found = []
    for odd in ODD:
        query = "?" + "&".join(f"{name}={odd}" for name in QUERIES)
        for rule in app.url_map.iter_rules():
            if rule.arguments - {"city"} or "POST" in (rule.methods or ()):
                found += _faults(app, rule, "", odd)
            if rule.arguments <= {"city"} and "GET" in (rule.methods or ()):
                found += _faults(app, rule, query, odd)
    assert found == []


def test_a_statement_s_cursor_may_be_any_number(app: Flask) -> None:
    """A learner who makes a cursor up gets the lines before that place, or none."""
    for cursor in (70_001, 131_071, 2**53 - 1, 2**62, -5):
        assert app.extensions["tests.browser"].get(f"/c/{CITY}/wallet?cursor={cursor}").status == 200, cursor


def test_no_page_links_to_another_host(app: Flask) -> None:
    """What looks like another host in an address is not found, and the way to the other language stays here."""
    for path in ("//evil.example/x", "/\\evil.example/x", "/\\\\evil.example", "///evil.example"):
        answer = app.extensions["tests.browser"].client.get("/x", environ_overrides={"PATH_INFO": path})
        assert answer.status_code in (308, 404)
        links = re.findall(r'href="([^"]*)"', answer.get_data(as_text=True))
        assert [link for link in links if re.match(r"/[/\\]", link)] == [], path
        assert re.match(r"http://localhost/[^/\\]", answer.headers.get("Location", "http://localhost/x"))


def test_a_whole_number_is_one_that_a_database_knows() -> None:
    """Within eight bytes, in the digits of any script; anything else is none."""
    assert [whole(text) for text in ("7", "-1", "๑๒", str(2**63 - 1))] == [7, -1, 12, 2**63 - 1]
    assert [whole(text) for text in (None, "", "x", "1.5", str(2**63), str(-(2**63) - 1), "9" * 5_000)] == [None] * 7
