"""The pages of a small town: a poster, a kiosk, a shop with one promotion, and links for those who work there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from api.app import create_app
from ledger.book import transfers
from ledger.book.unit import Unit
from ledger.commerce import promotions, shops
from ledger.commerce.promotions import NewPromotion
from ledger.commerce.shops import NewShop
from ledger.config import Settings
from ledger.people import tokens
from ledger.people.roles import Principal
from ledger.programme import activities, places, posters, sheets
from ledger.programme.activities import NewActivity
from ledger.programme.places import NewDistrict, NewPlace
from ledger.programme.policy import Policy
from tests.factories import CITY, Installation, install
from tests.web.visitor import Visitor

PUBLIC_URL = "https://kgo.example"
HOME = f"/c/{CITY}"


@dataclass
class Town:
    """The application on its installation."""

    app: Flask
    installation: Installation

    def visitor(self) -> Visitor:
        """Somebody who has never been here."""
        return Visitor(self.app)

    def worker(self, roles: Collection[str], subject: str | None = None) -> Visitor:
        """Somebody who has opened a one-time link."""
        secret = self.installation.run(lambda unit: tokens.create_link(unit, roles, subject))
        visitor = self.visitor()
        page = visitor.get(f"/l/{secret}")
        assert visitor.send(page.form()).status == 200
        return visitor

    def code(self, activity: str) -> str:
        """The address in the QR that an activity shows now."""
        with self.installation.read() as session:
            city, keys = self.installation.city(), self.installation.city_keys()
            now, system = self.installation.clock.now, Principal.system(CITY)
            return posters.code(session, city, keys, system, activity, PUBLIC_URL, now).url

    def learner(self) -> Visitor:
        """Somebody who has joined at the poster and holds 5.00 KGO."""
        visitor = self.visitor()
        page = visitor.send(visitor.get(self.code("walk")).form())
        assert "5.00 KGO" in page.text
        return visitor

    def kinds(self) -> list[str]:
        """The kinds of the log's entries, without the policies."""
        return [leaf["kind"] for leaf in self.installation.leaves() if leaf["kind"] != "policy"]


@pytest.fixture
def town(sqlite_url: str, tmp_path: Path) -> Iterator[Town]:
    """A town with 1,000 KGO: 800 in the treasury, 200 in the budgets of `walk` (poster) and `circle` (kiosk).

    `slips` has a sheet of fourteen one-time codes and no budget yet.
    """
    installation = install(sqlite_url, tmp_path)
    installation.grant(100_000)
    installation.run(build)
    app = create_app(Settings(tmp_path, sqlite_url, PUBLIC_URL), clock=installation.clock)
    yield Town(app, installation)
    app.extensions["kgo"].installation.close()
    installation.close()


def build(unit: Unit) -> None:
    """Everything of the town but its money."""
    system = Principal.system(CITY)
    places.create_district(unit, system, NewDistrict("mueang", "เมือง", "Mueang"))
    places.create(unit, system, NewPlace("ตึกแก่น", "Kaen building", id="kaen", district="mueang", street_order=1))
    _open_all_day(unit, "walk", "เดินเมือง", "Walk", "poster", Policy(500, max_per_day=1))
    _open_all_day(unit, "circle", "วงคุย", "Circle", "kiosk", Policy(1000))
    _open_all_day(unit, "slips", "แจกคูปอง", "Slips", "code", Policy(400))
    sheets.make(unit, system, "slips", 14)
    for budget in ("budget:walk", "budget:circle"):
        transfers.post(unit, "fund", "treasury", budget, 10_000, actor="system")
    for shop in ("cafe", "stall"):
        shops.apply(unit, system, NewShop(id=shop, name_th=f"ร้าน {shop}", name_en=f"The {shop}"))
        shops.approve(unit, system, shop)
    coffee = NewPromotion(
        id="coffee", shop="cafe", title_th="กาแฟ", title_en="Coffee", price_minor=300, stock=5, per_learner=2
    )
    promotions.create(unit, system, coffee)


def _open_all_day(unit: Unit, identifier: str, name_th: str, name_en: str, mode: str, policy: Policy) -> None:
    new = NewActivity(
        id=identifier,
        place="kaen",
        name_th=name_th,
        name_en=name_en,
        mode=mode,
        policy=policy,
        daily_from="00:00",
        daily_until="24:00",
    )
    activities.create(unit, Principal.system(CITY), new)
