"""Keys of a chain: whose address they are, transactions signed with them, and who signed a message.

No node is asked. A transaction is signed before anything is sent, so that its bytes and hash can be stored first.
`eth_account` comes with the extra `chain`, takes over a second to import, and is imported when it is first used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY_BYTES = 32
SIGNATURE_BYTES = 65

LIGHT_WORK = 2**12
"""The cost of scrypt for a key that guards nothing."""


class KeyUnusable(ValueError):
    """A key, keystore file or signature that cannot be used; the message holds nothing secret."""


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers for its gas, in wei per unit.

    Attributes:
        most: the most it pays in all; the gas price on a chain without EIP-1559.
        tip: what the block's producer receives of that; None on a chain without EIP-1559.
    """

    most: int
    tip: int | None

    def replacing(self, earlier: Fees) -> Fees:
        """Return these fees, or, where they are less, an eighth more than `earlier`, which a node takes instead."""
        most = max(self.most, _raised(earlier.most))
        if self.tip is None or earlier.tip is None:
            return Fees(most, None)
        tip = max(self.tip, _raised(earlier.tip))
        return Fees(max(most, tip), tip)


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is signed.

    Attributes:
        chain_id: of the chain that may take it.
        nonce: the sender's count of transactions before it.
        to: an address, or None to deploy.
        data: call data or creation code.
        gas: the most units it may use.
        fees: what it offers.
        value: wei to send along.
    """

    chain_id: int
    nonce: int
    to: str | None
    data: bytes
    gas: int
    fees: Fees
    value: int = 0


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction: `raw` is what a node takes, `hash` (`0x…`) what it will be known by."""

    raw: bytes
    hash: str
    sender: str


def prepare() -> None:
    """Import what signs and checks: it takes a second, which nobody ought to spend inside a batch."""
    import eth_abi  # noqa: F401 - for its being imported
    import eth_account.messages  # noqa: F401 - likewise


def sign(transaction: Transaction, key: bytes) -> Signed:
    """Sign a transaction: the same input gives the same bytes (RFC 6979)."""
    account = _account(key)
    fields: dict[str, Any] = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": _checksummed(transaction.to) if transaction.to else b"",
        "data": transaction.data,
        "gas": transaction.gas,
        "value": transaction.value,
    }
    if transaction.fees.tip is None:
        fields |= {"gasPrice": transaction.fees.most}
    else:
        fields |= {"type": 2, "maxFeePerGas": transaction.fees.most, "maxPriorityFeePerGas": transaction.fees.tip}
    signed = account.sign_transaction(fields)
    return Signed(bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex(), account.address.lower())


def address_of(key: bytes) -> str:
    """Return the address of a key."""
    return str(_account(key).address).lower()


def read_key(text: str) -> bytes:
    """Return a key written in hexadecimal, with or without `0x`; KeyUnusable for anything else."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        raise KeyUnusable("a key is 64 hexadecimal digits") from None
    address_of(key)
    return key


def read_keystore(path: Path, password: str) -> bytes:
    """Return the key of an encrypted keystore file (Web3 Secret Storage, version 3)."""
    from eth_account import Account

    try:
        key = bytes(Account.decrypt(path.read_text(encoding="utf-8"), password))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyUnusable(f"{path.name} is no keystore file, or the password is another") from error
    return key


def keystore(key: bytes, password: str, *, worthless: bool = False) -> str:
    """Return an encrypted keystore file (Web3 Secret Storage, version 3) with a key in it; it tells the address.

    A `worthless` key, of a development node, is encrypted with little work: milliseconds to open it, not a second.
    """
    from eth_account import Account

    return json.dumps(Account.encrypt(key, password, kdf="scrypt", iterations=LIGHT_WORK if worthless else None))


def signer_of(message: str, signature: bytes) -> str:
    """Return the address that signed a message as wallets do (EIP-191, `personal_sign`); KeyUnusable if none did."""
    from eth_account import Account
    from eth_account.messages import encode_defunct
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    if len(signature) != SIGNATURE_BYTES or signature[-1] not in (0, 1, 27, 28):
        raise KeyUnusable("a signature has 65 bytes, of which the last is 27 or 28")
    try:
        signer = Account.recover_message(encode_defunct(text=message), signature=signature)
    except (BadSignature, ValidationError, ValueError, TypeError) as error:
        raise KeyUnusable("this is no signature of a message") from error
    return str(signer).lower()


def _account(key: bytes) -> Any:
    from eth_account import Account
    from eth_utils.exceptions import ValidationError

    if len(key) != KEY_BYTES:
        raise KeyUnusable("a key has 32 bytes")
    try:
        return Account.from_key(key)
    except (ValueError, ValidationError):
        raise KeyUnusable("these 32 bytes are no key") from None


def _checksummed(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))


def _raised(price: int) -> int:
    """An eighth more, rounded up: nodes ask for a tenth at the least."""
    return price + price // 8 + 1
