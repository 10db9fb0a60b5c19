"""The committed artifacts are what the sources compile to, byte for byte, and what they promise stands in them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chain import javascript
from tests.chain.evm import ARTIFACTS, artifact

CONTRACTS = ("KgoToken", "KgoBadge")


def test_the_artifacts_are_what_the_sources_compile_to(tmp_path: Path) -> None:
    """Compiled anew with the locked compiler, every committed file comes out the same, and none is left over."""
    javascript.package("solc")
    javascript.run(javascript.CONTRACTS / "compile.mjs", str(tmp_path))
    fresh = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name: path.read_bytes() for path in ARTIFACTS.iterdir()} == fresh


@pytest.mark.parametrize("name", CONTRACTS)
def test_anybody_can_compile_from_the_input_alone(name: str) -> None:
    """The compiler's input holds every source in full and every setting, and names no place on a machine."""
    given = json.loads((ARTIFACTS / f"{name}.input.json").read_text())
    assert f"{name}.sol" in given["sources"]
    assert all(set(source) == {"content"} for source in given["sources"].values())
    assert {"optimizer", "viaIR", "evmVersion", "metadata"} <= set(given["settings"])
    assert all(not path.startswith(("/", ".")) for path in given["sources"])


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_code_fits_every_chain(name: str) -> None:
    """Below the 24,576 bytes of EIP-170, compiled by the pinned compiler, without a library to be linked."""
    loaded = artifact(name)
    assert len(loaded["runtime"]) // 2 < 24_576
    assert loaded["compiler"].startswith("0.8.37+")
    assert bytes.fromhex(loaded["bytecode"]).endswith(bytes.fromhex(loaded["runtime"])[-32:])


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_function_event_and_error_of_ours_is_documented(name: str) -> None:
    """NatSpec stands before each external function, event and error of the contract's own source."""
    lines = (javascript.CONTRACTS / f"{name}.sol").read_text().splitlines()
    missing = []
    for before, line in pairwise(lines):
        declared = line.strip().startswith(("event ", "error ", "bytes32 public ", "constructor"))
        function = line.strip().startswith("function ") and not line.strip().startswith("function _")
        if (declared or function) and not before.strip().startswith(("///", "*/")):
            missing.append(line.strip())
    assert missing == []
