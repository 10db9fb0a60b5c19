"""The day of the learning city over real processes: `kgo`, the server, an export, and an auditor's own machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.journeys.day import HOME, client, created, live
from tests.servers import ROOT, Deployment

VERIFIER_NEEDS = ("cryptography", "cffi", "_cffi_backend", "pycparser")


@pytest.fixture
def auditors_python(tmp_path: Path) -> str:
    """A virtual environment that has nothing but `cryptography` (and what that needs) beside the standard library."""
    place = tmp_path / "auditor"
    venv.create(place, with_pip=False)
    packages = next((place / "lib").glob("python*")) / "site-packages"
    for name in VERIFIER_NEEDS:
        found = importlib.util.find_spec(name)
        if found and found.origin:
            source = Path(found.origin)
            source = source.parent if source.name == "__init__.py" else source
            (packages / source.name).symlink_to(source)
    return str(place / "bin" / "python")


def test_a_day_from_the_stewards_desk_to_the_auditors_laptop(
    deployment: Deployment, tmp_path: Path, auditors_python: str
) -> None:
    """Fund, open, scan, spend, confirm, export over HTTP; then verify where only `cryptography` is installed."""
    deployment.import_city()
    steward = deployment.token("steward", "--role", "treasurer")
    till = deployment.token("shop", "--shop", "sample-som-tam")
    server = deployment.serve()
    live(server, steward, till)
    archive = tmp_path / "export.zip"
    archive.write_bytes(client(server).get("/export").content)
    with zipfile.ZipFile(archive) as unpacked:
        unpacked.extractall(tmp_path / "export")
    deployment.kgo("export", "--city", "khon-kaen", "--out", tmp_path / "opened", "--openings")
    for path in (archive, tmp_path / "export", tmp_path / "opened"):
        done = subprocess.run(
            [auditors_python, "-m", "ledger.cli", "verify", str(path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "export" / "entries.ndjson").open("r+b") as file:
        file.seek(200)
        flipped = bytes([file.read(1)[0] ^ 1])
        file.seek(200)
        file.write(flipped)
    done = subprocess.run(
        [auditors_python, "-m", "ledger.cli", "verify", str(tmp_path / "export")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "HASH_MISMATCH" in done.stdout
    assert deployment.kgo("audit", "--city", "khon-kaen").endswith("OK: all of it holds")


def test_two_servers_fight_over_the_last_unit(
    deployment: Deployment, race: Callable[..., list[httpx.Response]]
) -> None:
    """Two processes on one database: of many who want the last unit of stock one gets it, the others are told."""
    deployment.import_city()
    steward = deployment.token("steward", "--role", "treasurer")
    servers = [deployment.serve(), deployment.serve()]
    desk = client(servers[0], steward)
    last = {"shop": "sample-som-tam", "title_th": "ชิ้นสุดท้าย", "title_en": "The last one", "price_minor": 100, "stock": 1}
    offer = created(desk.post("/promotions", json=last))["id"]
    learners = []
    for number in range(8):
        joined = created(client(servers[0]).post("/learners"))
        gift = {"kind": "transfer", "from": "treasury", "to": joined["account"], "amount_minor": 150}
        created(desk.post("/entries", json=gift))
        learners.append(client(servers[number % 2], str(joined["token"])))
    answers = race([lambda one=one: one.post("/redemptions", json={"promotion": offer}) for one in learners])
    outcomes = sorted(answer.json().get("code") if answer.status_code != 201 else "won" for answer in answers)
    assert outcomes == ["out_of_stock"] * 7 + ["won"]


def test_two_servers_fight_over_the_last_of_a_balance(
    deployment: Deployment, race: Callable[..., list[httpx.Response]]
) -> None:
    """Two processes on one database: a balance that pays for one of eight transfers pays for one."""
    deployment.import_city()
    steward = deployment.token("steward", "--role", "treasurer")
    servers = [deployment.serve(), deployment.serve()]
    desks = [client(server, steward) for server in servers]
    created(
        desks[0].post(
            "/entries", json={"kind": "transfer", "from": "treasury", "to": "shop:sample-som-tam", "amount_minor": 100}
        )
    )
    spend = {"kind": "transfer", "from": "shop:sample-som-tam", "to": "shop:sample-book-coffee", "amount_minor": 100}
    answers = race([lambda desk=desk: desk.post("/entries", json=spend) for desk in desks * 4])
    outcomes = sorted(answer.json().get("code") if answer.status_code != 201 else "won" for answer in answers)
    assert outcomes == ["insufficient_funds"] * 7 + ["won"]
    assert deployment.kgo("audit", "--city", "khon-kaen").endswith("OK: all of it holds")


def test_a_killed_server_loses_nothing_it_acknowledged(deployment: Deployment, tmp_path: Path) -> None:
    """Kill -9 under load: after the restart every acknowledged entry is there, and the export verifies."""
    deployment.import_city()
    steward = deployment.token("steward", "--role", "treasurer")
    server = deployment.serve()
    gift = {"kind": "transfer", "from": "treasury", "to": "shop:sample-som-tam", "amount_minor": 1}
    load = subprocess.Popen(
        [sys.executable, "-m", "tests.journeys.load", server.url + HOME, steward],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert load.stdout
    acknowledged = [load.stdout.readline() for _ in range(40)]
    server.kill()
    acknowledged += load.stdout.readlines()
    load.wait(30)
    restarted = client(deployment.serve(), steward)
    for line in filter(None, acknowledged):
        seq, identifier = line.split()
        assert created(restarted.get(f"/entries/{seq}"))["id"] == identifier
    created(restarted.post("/entries", json=gift))
    deployment.kgo("export", "--city", "khon-kaen", "--out", tmp_path / "export")
    deployment.kgo("audit", "--city", "khon-kaen")
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "verify", str(tmp_path / "export")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
