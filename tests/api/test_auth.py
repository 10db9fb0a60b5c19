"""Who is asking: bearer tokens, the cookies of the pages, and requests that another site caused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from ledger.people import tokens
from tests.api.client import BASE, Api, Town
from tests.factories import CITY, add_city

GRANT = {"kind": "grant", "amount_minor": 1}
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Signing in does not depend on the kind of database."""
    return sqlite_url


def browser(api: Api, **cookies: str | None) -> FlaskClient:
    """A browser with the sign-ins of Khon Kaen, by kind."""
    client = api.app.test_client()
    for kind, secret in cookies.items():
        client.set_cookie(f"{kind}.{CITY}", secret or "")
    return client


@pytest.mark.parametrize("header", ["Bearer kgo_kknonsense", "Bearer", "Basic YTpi", "kgo_x", "Bearer " + "x" * 5000])
def test_a_bad_token_is_refused_even_where_none_is_needed(api: Api, header: str) -> None:
    """A token that signs nobody in is 401 with `WWW-Authenticate`, so that a client notices; none at all is fine."""
    answer = api.get("/activities", Authorization=header)
    assert (answer.status, answer.code, answer.body["reason"]) == (401, "unauthenticated", "token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kgo", error="invalid_token"'
    assert api.get("/activities").status == 200


def test_a_token_ends_when_it_expires_or_is_revoked(api: Api) -> None:
    """Until then it signs in, afterwards it is 401."""
    installation = api.installation
    secret = installation.run(lambda unit: tokens.issue(unit, {"treasurer"}, lifetime=timedelta(hours=1)))
    treasurer = api.with_token(secret)
    assert treasurer.post("/entries", GRANT).status == 201
    installation.clock.advance(hours=2)
    assert treasurer.post("/entries", GRANT).status == 401
    other = api.signed_in({"treasurer"})
    assert other.post("/entries", GRANT).status == 201
    with installation.read() as session:
        found = tokens.find(session, CITY, other.token or "", installation.clock())
    assert found is not None
    installation.run(lambda unit: tokens.revoke(unit, found.token_id or ""))
    assert other.post("/entries", GRANT).status == 401


def test_a_token_of_one_city_is_nothing_in_another(api: Api) -> None:
    """A treasurer of Khon Kaen is not signed in at Yala."""
    installation = api.installation
    changes = {"name_th": "ยะลา", "name_en": "Yala", "code_prefix": "yl"}
    add_city(installation.database, installation.keys, "yala", **changes)
    treasurer = api.signed_in({"treasurer"})
    assert treasurer.post("//v1/cities/yala/entries", GRANT).status == 401
    assert treasurer.post("/entries", GRANT).status == 201


def test_recovery_ends_the_old_sign_in(api: Api) -> None:
    """The account moves to the phone that has the code; the lost phone is signed out."""
    joined = api.post("/learners").body
    typed = joined["recovery_code"].lower().replace("-", " ")
    moved = api.post("/learners/recover", {"recovery_code": typed})
    assert (moved.status, moved.body["account"]) == (200, joined["account"])
    path = f"/accounts/{joined['account']}/balance"
    assert api.with_token(joined["token"]).get(path).status == 401
    assert api.with_token(moved.body["token"]).get(path).status == 200
    wrong = api.post("/learners/recover", {"recovery_code": "0000-0000-0000-0000"})
    assert (wrong.status, wrong.code) == (404, "not_found")
    assert "recovery_code" in api.post("/learners/recover", {"recovery_code": "short"}).body["fields"]


def test_a_cookie_signs_in_only_what_our_own_pages_send(api: Api) -> None:
    """An unsafe request by cookie passes from our origin, and is refused from another or from nowhere told."""
    client = browser(api, staff=api.signed_in({"treasurer"}).token)
    ours = [OURS, {"Sec-Fetch-Site": "none"}, {"Origin": "https://kgo.example"}, {"Origin": "http://localhost"}]
    theirs = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ]
    for headers in ours:
        assert client.post(f"{BASE}/entries", json=GRANT, headers=headers).status_code == 201, headers
    for headers in theirs:
        refused = client.post(f"{BASE}/entries", json=GRANT, headers=headers)
        assert (refused.status_code, refused.get_json()["reason"]) == (403, "cross_site"), headers
    assert client.get(f"{BASE}/accounts/treasury/balance", headers=theirs[0]).status_code == 200


def test_a_bearer_token_needs_no_such_proof(api: Api) -> None:
    """A program has no origin; its token is never sent by itself."""
    treasurer = api.signed_in({"treasurer"})
    assert treasurer.post("/entries", GRANT, Sec_Fetch_Site="cross-site").status == 201


def test_two_sign_ins_in_one_browser(town: Town) -> None:
    """The one that holds the permission counts; where both do, the header says which is meant."""
    learner = town.rich_learner()
    client = browser(town.api, learner=learner.token, staff=town.shop.token)
    reserved = client.post(f"{BASE}/redemptions", json={"promotion": "coffee"}, headers=OURS)
    assert reserved.status_code == 201
    one = f"{BASE}/redemptions/{reserved.get_json()['id']}"
    assert client.post(f"{one}/confirm", headers=OURS).status_code == 200
    other = browser(town.api, learner=town.api.learner().token, staff=town.shop.token)
    assert other.get(one).status_code == 403
    assert other.get(one, headers={"Kgo-Sign-In": "staff"}).status_code == 200


def test_a_stale_cookie_is_nobody(api: Api) -> None:
    """A cookie whose sign-in has ended does not stand in the way of what is public."""
    client = browser(api, learner="kgo_kk" + "a" * 26)
    assert client.get(f"{BASE}/activities").status_code == 200
    assert client.post(f"{BASE}/check-ins", json={"code": "x"}, headers=OURS).status_code == 401
