"""The description: valid, complete, and the same as what the application does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from openapi_spec_validator import validate

from api import v1
from api.problems import PROBLEMS
from tests.api.client import Api, agreement


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The description does not depend on the kind of database."""
    return sqlite_url


def test_the_document_is_valid_openapi_3_1(api: Api) -> None:
    """An independent validator accepts it."""
    spec = api.get("//openapi.json").body
    assert spec["openapi"] == "3.1.0"
    assert spec["servers"] == [{"url": "https://kgo.example"}]
    validate(spec)


def test_the_document_and_the_routes_agree(api: Api) -> None:
    """Every route under /v1 is described, and nothing else is; each with security, and POST with a key."""
    spec = agreement(api.app).spec
    routes = set()
    for rule in api.app.url_map.iter_rules():
        if rule.rule.startswith("/v1/"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            routes |= {(path, method.lower()) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    described = {(path, method) for path, methods in spec["paths"].items() for method in methods}
    assert routes == described
    for (path, method), one in ((key, spec["paths"][key[0]][key[1]]) for key in described):
        names = {parameter["name"] for parameter in one["parameters"]}
        assert set(re.findall(r"\{(\w+)\}", path)) <= names
        assert ("Idempotency-Key" in names) == (method == "post"), path
        assert one["security"], path


def test_every_problem_is_declared_somewhere_and_known(api: Api) -> None:
    """Operations announce known codes only; all but those of pages and of the frame are announced."""
    announced = {code for noun in v1.NOUNS for one in noun.all for code in one.all_problems}
    assert announced - PROBLEMS.keys() == set()
    elsewhere = {"link_used", "link_expired", "method_not_allowed", "bad_request", "wallet_refused"}
    assert PROBLEMS.keys() - announced == elsewhere
    assert set(agreement(api.app).spec["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(
        PROBLEMS
    )


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if tag == "a" and str(given.get("href")).startswith("#"):
            self.links.add(str(given["href"])[1:])
        if tag in ("script", "link", "img", "iframe"):
            self.loaded.append(f"{tag} {given.get('href') or given.get('src')}")
        assert "style" not in given


def test_the_reference_is_readable_without_scripts_and_strangers(api: Api) -> None:
    """One page names every operation and every problem, all its anchors exist, and it loads our style alone."""
    answer = api.get("//docs")
    assert answer.status == 200
    page = _Anchors()
    page.feed(answer.raw.decode())
    assert page.links - page.ids == set()
    assert page.loaded == ["link /docs.css", "link /assets/mark.svg"]
    assert {f"problem-{code}" for code in PROBLEMS} <= page.ids
    spec = agreement(api.app).spec
    assert {one["operationId"] for methods in spec["paths"].values() for one in methods.values()} <= page.ids
    assert [api.get(f"/{path}").status for path in ("/docs.css", "/assets/mark.svg")] == [200, 200]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_probes_and_headers(api: Api) -> None:
    """The process and the database say that they are up, and every answer bears the protecting headers."""
    for path in ("//healthz", "//readyz"):
        answer = api.get(path)
        assert (answer.status, answer.body) == (200, {"status": "ok"})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"]
    ids = {api.get("//healthz").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    database = api.app.extensions["kgo"].installation.database
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
        session.commit()
    assert (api.get("//readyz").status, api.get("//healthz").status) == (503, 200)
