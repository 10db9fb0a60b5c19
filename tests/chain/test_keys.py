"""Keys without a node: addresses, deterministic signatures, keystores, messages signed by a wallet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.keys import (
    Fees,
    KeyUnusable,
    Transaction,
    address_of,
    read_key,
    read_keystore,
    sign,
    signer_of,
)

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
TRANSACTION = Transaction(11_155_111, 7, "0x" + "c0" * 20, b"\x01\x02", 100_000, Fees(3_000, 1_000))


def test_a_key_has_its_address() -> None:
    """Addresses are lower-case; 32 bytes that are no key, and other lengths, are refused without being told."""
    assert address_of(KEY) == ADDRESS
    for unusable in (b"", KEY[:31], bytes(32), b"\xff" * 32):
        with pytest.raises(KeyUnusable) as refused:
            address_of(unusable)
        assert unusable.hex() not in str(refused.value) or not unusable


def test_a_written_key_is_read() -> None:
    """Hexadecimal with or without 0x; anything else is refused."""
    assert read_key(f"0x{KEY.hex()}\n") == read_key(KEY.hex()) == KEY
    for unusable in ("", "0x12", "zz" * 32, "00" * 32):
        with pytest.raises(KeyUnusable):
            read_key(unusable)


def test_the_same_transaction_has_the_same_bytes() -> None:
    """Signed twice it is one transaction; its hash and sender are what a node will find."""
    first, second = sign(TRANSACTION, KEY), sign(TRANSACTION, KEY)
    assert first == second
    assert first.sender == ADDRESS == Account.recover_transaction(first.raw).lower()
    fields = TypedTransaction.from_bytes(HexBytes(first.raw)).as_dict()
    assert (fields["chainId"], fields["nonce"], fields["gas"]) == (11_155_111, 7, 100_000)
    assert (fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]) == (3_000, 1_000)


def test_a_chain_without_base_fee_gets_a_plain_transaction() -> None:
    """No tip makes a legacy transaction, which names its chain all the same (EIP-155)."""
    plain = Transaction(61, 0, None, b"\x60", 50_000, Fees(5, None))
    signed = sign(plain, KEY)
    assert signed.raw[0] >= 0xC0  # an RLP list: no type in front of it
    assert Account.recover_transaction(signed.raw).lower() == ADDRESS
    other = sign(Transaction(62, 0, None, b"\x60", 50_000, Fees(5, None)), KEY)
    assert other.hash != signed.hash


@given(
    most=st.integers(1, 10**12), tip=st.integers(0, 10**11), now=st.integers(1, 10**12), now_tip=st.integers(0, 10**11)
)
def test_a_replacement_offers_at_least_a_tenth_more(most: int, tip: int, now: int, now_tip: int) -> None:
    """Whatever the market says now, both offers rise by what nodes ask for, and the tip never exceeds the whole."""
    earlier = Fees(max(most, tip), tip)
    later = Fees(max(now, now_tip), now_tip).replacing(earlier)
    assert later.tip is not None
    assert later.most * 10 >= earlier.most * 11
    assert later.tip * 10 >= tip * 11
    assert later.most >= max(later.tip, now)


def test_a_replacement_of_a_plain_transaction_is_plain() -> None:
    """On a chain without EIP-1559 the gas price rises."""
    assert Fees(100, None).replacing(Fees(160, None)) == Fees(181, None)
    assert Fees(500, None).replacing(Fees(160, None)) == Fees(500, None)


def test_a_keystore_opens_with_its_password(tmp_path: Path) -> None:
    """The right password gives the key; another one, and a file of another kind, are refused."""
    path = tmp_path / "anchorer.json"
    path.write_text(json.dumps(Account.encrypt(KEY, "correct horse", kdf="pbkdf2", iterations=100)))
    assert read_keystore(path, "correct horse") == KEY
    with pytest.raises(KeyUnusable, match=r"anchorer\.json"):
        read_keystore(path, "battery staple")
    for content in ("{}", "not JSON", "[]"):
        path.write_text(content)
        with pytest.raises(KeyUnusable):
            read_keystore(path, "correct horse")


def test_a_message_tells_its_signer() -> None:
    """What a wallet signed names the wallet; another message or a spoiled signature names another or nobody."""
    message = "เชื่อมกระเป๋าเงิน: link this wallet"
    signature = bytes(Account.sign_message(encode_defunct(text=message), KEY).signature)
    assert signer_of(message, signature) == ADDRESS
    assert signer_of(message + ".", signature) != ADDRESS
    for spoiled in (b"", signature[:-1], bytes(65), b"\xff" * 65, signature[:64] + b"\x7f"):
        with pytest.raises(KeyUnusable):
            signer_of(message, spoiled)
