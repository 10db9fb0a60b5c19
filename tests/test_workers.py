"""Sharing the tests out: what belongs together runs in one process, and the others have work meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import workers
from tests.servers import ROOT

FLEET = """
import pytest
pytestmark = pytest.mark.xdist_group("fleet")
@pytest.mark.parametrize("ship", ["a@b", "c"])
def test_it(ship: str) -> None: pass
"""
SHARING = """
import pytest
@pytest.fixture(scope="module")
def shared() -> None: pass
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_it(shared: None, turn: int) -> None: pass
"""
MODULES = {"fleet_one": FLEET, "fleet_two": FLEET, "one": SHARING, "two": SHARING}
"""Tests as this folder could have them; each of them passes."""


def _run(folder: Path, *arguments: str) -> str:
    """What pytest says that runs `MODULES` under the `conftest.py` of this folder."""
    shutil.copy(ROOT / "tests/conftest.py", folder)
    for name, text in MODULES.items():
        (folder / f"test_{name}.py").write_text(text)
    settings = ("-c", ROOT / "pyproject.toml", "--rootdir", folder, "-p", "no:cacheprovider", "-vv")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *arguments, folder],
        cwd=folder, env=alone, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_belongs_together_runs_in_one_process(tmp_path: Path) -> None:
    """The tests of one group, in however many modules, and those of a module that shares something."""
    shown = re.findall(r"\[(gw\d)\].* PASSED test_(\w+)\.py::(\S+)", _run(tmp_path, "-n", "2", "--dist", "loadgroup"))
    assert sorted(f"{module} {test}" for _, module, test in shown) == [
        *(f"fleet_{module} test_it[{ship}]" for module in ("one", "two") for ship in ("a@b", "c")),
        *(f"{module} test_it[{turn}]" for module in ("one", "two") for turn in (1, 2, 3)),
    ]
    ran = {group: {worker for worker, module, _ in shown if module.startswith(group)}
           for group in ("fleet", "one", "two")}  # fmt: skip
    assert [len(found) for found in ran.values()] == [1, 1, 1]
    assert len(set.union(*ran.values())) == 2


def test_what_has_a_place_is_there() -> None:
    """A folder or module that was renamed would silently run among those that have no place."""
    named = [ROOT / "tests" / name for name in (*workers.FIRST, *workers.LAST)]
    assert [path for path in named if not (path.is_dir() or path.with_suffix(".py").is_file())] == []


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a.py::test", "a.py::test"),
        ("a.py::test@group", "a.py::test"),
        ("a.py::test[x@y]", "a.py::test[x@y]"),
        ("a.py::test[x@y]@group", "a.py::test[x@y]"),
    ],
)
def test_a_name_without_its_group(name: str, plain: str) -> None:
    """Is the one that pytest can be given."""
    assert workers.plain(name) == plain
