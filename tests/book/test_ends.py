"""The ends of cases as the audit follows them."""

from typing import Any

from ledger.book.cases import CAPTURED, HELD, MOVED
from ledger.book.ends import MOST, End, Ends

AT = "2026-03-02T03:00:00.000Z"


def _entry(seq: int, kind: str, amounts: list[int], origin: int | None = None) -> dict[str, Any]:
    ref = {} if origin is None else {"origin": origin}
    return {"seq": seq, "kind": kind, "at": AT, "ref": ref, "postings": [{"amount": amount} for amount in amounts]}


def test_each_entry_takes_its_case_on() -> None:
    """A hold that is captured and partly refunded twice, one that is open, a redemption, and what is reversed."""
    day = [
        _entry(0, "hold", [9]),
        _entry(1, "hold", [4]),
        _entry(2, "capture", [7], 0),
        _entry(3, "redeem", [5]),
        _entry(4, "refund", [2], 0),
        _entry(5, "reward", [6]),
        _entry(6, "refund", [3], 0),
        _entry(7, "refund", [1], 5),
        _entry(8, "reverse", [6], 5),
    ]
    with Ends() as ends:
        for entry in day:
            ends.follow(entry)
        assert list(ends.within(0, 9)) == [
            (0, End(CAPTURED, 7, 5, None, 2, AT)),
            (1, End(HELD)),
            (3, End(MOVED, 5)),
            (5, End(MOVED, 6, 0, 8, 8, AT)),
        ]
        assert [seq for seq, _ in ends.within(1, 5)] == [1, 3]


def test_no_amount_is_beyond_what_a_column_holds() -> None:
    """A tampered entry that moves more does not break the audit off: its case differs from every row."""
    with Ends() as ends:
        ends.follow(_entry(0, "redeem", [MOST, MOST]))
        ends.follow(_entry(1, "refund", [MOST, 1], 0))
        ends.follow(_entry(2, "refund", [5], 0))
        assert list(ends.within(0, 3)) == [(0, End(MOVED, MOST, MOST))]
