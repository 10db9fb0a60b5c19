"""JSON bodies: read strictly; the short way of the hot routes says and shows what their schemas do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from api import bodies
from api.schemas.base import In, Items, Out, showing
from api.schemas.chain import WithdrawalIn
from api.schemas.money import BatchOut, EntriesIn, EntryIn, Orders, PostedOut
from api.schemas.places import CheckInIn
from api.schemas.street import CheckedInOut
from api.services import CityFacts
from ledger.book.accounts import Balance
from ledger.book.journal import Posted
from ledger.book.moves import Transfer
from ledger.errors import ValidationFailed
from ledger.programme.checkins import CheckIn, Recorded

CITY = CityFacts("khon-kaen", "ขอนแก่น", "Khon Kaen", "KGO", 2, "Asia/Bangkok", "kk.example/log", None)  # type: ignore[arg-type]
URL = "https://kgo.example"
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1, 2**53 - 1, 2**53, 1.0, "", "5", " treasury ", "ขอนแก่น", "a\tb", "\ud800", [], {}]
)
TEXTS = st.text(max_size=8) | st.text("k", min_size=199, max_size=301) | ODD
PATHS = st.sampled_from(
    [
        "treasury",
        "issuance",
        "shop:cafe",
        "budget:walk",
        "learner:" + "a" * 26,
        "learner:~x",
        "shop:",
        "no:where",
        "shop:a\n",
    ]
)
AMOUNTS = st.integers(-1, 10) | st.integers(2**53 - 2, 2**53 + 1)
KINDS = st.sampled_from(["grant", "fund", "transfer", "reverse", " fund", "redeem"])
CHECK_INS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"code": TEXTS}, optional={"turn": TEXTS, "other": ODD}
) | st.just({})
PLAIN_ENTRIES = st.fixed_dictionaries({"kind": KINDS, "from": PATHS, "to": PATHS, "amount_minor": AMOUNTS})
ENTRIES = PLAIN_ENTRIES | st.fixed_dictionaries(
    {"kind": KINDS | ODD},
    optional={
        "from": PATHS | ODD,
        "to": PATHS | ODD,
        "amount_minor": AMOUNTS | ODD,
        "activity": st.just("walk") | ODD,
        "origin": AMOUNTS | ODD,
        "reason": st.just("mistake") | ODD,
        "source": PATHS,
    },
)
GOOD_ENTRY = {"kind": "transfer", "from": "treasury", "to": "shop:cafe", "amount_minor": 5}
BATCHES = st.fixed_dictionaries(
    {"entries": st.lists(ENTRIES | st.just(GOOD_ENTRY) | ODD, max_size=4) | ODD}, optional={"other": ODD}
)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers(-(2**53), 2**53)
POSTED = st.builds(
    Posted, NUMBERS, st.text(), st.text(), INSTANTS, NUMBERS, PATHS | st.none(), PATHS | st.none()
)  # fmt: skip
RECORDED = st.builds(
    Recorded,
    NUMBERS,
    INSTANTS,
    NUMBERS,
    st.builds(Balance, st.text(), NUMBERS, NUMBERS, NUMBERS),
    *[st.text()] * 4,
)


def _judged(schema: Schema, data: dict[str, Any]) -> Any:
    """What a schema makes of a mapping: the command, or its complaints."""
    try:
        return schema.load(data)
    except ValidationError as fault:
        return fault.messages


def _same(schema: In, data: dict[str, Any]) -> None:
    """The short way takes only what the schema takes, and makes the same of it."""
    made = schema.plain(data)
    if made is not None:
        assert made == _judged(schema, data)
        assert bodies.load(schema, data) == made


@given(CHECK_INS)
def test_a_check_in_is_read_the_same_both_ways(data: dict[str, Any]) -> None:
    """Whatever is sent: a command of the short way is the schema's."""
    _same(CheckInIn(), data)


@given(ENTRIES)
def test_an_entry_is_read_the_same_both_ways(data: dict[str, Any]) -> None:
    """Whatever is sent: a command of the short way is the schema's."""
    _same(EntryIn(), data)


@given(BATCHES)
def test_a_batch_is_read_the_same_both_ways(data: dict[str, Any]) -> None:
    """Whatever is sent: a command of the short way is the schema's."""
    _same(EntriesIn(), data)


def test_what_is_sent_every_day_goes_the_short_way() -> None:
    """A code, a code with a turn, a transfer and a batch of them; an entry with more to it does not."""
    assert CheckInIn().plain({"code": " kkm3 "}) == CheckIn("kkm3")
    assert CheckInIn().plain({"code": "kkm3", "turn": "t"}) == CheckIn("kkm3", "t")
    order = Transfer("transfer", "treasury", "shop:cafe", 5)
    assert EntryIn().plain(GOOD_ENTRY) == order
    assert EntriesIn().plain({"entries": [GOOD_ENTRY] * 1_000}) == Orders((order,) * 1_000)
    assert EntriesIn().plain({"entries": [GOOD_ENTRY] * 1_001}) is None
    assert EntryIn().plain({**GOOD_ENTRY, "reason": "mistake"}) is None


def _dumped(schema: Out, value: object) -> str:
    with showing(CITY, URL):
        return json.dumps(schema.dump(value))


@given(RECORDED)
def test_a_check_in_is_shown_the_same_both_ways(value: Recorded) -> None:
    """The same members in the same order."""
    assert json.dumps(CheckedInOut().plain(value, CITY)) == _dumped(CheckedInOut(), value)
    assert json.dumps(json.loads(CheckedInOut().text(value, CITY))) == _dumped(CheckedInOut(), value)


@given(st.lists(POSTED, max_size=3))
def test_entries_are_shown_the_same_both_ways(values: list[Posted]) -> None:
    """The same members in the same order, alone and in a batch; a person's account is told in neither."""
    batch = Items(values)
    assert json.dumps(BatchOut().plain(batch, CITY)) == _dumped(BatchOut(), batch)
    assert json.dumps(json.loads(BatchOut().text(batch, CITY))) == _dumped(BatchOut(), batch)
    assert bodies.dump(BatchOut(), batch, CITY, URL) == BatchOut().text(batch, CITY).encode("utf-8", "surrogatepass")
    for value in values:
        assert json.dumps(PostedOut().plain(value, CITY)) == _dumped(PostedOut(), value)
        assert json.dumps(json.loads(PostedOut().text(value, CITY))) == _dumped(PostedOut(), value)
        assert "learner:" not in json.dumps(PostedOut().plain(value._replace(id="", kind=""), CITY))


@pytest.mark.parametrize(
    ("schema", "body", "decoded"),
    [
        (CheckInIn(), {"code": "kkm3"}, 1),
        (CheckInIn(), {"code": "ก"}, 2),
        (WithdrawalIn(), {"amount_minor": 5}, 2),
    ],
)
def test_a_body_is_decoded_once(schema: In, body: dict[str, Any], decoded: int) -> None:
    """Of two alike, the second is known where it goes the short way; any other is decoded once each time."""
    with mock.patch.object(bodies, "_object", wraps=bodies._object) as decoding:
        for _ in range(2):
            bodies.read(schema, json.dumps(body).encode(), bodies.JSON)
    assert decoding.call_count == decoded


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'"x"',
        b"null",
        b"{",
        b'{"code":"a"}x',
        b'{"code":NaN}',
        b'{"code":"a","code":"b"}',
        b"\xff\xff",
        b"[" * 9_999,
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """Other JSON, broken JSON, numbers that are none, a member that stands twice: never the schema's business."""
    with pytest.raises(ValidationFailed) as refusal:
        bodies.read(CheckInIn(), body, bodies.JSON)
    assert refusal.value.fields == {"body": "Send a JSON object."}


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_no_body_is_an_empty_object(body: bytes) -> None:
    """Its kind does not matter; the schema says what is missing."""
    with pytest.raises(ValidationFailed) as refusal:
        bodies.read(CheckInIn(), body, "")
    assert refusal.value.fields == {"code": "Fill this in."}


@pytest.mark.parametrize(
    ("media", "is_json"),
    [
        ("application/json", True),
        ("application/x+json", True),
        ("application/cbor", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_a_body_must_say_that_it_is_json(media: str, *, is_json: bool) -> None:
    """As `application/json`, or as something that is JSON too."""
    body = json.dumps({"code": "ก"}).encode()
    if is_json:
        assert bodies.read(CheckInIn(), body, media) == CheckIn("ก")
    else:
        with pytest.raises(UnsupportedMediaType):
            bodies.read(CheckInIn(), body, media)
