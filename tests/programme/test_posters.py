"""The codes of real activities, and looking at them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ledger.errors import Forbidden, NotFound, Refused
from ledger.people.roles import Principal
from ledger.programme import activities, posters
from tests.factories import CITY, START, add_city
from tests.programme.town import PUBLIC_URL, STEWARD, Town


def test_a_poster_s_code_stays(town: Town) -> None:
    """It is the same tomorrow, has no end, and its address is the installation's."""
    town.activity()
    first = town.code()
    town.clock.advance(days=1)
    assert town.code() == first
    assert first.expires_at is None
    assert first.url == f"{PUBLIC_URL}/q/{first.text}"


def test_a_kiosk_s_code_changes(town: Town) -> None:
    """Another second, another code, shown for thirty seconds."""
    town.activity(mode="kiosk")
    first = town.code()
    assert first.expires_at == START + timedelta(seconds=30)
    town.clock.advance(seconds=1)
    assert town.code().text != first.text


def test_who_reads_a_code(town: Town) -> None:
    """The steward and the activity's own kiosk; no other kiosk, no learner."""
    town.activity()
    town.activity("museum")

    def read(who: Principal) -> str:
        with town.installation.read() as session:
            city, keys = town.installation.city(), town.installation.city_keys()
            return posters.code(session, city, keys, who, "library", PUBLIC_URL, town.clock.now).text

    assert read(Principal(CITY, frozenset({"kiosk"}), "library")) == read(STEWARD)
    for stranger in (Principal(CITY, frozenset({"kiosk"}), "museum"), town.learner()):
        with pytest.raises(Forbidden):
            read(stranger)
    with pytest.raises(NotFound):
        town.code("nothing")


def test_looking_claims_nothing(town: Town) -> None:
    """A poster's page shows the activity without a turn, a fresh kiosk code's with one, and the log stays."""
    town.activity()
    town.activity("museum", mode="kiosk")
    size = len(town.installation.leaves())
    poster, kiosk = town.look(town.code().text), town.look(town.code("museum").url)
    assert (poster.activity.id, poster.expired, poster.turn) == ("library", False, None)
    assert (kiosk.activity.id, kiosk.expired) == ("museum", False)
    assert kiosk.turn is not None
    assert len(town.installation.leaves()) == size


def test_looking_too_late_gives_no_turn(town: Town) -> None:
    """A kiosk code opened after its time says that it has expired; so does the poster of what is a kiosk now."""
    town.activity("museum", mode="kiosk")
    town.activity()
    late, poster = town.code("museum").text, town.code().text
    town.clock.advance(seconds=45)
    look = town.look(late)
    assert (look.expired, look.turn) == (True, None)
    town.change("library", mode="kiosk")
    assert town.look(poster).expired


def test_a_code_finds_its_city(town: Town) -> None:
    """By its first two characters; another city's code is told from one of no city."""
    town.activity()
    text = town.code().text
    add_city(town.installation.database, town.installation.keys, "yala", code_prefix="yl", name_en="Yala")
    with town.installation.read() as session:
        assert posters.city_of(session, text).id == CITY
        assert posters.city_of(session, "yl" + text[2:]).id == "yala"
        with pytest.raises(Refused, match="unknown"):
            posters.city_of(session, "zz" + text[2:])
    with pytest.raises(Refused) as refusal:
        town.look("yl" + text[2:])
    assert (refusal.value.reason, refusal.value.params["name_en"]) == ("wrong_city", "Yala")
    with pytest.raises(Refused, match="unknown"):
        town.look("zz" + text[2:])


def test_renewing_withdraws_what_was_printed(town: Town) -> None:
    """The old poster is forged from then on, the new one is read."""
    town.activity()
    old = town.code().text
    town.run(lambda unit: activities.renew_code(unit, STEWARD, "library"))
    with pytest.raises(Refused, match="forged"):
        town.look(old)
    assert town.look(town.code().text).activity.id == "library"
