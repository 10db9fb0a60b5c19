"""What must not stand in the repository: the places it was made at; and what the locks must hold."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.sources import ROOT, listed, text, under

REQUIREMENTS = ROOT / "scripts" / "requirements"

# Put together here, so that this file holds none of them.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("snapshot", "debian", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
    )
)

INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX",
                   "NPM_CONFIG_REGISTRY", "npm_config_registry")  # fmt: skip

NAMED_TEST = re.compile(r"`([a-z]+/test_\w+)::(test_\w+)`")

MACHINE_PATH = re.compile(r"(?<![\w.:~/$}-])/(?:work|root|home)/")


def _index_hosts() -> set[str]:
    """The hosts of the package indexes that this machine is set up with."""
    urls = " ".join(os.environ.get(name, "") for name in INDEX_VARIABLES).split()
    return {host for host in (urlsplit(url.split("=", 1)[-1]).hostname for url in urls) if host}


def test_no_file_names_a_registry() -> None:
    """No host of a package registry stands anywhere: each machine uses the index that it is set up with."""
    hosts = {*REGISTRIES, *_index_hosts()} - {"localhost", "127.0.0.1"}
    found = [f"{path}: {host}" for path in listed() for host in hosts if host in text(path)]
    assert found == []


def test_no_file_names_a_path_of_the_machine_it_was_made_on() -> None:
    """No absolute path of somebody's machine stands anywhere."""
    found = [f"{path}: {match.group()}" for path in listed() for match in MACHINE_PATH.finditer(text(path))]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_path"), [(f"cd /{'root'}/x", True), (f"'/{'home'}/me/y'", True), ("a/work/b", False)]
)
def test_the_path_rule_knows_one_when_it_sees_it(line: str, *, is_path: bool) -> None:
    """Absolute paths are found; parts of longer ones are not."""
    assert bool(MACHINE_PATH.search(line)) is is_path


def test_every_test_that_a_document_names_is_there() -> None:
    """`folder/test_module::test_name`, below `tests/`; who looks one up finds it."""
    named = [(path, found) for path in under("docs", suffix=".md") for found in NAMED_TEST.findall(text(path))]
    assert named
    missing = [
        f"{path}: {module}::{name}"
        for path, (module, name) in named
        if not (ROOT / "tests" / f"{module}.py").is_file() or f"def {name}(" not in text(Path("tests", f"{module}.py"))
    ]
    assert missing == []


def test_no_lock_of_another_kind_is_kept() -> None:
    """Locks that write their index into the file are not used."""
    assert {path.name for path in listed()} & {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock"} == set()


@pytest.mark.parametrize("name", ["server", "dev", "uv", "node", "peers"])
def test_requirements_have_hashes_and_no_index(name: str) -> None:
    """Every locked package is pinned to one version with its hashes, and no line names an index."""
    content = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    packages = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n", "", content).strip())
    assert packages
    assert [package for package in packages if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:", package, re.DOTALL)] == []
    assert re.findall(r"\S+://\S+|--(?:extra-)?index-url|--find-links", content) == []


@pytest.mark.parametrize("name", ["server", "dev"])
def test_locks_follow_pyproject(name: str) -> None:
    """What pyproject.toml asks for stands in the lock, in a version it admits; else `scripts/lock` was forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["server"]]
    wanted += project["dependency-groups"]["build"]
    if name == "dev":
        wanted += [*project["dependency-groups"]["dev"], *project["project"]["optional-dependencies"]["chain"]]
    content = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", content, re.MULTILINE))
    requirements = [Requirement(line) for line in wanted]
    missing = [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert missing == []


def test_scripts_can_be_run() -> None:
    """Every script is executable, says what runs it, and parses."""
    scripts = [path for path in listed() if path.parent in {Path("scripts"), Path(".ci")}]
    assert scripts
    for path in scripts:
        assert os.access(ROOT / path, os.X_OK), path
        assert text(path).startswith("#!/usr/bin/env bash\n"), path
        assert "set -euo pipefail" in text(path), path
        subprocess.run(["bash", "-n", ROOT / path], check=True)


def test_packages_of_tests_are_complete() -> None:
    """Test modules are named `test_…`, so that none is forgotten because pytest does not see it."""
    looks_like_tests = re.compile(r"^(?:async )?def test_|^class Test", re.MULTILINE)
    hidden = [str(path) for path in under("tests") if looks_like_tests.search(text(path))]
    assert [path for path in hidden if not Path(path).name.startswith("test_")] == []
