"""A city's file of the chain, its keys, what is checked at start, and deploying, begun again after a cut."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.book import cities
from ledger.chain import client, deploying, deployment
from ledger.chain.artifacts import artifact
from ledger.chain.deploying import DeploymentFailed, Plan
from ledger.chain.deployment import Contract, Deployment, DeploymentUnusable, KeysShared, RoleKeys
from ledger.chain.errors import WrongChain
from ledger.chain.keys import KeyUnusable, address_of
from ledger.config import Settings
from ledger.errors import ValidationFailed
from ledger.installation import Installation, assemble
from tests.anvil import Anvil
from tests.chain.harbour import CHAIN
from tests.factories import CITY, install

ADDRESS = "0x" + "ab" * 20
SAMPLE = Deployment(CITY, "http://node.example/v3/secret", 1, Contract(ADDRESS, "0x" + "cd" * 32, 7))


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """The module's node; `finalized` is two blocks behind."""
    node = Anvil("--block-time", "0.3", chain_id=CHAIN, slots=1)
    yield node
    node.stop()


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """An installation's, with a password for keystore files."""
    return Settings(tmp_path, sqlite_url, "http://localhost", chain_password="open")


@pytest.fixture
def opened(settings: Settings, sqlite_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation with Khon Kaen in it."""
    made = install(sqlite_url, tmp_path)
    made.close()
    found = assemble(settings)
    yield found
    found.close()


def test_a_file_says_again_what_was_written(settings: Settings) -> None:
    """Whole, readable by the operator alone, and the URL, which may hold a key, stands in no representation."""
    assert deployment.load(settings, CITY) is None
    assert deployment.cities_with_a_chain(settings) == []
    full = replace(
        SAMPLE, badge=Contract(ADDRESS, "0x00", 8), explorer="https://x.example/", confirmations=3, fee_limit_gwei=9,
        anchor_seconds=1, anchor_entries=2,
    )  # fmt: skip
    for wanted in (SAMPLE, full):
        path = deployment.save(settings, wanted)
        assert deployment.load(settings, CITY) == wanted
    assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(full)
    assert deployment.cities_with_a_chain(settings) == [CITY]
    assert (full.link("0x1"), SAMPLE.link("0x1")) == ("https://x.example/tx/0x1", None)


@pytest.mark.parametrize("content", ["rpc = 1 2", 'rpc = "x"', 'rpc = "x"\nchain_id = 1\n[token]\naddress = "0x12"'])
def test_a_spoilt_file_is_named(settings: Settings, content: str) -> None:
    """The message says which file it is."""
    path = deployment.save(settings, SAMPLE)
    path.write_text(content)
    with pytest.raises(DeploymentUnusable, match=str(path)):
        deployment.load(settings, CITY)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('rpc = "http', 'colour = "http', "the file has unknown names: colour"),
        ("chain_id = 1", "", "the file lacks chain_id"),
        ("chain_id = 1", 'chain_id = "one"', "chain_id: give a whole number"),
        ("anchor_seconds = 3600", "anchor_seconds = -1", "anchor_seconds: give a whole number"),
        ("block = 7", "blok = 7", r"\[token\] has unknown names: blok"),
        ("block = 7", "", r"\[token\] lacks block"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(settings: Settings, old: str, new: str, told: str) -> None:
    """By its name there; a figure that nobody can mean is not taken."""
    path = deployment.save(settings, SAMPLE)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DeploymentUnusable, match=told):
        deployment.load(settings, CITY)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"supply_cap": 0}, "--supply-cap"),
        ({"supply_cap": -5}, "--supply-cap"),
        ({"increase_limit": 2**53}, "--increase-limit"),
        ({"period": 0}, "--period"),
        ({"minimum_delay": 0}, "--minimum-delay"),
        ({"delay": 59}, "--delay"),
        ({"delay": 31 * 86_400}, "--delay"),
        ({"anchor_seconds": 0}, "--anchor-seconds"),
        ({"anchor_entries": -1}, "--anchor-entries"),
        ({"confirmations": 0}, "--confirmations"),
        ({"explorer": "etherscan"}, "--explorer"),
        ({"rpc": "nonsense"}, "--rpc"),
        ({"addresses": {"guardian": "0x12"}}, "--guardian"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named_before_anything_is_sent(
    opened: Installation, changes: dict[str, Any], option: str
) -> None:
    """The contract would say no more than that its settings are invalid, or nothing would notice at all."""
    with pytest.raises(ValidationFailed) as refused:
        deploying.deploy(opened, replace(Plan(CITY, "http://127.0.0.1:1", {}, delay=60, minimum_delay=60), **changes))
    assert list(refused.value.fields) == [option]


def test_nobody_guards_themselves(anvil: Anvil, opened: Installation) -> None:
    """The guardian is neither the proposer nor the admin."""
    who = dict.fromkeys(deploying.NEEDED, ADDRESS)
    with pytest.raises(ValidationFailed, match="--guardian"):
        deploying.deploy(opened, Plan(CITY, anvil.url, who))


def test_keys_come_from_keystore_files_and_from_the_environment(settings: Settings) -> None:
    """A key is made once, opens with the password alone, and is told by its address without it."""
    keys = RoleKeys(settings, CITY)
    address = keys.create("anchorer")
    assert keys.create("anchorer") == address == address_of(keys["anchorer"])
    again = RoleKeys(settings, CITY)
    assert (list(again), again.address("anchorer"), again.get("guardian")) == (["anchorer"], address, None)
    assert again["anchorer"] == keys["anchorer"]
    for password, message in (("", "KGO_CHAIN_PASSWORD"), ("wrong", "password is another")):
        with pytest.raises(KeyUnusable, match=message):
            RoleKeys(replace(settings, chain_password=password), CITY)["anchorer"]
    given = replace(settings, chain_keys=f"{CITY}/pauser={'1' * 64}, yala/pauser=0x{'2' * 64}")
    both = RoleKeys(given, CITY)
    assert (set(both), both["pauser"]) == ({"anchorer", "pauser"}, bytes.fromhex("1" * 64))
    assert "1" * 64 not in repr(given)


def test_a_key_has_one_role_and_one_city(settings: Settings) -> None:
    """A nonce has one owner: the same key twice is refused, wherever it comes from."""
    key = "3" * 64
    for text in (f"{CITY}/pauser={key},{CITY}/anchorer={key}", f"{CITY}/pauser={key},yala/pauser={key}"):
        with pytest.raises(KeysShared):
            RoleKeys(replace(settings, chain_keys=text), CITY)
    with pytest.raises(KeyUnusable, match="write city/role=key"):
        RoleKeys(replace(settings, chain_keys=f"{CITY}/boss={key}"), CITY)
    RoleKeys(settings, CITY).create("anchorer", worthless=True)
    keystore = settings.data / "chain" / "keys"
    (keystore / "yala").mkdir()
    (keystore / "yala" / "anchorer.json").write_text((keystore / CITY / "anchorer.json").read_text())
    with pytest.raises(KeysShared):
        RoleKeys(settings, CITY)


def test_contracts_are_deployed_once_whatever_breaks_off(anvil: Anvil, opened: Installation) -> None:
    """Ended before anything is final, and begun again: the same contracts. The file then passes every check."""
    plan = Plan(CITY, anvil.url, {}, delay=60, minimum_delay=60, local=True)
    with pytest.raises(DeploymentFailed, match="not_final_yet"):
        deploying.deploy(opened, plan, pause=lambda _: None, rounds=1)
    node = client.connect(anvil.url)
    admin = RoleKeys(opened.settings, CITY).address("admin") or ""
    found = deploying.deploy(opened, plan, pause=lambda _: time.sleep(0.1))
    assert deploying.deploy(opened, plan) == found == deployment.load(opened.settings, CITY)
    assert client.nonce(node, admin) == 2
    with opened.database.read() as session:
        city = cities.get(session, CITY)
    site = deployment.open_site(found, city)
    assert client.read(node, artifact("KgoToken"), site.token, "name") == f"{city.symbol} {city.name_en}"
    assert found.badge is not None
    wrong = replace(found, token=replace(found.token, code_hash="0x" + "00" * 32))
    swapped = replace(found, token=found.badge)
    for bad in (wrong, swapped, replace(found, chain_id=5)):
        with pytest.raises(WrongChain):
            deployment.open_site(bad, city)
    city.origin = "another.example/log"
    with pytest.raises(WrongChain, match="origin"):
        deployment.open_site(found, city)


def test_nothing_is_deployed_without_the_keys(anvil: Anvil, opened: Installation) -> None:
    """Each missing role is named; an address will do for those whose key is elsewhere, but not for who deploys."""
    with pytest.raises(KeyUnusable, match="admin, proposer, guardian, anchorer, pauser"):
        deploying.deploy(opened, Plan(CITY, anvil.url, {}))
    roles = {role: address_of(key) for role, key in zip(deploying.NEEDED, anvil.keys, strict=False)}
    with pytest.raises(KeyUnusable, match="deploys"):
        deploying.deploy(opened, Plan(CITY, anvil.url, roles))


def test_a_chain_that_tells_no_final_block_has_confirmations(anvil: Anvil) -> None:
    """So many blocks behind the newest; never below the first."""
    node = client.connect(anvil.url)
    newest = client.block(node, "latest").number
    assert newest - 2 <= deployment.final(node, 1).number + 1 <= newest + 2
    assert deployment.final(node, 10**6).number == 0
