"""A receipt as a few capitals and digits, so that it fits a QR code whole: `docs/format.md` section 10.

    KGO-RECEIPT:<base45 (RFC 9285) of: 4 bytes of checksum ‖ raw DEFLATE (RFC 1951) of the receipt>

What is deflated is the text of the receipt with the bytes of the leaf in clear behind `extra `. The checksum, the
first bytes of the SHA-256 of what is deflated as it stands there, finds what a reader or a hand got wrong; it proves
nothing. A symbol holds base45 in its alphanumeric mode at 5.5 bits a character, and no reader takes such a text for
other bytes than it is, as some do with binary symbols. What comes out is at most `MAX_RECEIPT_CHARS` bytes.
"""

from __future__ import annotations

import base64
import zlib
from hashlib import sha256

from ledger.proof import receipt
from ledger.proof.merkle import ProofError

PREFIX = "KGO-RECEIPT:"
CHECKSUM_BYTES = 4
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

_RAW = -zlib.MAX_WBITS


def pack(text: str) -> str:
    """Write a receipt that carries its entry in the compact form.

    Raises:
        ProofError: it is no receipt, or it carries no entry.
    """
    leaf = receipt.parse(text).leaf
    if leaf is None:
        raise ProofError("the receipt carries no entry")
    header, _, rest = text.split("\n", 2)
    encoder = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, _RAW)
    clear = b"\n".join([header.encode(), b"extra " + leaf, rest.encode()])
    deflated = encoder.compress(clear) + encoder.flush()
    return PREFIX + _to_base45(sha256(deflated).digest()[:CHECKSUM_BYTES] + deflated)


def unpack(text: str) -> str:
    """Return the receipt in `text`, with nothing of it verified; any other text as it is.

    Raises:
        ProofError: it is in the compact form, and damaged.
    """
    packed = text.strip()
    if not packed.startswith(PREFIX):
        return text
    data = _from_base45(packed.removeprefix(PREFIX))
    checksum, deflated = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
    if sha256(deflated).digest()[:CHECKSUM_BYTES] != checksum:
        raise ProofError("some of its characters are wrong or missing")
    decoder = zlib.decompressobj(_RAW)
    try:
        clear = decoder.decompress(deflated, receipt.MAX_RECEIPT_CHARS)
        header, extra, rest = clear.split(b"\n", 2)
        leaf = base64.b64encode(extra.removeprefix(b"extra ")).decode()
        whole = f"{header.decode()}\nextra {leaf}\n{rest.decode()}"
    except (zlib.error, ValueError) as error:
        raise ProofError("it does not unpack to a receipt") from error
    if not decoder.eof or decoder.unused_data or not extra.startswith(b"extra "):
        raise ProofError("it does not unpack to a receipt")
    return whole


def _to_base45(data: bytes) -> str:
    """Two bytes become three characters, the last one of an odd number two; the least significant stands first."""
    characters = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        number = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            number, digit = divmod(number, len(ALPHABET))
            characters.append(ALPHABET[digit])
    return "".join(characters)


def _from_base45(text: str) -> bytes:
    """Read what `_to_base45` writes; ProofError for anything else."""
    data = bytearray()
    for at in range(0, len(text), 3):
        group = text[at : at + 3]
        digits = [ALPHABET.find(character) for character in group]
        number = sum(digit * len(ALPHABET) ** place for place, digit in enumerate(digits))
        if min(digits) < 0 or len(group) == 1 or number >= 1 << 8 * (len(group) - 1):
            raise ProofError("some of its characters are wrong or missing")
        data += number.to_bytes(len(group) - 1, "big")
    return bytes(data)
