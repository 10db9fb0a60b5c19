"""Codes: issuing, reading, judging; turns. All of it pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Refused
from ledger.programme import codes
from ledger.programme.codes import ALPHABET, Issuer, Turn

NOW = datetime(2026, 3, 2, 3, 0, 0, 700_000, tzinfo=UTC)
ISSUER = Issuer(b"k" * 32, "khon-kaen", "kk", "library", "abcd", 1)
TURN_KEY = b"t" * 32
URL = "https://learn.example"

MOMENTS = st.datetimes(datetime(2024, 1, 1, 0, 0, 1), datetime(2056, 11, 30)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@given(st.none() | MOMENTS)
def test_a_code_reads_back(at: datetime | None) -> None:
    """What was issued is read, passes its MAC and says when it was issued; its URL ends with it."""
    code = codes.issue(ISSUER, URL, at)
    assert len(code.text) == 20
    assert set(code.text) <= set(ALPHABET)
    assert code.url == f"{URL}/q/{code.text}"
    parts = codes.read(code.url)
    codes.check_mac(parts, ISSUER)
    assert (parts.text, parts.prefix, parts.tag) == (code.text, "kk", "abcd")
    assert parts.rotating == (at is not None)
    if at is not None:
        assert parts.issued_at == at.replace(microsecond=0)
        assert code.expires_at == parts.issued_at + codes.ROTATION
    else:
        assert code.expires_at is None


def test_a_code_is_read_as_it_is_typed_or_pasted() -> None:
    """Case, spaces, hyphens and a whole address around it do not matter."""
    text = codes.issue(ISSUER, URL, NOW).text
    groups = "-".join(text[start : start + 4] for start in range(0, 20, 4))
    for shown in (
        text.upper(),
        groups,
        groups.replace("-", " "),
        f" {text}\n",
        f"{URL}/q/{text}?lang=en",
        f"HTTPS://LEARN.EXAMPLE/Q/{text.upper()}/",
        f"{URL}/q/{text}#top",
    ):
        assert codes.read(shown).text == text


@pytest.mark.parametrize(
    "text", ["", "kk", "a" * 19, "a" * 21, "0" * 20, "https://learn.example/q/", "é" * 20, "k" * 99]
)
def test_what_is_no_code_is_unknown(text: str) -> None:
    """Anything else is refused without a guess."""
    with pytest.raises(Refused) as refusal:
        codes.read(text)
    assert (refusal.value.code, refusal.value.reason) == ("code_invalid", "unknown")


@given(st.none() | MOMENTS, st.integers(6, 19), st.integers(1, 31))
def test_one_changed_character_is_forged(at: datetime | None, position: int, shift: int) -> None:
    """Changing the time or the MAC of a code anywhere breaks it."""
    text = codes.issue(ISSUER, URL, at).text
    other = ALPHABET[(ALPHABET.index(text[position]) + shift) % 32]
    with pytest.raises(Refused) as refusal:
        codes.check_mac(codes.read(text[:position] + other + text[position + 1 :]), ISSUER)
    assert refusal.value.reason == "forged"


@pytest.mark.parametrize("change", [{"city": "yala"}, {"activity": "museum"}, {"version": 2}, {"key": b"x" * 32}])
def test_a_code_speaks_for_one_issuer(change: dict[str, object]) -> None:
    """Another city, activity, version or key does not accept it."""
    parts = codes.read(codes.issue(ISSUER, URL, None).text)
    codes.check_mac(parts, ISSUER)
    with pytest.raises(Refused, match="forged"):
        codes.check_mac(parts, Issuer(**{**vars(ISSUER), **change}))


def test_a_rotating_code_holds_for_its_time_and_margin() -> None:
    """It is taken until 45 seconds after its second began; a poster is taken always."""
    parts = codes.read(codes.issue(ISSUER, URL, NOW).text)
    issued_at = NOW.replace(microsecond=0)
    codes.check_time(parts, "kiosk", issued_at + timedelta(seconds=44.999), None)
    with pytest.raises(Refused) as refusal:
        codes.check_time(parts, "kiosk", issued_at + timedelta(seconds=45), None)
    assert (refusal.value.code, refusal.value.params["at"]) == ("code_expired", issued_at + timedelta(seconds=45))
    with pytest.raises(Refused, match="code_expired"):
        codes.check_time(parts, "kiosk", issued_at - timedelta(seconds=16), None)
    poster = codes.read(codes.issue(ISSUER, URL, None).text)
    codes.check_time(poster, "poster", NOW + timedelta(days=3650), None)


def test_a_kiosk_takes_no_poster() -> None:
    """The poster code of an activity that turned to a kiosk has expired, or copies of it would go round."""
    with pytest.raises(Refused, match="code_expired"):
        codes.check_time(codes.read(codes.issue(ISSUER, URL, None).text), "kiosk", NOW, None)


def test_a_turn_outlives_the_code() -> None:
    """Whoever opened the code in time has five minutes, and not a second more."""
    parts = codes.read(codes.issue(ISSUER, URL, NOW).text)
    signed = codes.sign_turn(TURN_KEY, "khon-kaen", parts.text, NOW)
    late = NOW + timedelta(minutes=5)
    turn = codes.read_turn(TURN_KEY, "khon-kaen", signed, parts, late)
    assert isinstance(turn, Turn)
    assert turn.code == parts.text
    codes.check_time(parts, "kiosk", late, turn)
    assert codes.read_turn(TURN_KEY, "khon-kaen", signed, parts, late + timedelta(milliseconds=1)) is None
    with pytest.raises(Refused, match="code_expired"):
        codes.check_time(parts, "kiosk", late, None)


def test_each_turn_is_its_own() -> None:
    """Two people who open the same code get two turns."""
    first, second = (codes.sign_turn(TURN_KEY, "khon-kaen", "a" * 20, NOW) for _ in range(2))
    assert first != second


@given(st.data())
def test_a_turn_cannot_be_made_up(data: st.DataObject) -> None:
    """A changed character, another city, key or code: it is no turn."""
    parts = codes.read(codes.issue(ISSUER, URL, NOW).text)
    signed = codes.sign_turn(TURN_KEY, "khon-kaen", parts.text, NOW)
    position = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.sampled_from(ALPHABET + "0189.").filter(lambda letter: letter != signed[position]))
    changed = signed[:position] + other + signed[position + 1 :]
    assert codes.read_turn(TURN_KEY, "khon-kaen", signed, parts, NOW) is not None
    assert codes.read_turn(TURN_KEY, "khon-kaen", changed, parts, NOW) is None
    assert codes.read_turn(TURN_KEY, "yala", signed, parts, NOW) is None
    assert codes.read_turn(b"x" * 32, "khon-kaen", signed, parts, NOW) is None
    later = codes.read(codes.issue(ISSUER, URL, NOW + timedelta(seconds=1)).text)
    assert codes.read_turn(TURN_KEY, "khon-kaen", signed, later, NOW) is None
    assert codes.read_turn(TURN_KEY, "khon-kaen", None, parts, NOW) is None
