"""Cities and their secrets: files that only the operator reads, made once, and keys that have one purpose each."""

import multiprocessing
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.exc import IntegrityError

from ledger.book import cities
from ledger.book.cities import KeyRing, KeysMissing
from ledger.errors import NotFound
from tests.factories import CITY, Installation, add_city


def test_only_the_operator_reads_the_key_files(installation: Installation) -> None:
    """Directory 0700, files 0600, whatever the umask."""
    directory = installation.keys.directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]


def test_keys_are_made_once(installation: Installation) -> None:
    """Creating them again changes nothing: a city's log is signed with one key."""
    before = installation.city_keys().vkey
    installation.keys.create(CITY)
    assert KeyRing(installation.keys.directory).get(installation.city()).vkey == before


def _create(directory: Path) -> None:
    KeyRing(directory).create(CITY)


def test_processes_that_make_keys_at_once_agree(tmp_path: Path) -> None:
    """One file wins, whole, and no draft lies about."""
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_create, args=(tmp_path,)) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0] * 8
    assert [path.name for path in tmp_path.iterdir()] == [f"{CITY}.key"]
    assert [len(line) for line in (tmp_path / f"{CITY}.key").read_text().split()] == [64, 64]


def test_without_the_file_there_are_no_keys(installation: Installation, tmp_path: Path) -> None:
    """A data directory without the file says which one is missing."""
    with pytest.raises(KeysMissing) as refusal:
        KeyRing(tmp_path / "empty").get(installation.city())
    assert refusal.value.params["city"] == CITY


def test_each_label_is_a_key_of_its_own(installation: Installation) -> None:
    """Derived keys are 32 bytes, repeatable, and different by label and by city."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    here, there = installation.city_keys(), installation.city_keys("phayao")
    assert here.derive("code") == here.derive("code")
    assert len({here.derive("code"), here.derive("turn"), there.derive("code")}) == 3
    assert len(here.derive("code")) == 32


def test_key_derivation_is_that_of_rfc_5869(installation: Installation) -> None:
    """HKDF-SHA256 as the `cryptography` package computes it."""
    keys = installation.city_keys()
    assert keys.derive("code") == HKDF(SHA256(), 32, b"kgo-ledger", b"code").derive(keys.secret)


def test_a_secret_does_not_show_itself(installation: Installation) -> None:
    """What is printed or logged of a city's keys does not hold them."""
    keys = installation.city_keys()
    shown = f"{keys!r} {keys}"
    assert keys.secret.hex() not in shown
    assert repr(keys.secret) not in shown


def test_cities_are_found_by_id_and_by_prefix(installation: Installation) -> None:
    """And not by anything else."""
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    with installation.read() as session:
        assert [city.id for city in cities.all_(session)] == [CITY, "phayao"]
        found = cities.by_code_prefix(session, "py")
        assert found is not None
        assert found.id == "phayao"
        assert cities.by_code_prefix(session, "zz") is None
        with pytest.raises(NotFound):
            cities.get(session, "bangkok")


@pytest.mark.parametrize("same", [{"code_prefix": "kk"}, {"origin": f"{CITY}.kgo-ledger.example/log"}])
def test_no_two_cities_share_prefix_or_origin(installation: Installation, same: dict[str, str]) -> None:
    """A code names one city, and a log's name one log."""
    with pytest.raises(IntegrityError):
        add_city(installation.database, installation.keys, "phayao", **{"code_prefix": "py", **same})
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
