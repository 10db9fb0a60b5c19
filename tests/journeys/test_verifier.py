"""An auditor installs the verifier alone, follows a running server by its URL, and sees it rewrite history."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import ROOT, Deployment, Server

LOG = "/log/khon-kaen"
NEEDED = ("cryptography", "cffi", "pycparser")
"""What the wheel asks for, and what that asks for; taken from this environment in the place of an index."""


@pytest.fixture
def kgo(tmp_path: Path) -> Path:
    """`kgo` in a new virtual environment into which pip installed the project's wheel, without any extra."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "ledger", "api"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    subprocess.run([sys.executable, *build, str(source)], check=True, cwd=tmp_path)
    place = tmp_path / "auditor"
    venv.create(place, with_pip=True)
    packages = next((place / "lib").glob("python*")) / "site-packages"
    for needed in NEEDED:
        for file in importlib.metadata.files(needed) or ():
            top = file.parts[0]
            if top != ".." and not (packages / top).exists():
                (packages / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    (wheel,) = tmp_path.glob("*.whl")
    install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    listed = [str(place / "bin" / "python"), "-m", "pip", "list", "--format", "json"]
    found = json.loads(subprocess.run(listed, check=True, capture_output=True, text=True).stdout)
    assert {item["name"].lower() for item in found} <= {"kgo-ledger", "pip", "setuptools", *NEEDED}
    return place / "bin" / "kgo"


def _run(kgo: Path, state: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run `kgo verify` with what it remembers in `state`; status and report."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    call = [str(kgo), "verify", *arguments, "--json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def _live(deployment: Deployment, server: Server, entries: int) -> None:
    """Let the log grow by so many entries."""
    token = deployment.token("treasurer")
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        shop = client.get("/v1/cities/khon-kaen/shops").json()["items"][0]["id"]
        for _ in range(entries):
            body = {"kind": "transfer", "from": "treasury", "to": f"shop:{shop}", "amount_minor": 100}
            answer = client.post("/v1/cities/khon-kaen/entries", json=body)
            assert answer.status_code == 201, answer.text


def test_a_server_is_followed_and_caught_rewriting_history(tmp_path: Path, kgo: Path) -> None:
    """By its URL: a verdict, again as it grows, a receipt offline; then a rewritten log, and a shortened one."""
    data, state = tmp_path / "data", tmp_path / "state"
    deployment = Deployment(data, f"sqlite:///{data / 'ledger.sqlite'}")
    deployment.here("db upgrade")
    deployment.import_city()
    server = deployment.serve()
    try:
        _live(deployment, server, 5)
        status, report = _run(kgo, state, server.url + LOG)
        assert (status, report["counts"]) == (0, {})
        assert any("hash tiles" in item for item in report["checked"])
        first = report["size"]
        _live(deployment, server, 3)
        status, report = _run(kgo, state, server.url + LOG + "/")
        assert (status, report["size"]) == (0, first + 3)
        assert any("extends the checkpoint remembered" in item for item in report["checked"])

        receipt = tmp_path / "receipt.tlog-proof"
        receipt.write_bytes(httpx.get(f"{server.url}{LOG}/receipt/{first}").content)
        vkey = httpx.get(f"{server.url}{LOG}/vkey").text.strip()
        status, outcome = _run(kgo, tmp_path / "nothing", "receipt", str(receipt), "--vkey", vkey)
        assert (status, outcome["entry"]["seq"], outcome["entry"]["kind"]) == (0, first, "transfer")
        assert _run(kgo, tmp_path / "nothing", "receipt", str(receipt))[0] == 3
        assert _run(kgo, state, "receipt", str(receipt))[0] == 0

        mirror = tmp_path / "mirror"
        deployment.kgo("log publish", "--city", "khon-kaen", mirror)
        assert _run(kgo, state, str(mirror))[0] == 0
        server.stop()

        for file in (*data.glob("ledger.sqlite*"), *data.glob("published/*")):
            file.unlink()  # the keys stay: the same log signs another history
        deployment.here("db upgrade")
        deployment.import_city()
        server = deployment.serve()
        _live(deployment, server, 2)
        status, report = _run(kgo, state, server.url + LOG)
        assert (status, set(report["counts"])) == (1, {"BEHIND_ANCHOR"})
        _live(deployment, server, 20)
        status, report = _run(kgo, state, server.url + LOG)
        assert (status, set(report["counts"])) == (1, {"SPLIT_VIEW"})
        (finding,) = report["findings"]
        assert len(finding["evidence"]) == 2
        assert all(note.startswith(report["origin"]) for note in finding["evidence"])
        assert _run(kgo, tmp_path / "newcomer", server.url + LOG)[0] == 0
    finally:
        server.stop()
