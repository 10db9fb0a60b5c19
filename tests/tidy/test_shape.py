"""The shape of the sources: sizes, docstrings, where a package may be imported, no left-overs."""

from __future__ import annotations

import ast
import re

from tests.tidy.sources import PYTHON, ROOT, importers, listed, text, tree, under

FILE_LINES = 400
FUNCTION_LINES = 70

MEASURED = {".py", ".sh", ".js", ".css", ".html", ".sol"}
"""What people write and read as code; data, catalogues, locks and prose may be longer."""

TOP = {"ledger", "api", "contracts", "scripts", "migrations", "tests", "docs", "pyproject.toml", "README.md"}
"""Everything at the top of the repository, beside dot files."""

PRINTING = {("ledger", "cli"), ("ledger", "serving")}
"""The modules (or packages) that talk to a terminal."""


def test_files_stay_short() -> None:
    """No source file has more than 400 lines."""
    measured = [path for path in listed() if path.suffix in MEASURED or path.parts[0] == "scripts"]
    lengths = {str(path): text(path).count("\n") for path in measured if "requirements" not in path.parts}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_stay_short() -> None:
    """No function has more than 70 lines; a migration is a list and may."""
    long = {}
    for path in under(*PYTHON):
        if path.parent.as_posix() == "migrations/versions":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{path}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_every_module_says_what_it_is_for() -> None:
    """Every module of the product has a docstring."""
    modules = under("ledger", "api")
    assert modules
    assert [str(path) for path in modules if not ast.get_docstring(tree(path))] == []


def test_only_the_command_line_prints() -> None:
    """`print` is called where a person sits in front of it, and nowhere else in the product."""
    found = [
        f"{path}:{node.lineno}"
        for path in under("ledger", "api")
        if path.with_suffix("").parts[:2] not in PRINTING
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_nothing_is_left_to_do_in_a_comment() -> None:
    """Open work stands in the tracker, not in the sources."""
    left_over = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b")
    found = [str(path) for path in listed() if path.parts[:1] != ("docs",) and left_over.search(text(path))]
    assert found == []


def test_the_top_level_is_what_the_readme_shows() -> None:
    """The top holds the folders and files of the house, each named in the README, and nothing else."""
    top = {path.parts[0] for path in listed() if not path.parts[0].startswith(".")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert top - TOP == set()
    assert TOP - top == set()
    assert [name for name in top - {"README.md"} if name not in readme] == []


def test_flask_stays_under_api() -> None:
    """The truth needs no HTTP: nothing in `ledger` imports Flask or what comes with it."""
    for package in ("flask", "werkzeug", "marshmallow", "apispec"):
        assert importers(package, "ledger") == set()


def test_web3_is_imported_in_one_place() -> None:
    """Only the chain's client knows web3, which takes 1.7 s to import."""
    assert {path for path in importers("web3", "ledger", "api") if not path.startswith("ledger/chain/client")} == set()


def test_qrcode_is_imported_in_one_place() -> None:
    """Only `programme/qr.py` knows the library that makes QR symbols."""
    assert importers("qrcode", "ledger", "api") <= {"ledger/programme/qr.py"}
