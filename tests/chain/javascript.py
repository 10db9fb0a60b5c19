"""Runs JavaScript with the packages that `scripts/contracts tools` fetches; where they are missing, tests fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.servers import ROOT

CONTRACTS = ROOT / "contracts"

SECONDS = 600
"""How long a program may take on a busy machine."""


def package(name: str) -> Path:
    """Where a package is installed; AssertionError if it is not."""
    found = CONTRACTS / "node_modules" / name
    assert found.is_dir(), f"the package {name} is missing: run scripts/contracts tools"
    return found


def run(script: Path, *arguments: str, given: object = None) -> str:
    """Run a script with `given` as JSON on its input; what it printed."""
    node = shutil.which("node", path=f"{os.environ['PATH']}:{ROOT / '.venv' / 'bin'}")
    assert node is not None, "there is no Node: run scripts/contracts tools"
    done = subprocess.run(
        [node, script, *arguments], input=json.dumps(given), capture_output=True, text=True, check=False, cwd=CONTRACTS,
        timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{script.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
