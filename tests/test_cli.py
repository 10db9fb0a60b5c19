"""`kgo`: the exact forms that scripts rely on, and words instead of tracebacks where something is amiss."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.cli import main
from ledger.db import Database
from ledger.people import tokens
from ledger.proof.checkpoint import verify
from ledger.values import utc_now
from tests.servers import ROOT, Deployment

KHON_KAEN = str(ROOT / "ledger" / "data" / "khon-kaen.toml")
CITY = ["--city", "khon-kaen"]


@pytest.fixture
def data(sqlite_deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data directory with Khon Kaen and its samples, which the environment of this process points to."""
    sqlite_deployment.import_city()
    monkeypatch.setenv("KGO_DATABASE_URL", sqlite_deployment.database_url)
    return str(sqlite_deployment.data)


def test_the_token_is_the_last_word_and_signs_in(
    data: str, sqlite_deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts take the last word; it signs in with the roles and the subject that were asked for."""
    assert main(["token", "create", "--data", data, *CITY, "--role", "steward", "--role", "treasurer"]) == 0
    steward = capsys.readouterr().out.split()[-1]
    assert main(["token", "create", "--data", data, *CITY, "--role", "shop", "--shop", "sample-som-tam"]) == 0
    shop = capsys.readouterr().out.split()[-1]
    with Database(sqlite_deployment.database_url).read() as session:
        held = tokens.find(session, "khon-kaen", steward, utc_now())
        till = tokens.find(session, "khon-kaen", shop, utc_now())
    assert held is not None
    assert held.roles == {"steward", "treasurer"}
    assert till is not None
    assert (till.roles, till.subject) == (frozenset({"shop"}), "sample-som-tam")


def test_a_link_bears_the_public_address(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The link is one line, at the address that people reach the installation by."""
    address = ["--public-url", "https://learn.example/"]
    assert main(["link", "create", "--data", data, *CITY, "--role", "steward", *address]) == 0
    assert capsys.readouterr().out.startswith("https://learn.example/l/kgo_kk")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--role", "shop"], "--shop"),
        (["--role", "shop", "--shop", "nobody"], "id=nobody"),
        (["--role", "kiosk"], "--activity"),
        (["--role", "mayor"], "steward"),
    ],
)
def test_a_sign_in_for_nobody_is_refused(
    data: str, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or unknown subject, or an unknown role: status 1, and a line that names the remedy."""
    assert main(["token", "create", "--data", data, *CITY, *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_an_export_verifies_and_is_never_mixed_with_another(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export, verify: 0. A second export into the same directory is refused, and the first stays whole."""
    out = tmp_path / "out"
    assert main(["export", "--data", data, *CITY, "--out", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    assert main(["export", "--data", data, *CITY, "--out", str(out)]) == 1
    assert "not empty" in capsys.readouterr().err
    assert main(["verify", str(out)]) == 0
    (out / "entries.ndjson").write_bytes((out / "entries.ndjson").read_bytes()[:-40])
    assert main(["verify", str(out)]) == 1
    assert main(["verify", str(tmp_path / "nowhere")]) == 2


def test_a_database_without_its_schema_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before `kgo db upgrade` every command says so; after it, a city is still missing."""
    monkeypatch.delenv("KGO_DATABASE_URL", raising=False)
    where = ["--data", str(tmp_path)]
    assert main(["audit", *where, *CITY]) == 1
    assert "kgo db upgrade" in capsys.readouterr().err
    assert main(["db", "upgrade", *where]) == 0
    assert main(["audit", *where, *CITY]) == 1
    assert "khon-kaen" in capsys.readouterr().err


def test_a_simulation_keeps_out_of_a_city_that_lives(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log with entries is left alone."""
    assert main(["simulate", "--data", data, *CITY, "--learners", "5", "--shops", "1", "--entries", "10"]) == 1
    assert "not_empty" in capsys.readouterr().err


def test_jobs_and_imports_may_run_again(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run attests the day's totals; the second finds nothing to do. An import adds nothing twice."""
    assert main(["jobs", "run", "--data", data]) == 0
    assert "khon-kaen: 1 new entries" in capsys.readouterr().out
    assert main(["jobs", "run", "--data", data]) == 0
    assert "khon-kaen: 0 new entries" in capsys.readouterr().out
    assert main(["city", "import", "--data", data, "--samples", KHON_KAEN]) == 0
    assert "all of it was there" in capsys.readouterr().out
    assert main(["audit", "--data", data, *CITY]) == 0


def test_a_wrong_call_is_status_2() -> None:
    """The parser's own refusals end so."""
    with pytest.raises(SystemExit) as stop:
        main(["token", "make"])
    assert stop.value.code == 2


def test_a_log_is_mirrored_and_the_mirror_is_guarded(
    data: str, sqlite_deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Published, published again with nothing to do; over another city's mirror it is refused, in words."""
    mirror = tmp_path / "mirror"
    assert main(["log", "publish", str(mirror), "--data", data, *CITY]) == 0
    assert f"{mirror} shows " in capsys.readouterr().out
    assert verify((mirror / "checkpoint").read_text(), (mirror / "vkey").read_text().strip()).size > 0
    assert main(["log", "publish", str(mirror), "--data", data, *CITY]) == 0
    assert "0 files written" in capsys.readouterr().out
    sqlite_deployment.import_city("phayao")
    assert main(["log", "publish", str(mirror), "--data", data, "--city", "phayao"]) == 1
    assert "mirror_conflict foreign" in capsys.readouterr().err


def test_the_witness_is_made_shown_and_asked(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its key is made once and printed; by a policy that names it, it cosigns; what is missing is said."""
    assert main(["witness", "show", "--data", data]) == 1
    assert "kgo witness create" in capsys.readouterr().err
    assert main(["log", "witness", "--data", data, *CITY]) == 1
    assert "no policy" in capsys.readouterr().out
    assert main(["witness", "create", "--data", data, "--name", "kgo.example/w"]) == 0
    vkey = capsys.readouterr().out.strip()
    assert main(["witness", "show", "--data", data]) == 0
    assert capsys.readouterr().out.strip() == vkey
    assert main(["witness", "create", "--data", data, "--name", "kgo.example/w"]) == 1
    assert "witness_exists" in capsys.readouterr().err
    (Path(data) / "policy").write_text(f"witness own {vkey}\nquorum own\n")
    assert main(["log", "witness", "--data", data, *CITY]) == 0
    assert "own: cosigned" in capsys.readouterr().out
    (Path(data) / "policy").write_text("quorum nobody\n")
    assert main(["log", "witness", "--data", data, *CITY]) == 1
    assert "line 1 of the policy" in capsys.readouterr().err
