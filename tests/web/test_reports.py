"""The city's figures on the page and as files: what is shown, what is withheld, who may see it."""

from __future__ import annotations

import csv
import io

import pytest

from api.web.reports import TABLES, _harmless
from ledger.commerce import promotions
from ledger.commerce.promotions import NewPromotion
from ledger.people.roles import Principal
from ledger.programme import places
from ledger.programme.places import NewDistrict
from tests.factories import CITY
from tests.web.conftest import HOME, Town
from tests.web.test_redeeming import reserve
from tests.web.visitor import Visitor

FIGURES = f"{HOME}/steward/figures"


def buyers(town: Town, count: int, shop: str = "cafe", promotion: str = "coffee") -> None:
    """So many learners who were at the poster and bought a coffee."""
    till = town.worker({"shop"}, shop)
    for _ in range(count):
        learner = town.learner()
        reserved = reserve(learner, promotion)
        code = reserved.html.split('class="code"')[1].split("</p>")[0]
        digits = "".join(part for part in code if part.isdigit())[-6:]
        found = till.send(till.get(f"{HOME}/shop/").form("/find"), code=digits)
        till.send(found.form("/confirm"))


def file(visitor: Visitor, table: str, query: str = "") -> list[dict[str, str]]:
    """The rows of a file by the names of its columns."""
    answer = visitor.client.get(f"{FIGURES}/{table}.csv{query}", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))


def test_the_page_and_its_files_say_the_same(town: Town) -> None:
    """Five who came and bought: on the page, by week, by district, by shop, and from the activity to the shop."""
    buyers(town, 5)
    steward = town.worker({"steward"})
    page = steward.get(f"{FIGURES}?lang=en")
    assert "25.00" in page.text
    assert "15.00" in page.text
    assert "Walk → The cafe" in page.text
    (flow,) = file(steward, "flows")
    assert (flow["activity"], flow["shop"], flow["people"], flow["spent"]) == ("walk", "cafe", "5", "15.00")
    (week,) = [row for row in file(steward, "weeks") if row["district"] == "mueang"]
    assert (week["people"], week["check_ins"], week["earned"]) == ("5", "5", "25.00")
    (walk,) = file(steward, "activities")
    assert (walk["activity"], walk["earned"], walk["spent"]) == ("walk", "25.00", "15.00")
    assert {row["district"] for row in file(steward, "districts", "?weeks=4")} == {"", "mueang"}
    assert [row["buyers"] for row in file(steward, "shops", "?weeks=52")] == ["5"]
    (between,) = file(steward, "district_flows")
    assert (between["from_district"], between["people"], between["spent"]) == ("mueang", "5", "15.00")
    assert between["week"] == week["week"]


def test_four_people_are_not_read_out(town: Town) -> None:
    """Neither on the page nor in any file does anything stand that four people did."""
    buyers(town, 4)
    steward = town.worker({"steward"})
    page = steward.get(f"{FIGURES}?lang=en&weeks=4")
    shown = page.text.split("Where all tokens are now")[0]
    for telling in ("20.00", "12.00"):
        assert telling not in shown
    for table in TABLES:
        for row in file(steward, table):
            assert not {row.get("people"), row.get("spent"), row.get("earned")} & {"4", "12.00", "20.00"}


def test_what_few_did_on_each_way_is_told_together(town: Town) -> None:
    """Three buy here and two there: first the page says why there is nothing, four weeks later what both got."""
    tea = NewPromotion(id="tea", shop="stall", title_th="ชา", title_en="Tea", price_minor=300)
    town.installation.run(lambda unit: promotions.create(unit, Principal.system(CITY), tea))
    buyers(town, 3)
    buyers(town, 2, "stall", "tea")
    steward = town.worker({"steward"})
    assert "as soon as 5 people" in steward.get(f"{FIGURES}?lang=en").text
    town.installation.clock.advance(days=28)
    page = town.worker({"steward"}).get(f"{FIGURES}?lang=en").text
    assert "Walk → Several shops of no district 5 15.00" in page.replace("  ", " ")
    (flow,) = file(town.worker({"steward"}), "flows")
    assert (flow["activity"], flow["shop"], flow["to_name"], flow["spent"]) == ("walk", "", "ไม่ระบุอำเภอ", "15.00")


def test_a_city_without_anybody_says_so_once(town: Town) -> None:
    """Before the first check-in there is one sentence and a way on, and no table of noughts."""
    page = town.worker({"steward"}).get(f"{FIGURES}?lang=en")
    assert "Nobody has taken part in this period." in page.text
    assert "By week" not in page.text
    assert f"{HOME}/steward/" in page.links


def test_a_shop_s_name_is_no_formula() -> None:
    """A spreadsheet does not carry out what somebody called their shop."""
    assert _harmless("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert _harmless("ร้านกาแฟ") == "ร้านกาแฟ"


@pytest.mark.parametrize("address", [FIGURES, f"{FIGURES}/flows.csv"])
def test_who_may_see_them(town: Town, address: str) -> None:
    """Staff may; learners, shops and strangers may not."""
    assert town.worker({"treasurer"}).get(address).status == 200
    for stranger in (town.visitor(), town.learner(), town.worker({"shop"}, "cafe")):
        assert stranger.get(address).status in (401, 403)
    assert town.worker({"steward"}).get(f"{FIGURES}/secrets.csv").status == 404


def test_an_odd_question_gets_the_usual_answer(town: Town) -> None:
    """A period or a district that there is not leads to the three months of the whole city."""
    town.learner()
    steward = town.worker({"steward"})
    page = steward.get(f"{FIGURES}?weeks=7&district=nowhere&lang=en")
    assert page.status == 200
    assert "By week: " not in page.text
    assert "By week: Mueang" in steward.get(f"{FIGURES}?district=mueang&lang=en").text


def test_a_district_s_figures_hold_for_the_whole_page(town: Town) -> None:
    """What one district earned and fed, by activity and shop; nothing of another stands there."""
    phu = NewDistrict("phu-wiang", "ภูเวียง", "Phu Wiang")
    town.installation.run(lambda unit: places.create_district(unit, Principal.system(CITY), phu))
    buyers(town, 5)
    steward = town.worker({"steward"})
    mueang = steward.get(f"{FIGURES}?district=mueang&lang=en").text
    assert "Walk → The cafe" in mueang
    assert "Between districts: Mueang" in mueang
    assert "25.00" in mueang.split("Where all tokens are now")[0]
    other = steward.get(f"{FIGURES}?district=phu-wiang&lang=en").text.split("Where all tokens are now")[0]
    assert "Walk" not in other
    assert "25.00" not in other
