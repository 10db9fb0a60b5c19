"""A client that speaks JSON to the application, and a town to play in."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from ledger.people import tokens
from tests.factories import CITY, Installation

PUBLIC_URL = "https://kgo.example"
BASE = f"/v1/cities/{CITY}"


@dataclass
class Answer:
    """One response: status, headers, and the JSON body where there is one."""

    status: int
    headers: dict[str, str]
    body: Any
    raw: bytes

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.body["code"])


@dataclass
class Api:
    """A client of one city's API, signed in by a bearer token or not at all."""

    app: Flask
    installation: Installation
    token: str | None = None
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client(use_cookies=False)

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """Send a request; `path` is below the city's unless it begins with `//`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if key:
            sent["Idempotency-Key"] = key
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = path[1:] if path.startswith("//") else BASE + path
        response = self.client.open(url, method=method, data=data, headers=sent)
        is_json = "json" in (response.mimetype or "")
        answer = Answer(
            response.status_code, dict(response.headers), response.get_json() if is_json else None, response.data
        )
        response.close()
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """POST."""
        return self.call("POST", path, body, key=key, **headers)

    def patch(self, path: str, body: Any) -> Answer:
        """PATCH."""
        return self.call("PATCH", path, body)

    def signed_in(self, roles: Collection[str], subject: str | None = None) -> Api:
        """The same API with a fresh token of these roles."""
        secret = self.installation.run(lambda unit: tokens.issue(unit, roles, subject))
        return Api(self.app, self.installation, secret)

    def learner(self) -> Api:
        """The same API as a learner who has just begun; `account` of `POST /learners` is `account_of` it."""
        return Api(self.app, self.installation, self.post("/learners").body["token"])


@dataclass
class Town:
    """A city in the middle of its day: a funded activity, a shop with a promotion, and who works there."""

    api: Api
    steward: Api
    shop: Api
    activity: str = "walk"
    promotion: str = "coffee"

    def check_in(self, learner: Api) -> Answer:
        """The learner scans the activity's poster."""
        code = self.steward.get(f"/activities/{self.activity}/code").body["code"]
        return learner.post("/check-ins", {"code": code})

    def rich_learner(self) -> Api:
        """A learner who has earned 5.00 KGO."""
        learner = self.api.learner()
        assert self.check_in(learner).status == 201
        return learner
