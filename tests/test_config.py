"""Settings: where they come from, which one wins, and that each is documented."""

from __future__ import annotations

import re
from pathlib import Path

from ledger.config import VARIABLES, Settings

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
