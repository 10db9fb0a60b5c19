"""Replaying: what the rules of money allow, what they do not, with openings and without."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from ledger.proof.encoding import timestamp
from ledger.proof.replay import Replay
from ledger.proof.rules import check_entry_shape
from tests.proof.logs import START, Log, day, random_id

LATER = timestamp(START + timedelta(minutes=15))
EXPIRY = {"expires_at": LATER}


@dataclass
class Books:
    """A log under construction, replayed entry by entry as it grows."""

    opened: bool = False
    erased: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.log = Log()
        self.found: list[tuple[str, int | None]] = []
        self.replay = Replay(lambda code, seq, _: self.found.append((code, seq)), opened=self.opened)
        self.add("grant", ("issuance", "treasury", 10_000))
        self.add("fund", ("treasury", "budget:museum", 5_000))

    def add(self, kind: str, *postings: tuple[str, str, int], **members: Any) -> int:
        """Append an entry and replay it; return its seq."""
        seq = self.log.add(kind, *postings, **members)
        assert check_entry_shape(self.log.leaves[seq]) is None
        rows = [row for row in self.log.openings if row["seq"] == seq and row["person"] not in self.erased]
        named = {(row["line"], row["side"]): row["account"] for row in rows} if self.opened else None
        self.replay.apply(self.log.leaves[seq], named)
        return seq

    def reward(self, name: str = "learner:ann", amount: int = 500) -> int:
        """Reward a learner from the museum's budget."""
        return self.add("reward", ("budget:museum", name, amount))

    def hold(self, amount: int = 400) -> int:
        """Reserve for Ann at the café."""
        return self.add("hold", ("learner:ann", "shop:cafe", amount), ref=EXPIRY)

    def codes(self) -> list[str]:
        """Return the codes found so far."""
        return [code for code, _ in self.found]


@pytest.fixture
def books() -> Books:
    """Books with a funded budget and nobody rewarded yet."""
    return Books()


def test_a_day_replays_to_its_totals() -> None:
    """The sample day breaks nothing; balances, totals and the figures per activity and shop are its own."""
    found: list[str] = []
    replay = Replay(lambda code, seq, message: found.append(f"{code} {seq} {message}"))
    for leaf in day().leaves:
        replay.apply(leaf)
    replay.finish()
    assert found == []
    issued = {"issued": 100_000, "circulating": 99_750, "redeemed": 250, "bridged": 0, "expired": 0, "held": 0}
    assert replay.totals() == issued
    assert (dict(replay.rewards), dict(replay.sales)) == ({"museum": 1_000}, {"cafe": 250})
    assert replay.balances["budget:museum"] == 49_000
    assert replay.balances["learner"] == 750
    assert sum(replay.balances.values()) == 0


@pytest.mark.parametrize("opened", [False, True])
def test_holds_reserve_and_captures_move(*, opened: bool) -> None:
    """A hold lowers what is available, a capture moves a part and frees the rest, a refund gives some back."""
    books = Books(opened=opened)
    books.reward()
    hold = books.hold(400)
    assert (books.replay.totals()["held"], books.replay.totals()["redeemed"]) == (400, 0)
    books.add("capture", ("learner:ann", "shop:cafe", 250), ref={"origin": hold})
    assert (books.replay.totals()["held"], books.replay.totals()["redeemed"]) == (0, 250)
    books.add("refund", ("shop:cafe", "learner:ann", 100), ref={"origin": hold})
    books.add("refund", ("shop:cafe", "learner:ann", 150), ref={"origin": hold})
    assert books.found == []
    again = books.add("refund", ("shop:cafe", "learner:ann", 1), ref={"origin": hold})
    assert books.found[0] == ("CASE_VIOLATION", again)


def test_no_account_but_issuance_goes_below_zero(books: Books) -> None:
    """An overdraft is named at the entry that makes it, also for the sum of learners less what is held."""
    broke = books.add("fund", ("treasury", "budget:park", 5_001))
    assert books.found == [("OVERDRAFT", broke)]
    books.add("transfer", ("budget:museum", "treasury", 1))
    books.reward(amount=500)
    books.hold(500)
    assert books.found == [("OVERDRAFT", broke)]
    beyond = books.add("redeem", ("learner:bo", "shop:cafe", 1))
    assert books.found == [("OVERDRAFT", broke), ("OVERDRAFT", beyond)]


def test_only_openings_show_one_learner_spending_what_another_has() -> None:
    """The public sees the sum of learners stay above zero; with openings the overdraft is Bo's."""
    for opened, expected in ((False, []), (True, [("OVERDRAFT", 3)])):
        books = Books(opened=opened)
        books.reward("learner:ann")
        books.add("redeem", ("learner:bo", "shop:cafe", 100))
        assert books.found == expected


def test_the_floor_holds_after_an_entry_not_between_its_postings(books: Books) -> None:
    """Two postings may pass through zero together; each account that ends below is named."""
    books.add("transfer", ("budget:museum", "treasury", 5_000), ("treasury", "budget:park", 10_000))
    books.add("transfer", ("budget:museum", "treasury", 1), ("treasury", "budget:museum", 1))
    assert books.found == []
    seq = books.add("fund", ("treasury", "budget:park", 1), ("sponsor:bank", "budget:park", 1))
    assert books.found == [("OVERDRAFT", seq)] * 2


def test_a_hold_ends_once() -> None:
    """Whatever ends it, nothing ends it again."""
    endings = ("capture", "release", "hold_expire")
    for first in endings:
        for second in endings:
            fresh = Books()
            fresh.reward()
            hold = fresh.hold()
            fresh.add(first, ("learner:ann", "shop:cafe", 400), ref={"origin": hold}, at=LATER)
            assert fresh.found == []
            again = fresh.add(second, ("learner:ann", "shop:cafe", 400), ref={"origin": hold}, at=LATER)
            assert fresh.found[0] == ("CASE_VIOLATION", again)


def test_more_than_is_held_is_not_captured(books: Books) -> None:
    """Nor is a part of a hold released or expired: they repeat its posting."""
    books.reward()
    hold = books.hold(400)
    for kind, amount in (("capture", 401), ("release", 399), ("hold_expire", 401)):
        books.add(kind, ("learner:ann", "shop:cafe", amount), ref={"origin": hold}, at=LATER)
    assert books.codes().count("CASE_VIOLATION") == 3


def test_time_limits_of_holds(books: Books) -> None:
    """A hold is not expired before its time and not captured after it; at that instant both are right."""
    books.reward(amount=2_000)
    early = books.hold(100)
    books.add("hold_expire", ("learner:ann", "shop:cafe", 100), ref={"origin": early})
    assert books.codes() == ["CASE_VIOLATION"]
    late = books.hold(100)
    after = timestamp(START + timedelta(minutes=15, milliseconds=1))
    books.add("capture", ("learner:ann", "shop:cafe", 100), ref={"origin": late}, at=after)
    assert books.codes() == ["CASE_VIOLATION"] * 2


@pytest.mark.parametrize(
    ("giver", "taker"), [("learner:bo", "shop:cafe"), ("learner:ann", "shop:bakery"), ("learner:bo", "shop:bakery")]
)
def test_a_case_keeps_its_accounts(books: Books, giver: str, taker: str) -> None:
    """A capture or refund between other accounts than the hold's is a violation."""
    books.reward(amount=2_000)
    hold = books.hold(400)
    books.add("capture", (giver, taker, 400), ref={"origin": hold})
    assert "CASE_VIOLATION" in books.codes()
    fresh = Books()
    fresh.reward()
    sale = fresh.add("redeem", ("learner:ann", "shop:cafe", 400))
    fresh.add("refund", (taker, giver, 400), ref={"origin": sale})
    assert "CASE_VIOLATION" in fresh.codes()


def test_reversing_mirrors_the_whole_origin_once(books: Books) -> None:
    """Each reversible entry may be undone exactly; a part, another account, or a second time may not."""
    reward = books.reward()
    books.add("reverse", ("learner:ann", "budget:museum", 500), ref={"origin": reward})
    books.add("reverse", ("budget:museum", "treasury", 5_000), ref={"origin": 1})
    books.add("reverse", ("treasury", "issuance", 10_000), ref={"origin": 0})
    assert books.found == []
    assert not any(books.replay.balances.values())
    for origin, giver, taker, amount in (
        (reward, "learner:ann", "budget:museum", 500),
        (0, "treasury", "issuance", 10_000),
        (books.reward(amount=10), "learner:ann", "budget:museum", 9),
        (books.reward(amount=10), "learner:ann", "budget:park", 10),
        (books.reward(amount=10), "learner:bo", "budget:museum", 10),
        (3, "learner:ann", "budget:museum", 500),
    ):
        count = books.codes().count("CASE_VIOLATION")
        books.add("reverse", (giver, taker, amount), ref={"origin": origin})
        assert books.codes().count("CASE_VIOLATION") == count + 1


def test_reversing_several_postings_needs_each_of_them(books: Books) -> None:
    """Two amounts that add up alike but are dealt otherwise are no mirror."""
    postings = ("treasury", "budget:a", 10), ("treasury", "budget:b", 20)
    first, second = books.add("fund", *postings), books.add("fund", *postings)
    books.add("reverse", ("budget:a", "treasury", 10), ("budget:b", "treasury", 20), ref={"origin": first})
    assert books.found == []
    wrong = books.add("reverse", ("budget:a", "treasury", 20), ("budget:b", "treasury", 10), ref={"origin": second})
    assert ("CASE_VIOLATION", wrong) in books.found


def test_more_than_64_bits_are_moved_and_mirrored(books: Books) -> None:
    """As many of the largest postings as fit into a leaf add up to more; the mirror must still be exact."""
    most = 2**53 - 1
    first, second = (books.add("grant", *[("issuance", "treasury", most)] * 1_030) for _ in range(2))
    books.add("reverse", *[("treasury", "issuance", most)] * 1_030, ref={"origin": first})
    assert books.found == []
    postings = [("treasury", "issuance", most)] * 1_029 + [("treasury", "issuance", most - 1)]
    wrong = books.add("reverse", *postings, ref={"origin": second})
    assert ("CASE_VIOLATION", wrong) in books.found


def test_refund_and_reversal_of_a_sale_exclude_each_other(books: Books) -> None:
    """A sale partly refunded is not reversed, a reversed one is not refunded; captures are never reversed."""
    books.reward(amount=2_000)
    refunded = books.add("redeem", ("learner:ann", "shop:cafe", 400))
    books.add("refund", ("shop:cafe", "learner:ann", 100), ref={"origin": refunded})
    undone = books.add("redeem", ("learner:ann", "shop:cafe", 400))
    books.add("reverse", ("shop:cafe", "learner:ann", 400), ref={"origin": undone})
    captured = books.hold(400)
    books.add("capture", ("learner:ann", "shop:cafe", 400), ref={"origin": captured})
    assert books.found == []
    assert books.replay.sales == {"cafe": 700}
    for kind, origin, amount in (("reverse", refunded, 300), ("refund", undone, 400), ("reverse", captured, 400)):
        seq = books.add(kind, ("shop:cafe", "learner:ann", amount), ref={"origin": origin})
        assert books.found[-1] == ("CASE_VIOLATION", seq) or ("CASE_VIOLATION", seq) in books.found


def test_bridge_entries_are_cancelled_whole_and_never_reversed(books: Books) -> None:
    """A withdrawal waits in the bridge; cancelling mirrors it once."""
    books.reward()
    out = books.add("bridge_out", ("learner:ann", "bridge:1", 300))
    assert books.replay.totals()["bridged"] == 300
    books.add("bridge_cancel", ("bridge:1", "learner:ann", 300), ref={"origin": out})
    assert (books.found, books.replay.totals()["bridged"]) == ([], 0)
    again = books.add("bridge_cancel", ("bridge:1", "learner:ann", 300), ref={"origin": out})
    assert ("CASE_VIOLATION", again) in books.found


def test_committed_claims_are_compared_with_what_was_withdrawn(books: Books) -> None:
    """The total of a list is bridge_out less bridge_cancel to its chain, in the entries that it says and no others."""
    books.reward(amount=1_000)
    out = books.add("bridge_out", ("learner:ann", "bridge:1", 300))
    books.add("bridge_out", ("learner:ann", "bridge:2", 70))
    back = books.add("bridge_cancel", ("bridge:1", "learner:ann", 300), ref={"origin": out})
    books.add("bridge_out", ("learner:ann", "bridge:1", 20))
    claims = {"chain_id": 1, "contract": "0x" + "ab" * 20, "list": "ab" * 32, "root": "cd" * 32}
    for size, total in ((out + 1, 300), (back, 300), (back + 2, 20)):
        books.add("attest", ref={"claims": claims | {"size": size, "total": total}})
    assert books.found == []
    wrong = [
        books.add("attest", ref={"claims": claims | changes})
        for changes in ({"size": out, "total": 300}, {"size": back + 1, "total": 300}, {"size": back, "total": 301})
    ]
    assert books.found == [("TOTALS_MISMATCH", seq) for seq in wrong]


def test_attested_totals_are_compared(books: Books) -> None:
    """An attestation names some totals; each that differs from the replayed one is a finding."""
    books.reward()
    books.add("attest", ref={"totals": {"issued": 10_000, "circulating": 10_000, "held": 0}})
    assert books.found == []
    wrong = books.add("attest", ref={"totals": {"issued": 9_999, "redeemed": 1, "expired": 0}})
    assert books.found == [("TOTALS_MISMATCH", wrong)] * 2


def test_time_and_city_stay_in_order(books: Books) -> None:
    """Equal times are fine, earlier ones are not, nor is another city's entry."""
    books.add("badge", at=LATER)
    books.add("badge", at=LATER)
    assert books.found == []
    early = books.add("badge")
    foreign = books.add("badge", city="nakhon-sawan", at=LATER)
    assert books.found == [("SEQUENCE_GAP", early), ("SEQUENCE_GAP", foreign)]


def test_entries_are_applied_in_their_order(books: Books) -> None:
    """Skipping one is the caller's mistake, not a finding."""
    with pytest.raises(ValueError, match="does not follow"):
        books.replay.apply(books.log.leaves[0])


def test_the_erased_form_a_pool_that_nets_to_zero() -> None:
    """A learner whose balance went to `expired` before erasure leaves nothing; one who vanished with it does."""
    for expired, expected in ((500, []), (499, [("BALANCE_MISMATCH", None)])):
        books = Books(opened=True, erased={"learner:bo"})
        books.reward("learner:ann")
        books.reward("learner:bo")
        books.add("expire", ("learner:bo", "expired", expired))
        books.add("erase")
        books.replay.finish()
        assert books.found == expected
        assert books.replay.balances[f"learner:{random_id('learner:ann')}"] == 500
        assert books.replay.totals()["circulating"] == 10_000 - expired


def test_an_open_hold_of_the_erased_is_found() -> None:
    """Their holds end before erasure; one that did not stands out at the end though the amounts net."""
    books = Books(opened=True, erased={"learner:ann"})
    books.reward(amount=400)
    books.hold(400)
    books.replay.finish()
    assert books.found == [("BALANCE_MISMATCH", None)]
