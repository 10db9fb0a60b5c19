"""The treasurer's entries, balances at any time, statements by page, the public log."""

from __future__ import annotations

import base64
import hashlib
from itertools import pairwise

from ledger.proof.checkpoint import verify
from ledger.proof.encoding import timestamp
from tests.api.client import Api, Town


def test_grant_fund_transfer_reverse(town: Town) -> None:
    """Defaults are filled in, the answer shows what moved, and a reversal moves it back once."""
    treasurer = town.steward
    grant = treasurer.post("/entries", {"kind": "grant", "amount_minor": 900}).body
    assert (grant["from"], grant["to"], grant["amount_minor"], grant["symbol"]) == ("issuance", "treasury", 900, "KGO")
    fund = treasurer.post("/entries", {"kind": "fund", "activity": "walk", "amount_minor": 400}).body
    assert (fund["from"], fund["to"]) == ("treasury", "budget:walk")
    sponsor = {"kind": "transfer", "from": "treasury", "to": "sponsor:kktt", "amount_minor": 50, "reason": "thanks"}
    assert treasurer.post("/entries", sponsor).status == 201
    back = treasurer.post("/entries", {"kind": "reverse", "origin": fund["entry"]}).body
    assert (back["kind"], back["from"], back["to"], back["amount_minor"]) == ("reverse", "budget:walk", "treasury", 400)
    again = treasurer.post("/entries", {"kind": "reverse", "origin": fund["entry"]})
    assert (again.status, again.code, again.body["by"]) == (409, "not_reversible", back["entry"])
    assert treasurer.get("/accounts/budget:walk/balance").body["posted_minor"] == 20_000
    entry = treasurer.get(f"/entries/{fund['entry']}").body
    assert (entry["actor"], entry["ref"]) == ("treasurer", {"activity": "walk"})


def test_what_an_entry_may_not_say(town: Town) -> None:
    """Missing, foreign and contradicting fields are named; unknown accounts and movements have their own codes."""
    post = town.steward.post
    wrong = [
        ({"kind": "fund", "amount_minor": 1}, "to"),
        ({"kind": "fund", "amount_minor": 1, "activity": "walk", "to": "budget:walk"}, "to"),
        ({"kind": "transfer", "amount_minor": 1, "to": "treasury"}, "from"),
        ({"kind": "reverse"}, "origin"),
        ({"kind": "reverse", "origin": 0, "amount_minor": 1}, "amount_minor"),
        ({"kind": "grant", "amount_minor": 1, "activity": "walk"}, "activity"),
        ({"kind": "grant", "amount_minor": 1, "reason": "Too Loud!"}, "reason"),
        ({"kind": "grant", "amount_minor": 1, "to": "learner:~" + "a" * 52}, "to"),
        ({"kind": "grant", "amount_minor": 1, "to": "Treasury"}, "to"),
    ]
    for body, field in wrong:
        assert list(post("/entries", body).body["fields"]) == [field], body
    assert post("/entries", {"kind": "fund", "activity": "nowhere", "amount_minor": 1}).code == "not_found"
    odd = {"kind": "transfer", "from": "issuance", "to": "shop:cafe", "amount_minor": 1}
    assert post("/entries", odd).code == "not_allowed"
    assert post("/entries", {"kind": "fund", "activity": "walk", "amount_minor": 10**9}).code == "insufficient_funds"


def test_a_batch_is_posted_whole_or_not_at_all(town: Town) -> None:
    """Three entries in order; with one that is refused, none, and the answer names its index."""
    fund = {"kind": "fund", "activity": "walk", "amount_minor": 100}
    posted = town.steward.post("/entries:batch", {"entries": [fund] * 3})
    assert posted.status == 201
    seqs = [item["entry"] for item in posted.body["items"]]
    assert seqs == list(range(seqs[0], seqs[0] + 3))
    before = town.api.get("/accounts/treasury/balance").body
    refused = town.steward.post("/entries:batch", {"entries": [fund, fund, {**fund, "amount_minor": 10**9}]})
    assert (refused.status, refused.code, refused.body["index"]) == (409, "insufficient_funds", 2)
    malformed = town.steward.post("/entries:batch", {"entries": [fund, {"kind": "fund", "amount_minor": 0}]})
    assert set(malformed.body["fields"]) == {"entries.1.amount_minor"} or "entries.1.to" in malformed.body["fields"]
    assert town.api.get("/accounts/treasury/balance").body == before


def test_a_batch_has_1_to_1000_entries(api: Api) -> None:
    """None and too many are refused; a thousand are posted under one checkpoint."""
    treasurer = api.signed_in({"treasurer"})
    grant = {"kind": "grant", "amount_minor": 1}
    for entries in ([], [grant] * 1001, "x", None):
        assert "entries" in treasurer.post("/entries:batch", {"entries": entries}).body["fields"]
    posted = treasurer.post("/entries:batch", {"entries": [grant] * 1000})
    assert len(posted.body["items"]) == 1000


def test_the_balance_of_any_time(town: Town) -> None:
    """`at` gives the balance as it was, whatever the zone it is said in; before the first entry it is 0."""
    clock = town.api.installation.clock
    before = clock.now
    clock.advance(hours=1)
    town.steward.post("/entries", {"kind": "grant", "amount_minor": 5})
    path = "/accounts/treasury/balance"
    now = town.api.get(path).body["posted_minor"]
    assert town.api.get(f"{path}?at={timestamp(before)}").body["posted_minor"] == now - 5
    assert town.api.get(f"{path}?at=2026-03-02T10:00:00+07:00").body["posted_minor"] == now - 5
    assert town.api.get(f"{path}?at=2026-03-02T11:00:00%2B07:00").body["posted_minor"] == now
    early = town.api.get(f"{path}?at=2020-01-01T00:00:00Z").body
    assert (early["posted_minor"], early["as_of_seq"]) == (0, -1)
    for wrong in ("yesterday", "2026-03-02T10:00:00", "", "0001-01-01T00:00:00Z", "2026-03-02"):
        assert "at" in town.api.get(f"{path}?at={wrong}").body["fields"]
    assert "att" in town.api.get(f"{path}?att=2020-01-01T00:00:00Z").body["fields"]
    assert town.api.get("/accounts/nothing/balance").code == "not_found"


def test_a_statement_comes_page_by_page(town: Town) -> None:
    """Following `next` gives every line once, newest first, with balances that add up."""
    for _ in range(7):
        town.steward.post("/entries", {"kind": "grant", "amount_minor": 10})
    path = "/accounts/treasury/statement"
    whole = town.api.get(f"{path}?limit=200").body
    assert whole["next"] is None
    lines, cursor = [], ""
    while True:
        page = town.api.get(f"{path}?limit=4{cursor}").body
        assert len(page["items"]) <= 4
        lines += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert lines == whole["items"]
    for newer, older in pairwise(lines):
        assert newer["posted_minor"] == older["posted_minor"] + newer["amount_minor"]
    for wrong in ("limit=0", "limit=201", "limit=x", "cursor=-1"):
        assert town.api.get(f"{path}?{wrong}").code == "validation_failed"


def test_a_reversed_reward_tells_staff_nothing_of_the_person(town: Town) -> None:
    """The treasurer reverses by seq; neither the answer nor a refusal names the account or its balance."""
    learner = town.api.learner()
    entry = town.check_in(learner).body["entry"]
    reserved = learner.post("/redemptions", {"promotion": "coffee"})
    refused = town.steward.post("/entries", {"kind": "reverse", "origin": entry})
    assert (refused.status, refused.code) == (409, "insufficient_funds")
    assert learner.account.encode() not in refused.raw
    assert "available_minor" not in refused.body
    learner.post(f"/redemptions/{reserved.body['id']}/cancel")
    done = town.steward.post("/entries", {"kind": "reverse", "origin": entry})
    assert (done.status, done.body["from"], done.body["to"]) == (201, None, "budget:walk")
    assert learner.get(f"/accounts/{learner.account}/balance").body["posted_minor"] == 0


def test_every_entry_is_public_with_its_proof(town: Town) -> None:
    """Anybody gets the leaf, hashes it, and follows the proof to the root of a checkpoint under the city's key."""
    learner = town.rich_learner()
    city = town.api.get("//v1/cities/khon-kaen").body
    checkpoint = verify(town.api.get("//log/khon-kaen/checkpoint").raw.decode(), city["vkey"])
    assert town.api.get("//log/khon-kaen/vkey").raw.decode() == city["vkey"] + "\n"
    for seq in range(checkpoint.size):
        entry = town.api.get(f"/entries/{seq}").body
        leaf = base64.b64decode(entry["leaf"])
        assert learner.account.encode() not in leaf
        proof = town.api.get(f"/entries/{seq}/proof").body
        node, index, size = hashlib.sha256(b"\0" + leaf).digest(), proof["leaf_index"], proof["tree_size"]
        assert (index, size) == (seq, checkpoint.size)
        assert _root(node, index, size, [base64.b64decode(one) for one in proof["inclusion"]]) == checkpoint.root
    assert town.api.get(f"/entries/{checkpoint.size}").code == "not_found"
    assert town.api.get(f"/entries/{checkpoint.size}/proof").code == "not_found"


def _root(node: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2, as a stranger would write it."""
    last = size - 1
    for sibling in path:
        if index % 2 or index == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        index, last = index // 2, last // 2
    assert last == 0
    return node
