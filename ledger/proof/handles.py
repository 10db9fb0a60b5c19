"""The pseudonyms that stand for learners in the public log.

A handle lives as long as one case: the nonce is an HMAC over the id of the case's first entry, so two cases
of one learner share nothing that the public can see, while whoever holds the account's blinding key, or the
opening (account and nonce) of one entry, can show whose it is.
"""

import hmac
from hashlib import sha256

from ledger.proof.encoding import base32_lower

NONCE_BYTES = 32
PREFIX = "learner:~"


def nonce(blinding_key: bytes, case_entry_id: str) -> bytes:
    """Return the 32-byte nonce of the case whose first entry has the id `case_entry_id`."""
    return hmac.digest(blinding_key, case_entry_id.encode(), "sha256")


def handle(account: str, nonce: bytes) -> str:
    """Return `learner:~` + base32(SHA256(0x02 || account path || nonce)); `account` is the whole path."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce is 32 bytes long")
    return PREFIX + base32_lower(sha256(b"\x02" + account.encode() + nonce).digest())
