"""`Idempotency-Key`: the same request twice is carried out once, and answered the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from tests.api.client import Api, Town

KEY = "3f1c9a52-77d0-4c1e-9a34-1f1c9a5277d0"
GRANT = {"kind": "grant", "amount_minor": 700}


def treasury(api: Api) -> int:
    """What the treasury holds."""
    return int(api.get("/accounts/treasury/balance").body["posted_minor"])


def test_the_same_request_gets_the_first_answer_again(api: Api) -> None:
    """Same key and body: one entry, the same body and status, marked as a replay."""
    treasurer = api.signed_in({"treasurer"})
    first = treasurer.post("/entries", GRANT, key=KEY)
    again = treasurer.post("/entries", GRANT, key=KEY)
    assert (first.status, again.status) == (201, 201)
    assert again.raw == first.raw
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert treasury(api) == 100_700


def test_without_a_key_or_with_another_the_request_is_a_new_one(api: Api) -> None:
    """Two grants without a key, or under two keys, are two entries."""
    treasurer = api.signed_in({"treasurer"})
    entries = {treasurer.post("/entries", GRANT, key=key).body["entry"] for key in (None, None, KEY, KEY + "x")}
    assert len(entries) == 4


def test_the_same_key_with_another_body_is_a_conflict(api: Api) -> None:
    """Another body, even one that is not valid at all, is refused and nothing is done."""
    treasurer = api.signed_in({"treasurer"})
    treasurer.post("/entries", GRANT, key=KEY)
    for body in ({**GRANT, "amount_minor": 701}, {"kind": "nonsense"}, b"{"):
        answer = treasurer.post("/entries", body, key=KEY)
        assert (answer.status, answer.code) == (409, "idempotency_conflict")
    assert treasury(api) == 100_700


def test_the_same_key_of_somebody_else_or_on_another_route_is_another_one(town: Town) -> None:
    """A key belongs to who sent it and where to."""
    treasurers = [town.api.signed_in({"treasurer"}) for _ in range(2)]
    entries = {one.post("/entries", GRANT, key=KEY).body["entry"] for one in treasurers}
    batch = treasurers[0].post("/entries:batch", {"entries": [GRANT]}, key=KEY)
    assert len(entries) == 2
    assert batch.status == 201


def test_the_same_key_for_another_thing_on_the_same_route_is_a_conflict(town: Town) -> None:
    """The path counts as part of the body: a key that confirmed one redemption does not answer for the next."""
    learner = town.rich_learner()
    town.check_in(learner)
    rich = [learner, town.rich_learner()]
    first, second = (one.post("/redemptions", {"promotion": "coffee"}).body["id"] for one in rich)
    assert town.shop.post(f"/redemptions/{first}/confirm", key=KEY).status == 200
    assert town.shop.post(f"/redemptions/{second}/confirm", key=KEY).code == "idempotency_conflict"
    assert town.shop.get(f"/redemptions/{second}").body["state"] == "pending"


def test_a_refusal_is_not_stored(town: Town) -> None:
    """What was refused may succeed later under the same key."""
    learner = town.api.learner()
    assert learner.post("/redemptions", {"promotion": "coffee"}, key=KEY).code == "insufficient_funds"
    town.check_in(learner)
    assert learner.post("/redemptions", {"promotion": "coffee"}, key=KEY).status == 201


def test_a_newcomer_whose_answer_was_lost_gets_the_same_account(api: Api) -> None:
    """The stored answer holds a sign-in token: it comes back, and stands nowhere in the database in clear."""
    first = api.post("/learners", {}, key=KEY)
    again = api.post("/learners", {}, key=KEY)
    assert again.body == first.body
    with api.installation.read() as session:
        rows = session.execute(text("SELECT key, answer FROM idempotency")).all()
    assert len(rows) == 1
    stored = bytes(rows[0].answer) + str(rows[0].key).encode()
    for secret in (first.body["token"], first.body["recovery_code"], KEY):
        assert secret.encode() not in stored


@pytest.mark.parametrize("key", ["short", "x" * 15])
def test_a_newcomers_key_must_not_be_guessable(api: Api, key: str) -> None:
    """All who are not signed in share a scope, so short keys are refused for them; a treasurer may use them."""
    answer = api.post("/learners", {}, key=key)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert "16" in answer.body["fields"]["Idempotency-Key"]
    assert api.signed_in({"treasurer"}).post("/entries", GRANT, key=key).status == 201


@pytest.mark.parametrize("key", ["x" * 256, "ก" * 20, "a\tb" * 10])
def test_a_key_is_printable_ascii_of_at_most_255(api: Api, key: str) -> None:
    """Anything else is refused under the header's name; 255 characters are taken."""
    treasurer = api.signed_in({"treasurer"})
    answer = treasurer.post("/entries", GRANT, key=key.encode().decode("latin-1"))
    assert "Idempotency-Key" in answer.body["fields"]
    assert treasurer.post("/entries", GRANT, key="x" * 255).status == 201


def test_equal_requests_at_the_same_time_are_carried_out_once(api: Api) -> None:
    """Eight at once under one key: one entry, eight equal answers."""
    treasurer = api.signed_in({"treasurer"})
    with ThreadPoolExecutor(8) as pool:
        senders = [treasurer.with_token(treasurer.token) for _ in range(8)]
        answers = list(pool.map(lambda one: one.post("/entries", GRANT, key=KEY), senders))
    assert {answer.raw for answer in answers} == {answers[0].raw}
    assert [answer.status for answer in answers] == [201] * 8
    assert sum("Idempotent-Replay" in answer.headers for answer in answers) == 7
    assert treasury(api) == 100_700
