"""Airdrops over the API: preview, rows, confirm, continue, cancel; keys as for every POST."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ledger.book import accounts
from ledger.people import learners
from ledger.programme import airdrop_files, airdrops
from tests.api.client import Answer, Api, Town
from tests.factories import CITY


def pupils(api: Api, count: int) -> list[str]:
    """The ids of some learners."""
    return api.installation.run(lambda unit: [learners.join(unit).learner for _ in range(count)])


def sheet(who: list[str], amount: str = "1") -> str:
    """A list that gives everybody the same."""
    return "learner,amount\n" + "".join(f"{one},{amount}\n" for one in who)


def bring(town: Town, text: str, **more: Any) -> Answer:
    """Preview a list."""
    return town.steward.post("/airdrops", {"activity": town.activity, "csv": text, **more})


def held(town: Town, who: list[str]) -> list[int]:
    """What each learner has."""
    with town.api.installation.read() as session:
        found = accounts.with_prefix(session, CITY, "learner:")
    balances = {balance.account: balance.posted_minor for balance in found}
    return [balances[learners.account_of(one)] for one in who]


def test_from_preview_to_done(town: Town) -> None:
    """Nothing is paid before `confirm`, which names the sum; `continue` pays a chunk at a time until it is done."""
    who = pupils(town.api, airdrops.CHUNK + 5)
    count = len(who)
    answer = bring(town, sheet([*who, who[0]], "0.50"), file_name="class.csv")
    assert answer.status == 201
    drop = answer.body
    assert (drop["state"], drop["rows"], drop["accepted_rows"], drop["refused_rows"]) == ("draft", count + 1, count, 1)
    assert (drop["sum_minor"], drop["budget_after_minor"]) == (50 * count, 20_000 - 50 * count)
    assert drop["verdicts"] == {"ok": count, "duplicate": 1}
    one = f"/airdrops/{drop['id']}"
    confirmed = town.steward.post(f"{one}/confirm", {"sum_minor": drop["sum_minor"]})
    assert (confirmed.status, confirmed.body["state"], held(town, who[:1])) == (200, "running", [0])
    first = town.steward.post(f"{one}/continue").body
    assert (first["state"], first["paid_rows"], first["waiting_rows"]) == ("running", airdrops.CHUNK, 5)
    done = town.steward.post(f"{one}/continue").body
    assert (done["state"], done["paid_rows"], done["paid_minor"], done["left_minor"]) == ("done", count, 50 * count, 0)
    assert set(held(town, who)) == {50}
    assert town.steward.get(one).body == town.steward.post(f"{one}/continue").body == done


def test_rows_come_in_pages_and_the_refused_alone(town: Town) -> None:
    """The cursor is the line; each paid row names an entry that the public log has."""
    who = pupils(town.api, 3)
    drop = bring(town, sheet([who[0], "Somchai", who[1], who[1], who[2]])).body
    one = f"/airdrops/{drop['id']}"
    town.steward.post(f"{one}/confirm", {"sum_minor": 300})
    town.steward.post(f"{one}/continue")
    page = town.steward.get(f"{one}/rows?limit=2").body
    assert [(row["line"], row["verdict"]) for row in page["items"]] == [(2, "paid"), (3, "unknown_learner")]
    rest = town.steward.get(f"{one}/rows?limit=200&cursor={page['next']}").body
    assert [(row["line"], row["verdict"]) for row in rest["items"]] == [(4, "paid"), (5, "duplicate"), (6, "paid")]
    assert rest["next"] is None
    refused = town.steward.get(f"{one}/rows?refused=true").body["items"]
    assert [row["line"] for row in refused] == [3, 5]
    paid = page["items"][0]
    entry = town.api.get(f"/entries/{paid['entry']}").body
    assert (entry["kind"], entry["postings"][0]["amount"]) == ("reward", paid["amount_minor"])
    csv = town.steward.get(f"{one}/verdicts.csv")
    assert csv.raw.decode("utf-8-sig").splitlines()[1] == f"2,{who[0]},1,,paid,{paid['entry']}"


def test_a_key_makes_one_preview_and_one_step(town: Town) -> None:
    """The same key and body answer as the first time, and a step under a key is taken once."""
    who = pupils(town.api, airdrops.CHUNK + 1)
    body = {"activity": town.activity, "csv": sheet(who, "0.01")}
    first = town.steward.post("/airdrops", body, key="one")
    again = town.steward.post("/airdrops", body, key="one")
    assert again.body == first.body
    assert again.headers["Idempotent-Replay"] == "true"
    other = town.steward.post("/airdrops", {**body, "csv": sheet(who[:1])}, key="one")
    assert (other.status, other.code) == (409, "idempotency_conflict")
    one = f"/airdrops/{first.body['id']}"
    town.steward.post(f"{one}/confirm", {"sum_minor": len(who)})
    step = town.steward.post(f"{one}/continue", key="step")
    assert town.steward.post(f"{one}/continue", key="step").body == step.body
    assert town.steward.get(one).body["paid_rows"] == airdrops.CHUNK


def test_two_drivers_at_once_never_pay_twice(town: Town) -> None:
    """Four clients go on with one airdrop; every learner has the amount once."""
    who = pupils(town.api, airdrops.CHUNK * 3)
    drop = bring(town, sheet(who, "0.10")).body
    one = f"/airdrops/{drop['id']}"
    town.steward.post(f"{one}/confirm", {"sum_minor": drop["sum_minor"]})

    def drive(_: int) -> str:
        while (answer := town.steward.post(f"{one}/continue")).body["state"] == "running":
            assert answer.status == 200
        return str(answer.body["state"])

    with ThreadPoolExecutor(4) as clients:
        assert set(clients.map(drive, range(4))) == {"done"}
    assert set(held(town, who)) == {10}
    assert town.api.installation.audit().findings == []


def test_each_refusal(town: Town) -> None:
    """Another sum, before it is confirmed, after it is cancelled or done, a budget that shrank, no such airdrop."""
    who = pupils(town.api, 1)
    drop = bring(town, sheet(who, "100")).body
    one = f"/airdrops/{drop['id']}"

    def refusal(path: str, body: Any = None) -> tuple[int, str, str | None]:
        answer = town.steward.post(path, body)
        return answer.status, answer.code, answer.body.get("reason")

    assert refusal(f"{one}/confirm", {"sum_minor": 1}) == (409, "airdrop_conflict", "sum")
    assert refusal(f"{one}/continue") == (409, "airdrop_conflict", "draft")
    away = {"kind": "transfer", "from": "budget:walk", "to": "treasury", "amount_minor": 15_000}
    assert town.steward.post("/entries", away).status == 201
    assert refusal(f"{one}/confirm", {"sum_minor": 10_000}) == (409, "budget_exhausted", "airdrop")
    assert town.steward.post(f"{one}/cancel").body["state"] == "cancelled"
    assert refusal(f"{one}/confirm", {"sum_minor": 10_000}) == (409, "airdrop_conflict", "cancelled")
    small = bring(town, sheet(who)).body
    town.steward.post(f"/airdrops/{small['id']}/confirm", {"sum_minor": 100})
    town.steward.post(f"/airdrops/{small['id']}/continue")
    assert refusal(f"/airdrops/{small['id']}/cancel") == (409, "airdrop_conflict", "done")
    for path in ("/airdrops/nobodys/confirm", "/airdrops/nobodys/continue", "/airdrops/nobodys/cancel"):
        assert refusal(path, {"sum_minor": 1} if path.endswith("confirm") else None)[:2] == (404, "not_found")
    assert [town.steward.get(f"/airdrops/nobodys{tail}").status for tail in ("", "/rows", "/verdicts.csv")] == [404] * 3


def test_a_list_that_cannot_be_read_names_the_line_and_the_remedy(town: Town) -> None:
    """The field is `csv`; a file with carriage returns is read, half a character is not."""
    for text, line in (("who,what\na,1", 1), ('learner,amount\n"a,1', 2), ("learner,amount\na,1\n\ud800,2", 3)):
        answer = bring(town, text)
        assert (answer.status, list(answer.body["fields"])) == (422, ["csv"])
        assert answer.body["fields"]["csv"].startswith(f"Line {line}:")
    windows = bring(town, sheet(pupils(town.api, 1)).replace("\n", "\r\n"))
    assert (windows.status, windows.body["accepted_rows"]) == (201, 1)
    long = "learner,amount\n" + "a,1\n" * (airdrop_files.MAX_ROWS + 1)
    assert bring(town, long).body["fields"]["csv"].startswith(f"Line {airdrop_files.MAX_ROWS + 2}:")
    assert bring(town, "x" * (airdrop_files.MAX_BYTES + 1)).status in (413, 422)
    assert bring(town, 7).body["fields"] == {"csv": "Give text."}  # type: ignore[arg-type]


def test_the_steward_alone(town: Town) -> None:
    """Rows name learners' accounts, so that other staff do not see them."""
    drop = bring(town, sheet(pupils(town.api, 1))).body
    for role in ("treasurer", "auditor", "operator", "integrator"):
        other = town.api.signed_in({role})
        assert other.get(f"/airdrops/{drop['id']}/rows").status == 403
        assert other.post(f"/airdrops/{drop['id']}/confirm", {"sum_minor": 100}).status == 403
