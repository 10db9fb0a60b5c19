"""Refusals: a stable code, the right status, both languages, the remedy, and nothing of the inside."""

from __future__ import annotations

import ast
import json
import logging
import re
from datetime import timedelta

import pytest

from api.i18n import LANGUAGES, Catalogue
from api.problems import PROBLEMS, describe, field_text
from ledger.book import entries
from ledger.errors import LedgerError, Refused
from tests.api.client import Answer, Api, Town
from tests.tidy.sources import tree, under

NOT_OF_THE_API = {"not_empty", "bridge_exists"}
"""Codes of `kgo` alone: no request leads to them."""

REASON_BY_VARIABLE = {"cap_reached", "shop_not_open", "redemption_ended", "case_closed"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The words do not depend on the kind of database."""
    return sqlite_url


def test_every_code_has_title_and_text_in_both_languages() -> None:
    """No code falls back to its id, and no text is the other language's."""
    words = Catalogue.load()
    for code in PROBLEMS:
        for msgid in (f"problem.{code}", f"problem.{code}.title"):
            assert all(words.has(language, msgid) for language in LANGUAGES), msgid
            assert re.search("[ก-๙]", words.text("th", msgid)), msgid
            assert not re.search("[ก-๙]", words.text("en", msgid)), msgid


def _refusals() -> set[tuple[str, str | None]]:
    """Every (code, reason) that the ledger raises by name."""
    found = set()
    for path in under("ledger"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                texts = [one.value if isinstance(one, ast.Constant) else None for one in node.args[:2]]
                if isinstance(texts[0], str):
                    found.add((texts[0], str(texts[1]) if len(texts) > 1 and texts[1] else None))
    return found


def test_every_refusal_of_the_ledger_is_known_here() -> None:
    """Each code that the ledger raises has a status; each reason has a text of its own in both languages."""
    words = Catalogue.load()
    raised = {(code, reason) for code, reason in _refusals() if code not in NOT_OF_THE_API}
    assert len(raised) > 15
    assert {code for code, _ in raised} - PROBLEMS.keys() == set()
    reasons = {f"problem.{code}.{reason}" for code, reason in raised if reason}
    assert [one for one in sorted(reasons) if not all(words.has(language, one) for language in LANGUAGES)] == []


def _field_sentences() -> set[str]:
    """What the ledger and the API say about fields; a 7 stands for each number that is filled in."""
    found = set()
    for path in under("ledger", "api"):
        if path.parts[:2] == ("ledger", "city") or path.name in ("roles.py", "cli.py"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ValidationFailed", "ValidationError"):
                found |= {sentence for part in ast.walk(node) for sentence in _sentence(part)}
    return {one for one in found if " " in one and one[0].isupper() and one.endswith(".")}


def _sentence(node: ast.AST) -> list[str]:
    """A text, or one with numbers in it; those with words in it are left to the texts that they make."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(one.value) if isinstance(one, ast.Constant) else "7" for one in node.values)
        return [] if "'7'" in text or "of 7" in text or "of: 7" in text else [text]
    return []


def test_every_sentence_about_a_field_is_translated() -> None:
    """A Thai reader gets the remedy for a field in Thai."""
    words = Catalogue.load()
    sentences = _field_sentences()
    assert len(sentences) > 25
    assert [one for one in sorted(sentences) if not re.search("[ก-๙]", field_text(words, "th", one))] == []


def test_numbers_in_a_sentence_are_kept() -> None:
    """The catalogue has the sentence once, whatever the number; an unknown sentence stays as it is."""
    words = Catalogue.load()
    assert "500" in field_text(words, "th", "Give at most 500, which is what was reserved.")
    assert field_text(words, "th", "Say 3 unheard things.") == "Say 3 unheard things."


def test_placeholders_are_the_same_in_both_languages() -> None:
    """A text names the same facts in Thai and in English; only a city's name has one member per language."""
    words = Catalogue.load()
    for msgid in words.messages["en"]:
        if msgid.startswith("problem."):
            named = [set(re.findall(r"\{(\w+)\}", words.text(one, msgid).replace("–", ""))) for one in LANGUAGES]
            assert named[0] == named[1], msgid
    raw = {language: words.messages[language] for language in LANGUAGES}
    for msgid, text in raw["en"].items():
        wanted = {name.removesuffix("_en") for name in re.findall(r"\{(\w+)\}", text)}
        assert {name.removesuffix("_th") for name in re.findall(r"\{(\w+)\}", raw["th"][msgid])} == wanted, msgid


def _is_problem(answer: Answer, status: int, code: str, reason: str | None = None) -> None:
    assert (answer.status, answer.code, answer.body.get("reason")) == (status, code, reason)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["type"] == f"/docs#problem-{code}"
    assert "–" not in answer.body["detail"], answer.body["detail"]
    assert set(answer.body["messages"]) == {"th", "en"}


def test_each_refusal_of_a_check_in(town: Town) -> None:
    """Unknown, forged, of another city, expired, not open yet, over, draft, capped, no budget: each says so."""
    learner, clock = town.api.learner(), town.api.installation.clock
    code = town.steward.get("/activities/walk/code").body["code"]

    def scan(text: str) -> Answer:
        return learner.post("/check-ins", {"code": text})

    _is_problem(scan("hello"), 422, "code_invalid", "unknown")
    forged = code[:-1] + ("a" if code[-1] != "a" else "b")
    _is_problem(scan(forged), 422, "code_invalid", "forged")
    start = clock.now + timedelta(hours=2)
    session = {"starts_at": start.isoformat(), "ends_at": (start + timedelta(hours=1)).isoformat(), "seats": 1}
    base = {"place": "kaen", "name_th": "ก", "name_en": "A", "amount_minor": 100}
    for new in (
        {"id": "later", "sessions": [session]},
        {"id": "draft", "state": "draft"},
        {"id": "screen", "mode": "kiosk"},
        {"id": "once", "max_per_day": 1, "sessions": [{**session, "starts_at": clock.now.isoformat()}]},
    ):
        assert town.steward.post("/activities", {**base, **new}).status == 201
    codes = {name: town.steward.get(f"/activities/{name}/code").body["code"] for name in ("later", "draft", "screen")}
    _is_problem(scan(codes["later"]), 409, "activity_closed", "not_open_yet")
    assert "2 Mar 2026, 12:00" in scan(codes["later"]).body["messages"]["en"]
    _is_problem(scan(codes["draft"]), 409, "activity_closed", "draft")
    _is_problem(scan(codes["screen"]), 409, "budget_exhausted")
    clock.advance(minutes=1)
    _is_problem(scan(codes["screen"]), 410, "code_expired")
    clock.advance(hours=4)
    _is_problem(scan(codes["later"]), 409, "activity_closed", "over")
    town.steward.patch("/activities/walk", {"state": "closed"})
    _is_problem(scan(code), 409, "activity_closed", "over")


def test_caps_say_which_one_and_what_to_do(town: Town) -> None:
    """The cap of an unsecured account names the amount; once the code is kept, the learner earns on."""
    learner = town.api.learner()
    town.steward.post("/entries", {"kind": "fund", "activity": "walk", "amount_minor": 20_000})
    for _ in range(20):
        assert town.check_in(learner).status == 201
        town.api.installation.clock.advance(days=1)
    capped = town.check_in(learner)
    _is_problem(capped, 409, "cap_reached", "unsecured")
    assert "100.00 KGO" in capped.body["messages"]["en"]
    assert learner.post("/learners/secure").body == {"secured": True}
    assert town.check_in(learner).status == 201


def test_each_refusal_of_spending(town: Town) -> None:
    """Too poor, paused, sold out, limit, wrong digits, ended, expired: each says so."""
    learner, shop = town.rich_learner(), town.shop
    poor = town.api.learner()
    _is_problem(poor.post("/redemptions", {"promotion": "coffee"}), 409, "insufficient_funds")
    _is_problem(learner.post("/redemptions", {"promotion": "tea"}), 404, "not_found")
    shop.post("/promotions", {"id": "one", "title_th": "หนึ่ง", "price_minor": 100, "stock": 1, "per_learner": 1})
    first = learner.post("/redemptions", {"promotion": "one"}).body
    _is_problem(learner.post("/redemptions", {"promotion": "one"}), 409, "out_of_stock")
    shop.patch("/promotions/one", {"stock": 9})
    _is_problem(learner.post("/redemptions", {"promotion": "one"}), 409, "limit_reached")
    shop.patch("/promotions/one", {"state": "paused"})
    _is_problem(learner.post("/redemptions", {"promotion": "one"}), 409, "promotion_closed", "paused")
    wrong = f"{(int(first['code']) + 1) % 1_000_000:06d}"
    _is_problem(shop.get(f"/redemptions?code={wrong}"), 404, "not_found")
    _is_problem(shop.get("/redemptions?code=12"), 422, "validation_failed")
    _is_problem(shop.post(f"/redemptions/{first['id']}/refund"), 409, "not_reversible", "pending")
    too_much = shop.post(f"/redemptions/{first['id']}/confirm", {"amount_minor": 101})
    assert "100" in too_much.body["fields"]["amount_minor"]
    assert shop.post(f"/redemptions/{first['id']}/confirm", {"amount_minor": 60}).body["moved_minor"] == 60
    _is_problem(shop.post(f"/redemptions/{first['id']}/confirm"), 409, "redemption_ended", "confirmed")
    second = learner.post("/redemptions", {"promotion": "coffee"}).body
    town.api.installation.clock.advance(minutes=11)
    _is_problem(shop.post(f"/redemptions/{second['id']}/confirm"), 410, "redemption_expired")
    town.steward.post("/shops/cafe/suspend")
    _is_problem(learner.post("/redemptions", {"promotion": "coffee"}), 409, "shop_not_open", "suspended")


def test_guessing_digits_is_slowed_down(town: Town) -> None:
    """After ten misses the shop waits, as `Retry-After` says, and may look again later."""
    learner = town.rich_learner()
    code = learner.post("/redemptions", {"promotion": "coffee"}).body["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert {town.shop.get(f"/redemptions?code={wrong}").status for _ in range(10)} == {404}
    limited = town.shop.get(f"/redemptions?code={code}")
    _is_problem(limited, 429, "too_many_attempts")
    assert int(limited.headers["Retry-After"]) == limited.body["retry_after_seconds"] > 0
    town.api.installation.clock.advance(seconds=limited.body["retry_after_seconds"])
    assert town.shop.get(f"/redemptions?code={code}").status == 200


def test_malformed_bodies_are_refused_by_name(api: Api) -> None:
    """Not JSON, not an object, a member twice, unknown, missing or mistyped fields: 422 with a remedy each."""
    treasurer = api.signed_in({"treasurer"})
    for body in (b"{", b"[]", b'"x"', b'{"kind":"grant","kind":"fund"}', b'{"amount_minor":NaN}', b"\xff", b"[" * 9999):
        answer = treasurer.post("/entries", body)
        _is_problem(answer, 422, "validation_failed")
        assert list(answer.body["fields"]) == ["body"]
    answer = treasurer.post("/entries", {"kind": "grant", "amount_minor": "500", "colour": "red", "reason": "\0"})
    assert set(answer.body["fields"]) == {"amount_minor", "colour", "reason"}
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in answer.body["fields"].values())
    for amount in (0, -1, 2**53, 5.0, True, None, "5"):
        assert "amount_minor" in treasurer.post("/entries", {"kind": "grant", "amount_minor": amount}).body["fields"]
    assert "kind" in treasurer.post("/entries").body["fields"]
    assert treasurer.post("/entries", {"kind": "grant", "amount_minor": 1}).status == 201


def test_media_type_and_size(api: Api) -> None:
    """A form is 415, more than 1 MiB is 413, an unknown method 405 with `Allow`, an unknown address 404."""
    treasurer = api.signed_in({"treasurer"})
    form = treasurer.post("/entries", b"kind=grant", Content_Type="application/x-www-form-urlencoded")
    _is_problem(form, 415, "unsupported_media_type")
    _is_problem(treasurer.post("/entries", b" " * 1_048_577), 413, "body_too_large")
    wrong = treasurer.call("DELETE", "/entries")
    _is_problem(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    _is_problem(api.get("/nothing"), 404, "not_found")
    _is_problem(api.get("//v1/cities/atlantis/activities"), 404, "not_found")


def test_the_language_is_the_readers(api: Api) -> None:
    """`?lang` wins over `Accept-Language`, which wins over English; both languages always come along."""
    thai = api.get("/shops/none", Accept_Language="th-TH,en;q=0.5")
    english = api.get("/shops/none")
    assert thai.headers["Content-Language"] == "th"
    assert thai.body["detail"] == thai.body["messages"]["th"] == english.body["messages"]["th"]
    assert english.body["detail"] == english.body["messages"]["en"]
    assert api.get("/shops/none?lang=en", Accept_Language="th").headers["Content-Language"] == "en"
    assert api.get("/shops/none", Accept_Language="de, *;q=0.1").headers["Content-Language"] == "en"
    fields = api.signed_in({"treasurer"}).post("/entries?lang=th", {"kind": "?"}).body["fields"]
    assert re.search("[ก-๙]", fields["kind"])


def test_what_nobody_foresaw_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault inside is a 500 with the request's id; the log has the cause, the client does not."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(entries, "leaf", fail)
    with caplog.at_level(logging.ERROR):
        answer = api.get("/entries/0")
    _is_problem(answer, 500, "internal_error")
    assert "secret detail" not in json.dumps(answer.body)
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    assert answer.body["request_id"] in answer.body["detail"]
    assert "secret detail" in caplog.text


def test_an_unknown_code_is_an_internal_error() -> None:
    """An error that is in no list becomes the general one and shows none of its facts."""

    class Odd(LedgerError):
        code = "odd"

    words = Catalogue.load()
    shown = describe(Odd(path="/secret"), "en", None, catalogue=words)
    assert (shown.code, shown.status, shown.to_json().get("path")) == ("internal_error", 500, None)
    known = describe(Refused("out_of_stock", promotion="coffee"), "en", None, catalogue=words)
    assert (known.code, known.status, known.to_json()["promotion"]) == ("out_of_stock", 409, "coffee")
