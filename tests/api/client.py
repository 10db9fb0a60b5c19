"""A client that speaks JSON to the application, and a town to play in.

The client compares every answer with `/openapi.json`: its status and problem code must be declared for the operation,
and its body must match the declared schema. So every test of the API is a test of its description too.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from a2wsgi import ASGIMiddleware
from flask import Flask
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from werkzeug.datastructures import Headers
from werkzeug.test import Client

from api.app import front_of
from api.lane import Lane
from ledger.people import tokens
from tests.factories import CITY, Installation

PUBLIC_URL = "https://kgo.example"
BASE = f"/v1/cities/{CITY}"


@dataclass
class Answer:
    """One response: status, headers, and the JSON body where there is one."""

    status: int
    headers: Headers
    body: Any
    raw: bytes

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.body["code"])


class Agreement:
    """The description of an application, and whether answers agree with it."""

    def __init__(self, app: Flask) -> None:
        self.spec: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
        self._paths = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in self.spec["paths"]
        ]
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, method: str, url: str, answer: Answer) -> None:
        """Fail unless the answer is one that the description announces."""
        found = [path for pattern, path in self._paths if pattern.fullmatch(url)]
        if not found or method.lower() not in self.spec["paths"][found[0]]:
            assert answer.status in (404, 405), url
            return
        responses = self.spec["paths"][found[0]][method.lower()]["responses"]
        assert str(answer.status) in responses, f"{method} {found[0]} {answer.status} {answer.body}"
        for media, content in responses[str(answer.status)]["content"].items():
            place = f"{method} {found[0]} {answer.status} {media}"
            if place not in self._validators:
                schema = {**content["schema"], "components": self.spec["components"]}
                self._validators[place] = Draft202012Validator(schema)
            self._validators[place].validate(answer.body)


_agreements: WeakKeyDictionary[Flask, Agreement] = WeakKeyDictionary()


def agreement(app: Flask) -> Agreement:
    """The description of an application, read once."""
    if app not in _agreements:
        _agreements[app] = Agreement(app)
    return _agreements[app]


LOOP = asyncio.new_event_loop()
"""Where all fronts run."""

threading.Thread(target=LOOP.run_forever, name="front", daemon=True).start()
_fronts: WeakKeyDictionary[Flask, Client] = WeakKeyDictionary()


def client_of(app: Flask) -> Client:
    """A client of all that a server would call: the lane, and Flask in a thread behind it."""
    if app not in _fronts:
        _fronts[app] = client_of_front(front_of(app))
    return _fronts[app]


def client_of_front(front: Lane) -> Client:
    """A client of a front that was made before."""
    return Client(ASGIMiddleware(front, loop=LOOP), use_cookies=False)  # type: ignore[arg-type]


@dataclass
class Api:
    """A client of one city's API, signed in by a bearer token or not at all."""

    app: Flask
    installation: Installation
    token: str | None = None
    account: str = ""
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = client_of(self.app)

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
        answer = Answer(response.status_code, response.headers, response.get_json() if is_json else None, response.data)
        response.close()
        if is_json and not path.startswith("//"):
            agreement(self.app).check(method, url.partition("?")[0], answer)
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

    def with_token(self, token: str | None) -> Api:
        """The same API, signed in by this token."""
        return Api(self.app, self.installation, token)

    def learner(self) -> Api:
        """The same API as a learner who has just begun."""
        joined = self.post("/learners").body
        api = self.with_token(joined["token"])
        api.account = joined["account"]
        return api


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
