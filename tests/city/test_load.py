"""Loading the shipped city files: what comes in, what stays, and what `--samples` adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ledger.book import accounts, audit, cities, entries
from ledger.book.cities import KeyRing
from ledger.book.seal import Published
from ledger.book.writer import Writer
from ledger.city import cityfile
from ledger.city.load import load
from ledger.commerce import promotions, shops
from ledger.db import Database
from ledger.programme import activities, places
from tests.factories import START, Clock

CITY = "khon-kaen"


@pytest.fixture
def writer(database: Database, tmp_path: Path) -> Writer:
    """A writer on an empty database."""
    return Writer(database, KeyRing(tmp_path / "keys"), Published(tmp_path / "published"), Clock())


def test_all_member_cities_load_side_by_side(writer: Writer) -> None:
    """Each shipped file makes a city with its places and districts; Khon Kaen has 26 of them and seven on the road."""
    for path in cityfile.shipped():
        load(writer, cityfile.load(path), samples=True)
    with writer.database.read() as session:
        assert {city.id for city in cities.all_(session)} == {"khon-kaen", "yala", "phayao", "hat-yai"}
        assert len(places.districts(session, CITY)) == 26
        assert [place.street_order for place in places.street(session, CITY)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_at_any_hour_a_sample_poster_activity_is_open_and_funded(writer: Writer, hour: int) -> None:
    """Whoever tries the product at night can earn as well."""
    load(writer, _khon_kaen(), samples=True)
    with writer.database.read() as session:
        views = activities.list_(session, CITY, START.replace(hour=hour, minute=59))
    assert any(view.sample and view.mode == "poster" and view.is_open and view.is_funded for view in views)


def test_without_samples_there_are_no_shops_and_no_tokens(writer: Writer) -> None:
    """A bare city has its places and activities, and nothing that is made up."""
    load(writer, _khon_kaen(), samples=False)
    with writer.database.read() as session:
        assert shops.list_(session, CITY, state=None) == []
        assert promotions.list_(session, CITY, START, everything=True) == []
        assert accounts.totals(session, CITY)["issued"] == 0
        assert not any(view.sample for view in activities.list_(session, CITY, START, everything=True))


def test_loading_again_changes_nothing(writer: Writer) -> None:
    """The second load of a file adds no entry; loading samples later adds them to what is there."""
    load(writer, _khon_kaen(), samples=False)
    bare = _size(writer)
    load(writer, _khon_kaen(), samples=True)
    full = _size(writer)
    assert full > bare
    assert load(writer, _khon_kaen(), samples=True) == "all of it was there"
    assert _size(writer) == full
    with writer.database.read() as session:
        report = audit.audit(session, CITY, writer.keys.get(cities.get(session, CITY)))
    assert report.ok, report.text()


def test_whom_people_call_is_what_the_file_says_now(writer: Writer) -> None:
    """A number comes, changes and goes with the file; the rules beside it stay as they are."""
    file = _khon_kaen()
    for phone in ("", "043123456", "0812345678", ""):
        load(writer, replace(file, settings=replace(file.settings, help_phone=phone, hold_minutes=11)), samples=False)
        file = replace(file, settings=replace(file.settings, rewards_per_day=1))
        with writer.database.read() as session:
            settings = cities.get(session, CITY).settings
        assert settings.get("help_phone", "") == phone
        assert (settings["hold_minutes"], settings["rewards_per_day"]) == (11, 20)


def _khon_kaen() -> cityfile.CityFile:
    return next(file for file in map(cityfile.load, cityfile.shipped()) if file.id == CITY)


def _size(writer: Writer) -> int:
    with writer.database.read() as session:
        return entries.size(session, CITY)
