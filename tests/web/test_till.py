"""What the till's eye answers, and how loudly the till says no."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import chain

import pytest
import qrcode

from api import i18n
from api.web.scanning import MAX_PIXELS, symbol_in
from ledger.commerce import shops
from ledger.commerce.shops import NewShop
from ledger.people.roles import Principal
from tests.factories import CITY
from tests.web.conftest import HOME, PUBLIC_URL, Town
from tests.web.test_redeeming import code_of, reserve
from tests.web.visitor import SAME_ORIGIN, Visitor

PIXELS, TEXT = "application/octet-stream", "text/plain"


def picture(text: str, scale: int = 4) -> tuple[bytes, int]:
    """A grey picture of a QR symbol with its quiet zone, and its width."""
    symbol = qrcode.QRCode(border=4)
    symbol.add_data(text)
    rows = [[(255, 0)[dark] for dark in row for _ in range(scale)] for row in symbol.get_matrix() for _ in range(scale)]
    return bytes(chain.from_iterable(rows)), len(rows[0])


def scan(shop: Visitor, body: bytes, width: int = 0, kind: str = PIXELS) -> tuple[int, dict[str, str]]:
    """Send what a camera saw; status and answer."""
    address = f"{HOME}/shop/scan?width={width}"
    answer = shop.client.post(address, data=body, content_type=kind, headers=SAME_ORIGIN)
    assert answer.json is not None
    return answer.status_code, answer.json


def secret(town: Town) -> str:
    """The secret of the only reservation."""
    with town.installation.read() as session:
        return str(session.connection().exec_driver_sql("SELECT secret FROM redemptions").scalar_one())


def test_a_picture_leads_to_the_reservation(town: Town) -> None:
    """Pixels and text lead to the same page, which still asks; nothing has moved."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    reserve(learner)
    address = f"{PUBLIC_URL}/r/{secret(town)}"
    status, seen = scan(shop, *picture(address))
    assert status == 200
    assert shop.get(seen["url"]).form("/confirm")
    assert scan(shop, address.encode(), kind=TEXT) == (200, seen)
    assert town.kinds()[-1] == "hold"


def test_what_is_no_reservation_is_said_in_the_page(town: Town) -> None:
    """Another address, an unknown secret, and another shop's reservation: each has its own words."""
    learner, cafe, stall = town.learner(), town.worker({"shop"}, "cafe"), town.worker({"shop"}, "stall")
    reserve(learner)
    said = [
        scan(cafe, *picture("https://example.org/")),
        scan(cafe, *picture(f"{PUBLIC_URL}/r/kk{'a' * 26}")),
        scan(stall, *picture(f"{PUBLIC_URL}/r/{secret(town)}")),
    ]
    assert [status for status, _ in said] == [422, 422, 422]
    assert len({answer["problem"] for _, answer in said}) == 3


def test_a_stranger_has_no_eye(town: Town) -> None:
    """Only a shop that is signed in may look."""
    answer = town.visitor().client.post(f"{HOME}/shop/scan?width=64", data=b"\xff" * 4096, headers=SAME_ORIGIN)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("pixels", "width"),
    [(b"", 64), (b"\xff" * 4096, 64), (b"\xff" * 4095, 64), (b"\xff" * 4096, 0), (b"\xff" * (MAX_PIXELS + 640), 640)],
    ids=["nothing", "white", "ragged", "no width", "too large"],
)
def test_a_picture_without_a_symbol_is_nothing(pixels: bytes, width: int) -> None:
    """White, ragged, too large or empty: no text and no fault."""
    assert symbol_in(pixels, width) == ""


def test_a_tilted_picture_with_noise_is_read() -> None:
    """A symbol in half the light and upside down is still one."""
    pixels, width = picture("hello")
    assert symbol_in(bytes(pixel // 2 + 40 for pixel in pixels)[::-1], width) == "hello"


def test_a_code_that_was_redeemed_is_refused_loudly(town: Town) -> None:
    """The second look-up of the same digits, or of the same QR, shows a no instead of the receipt's yes."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    code = code_of(reserve(learner))
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code)
    assert 'data-sound="look"' in seen.html
    assert 'class="verdict good"' in shop.send(seen.form("/confirm")).html
    again = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code)
    assert 'class="verdict bad" role="alert" data-sound="bad"' in again.html
    _, scanned = scan(shop, f"{PUBLIC_URL}/r/{secret(town)}".encode(), kind=TEXT)
    assert 'data-sound="bad"' in shop.get(scanned["url"]).html
    calm = shop.get(again.address.partition("?")[0])
    assert "verdict good" not in calm.html
    assert 'data-sound="bad"' not in calm.html


def test_who_comes_back_to_a_confirmation_finds_its_receipt(town: Town) -> None:
    """The loud yes is for the customer who stands there: a minute later the same address shows the plain receipt."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner)))
    done = shop.send(seen.form("/confirm"))
    assert 'class="verdict good"' in shop.get(done.address).html
    town.installation.clock.advance(minutes=2)
    later = shop.get(done.address)
    assert 'class="verdict good"' not in later.html
    assert "+3.00" in later.text


def test_another_shop_s_reservation_is_a_loud_no(town: Town) -> None:
    """By its address as by its QR the till says no and stays the till; nobody is told to apply as a shop."""
    learner, stall = town.learner(), town.worker({"shop"}, "stall")
    page = reserve(learner)
    for address in (f"{HOME}/shop/redemptions/{page.address.rpartition('/')[2]}", f"{PUBLIC_URL}/r/{secret(town)}"):
        said = stall.get(f"{address}?lang=en")
        assert said.status == 403
        assert 'class="verdict bad" role="alert" data-sound="bad"' in said.html
        assert "is for another shop" in said.text
        assert said.form("/find")
    assert town.kinds()[-1] == "hold"


def test_a_used_qr_opened_by_the_phone_is_a_loud_no(town: Town) -> None:
    """The phone's own camera leads the shop to the reservation; one that is over says so as loudly as in the page."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner)))
    shop.send(seen.form("/confirm"))
    assert 'data-sound="bad"' in shop.get(f"{PUBLIC_URL}/r/{secret(town)}").html


def test_a_suspended_shop_is_offered_nothing_to_confirm(town: Town) -> None:
    """Neither till nor reservation has a button that would be refused; a tap on an older page takes nothing."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner)))
    town.installation.run(lambda unit: shops.suspend(unit, Principal.system(CITY), "cafe"))
    assert "/find" not in shop.get(f"{HOME}/shop/").html
    assert "/confirm" not in shop.get(seen.address).html
    refused = shop.send(seen.form("/confirm"))
    assert 'data-sound="bad"' in refused.html
    assert not any(form.action.endswith("/confirm") for form in refused.forms)
    assert town.kinds()[-1] == "hold"


def test_a_shop_that_was_declined_is_not_called_suspended(town: Town) -> None:
    """It never took a token, so that nothing is said of refunds; the way to whom to ask stands there for both."""
    system = Principal.system(CITY)
    town.installation.run(lambda unit: shops.apply(unit, system, NewShop(id="new", name_th="ร้านใหม่")))
    for shop, said in (("new", "has declined this shop"), ("cafe", "You can refund")):
        town.installation.run(partial(shops.suspend, principal=system, shop_id=shop))
        till = town.worker({"shop"}, shop).get(f"{HOME}/shop/?lang=en")
        assert said in till.text
        assert f"{HOME}/help" in till.html.partition("<main")[2].partition("</main")[0]


def test_an_exhausted_till_says_until_when(town: Town) -> None:
    """After ten wrong codes the till names the time from which it listens again, on the clock."""
    shop = town.worker({"shop"}, "cafe")
    form = shop.get(f"{HOME}/shop/").form("/find")
    for _ in range(10):
        shop.send(form, code="000000")
    town.installation.clock.advance(minutes=1)
    until = i18n.local(town.installation.clock.now + timedelta(minutes=4), "Asia/Bangkok")
    assert (
        f"type again at {until:%H:%M}" in shop.send(shop.get(f"{HOME}/shop/?lang=en").form("/find"), code="1" * 6).text
    )


def test_a_confirmation_that_came_too_late_is_refused_loudly(town: Town) -> None:
    """The time ran out between the look and the tap: nothing is taken, and the page says no."""
    learner, shop = town.learner(), town.worker({"shop"}, "cafe")
    seen = shop.send(shop.get(f"{HOME}/shop/").form("/find"), code=code_of(reserve(learner)))
    town.installation.clock.advance(minutes=30)
    late = shop.send(seen.form("/confirm"))
    assert late.status == 409
    assert 'data-sound="bad"' in late.html
    assert town.installation.balance("shop:cafe").posted_minor == 0
