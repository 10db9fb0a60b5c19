"""The installation's policy file: read again when it changes, and no stumbling block when it is spoilt."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from ledger.log.policies import PolicyFile
from ledger.proof.policy import PolicyError


def _write(path: Path, text: str, at: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(at, at))


def test_it_is_read_again_when_it_changed(tmp_path: Path) -> None:
    """None, one, another, none again; each has a name of its own."""
    path = tmp_path / "policy"
    file = PolicyFile(path)
    assert file.current() is None
    _write(path, "quorum none\n", 1)
    first = file.current()
    assert first is not None
    assert file.current() is first
    _write(path, "# changed\nquorum none\n", 2)
    second = file.current()
    assert second is not None
    assert second.name != first.name
    path.unlink()
    assert file.current() is None


def test_a_spoilt_policy_is_told_and_counts_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each version in the log; whoever insists gets the error with its line."""
    path = tmp_path / "policy"
    file = PolicyFile(path)
    _write(path, "quorum somebody\n", 1)
    with caplog.at_level(logging.ERROR):
        assert file.current() is None
        assert file.current() is None
    assert caplog.text.count("line 1 of the policy") == 1
    with pytest.raises(PolicyError, match="line 1"):
        file.load()
    _write(path, "quorum none\n", 2)
    assert file.current() is not None
