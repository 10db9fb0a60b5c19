"""Frames: what one process says to another, whole and in order, however the stream between them is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.frames import Heard, Said, framed
from api.orders import Order
from api.writing import Written
from ledger.book.seal import LogUnjudged
from ledger.errors import (
    Forbidden,
    LedgerError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Refused,
    Unauthenticated,
    ValidationFailed,
)

CONTENT = st.none() | st.integers() | st.text() | st.binary(max_size=2_000) | st.tuples(st.binary(), st.booleans())
SAID = st.lists(st.tuples(st.integers(min_value=0), CONTENT), max_size=5)

ERRORS: list[LedgerError] = [
    Refused("insufficient_funds", account="shop:a", wanted_minor=5),
    Refused("case_closed", "expired", entry=7),
    ValidationFailed({"amount_minor": "Give a whole number."}),
    Unauthenticated("unknown_token"),
    Forbidden(permission="entries.write"),
    NotFound("account", "shop:none", path="shop:none"),
    Overloaded(retry_after_seconds=3),
    OutcomeUnknown(city="khon-kaen"),
    LogUnjudged(city="khon-kaen", remedy="ask the chain"),
]


def _in_pieces(stream: bytes, cuts: list[int]) -> list[Said]:
    """What is heard of a stream that comes cut at these places."""
    heard, said = Heard(), list[Said]()
    for start, stop in pairwise([0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]):
        said += heard.take(stream[start:stop])
    return said


@given(st.lists(SAID, max_size=5), st.lists(st.integers(min_value=0), max_size=12))
def test_everything_is_heard_once_and_in_order(lists: list[list[Said]], cuts: list[int]) -> None:
    """Several frames in one piece or one frame in several, empty lists and empty pieces among them."""
    stream = b"".join(framed(said) for said in lists)
    assert _in_pieces(stream, cuts) == [one for said in lists for one in said]


def test_an_octet_at_a_time() -> None:
    """Something is heard with the last octet of its frame and not before; half a length is no length."""
    first, second = framed([(1, b"one"), (2, b"two")]), framed([(3, None)])
    heard = Heard()
    told = [heard.take(bytes([octet])) for octet in first + second]
    assert {at: said for at, said in enumerate(told) if said} == {
        len(first) - 1: [(1, b"one"), (2, b"two")],
        len(first) + len(second) - 1: [(3, None)],
    }


def test_what_is_not_complete_yet_waits_behind_what_is() -> None:
    """A piece may end within a length or within what follows it."""
    first, second = framed([(1, "a")]), framed([(2, "b")])
    for half in (2, len(second) - 1):
        heard = Heard()
        assert heard.take(first + second[:half]) == [(1, "a")]
        assert heard.take(b"") == []
        assert heard.take(second[half:] + first) == [(2, "b"), (1, "a")]


def test_orders_and_answers_are_what_they_were() -> None:
    """As the plain tuples that they are sent as, a body with any octets in it."""
    order = Order("khon-kaen", "/entries", bytes(range(256)), "Bearer kgo_x", None)
    written = Written(b'{"seq":7}', replayed=True)
    (_, asked), (_, answered) = Heard().take(framed([(0, tuple(order)), (1, tuple(written))]))
    assert (Order(*asked), Written(*answered)) == (order, written)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_a_refusal_says_the_same_in_the_other_process(error: LedgerError) -> None:
    """Its kind, code, reason and facts, whatever its constructor takes; twice in one frame too."""
    for _, found in Heard().take(framed([(0, error), (1, error)])):
        assert type(found) is type(error)
        assert (found.code, found.reason, found.params) == (error.code, error.reason, error.params)
        assert (str(found), vars(found)) == (str(error), vars(error))
