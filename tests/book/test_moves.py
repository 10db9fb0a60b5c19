"""Many movements in one walk: their leaves, their balances, and that all of them hold or none does."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.book import accounts, transfers
from ledger.book.moves import Leaves, Transfer, move
from ledger.book.unit import Unit
from ledger.errors import LedgerError, NotFound, Refused, ValidationFailed
from ledger.proof.rules import check_entry_shape
from ledger.rows import ask
from tests.factories import CITY, Installation


def _one_of(*good: object, bad: tuple[object, ...] = ()) -> st.SearchStrategy[Any]:
    """Mostly a value that the format knows, now and then one that it does not."""
    return st.sampled_from(good * 4 + bad)


_HASH, _HANDLE = "0a" * 32, f"learner:~{'b' * 52}"
_ACCOUNTS = _one_of("treasury", "issuance", "budget:a", "budget:b", "shop:a", "shop:b", "sponsor:x", _HANDLE)
_IDS = _one_of("old-town", "a", "2026-03-02", bad=("A b", "ก", "", '"', "%s"))
ENTRIES = st.fixed_dictionaries(
    {
        "v": st.just(1),
        "city": st.just(CITY),
        "seq": st.integers(1, 2**53 - 1),
        "id": st.just("a" * 26),
        "kind": _one_of("transfer", "reward", "fund", "redeem", "grant", bad=("gift", "hold", "policy")),
        "at": st.just("2026-03-02T03:00:00.000Z"),
        "actor": _one_of("treasurer", "learner", "shop:cafe", bad=("mayor", "%(x)s")),
        "key": _one_of(None, _HASH, bad=("short",)),
        "postings": st.lists(
            st.fixed_dictionaries(
                {"from": _ACCOUNTS, "to": _ACCOUNTS, "amount": _one_of(1, 500, 2**53 - 1, bad=(0, -1, 2**53))}
            ),
            min_size=1,
            max_size=1,
        ),
        "ref": st.dictionaries(_one_of("activity", "session", "reason", bad=("origin", "note")), _IDS, max_size=3),
        "evidence": st.none()
        | st.fixed_dictionaries(
            {"assurance": _one_of("kiosk", "poster", bad=("hearsay",)), "commitment": _one_of(_HASH, bad=("ab",))}
        ),
        "rule": _one_of(None, _HASH, bad=("cheap",)),
    }
)


@settings(max_examples=600, deadline=None)
@given(ENTRIES)
def test_a_leaf_is_canonical_or_refused_however_it_is_made(entry: dict[str, Any]) -> None:
    """The short way for ordinary shapes writes the bytes of an independent RFC 8785, and lets nothing else through."""
    leaves = Leaves(entry["city"], entry["at"], entry["actor"], entry["key"])
    (posting,) = entry["postings"]
    giver, taker = posting["from"], posting["to"]
    told = entry["ref"], entry["evidence"], entry["rule"]
    transfer = Transfer(entry["kind"], giver, taker, posting["amount"], *told)

    def made() -> bytes:
        kinds = giver.partition(":")[0], taker.partition(":")[0]
        return leaves.make(transfer, entry["seq"], entry["id"], kinds[0], giver, kinds[1], taker)

    if check_entry_shape(entry) is None:
        assert made() == rfc8785.dumps(entry)
    elif posting["amount"] in (1, 500, 2**53 - 1) and giver != taker:  # `move` has refused the others before
        with pytest.raises(ValueError, match="format"):
            made()


REFUSED = {
    "an account that nobody opened": (Transfer("transfer", "treasury", "shop:closed", 1), NotFound),
    "more than there is": (Transfer("transfer", "budget:library", "treasury", 501), Refused),
    "what the allow-list does not know": (Transfer("transfer", "shop:a", "budget:library", 1), Refused),
    "from an account to itself": (Transfer("transfer", "shop:a", "shop:a", 1), Refused),
    "a step of a case": (Transfer("capture", "treasury", "shop:a", 1), Refused),
    "nothing": (Transfer("transfer", "treasury", "shop:a", 0), ValidationFailed),
    "a format that is not": (Transfer("transfer", "treasury", "shop:a", 1, {"note": "hello"}), ValueError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_all_of_them_hold_or_none_does(installation: Installation, name: str) -> None:
    """Wherever in a list the bad one stands: nothing of the list is in the book, and a refusal says which it was."""
    bad, refusal = REFUSED[name]
    installation.open("shop:a", "shop:b", "budget:library")
    installation.grant()
    installation.run(lambda unit: transfers.post(unit, "fund", "treasury", "budget:library", 500, actor="treasurer"))
    good = [Transfer("transfer", "treasury", f"shop:{name}", 1) for name in "abab"]

    def work(unit: Unit, at: int) -> None:
        before = unit.next_seq, {path: accounts.state(unit, path) for path in ("treasury", "shop:a", "shop:b")}
        with pytest.raises(refusal) as refused:
            move(unit, [*good[:at], bad, *good[at:]], actor="treasurer", numbered=True)
        assert before == (unit.next_seq, {path: accounts.state(unit, path) for path in before[1]})
        if isinstance(refused.value, LedgerError):
            assert refused.value.params["index"] == at

    for at in range(len(good) + 1):
        installation.run(lambda unit: work(unit, at))


def test_balances_follow_each_other_within_a_list(installation: Installation) -> None:
    """What one transfer brings the next may spend, and each leg tells the balance and version after it."""
    installation.open("shop:a", "shop:b")
    installation.grant()
    chain = [
        Transfer("transfer", "treasury", "shop:a", 10),
        Transfer("transfer", "shop:a", "shop:b", 7),
        Transfer("transfer", "shop:b", "shop:a", 5),
    ]
    posted = installation.run(lambda unit: move(unit, chain, actor="treasurer"))
    assert [one.amount_minor for one in posted] == [10, 7, 5]
    with installation.read() as session:
        query = "SELECT posted_after, version FROM legs WHERE account = ? ORDER BY version"
        assert ask(session, query, "shop:a") == [(10, 1), (3, 2), (8, 3)]
        assert ask(session, query, "shop:b") == [(7, 1), (2, 2)]
