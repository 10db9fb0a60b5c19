"""A token on an EVM of the tests' own, each test finds it as it was deployed; and a node that answers over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.anvil import Anvil
from tests.chain.evm import Contract, Evm, History
from tests.chain.gateway import Gateway
from tests.chain.harbour import CHAIN, Harbour
from tests.factories import install


@pytest.fixture(scope="session")
def chain() -> Evm:
    """The session's chain; tests ask for `evm`."""
    return Evm()


@pytest.fixture
def evm(chain: Evm) -> Iterator[Evm]:
    """The chain, as if no test had used it before."""
    with chain.fresh():
        yield chain


@pytest.fixture
def token(evm: Evm) -> Contract:
    """A token as `SETTINGS` say, with nothing anchored."""
    return evm.token()


@pytest.fixture
def badge(evm: Evm) -> Contract:
    """The badges, none of them awarded."""
    return evm.badge()


@pytest.fixture(scope="session")
def history() -> History:
    """A log of 700 entries."""
    return History(b"history", 700)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    """The module's node."""
    node = Anvil(chain_id=CHAIN)
    yield node
    node.stop()


@pytest.fixture
def harbour(anvil: Anvil, sqlite_url: str, tmp_path: Path) -> Iterator[Harbour]:
    """A city with a fresh token, on SQLite; the node forgets it afterwards."""
    snapshot = anvil.rpc("evm_snapshot")
    made = Harbour.build(anvil, install(sqlite_url, tmp_path))
    yield made
    made.city.close()
    anvil.rpc("evm_revert", snapshot)


@pytest.fixture
def gateway(anvil: Anvil) -> Iterator[Gateway]:
    """A gateway to the node."""
    made = Gateway(anvil.url)
    yield made
    made.close()
