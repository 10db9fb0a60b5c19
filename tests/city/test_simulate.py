"""The simulated year: its size, that it repeats, that it verifies, and that it never touches a log with entries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ledger.book import audit, cities, entries
from ledger.city import cityfile, export, simulate
from ledger.city.simulate import Scale
from ledger.config import Settings
from ledger.db import Database, upgrade
from ledger.errors import Refused
from ledger.installation import Installation, assemble
from ledger.proof.encoding import parse
from ledger.verifier.run import verify_export
from tests.counts import scale

CITY = "khon-kaen"
SIZE = Scale(learners=scale(60, 7_000), shops=scale(6, 600), entries=scale(400, 100_000), seed=7)


def _play(directory: Path, wanted: Scale) -> Installation:
    settings = Settings.from_environment({}, data=directory)
    upgrade(settings.database_url)
    installation = assemble(settings, clock=lambda: simulate.BEGIN)
    files = {file.id: file for file in map(cityfile.load, cityfile.shipped())}
    simulate.simulate(installation.writer, files[CITY], wanted)
    return installation


def _story(database: Database) -> list[tuple[str, str, tuple[int, ...]]]:
    with database.read() as session:
        leaves = entries.leaves(session, CITY, 0, entries.size(session, CITY))
        parsed = [parse(leaf) for leaf in leaves]
    return [(one["kind"], one["at"], tuple(posting["amount"] for posting in one["postings"])) for one in parsed]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One simulated year."""
    return _play(tmp_path_factory.mktemp("year"), SIZE)


def test_the_year_has_the_size_that_was_asked_for_and_verifies(played: Installation, tmp_path: Path) -> None:
    """At least so many entries, of every kind that a year brings; audit and verification find nothing."""
    kinds = Counter(kind for kind, _, _ in _story(played.database))
    assert kinds.total() >= SIZE.entries
    assert {"grant", "fund", "policy", "reward", "hold", "capture", "reverse", "transfer"} <= kinds.keys()
    export.write_directory(played.database, played.keys, CITY, tmp_path / "out", openings=True)
    report = verify_export(tmp_path / "out")
    assert report.ok, report.text()
    with played.database.read() as session:
        found = audit.audit(session, CITY, played.keys.get(cities.get(session, CITY)))
    assert found.ok, found.text()


def test_the_same_seed_tells_the_same_story_and_another_one_does_not(tmp_path: Path) -> None:
    """Kinds, times and amounts repeat under one seed; identifiers never do."""
    small = Scale(learners=30, shops=4, entries=150, seed=3)
    first = _story(_play(tmp_path / "a", small).database)
    assert first == _story(_play(tmp_path / "b", small).database)
    assert first != _story(_play(tmp_path / "c", Scale(30, 4, 150, seed=4)).database)


def test_a_log_with_entries_is_left_alone(played: Installation) -> None:
    """A second simulation into the same log is refused, and the log keeps its size."""
    before = len(_story(played.database))
    file = next(file for file in map(cityfile.load, cityfile.shipped()) if file.id == CITY)
    with pytest.raises(Refused, match="not_empty"):
        simulate.simulate(played.writer, file, SIZE)
    assert len(_story(played.database)) == before
