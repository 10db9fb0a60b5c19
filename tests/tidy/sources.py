"""The files that the tidy rules look at: all that git tracks, or would track if it were added."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

PYTHON = ("ledger", "api", "tests", "migrations")
"""The folders that hold Python."""


@cache
def listed() -> tuple[Path, ...]:
    """Every file of the repository, relative to its root; ignored ones are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted({Path(name) for name in names if name and (ROOT / name).is_file()}))


def under(*folders: str, suffix: str = ".py") -> list[Path]:
    """The files in some folders with one ending."""
    return [path for path in listed() if path.parts[0] in folders and path.suffix == suffix]


@cache
def text(path: Path) -> str:
    """A file's text; empty for one that is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree(path: Path) -> ast.Module:
    """A Python file, parsed."""
    return ast.parse(text(path), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def importers(package: str, *folders: str) -> set[str]:
    """The files in some folders that import a package or a part of it."""
    return {
        path.as_posix()
        for path in under(*folders)
        if any(name == package or name.startswith(f"{package}.") for name in imports(path))
    }
