"""Every route declares its permission, and every role passes exactly where the table of permissions says."""

from __future__ import annotations

import re

import pytest

from api import v1
from api.operations import CITY, Operation
from ledger.people.roles import BOUND, PERMISSIONS, PUBLIC, ROLES
from tests.api.client import Api, Town

OPERATIONS = [operation for noun in v1.NOUNS for operation in noun.all]
OPEN_BY_DESIGN = {
    "healthz",
    "readyz",
    "openapi.openapi_json",
    "openapi.docs",
    "openapi.style",
    "log.checkpoint",
    "log.claims",
    "log.newest_checkpoint",
    "log.receipt",
    "log.tile",
    "log.vkey",
    "witness.add_checkpoint",
    "witness.vkey",
    "web.static",
    "web.landing",
    "web.help_anywhere",
    "web.worker",
    "web.offline",
}
"""Endpoints without a permission: they say nothing that is not meant for everybody."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Permissions do not depend on the kind of database."""
    return sqlite_url


def test_every_route_declares_a_permission(api: Api) -> None:
    """Each rule of the application is an operation or a page with a known permission, or open by design."""
    declared = {f"v1.{operation.name.replace('.', '_')}": operation.permission for operation in OPERATIONS}
    missing = []
    for rule in api.app.url_map.iter_rules():
        view = api.app.view_functions[rule.endpoint]
        permission = declared.get(rule.endpoint) or getattr(view, "permission", None)
        if permission not in PERMISSIONS and rule.endpoint not in OPEN_BY_DESIGN:
            missing.append(rule.endpoint)
    assert missing == []


def _subject(role: str) -> str | None:
    return {"learner": "a" * 26, "shop": "nobodys", "kiosk": "nobodys"}.get(role)


def _url(operation: Operation) -> str:
    path = operation.path.removeprefix(CITY).replace("<int:seq>", "0").replace("<account>", "treasury")
    return re.sub(r"<\w+>", "unknown", path) + ("?code=123456" if operation.name == "redemptions.find" else "")


def _is_as_the_table_says(permission: str, role: str | None, status: int) -> bool:
    """A bound role may be refused for the thing's sake, since here it is nobody's subject."""
    allowed = PERMISSIONS[permission]
    if PUBLIC in allowed or role in allowed:
        return status != 401 and (status != 403 or role in BOUND)
    return status == (403 if role else 401)


@pytest.mark.parametrize("role", [None, *sorted(ROLES)])
def test_each_role_reaches_what_the_table_says(town: Town, role: str | None) -> None:
    """Without the role: 401 for nobody, 403 for somebody, before the body is looked at. With it: anything else."""
    caller = town.api.signed_in({role}, _subject(role)) if role else town.api
    wrong = {}
    for operation in OPERATIONS:
        if CITY not in operation.path:
            continue
        answer = caller.call(operation.method, _url(operation), {"bad": 1} if operation.method != "GET" else None)
        if not _is_as_the_table_says(operation.permission, role, answer.status):
            wrong[operation.name] = answer.status
    assert wrong == {}


def test_a_refused_role_learns_nothing_of_the_thing(town: Town) -> None:
    """A learner who posts an entry is refused whether or not the body is right, and nothing is posted."""
    learner = town.api.learner()
    before = town.api.get("/accounts/treasury/balance").body["as_of_seq"]
    for body in ({"kind": "grant", "amount_minor": 1}, {"kind": "?"}):
        answer = learner.post("/entries", body)
        assert (answer.status, answer.code, answer.body["permission"]) == (403, "forbidden", "entry.post")
    assert town.api.get("/accounts/treasury/balance").body["as_of_seq"] == before


def test_a_learner_sees_no_other_learners_account(town: Town) -> None:
    """Their own balance and statement: yes. Another's: 403, 401 for nobody; an appointed auditor may."""
    one, other = town.api.learner(), town.api.learner()
    for what in ("balance", "statement"):
        path = f"/accounts/{one.account}/{what}"
        assert one.get(path).status == 200
        assert other.get(path).status == 403
        assert town.api.get(path).status == 401
        assert town.steward.get(path).status == 403
        assert town.api.signed_in({"auditor"}).get(path).status == 200


def test_a_redemption_shows_to_its_learner_and_its_shop_alone(town: Town) -> None:
    """Another learner and another shop are refused; so they cannot confirm or cancel it either."""
    learner = town.rich_learner()
    redemption = learner.post("/redemptions", {"promotion": "coffee"}).body["id"]
    stranger, other_shop = town.api.learner(), town.api.signed_in({"shop"}, "other")
    for caller, status in ((learner, 200), (town.shop, 200), (stranger, 403), (other_shop, 403), (town.api, 401)):
        assert caller.get(f"/redemptions/{redemption}").status == status
    assert other_shop.post(f"/redemptions/{redemption}/confirm").status == 403
    assert stranger.post(f"/redemptions/{redemption}/cancel").status == 403
    assert learner.post(f"/redemptions/{redemption}/confirm").status == 403
    assert town.shop.post(f"/redemptions/{redemption}/confirm").status == 200


def test_a_kiosk_shows_the_codes_of_its_own_activity_alone(town: Town) -> None:
    """The activity's own kiosk gets the code and its symbols, another's does not."""
    for suffix in ("code", "qr.svg", "qr.png"):
        assert town.api.signed_in({"kiosk"}, "walk").get(f"/activities/walk/{suffix}").status == 200
        assert town.api.signed_in({"kiosk"}, "other").get(f"/activities/walk/{suffix}").status == 403
        assert town.api.learner().get(f"/activities/walk/{suffix}").status == 403


def test_openings_are_for_appointed_auditors(town: Town) -> None:
    """The log is anybody's; who stands behind its handles is told to an auditor only."""
    assert town.api.get("/export").status == 200
    assert town.api.get("/export?openings=true").status == 401
    assert town.steward.get("/export?openings=true").status == 403
    assert b"openings.ndjson" in town.api.signed_in({"auditor"}).get("/export?openings=true").raw
