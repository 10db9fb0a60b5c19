"""Handles: one through a case, another in the next, and openable only with account and nonce."""

import base64
import hashlib
import hmac

import pytest

from ledger.proof.handles import handle, nonce
from ledger.proof.rules import account_type, is_handle
from tests.proof.logs import random_id

ACCOUNT = f"learner:{random_id('ann')}"


def test_a_handle_is_the_hash_of_account_and_nonce() -> None:
    """Built here from the words of the format: HMAC for the nonce, SHA-256 with 0x02 for the handle."""
    case_nonce = hmac.new(b"k" * 32, random_id("case").encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(b"\x02" + ACCOUNT.encode() + case_nonce).digest()
    expected = "learner:~" + base64.b32encode(digest).decode().lower().strip("=")
    assert nonce(b"k" * 32, random_id("case")) == case_nonce
    assert handle(ACCOUNT, case_nonce) == expected
    assert len(expected) == len("learner:~") + 52


def test_handles_differ_by_case_account_and_key() -> None:
    """Any other case, account or blinding key gives another handle; the same ones give the same."""
    first = handle(ACCOUNT, nonce(b"k" * 32, "case-1"))
    assert first == handle(ACCOUNT, nonce(b"k" * 32, "case-1"))
    others = {
        handle(ACCOUNT, nonce(b"k" * 32, "case-2")),
        handle(ACCOUNT, nonce(b"l" * 32, "case-1")),
        handle(f"learner:{random_id('bo')}", nonce(b"k" * 32, "case-1")),
    }
    assert len(others | {first}) == 4


def test_a_handle_is_a_learner_account_and_an_account_is_no_handle() -> None:
    """Both are of type learner; only the handle may stand in a leaf."""
    blinded = handle(ACCOUNT, bytes(32))
    assert (account_type(blinded), is_handle(blinded)) == ("learner", True)
    assert (account_type(ACCOUNT), is_handle(ACCOUNT)) == ("learner", False)
    with pytest.raises(ValueError, match="32 bytes"):
        handle(ACCOUNT, bytes(31))
