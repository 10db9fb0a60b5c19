"""Settings: where they come from, which one wins, and that each is documented."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pytest

from ledger import logs
from ledger.config import ALL, NOTABLE, VARIABLES, Settings

ROOT = Path(__file__).parent.parent


def test_without_anything_it_is_one_sqlite_file_in_the_data_directory(tmp_path: Path) -> None:
    """The defaults serve a city from one directory."""
    settings = Settings.from_environment({}, data=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    assert settings.public_url == "http://127.0.0.1:8000"


def test_an_argument_wins_over_its_variable(tmp_path: Path) -> None:
    """What was given on the command line counts; what was not comes from the environment."""
    environ = {"KGO_DATA": "/elsewhere", "KGO_PUBLIC_URL": "https://kgo.example/", "KGO_DATABASE_URL": "sqlite:///x"}
    given = Settings.from_environment(environ, data=tmp_path, public_url="https://other.example/")
    assert (given.data, given.public_url) == (tmp_path, "https://other.example")
    taken = Settings.from_environment(environ)
    assert (str(taken.data), taken.public_url) == ("/elsewhere", "https://kgo.example")


def test_log_lines_suit_whoever_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets text and anything else JSON, unless a variable says which; a request gets a line if notable."""
    for terminal, style in ((True, logs.TEXT), (False, logs.JSON)):
        monkeypatch.setattr("sys.stderr", mock.Mock(isatty=lambda terminal=terminal: terminal))
        settings = Settings.from_environment({})
        assert (settings.log, settings.access_log) == (style, NOTABLE)
        for wanted in logs.STYLES:
            assert Settings.from_environment({"KGO_LOG": wanted}).log == wanted
    assert Settings.from_environment({"KGO_ACCESS_LOG": "all"}).access_log == ALL


@pytest.mark.parametrize("name", ["KGO_LOG", "KGO_ACCESS_LOG"])
def test_a_value_that_a_setting_cannot_have_is_refused(name: str) -> None:
    """The variable is named, with the values that it may have."""
    with pytest.raises(ValueError, match=f"{name}: use one of "):
        Settings.from_environment({name: "loud"})


def test_postgresql_urls_get_the_driver_that_is_installed() -> None:
    """The forms that people write all mean psycopg 3."""
    for form in ("postgresql", "postgres", "postgresql+psycopg"):
        url = Settings.from_environment({"KGO_DATABASE_URL": f"{form}://u@h/d"}).database_url
        assert url == "postgresql+psycopg://u@h/d"


def test_every_setting_is_documented_and_nothing_else_is_read() -> None:
    """Each variable stands in the operators' page; no code reads a variable that is not declared."""
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert [name for name in VARIABLES if f"`{name}`" not in page] == []
    code = "\n".join(path.read_text("utf-8") for folder in ("ledger", "api") for path in (ROOT / folder).rglob("*.py"))
    assert set(re.findall(r"\bKGO_[A-Z_]+\b", code)) <= VARIABLES.keys()
