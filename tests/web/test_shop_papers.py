"""A shop's figures, statement, tokens, description and copies."""

from __future__ import annotations

import csv
import io
import re

from ledger.book import transfers
from ledger.commerce import shops, trading
from ledger.commerce.shops import NewShop
from ledger.people.roles import Principal
from tests.factories import CITY
from tests.web.conftest import HOME, Town
from tests.web.test_redeeming import code_of, reserve
from tests.web.visitor import Visitor


def sell(town: Town, shop: Visitor) -> None:
    """A learner comes and takes the coffee."""
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(town.learner())))
    shop.send(seen.form("/confirm"))


def test_day_week_and_month_have_the_same_total(town: Town) -> None:
    """Two coffees of 3.00 on the second of March: in the day, its week and its month, and not in February."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    sell(town, shop)
    for kind in ("day", "week", "month"):
        page = shop.get(f"{HOME}/shop/sales?by={kind}&at=2026-03-02&lang=en")
        assert "6.00 KGO" in page.text, kind
        assert "<svg" in page.html
        assert "Coffee" in page.text
    assert "6.00 KGO" not in shop.get(f"{HOME}/shop/sales?by=month&at=2026-02-10&lang=en").text


def test_the_table_of_a_month_leaves_empty_days_out(town: Town) -> None:
    """The drawing has all 31 days, the table only the one on which something came."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    chart = shop.get(f"{HOME}/shop/sales?by=month&at=2026-03-02&lang=en").html.partition('<figure class="chart')[2]
    drawing, _, table = chart.partition("</figure>")[0].partition("<table>")
    assert drawing.count("<rect") == 31
    assert re.findall(r'<th scope="row">([^<]+)</th>', table) == ["2 Mar"]


def test_a_suspended_shop_sees_its_open_request(town: Town) -> None:
    """It can still withdraw what it asked for before, and is led to whom to ask; it can ask for nothing new."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    town.installation.run(lambda unit: trading.ask(unit, Principal(CITY, frozenset({"shop"}), "cafe"), 100))
    town.installation.run(lambda unit: shops.suspend(unit, Principal.system(CITY), "cafe"))
    page = shop.get(f"{HOME}/shop/tokens?lang=en")
    assert f'href="{HOME}/help"' in page.html.partition("<main")[2].partition("</main")[0]
    assert not any(form.action.endswith(("/settle", "/spend")) for form in page.forms)
    assert "Withdrawn by your shop" in shop.send(page.form("/withdraw")).text


def test_thai_periods_count_in_the_buddhist_era(town: Town) -> None:
    """Month, week and day say พ.ศ. 2569; what is no date means today."""
    shop = town.worker({"shop"}, "cafe")
    assert "มีนาคม 2569" in shop.get(f"{HOME}/shop/sales?by=month&at=2026-03-02").text
    assert "2 มี.ค. – 8 มี.ค. 2569" in shop.get(f"{HOME}/shop/sales?by=week&at=2026-03-04").text
    for odd in ("", "yesterday", "0001-01-01", "9999-12-31"):
        assert "วันจันทร์ 2 มีนาคม 2569" in shop.get(f"{HOME}/shop/sales?by=day&at={odd}").text, odd


def test_the_csv_adds_up(town: Town) -> None:
    """Every movement of the month, oldest first, as numbers that a program reads; the last balance is the account's."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    sell(town, shop)
    answer = shop.client.get(f"{HOME}/shop/statement.csv?by=month&at=2026-03-02&lang=en")
    assert answer.mimetype == "text/csv"
    assert "khon-kaen-cafe-2026-03-01-2026-03-31.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    moved = [row["amount"] for row in rows if row["amount"] != "0.00"]
    assert moved == ["3.00", "3.00"]
    assert (rows[-1]["balance"], rows[-1]["unit"], rows[-1]["date"]) == ("6.00", "KGO", "2026-03-02")
    assert rows[-1]["what"].endswith("Coffee")


def test_paper_carries_what_came_before(town: Town) -> None:
    """The next month begins with what this one ended with, and has no lines of its own."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    town.installation.clock.advance(days=31)
    paper = town.worker({"shop"}, "cafe").get(f"{HOME}/shop/statement/print?by=month&at=2026-04-01&lang=en")
    assert paper.text.count("3.00 KGO") == 2
    assert "Nothing came and nothing went" in paper.text
    assert "April 2026" in paper.text


def test_tokens_go_to_another_shop_after_a_second_look(town: Town) -> None:
    """The first step shows before and after and moves nothing; too much is refused with the form kept."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    form = shop.get(f"{HOME}/shop/tokens").form("/spend")
    too_much = shop.send(form, shop="stall", spend="5")
    assert too_much.status == 422
    assert too_much.form("/spend").fields["spend"] == "5"
    look = shop.send(too_much.form("/spend"), spend="2")
    assert "1.00 KGO" in look.text
    assert town.kinds()[-1] == "capture"
    shop.send(look.form("/spend"))
    assert town.installation.balance("shop:stall").posted_minor == 200
    assert "The cafe" in town.worker({"shop"}, "stall").get(f"{HOME}/shop/statement?lang=en").text


def test_more_than_the_shop_has_is_refused_at_its_field(town: Town) -> None:
    """Spending and settling name the field and what there is; without a shop the list is named."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    tokens = shop.get(f"{HOME}/shop/tokens?lang=en")
    refusals = {
        "spend": shop.send(tokens.form("/spend"), shop="stall", spend="4"),
        "settle": shop.send(tokens.form("/settle"), settle="4"),
        "shop": shop.send(tokens.form("/spend"), shop="", spend="1"),
    }
    for field, refused in refusals.items():
        assert refused.status == 422
        assert f'id="e-{field}"' in refused.html
    assert "Your shop has only 3.00 KGO." in shop.send(tokens.form("/settle"), settle="4").text


def test_what_the_shop_no_longer_has_is_not_offered_to_settle(town: Town) -> None:
    """The treasurer reads why, and may decline; there is no button that would be refused."""
    shop, treasurer = town.worker({"shop"}, "cafe"), town.worker({"treasurer"})
    sell(town, shop)
    shop.send(shop.send(shop.get(f"{HOME}/shop/tokens").form("/settle")).form("/settle"))
    link = next(one for one in treasurer.get(f"{HOME}/steward/treasury").links if "/settlements/" in one)
    before = treasurer.get(f"{link}?lang=en")
    town.installation.run(lambda unit: trading.spend(unit, Principal(CITY, frozenset({"shop"}), "cafe"), "stall", 100))
    for page in (treasurer.get(link), treasurer.send(before.form("/settle"))):
        assert "only 2.00 KGO left" in page.text
        assert not any(form.action.endswith("/settle") for form in page.forms)
        assert page.form("/decline")
    assert town.installation.balance("settled").posted_minor == 0


def test_a_settlement_is_asked_seen_and_settled(town: Town) -> None:
    """The shop asks, the treasurer finds it in the treasury and settles, and the shop reads the answer."""
    shop, treasurer = town.worker({"shop"}, "cafe"), town.worker({"treasurer"})
    sell(town, shop)
    look = shop.send(shop.get(f"{HOME}/shop/tokens").form("/settle"))
    asked = shop.send(look.form("/settle"))
    assert asked.form("/withdraw")
    assert town.installation.balance("shop:cafe").posted_minor == 300
    link = next(one for one in treasurer.get(f"{HOME}/steward/treasury").links if "/settlements/" in one)
    treasurer.send(treasurer.get(link).form("/settle"))
    assert town.kinds()[-1] == "settle"
    assert town.installation.balance("settled").posted_minor == 300
    assert "Settled" in shop.get(f"{HOME}/shop/tokens?lang=en").text
    assert not treasurer.get(link).forms[:-1] or "/settle" not in treasurer.get(link).html.partition("<main")[2]


def test_a_settlement_that_was_taken_back_says_so(town: Town) -> None:
    """The shop reads that the treasurer's entry was reversed, and the tokens stand in its account again."""
    shop, treasurer = town.worker({"shop"}, "cafe"), town.worker({"treasurer"})
    sell(town, shop)
    shop.send(shop.send(shop.get(f"{HOME}/shop/tokens").form("/settle")).form("/settle"))
    link = next(one for one in treasurer.get(f"{HOME}/steward/treasury").links if "/settlements/" in one)
    treasurer.send(treasurer.get(link).form("/settle"))
    seq = town.installation.leaves()[-1]["seq"]
    town.installation.run(lambda unit: transfers.reverse(unit, seq, actor="treasurer"))
    text = shop.get(f"{HOME}/shop/tokens?lang=en").text
    assert "Settled, then taken back" in text
    assert "3.00 KGO" in text
    assert "the shop has its tokens again" in treasurer.get(f"{link}?lang=en").text


def test_a_shop_that_waits_finds_empty_papers(town: Town) -> None:
    """Before the city's approval there is no account: statement, paper and file are empty, and nothing is refused."""
    town.installation.run(
        lambda unit: shops.apply(unit, Principal.system(CITY), NewShop(id="new", name_th="ร้านใหม่", name_en="The new"))
    )
    shop = town.worker({"shop"}, "new")
    for path in ("statement", "statement/print", "sales", "tokens", ""):
        assert shop.get(f"{HOME}/shop/{path}").status == 200, path
    assert "0.00 KGO" in shop.get(f"{HOME}/shop/statement").text
    rows = shop.client.get(f"{HOME}/shop/statement.csv").get_data(as_text=True).splitlines()
    assert len(rows) == 1


def test_the_csv_is_thai_in_a_spreadsheet(town: Town) -> None:
    """UTF-8 with the mark that spreadsheets know it by; kinds and promotions in Thai."""
    shop = town.worker({"shop"}, "cafe")
    sell(town, shop)
    body = shop.client.get(f"{HOME}/shop/statement.csv?by=month&at=2026-03-02").get_data()
    assert body.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
    assert row["what"].endswith("กาแฟ")


def test_a_steward_sees_requests_and_cannot_answer(town: Town) -> None:
    """Without the treasurer's role the treasury lists the request without a way to settle it."""
    shop, steward = town.worker({"shop"}, "cafe"), town.worker({"steward"})
    sell(town, shop)
    shop.send(shop.send(shop.get(f"{HOME}/shop/tokens").form("/settle")).form("/settle"))
    treasury = steward.get(f"{HOME}/steward/treasury")
    assert "The cafe" in steward.get(f"{HOME}/steward/treasury?lang=en").text
    assert not [one for one in treasury.links if "/settlements/" in one]


def test_a_withdrawn_or_declined_request_moves_nothing(town: Town) -> None:
    """Either way the shop keeps its tokens and may ask again."""
    shop, treasurer = town.worker({"shop"}, "cafe"), town.worker({"treasurer"})
    sell(town, shop)

    def ask() -> None:
        shop.send(shop.send(shop.get(f"{HOME}/shop/tokens").form("/settle")).form("/settle"))

    def asked() -> str:
        return next(one for one in treasurer.get(f"{HOME}/steward/treasury").links if "/settlements/" in one)

    ask()
    link = asked()
    shop.send(shop.get(f"{HOME}/shop/tokens").form("/withdraw"))
    assert "The shop withdrew it" in treasurer.get(f"{link}?lang=en").text
    ask()
    link = asked()
    treasurer.send(treasurer.get(link).form("/decline"))
    assert "Declined. The shop kept its tokens." in treasurer.get(f"{link}?lang=en").text
    text = shop.get(f"{HOME}/shop/tokens?lang=en").text
    assert "Withdrawn by your shop" in text
    assert "Declined by the treasurer" in text
    assert town.installation.balance("shop:cafe").posted_minor == 300


def test_a_shop_describes_itself_and_learners_read_it(town: Town) -> None:
    """Words and telephone stand beside the promotion, the number as Thais write it; a bad one is refused and kept."""
    shop, reader = town.worker({"shop"}, "cafe"), town.visitor()
    form = shop.get(f"{HOME}/shop/about").form("/about")
    bad = shop.send(form, phone="12", about_en="Slow coffee", about_th="กาแฟดริป")
    assert bad.status == 422
    assert bad.form("/about").fields["about_en"] == "Slow coffee"
    shop.send(bad.form("/about"), phone="+66812345678")
    page = reader.get(f"{HOME}/promotions/coffee?lang=en")
    assert "Slow coffee" in page.text
    assert "081-234-5678" in page.text
    assert "tel:+66812345678" in page.links


def test_a_copy_is_offered_only_when_it_is_sent(town: Town) -> None:
    """Duplicate fills the form with words, price and bounds; sending makes a second one; no shop copies another's."""
    shop, other = town.worker({"shop"}, "cafe"), town.worker({"shop"}, "stall")
    form = shop.get(f"{HOME}/shop/promotions/new?like=coffee").form("/new?like=coffee")
    assert (form.fields["title_en"], form.fields["price"], form.fields["stock"]) == ("Coffee", "3.00", "5")
    assert shop.get(f"{HOME}/shop/promotions?lang=en").text.count("Coffee") == 1
    shop.send(form)
    assert shop.get(f"{HOME}/shop/promotions?lang=en").text.count("Coffee") == 2
    assert other.get(f"{HOME}/shop/promotions/new?like=coffee").status == 404
