"""The main job of a learning city, over HTTP: from the steward's desk by way of the learner to the shop's till."""

from __future__ import annotations

import uuid

import httpx

from tests.servers import Server

HOME = "/v1/cities/khon-kaen"


def client(server: Server, token: str | None = None) -> httpx.Client:
    """An API client of the home city."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=server.url + HOME, headers=headers, timeout=30)


def created(response: httpx.Response) -> dict[str, object]:
    """The body of an answer that must be a success."""
    assert response.status_code in (200, 201), response.text
    body: dict[str, object] = response.json()
    return body


def live(server: Server, steward: str, till: str) -> None:
    """Fund, open, scan, spend, confirm; `steward` and `till` are tokens, the till that of `sample-som-tam`."""
    desk, shop = client(server, steward), client(server, till)
    place = created(desk.get("/places"))["items"][0]["id"]  # type: ignore[index]
    activity = created(
        desk.post("/activities", json={"place": place, "name_th": "ลองเรียน", "name_en": "Try", "amount_minor": 700})
    )
    fund = {"kind": "fund", "activity": activity["id"], "amount_minor": 7_000}
    created(desk.post("/entries", json=fund))
    code = created(desk.get(f"/activities/{activity['id']}/code"))["code"]

    joined = created(client(server).post("/learners"))
    learner = client(server, str(joined["token"]))
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = learner.post("/check-ins", json={"code": code}, headers=key)
    assert created(first)["amount_minor"] == 700
    again = learner.post("/check-ins", json={"code": code}, headers=key)
    assert (again.json(), again.headers["Idempotent-Replay"]) == (first.json(), "true")
    assert learner.post("/check-ins", json={"code": code}).json()["code"] == "already_checked_in"

    offer = created(client(server).get("/promotions?shop=sample-som-tam"))["items"][0]  # type: ignore[index]
    reserved = created(learner.post("/redemptions", json={"promotion": offer["id"]}))
    found = created(shop.get("/redemptions", params={"code": str(reserved["code"])}))
    assert found["amount_minor"] == offer["price_minor"]
    confirmed = created(shop.post(f"/redemptions/{found['id']}/confirm"))
    assert confirmed["state"] == "confirmed"
    seen = created(learner.get(f"/redemptions/{reserved['id']}"))
    assert seen["state"] == "confirmed"
