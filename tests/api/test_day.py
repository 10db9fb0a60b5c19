"""A day of the city over the API, from the steward's desk to the auditor's laptop."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from ledger.verifier.cli import main as verify
from tests.api.client import Town


def test_a_learner_earns_spends_and_an_auditor_verifies(town: Town, tmp_path: Path) -> None:
    """Scan, reward, reserve, confirm, refund: each balance follows, and the exported log verifies."""
    joined = town.api.post("/learners")
    assert joined.status == 201
    learner = town.api.with_token(joined.body["token"])
    account = joined.body["account"]

    listed = town.api.get("/activities").body["items"]
    assert [(one["id"], one["open"], one["funded"]) for one in listed] == [("walk", True, True)]

    checked_in = town.check_in(learner)
    assert checked_in.status == 201
    assert checked_in.body["amount_minor"] == 500
    assert (checked_in.body["symbol"], checked_in.body["scale"]) == ("KGO", 2)
    assert checked_in.body["balance"]["available_minor"] == 500

    reserved = learner.post("/redemptions", {"promotion": "coffee"})
    assert reserved.status == 201
    assert reserved.body["state"] == "pending"
    assert reserved.body["url"].startswith("https://kgo.example/r/")
    balance = learner.get(f"/accounts/{account}/balance").body
    assert (balance["posted_minor"], balance["held_minor"], balance["available_minor"]) == (500, 300, 200)

    found = town.shop.get(f"/redemptions?code={reserved.body['code']}")
    assert (found.status, found.body["id"], found.body["amount_minor"]) == (200, reserved.body["id"], 300)
    confirmed = town.shop.post(f"/redemptions/{found.body['id']}/confirm")
    assert (confirmed.status, confirmed.body["state"], confirmed.body["moved_minor"]) == (200, "confirmed", 300)
    refunded = town.shop.post(f"/redemptions/{found.body['id']}/refund", {"amount_minor": 100})
    assert (refunded.body["state"], refunded.body["refunded_minor"]) == ("confirmed", 100)
    assert learner.get(f"/accounts/{account}/balance").body["available_minor"] == 300

    lines = learner.get(f"/accounts/{account}/statement").body["items"]
    assert [line["kind"] for line in lines] == ["refund", "capture", "hold", "reward"]

    proof = town.api.get(f"/entries/{checked_in.body['entry']}/proof").body
    assert proof["leaf_index"] == checked_in.body["entry"]
    assert town.api.get("//log/khon-kaen/checkpoint").raw.decode() == proof["checkpoint"]

    export = town.api.get("/export")
    assert export.headers["Content-Type"] == "application/zip"
    assert 'filename="khon-kaen-log.zip"' in export.headers["Content-Disposition"]
    zipfile.ZipFile(io.BytesIO(export.raw)).extractall(tmp_path / "export")
    assert verify([str(tmp_path / "export")]) == 0
    assert account.encode() not in (tmp_path / "export" / "entries.ndjson").read_bytes()


def test_a_check_in_twice_is_refused_naming_the_first(town: Town) -> None:
    """The second scan of the same session answers with the first entry, amount and time, and pays nothing."""
    learner = town.api.learner()
    first = town.check_in(learner)
    again = town.check_in(learner)
    assert (again.status, again.code) == (409, "already_checked_in")
    assert (again.body["entry"], again.body["amount_minor"]) == (first.body["entry"], 500)
    assert (again.body["symbol"], again.body["scale"]) == ("KGO", 2)
    assert "5.00 KGO" in again.body["messages"]["en"]
    assert "2569" in again.body["messages"]["th"]
