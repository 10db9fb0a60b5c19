"""The application on a real database with a city in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from ledger.config import Settings
from ledger.people.roles import Principal
from ledger.programme import places
from ledger.programme.places import NewPlace
from tests.api.client import PUBLIC_URL, Api, Town
from tests.factories import CITY, Installation


@pytest.fixture
def api(installation: Installation, database_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API of Khon Kaen with one place in it and 1,000 KGO in the treasury; nobody is signed in."""
    system = Principal.system(CITY)
    installation.run(lambda unit: places.create(unit, system, NewPlace("ตึกแก่น", "Kaen building", id="kaen")))
    installation.grant(100_000)
    app = create_app(Settings(tmp_path, database_url, PUBLIC_URL), clock=installation.clock)
    yield Api(app, installation)
    app.extensions["kgo"].installation.close()


@pytest.fixture
def town(api: Api) -> Town:
    """A poster activity that pays 5.00 KGO out of 200.00, and a shop whose coffee costs 3.00 KGO, 5 of them."""
    steward = api.signed_in({"steward", "treasurer"})
    activity = {"id": "walk", "place": "kaen", "name_th": "เดินเมือง", "name_en": "Walk", "amount_minor": 500}
    assert steward.post("/activities", activity).status == 201
    assert steward.post("/entries", {"kind": "fund", "activity": "walk", "amount_minor": 20_000}).status == 201
    assert api.post("/shops", {"id": "cafe", "name_th": "กาแฟ"}).status == 201
    assert steward.post("/shops/cafe/approve").status == 200
    shop = api.signed_in({"shop"}, "cafe")
    coffee = {"id": "coffee", "title_th": "กาแฟ", "price_minor": 300, "stock": 5, "per_learner": 2}
    assert shop.post("/promotions", coffee).status == 201
    return Town(api, steward, shop)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The directory that the processes of a server share."""
    made = tmp_path / "shared"
    made.mkdir()
    return made
