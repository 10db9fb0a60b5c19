"""Linking a wallet: only who can sign for it, once, in time, for this installation and this learner."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from ledger.chain import wallets
from ledger.chain.claims import checksummed
from ledger.chain.wallets import Challenge
from ledger.errors import NotFound, Refused, ValidationFailed
from tests.factories import CITY, START, Installation

ANN, BO = "a" * 26, "b" * 26
KEY, OTHER = bytes([7] * 32), bytes([8] * 32)
ADDRESS = str(Account.from_key(KEY).address)


def ask(city: Installation, learner: str = ANN, address: str = ADDRESS) -> Challenge:
    """A message for a wallet to sign."""
    return city.run(
        lambda unit: wallets.challenge(unit, learner, address, public_url="https://kgo.example:8443", chain_id=31_337)
    )


def signature(message: str, key: bytes = KEY) -> str:
    """What a wallet answers."""
    return "0x" + bytes(Account.sign_message(encode_defunct(text=message), key).signature).hex()


def link(city: Installation, asked: Challenge, signed: str, learner: str = ANN) -> str:
    """Hand a signature in."""
    return city.run(lambda unit: wallets.link(unit, learner, asked.nonce, signed))


def linked(city: Installation, learner: str = ANN) -> str | None:
    """The wallet of a learner."""
    with city.read() as session:
        found = wallets.of(session, CITY, learner)
    return found.address if found else None


def test_a_signed_message_links_the_wallet(installation: Installation) -> None:
    """The address that signed becomes the learner's, until another takes its place or the learner unlinks it."""
    asked = ask(installation)
    assert link(installation, asked, signature(asked.message)) == ADDRESS.lower() == linked(installation)
    again = ask(installation, address=str(Account.from_key(OTHER).address))
    link(installation, again, signature(again.message, OTHER))
    assert linked(installation) == str(Account.from_key(OTHER).address).lower()
    installation.run(lambda unit: wallets.unlink(unit, ANN))
    assert linked(installation) is None
    with installation.read() as session, pytest.raises(Refused, match="wallet_missing"):
        wallets.linked(session, CITY, ANN)


def test_the_message_is_that_of_eip_4361(installation: Installation) -> None:
    """Domain, address with checksum, statement, URI, version, chain, nonce, issue and end, as the standard has it."""
    asked = ask(installation)
    assert asked.message == (
        "kgo.example:8443 wants you to sign in with your Ethereum account:\n"
        f"{ADDRESS}\n"
        "\n"
        f"{wallets.STATEMENT}\n"
        "\n"
        f"URI: https://kgo.example:8443/c/{CITY}/chain\n"
        "Version: 1\n"
        "Chain ID: 31337\n"
        f"Nonce: {asked.nonce}\n"
        "Issued At: 2026-03-02T03:00:00.000Z\n"
        "Expiration Time: 2026-03-02T03:10:00.000Z"
    )
    assert re.fullmatch(r"[0-9a-zA-Z]{8,}", asked.nonce)
    assert asked.expires_at == START + wallets.LIFETIME


def test_each_message_is_good_for_one_signature(installation: Installation) -> None:
    """The same signature a second time is refused, so that whoever copies it gets nothing."""
    asked = ask(installation)
    signed = signature(asked.message)
    link(installation, asked, signed)
    with pytest.raises(Refused, match="used"):
        link(installation, asked, signed)


def test_a_late_signature_is_refused(installation: Installation) -> None:
    """At the end and after it; a moment before it is good."""
    asked = ask(installation)
    installation.clock.now += wallets.LIFETIME
    with pytest.raises(Refused, match="expired"):
        link(installation, asked, signature(asked.message))
    installation.clock.now -= timedelta(milliseconds=1)
    link(installation, asked, signature(asked.message))


def test_only_the_wallet_itself_signs(installation: Installation) -> None:
    """Another key, and another message of the same key, link nothing; the message stays good for the right one."""
    asked = ask(installation)
    for wrong in (signature(asked.message, OTHER), signature(asked.message + " "), signature("hello")):
        with pytest.raises(Refused, match="other"):
            link(installation, asked, wrong)
    assert linked(installation) is None
    link(installation, asked, signature(asked.message))


def test_a_message_is_for_one_learner(installation: Installation) -> None:
    """Nobody links a wallet by what somebody else was asked to sign; an older message ends with a newer one."""
    asked = ask(installation)
    with pytest.raises(NotFound):
        link(installation, asked, signature(asked.message), BO)
    ask(installation)
    with pytest.raises(NotFound):
        link(installation, asked, signature(asked.message))


@pytest.mark.parametrize("text", ["", "0x", "0x" + "00" * 64, "0x" + "zz" * 65, "0x" + "ff" * 65, "0x" + "00" * 66])
def test_what_is_no_signature_is_told_so(installation: Installation, text: str) -> None:
    """With the field's name, for whoever pasted it."""
    asked = ask(installation)
    with pytest.raises(ValidationFailed) as refused:
        link(installation, asked, text)
    assert set(refused.value.fields) == {"signature"}


def test_addresses_are_read_as_people_write_them(installation: Installation) -> None:
    """Lower and upper case, spaces around; a mistyped letter is noticed by the checksum."""
    for text in (ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper(), f"  {ADDRESS} "):
        assert ask(installation, address=text).address == ADDRESS.lower()
    swapped = ADDRESS[:-1] + ADDRESS[-1].swapcase() if ADDRESS[-1].isalpha() else ADDRESS[:2] + ADDRESS[2:].swapcase()
    for text in (swapped, "", "0x" + "0" * 40, ADDRESS[:-1], "ann.eth"):
        with pytest.raises(ValidationFailed) as refused:
            ask(installation, address=text)
        assert set(refused.value.fields) == {"address"}


def test_checksums_are_those_of_eip_55() -> None:
    """The examples of the standard."""
    for address in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksummed(address.lower()) == address
