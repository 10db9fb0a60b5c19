"""The till: six digits typed by a person, and the shop's day; the learner's own list."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.commerce import attempts, receipts
from ledger.people.roles import Principal
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY, START


def _till(street: Street, shop: str = "noodles") -> receipts.Till:
    with street.installation.read() as session:
        return receipts.till(session, CITY, shop, street.clock.now)


def _absent(*codes: str) -> str:
    return next(f"{number:06d}" for number in range(10) if f"{number:06d}" not in codes)


def test_six_digits_find_what_is_pending(street: Street) -> None:
    """The shop sees promotion and amount before it confirms; Thai digits and gaps are read as people write them."""
    noodles, learner = street.shop(), street.learner()
    made = street.reserve(learner, street.promotion())
    thai = made.code.translate(str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙"))
    for typed in (made.code, f"{made.code[:3]} {made.code[3:]}", f"{made.code[:3]}-{made.code[3:]}", thai):
        assert street.look_up(noodles, typed).found() == made


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "１２３４５６", "²23456"])
def test_anything_else_is_not_a_code(street: Street, typed: str) -> None:
    """What is not six digits is refused as such and does not count as a miss."""
    noodles = street.shop()
    for _ in range(attempts.MISSES + 1):
        assert set(refused("validation_failed", street.look_up, noodles, typed)["fields"]) == {"code"}
    assert street.look_up(noodles, "123456").tries_left == attempts.MISSES - 1


def test_only_a_shop_looks_up_and_only_its_own(street: Street) -> None:
    """Another shop misses; learners, stewards and strangers may not try."""
    street.shop("noodles")
    other, learner = street.shop("tea"), street.learner()
    made = street.reserve(learner, street.promotion())
    refused("not_found", street.look_up(other, made.code).found)
    for who, code in ((learner, "forbidden"), (STEWARD, "forbidden"), (ANONYMOUS, "unauthenticated")):
        refused(code, street.look_up, who, made.code)


def test_what_is_over_is_reported_as_what_it_is(street: Street) -> None:
    """Confirmed, refunded, cancelled and expired each have their answer, with the time; none is called unknown."""
    noodles, learner = street.shop(), street.learner()
    promotion = street.promotion()
    confirmed, refunded, cancelled, expired = (street.reserve(learner, promotion) for _ in range(4))
    street.clock.advance(minutes=1)
    street.confirm(noodles, confirmed.id)
    street.confirm(noodles, refunded.id)
    street.refund(noodles, refunded.id)
    street.cancel(learner, cancelled.id)
    then = street.clock.now
    street.clock.advance(minutes=9)
    for made, reason in ((confirmed, "confirmed"), (refunded, "refunded"), (cancelled, "cancelled")):
        told = refused(f"redemption_ended[{reason}]", street.look_up, noodles, made.code)
        assert (told["at"], told["id"]) == (then, made.id)
    assert refused("redemption_expired", street.look_up, noodles, expired.code)["id"] == expired.id


def test_a_pending_one_goes_before_an_old_one(street: Street) -> None:
    """When a number comes again, the look-up finds the pending redemption, and later the newer of the two."""
    noodles, learner = street.shop(), street.learner()
    promotion = street.promotion()
    first = street.reserve_with_code(learner, promotion, "424242")
    street.confirm(noodles, first.id)
    second = street.reserve_with_code(learner, promotion, "424242")
    assert street.look_up(noodles, "424242").found().id == second.id
    street.cancel(learner, second.id)
    told = refused("redemption_ended[cancelled]", street.look_up, noodles, "424242")
    assert told["id"] == second.id


def test_misses_are_counted_and_kept(street: Street) -> None:
    """After ten misses in five minutes even the right code waits; the wait is told and ends by itself."""
    noodles, other, learner = street.shop("noodles"), street.shop("tea"), street.learner()
    made = street.reserve(learner, street.promotion())
    wrong = _absent(made.code)
    for left in range(attempts.MISSES - 1, -1, -1):
        found = street.look_up(noodles, wrong)
        assert found.tries_left == left
        refused("not_found", found.found)
        street.clock.advance(seconds=10)
    told = refused("too_many_attempts", street.look_up, noodles, made.code)
    assert told["retry_after_seconds"] == 200
    assert street.look_up(other, wrong).tries_left == attempts.MISSES - 1, "the other shop has its own count"
    street.clock.advance(seconds=199)
    refused("too_many_attempts", street.look_up, noodles, made.code)
    street.clock.advance(seconds=1)
    assert street.look_up(noodles, made.code).found().id == made.id


def test_finding_does_not_clear_the_misses(street: Street) -> None:
    """A success between two misses leaves the count as it is."""
    noodles, learner = street.shop(), street.learner()
    made = street.reserve(learner, street.promotion())
    street.look_up(noodles, _absent(made.code))
    street.look_up(noodles, made.code)
    assert street.look_up(noodles, _absent(made.code)).tries_left == attempts.MISSES - 2


def test_the_day_is_the_citys_calendar_day(street: Street) -> None:
    """The sum runs from midnight in Bangkok, by the time of confirmation; refunds are taken off their sale's day."""
    noodles, learner = street.shop(), street.learner()
    promotion = street.promotion()
    street.clock.now = datetime(2026, 3, 2, 16, 55, tzinfo=UTC)  # 23:55 in Khon Kaen
    first, second, third = (street.reserve(learner, promotion) for _ in range(3))
    street.confirm(noodles, first.id)
    street.clock.advance(minutes=4, milliseconds=59_999)
    street.confirm(noodles, second.id, 100)
    today = _till(street)
    assert (today.day, today.count, today.total_minor) == (date(2026, 3, 2), 2, 600)
    street.clock.advance(milliseconds=1)
    assert (_till(street).day, _till(street).count, _till(street).total_minor) == (date(2026, 3, 3), 0, 0)
    street.confirm(noodles, third.id)
    street.refund(noodles, third.id, 150)
    street.refund(noodles, first.id)
    tomorrow = _till(street)
    assert (tomorrow.count, tomorrow.moved_minor, tomorrow.refunded_minor, tomorrow.total_minor) == (1, 500, 150, 350)


def test_the_till_shows_what_to_expect_and_what_was_done(street: Street) -> None:
    """Pending ones stand there without id or code, so that confirming needs the customer; done ones as receipts."""
    noodles, learner = street.shop(), street.learner()
    street.shop("tea")
    promotion = street.promotion()
    pending, done, cancelled = (street.reserve(learner, promotion) for _ in range(3))
    street.reserve(learner, street.promotion("tea"))
    street.confirm(noodles, done.id)
    street.cancel(learner, cancelled.id)
    till = _till(street)
    assert [line.expires_at for line in till.pending] == [pending.expires_at]
    assert not {"id", "code", "secret", "entry"} & set(receipts.PendingLine.__dataclass_fields__)
    assert [view.id for view in till.recent] == [done.id]
    street.clock.advance(minutes=10)
    assert _till(street).pending == ()


def test_a_learner_reads_all_their_redemptions_in_pages(street: Street) -> None:
    """Newest first, each once, whatever its state; another learner's are not among them."""
    noodles, learner, other = street.shop(), street.learner(), street.learner()
    promotion = street.promotion()
    made = [street.reserve(learner, promotion) for _ in range(5)]
    street.reserve(other, promotion)
    street.confirm(noodles, made[1].id)
    street.refund(noodles, made[1].id, 100)
    street.refund(noodles, made[1].id, 100)
    street.cancel(learner, made[2].id)
    street.clock.advance(minutes=10)
    assert _pages(street, learner, 2) == [[4, 3], [2, 1], [0]]
    with street.installation.read() as session:
        page = receipts.of_learner(session, CITY, learner.subject or "", street.clock.now)
        assert [view.state for view in page.items] == ["expired", "expired", "cancelled", "confirmed", "expired"]
        assert page.items[3] == street.get(learner, made[1].id)
        assert len(page.items[3].refund_entries) == 2
        assert receipts.of_shop(session, CITY, "noodles", START).items[0].id == made[1].id


def _pages(street: Street, learner: Principal, limit: int) -> list[list[int]]:
    """The pages of a learner's list, each redemption by its place in the order of reservation."""
    seqs: list[list[int]] = []
    cursor: int | None = None
    with street.installation.read() as session:
        while True:
            subject = learner.subject or ""
            page = receipts.of_learner(session, CITY, subject, street.clock.now, cursor=cursor, limit=limit)
            seqs.append([view.entry for view in page.items])
            cursor = page.next
            if cursor is None:
                break
    order = sorted(seq for page_seqs in seqs for seq in page_seqs)
    return [[order.index(seq) for seq in page_seqs] for page_seqs in seqs]


def test_a_day_of_an_empty_till(street: Street) -> None:
    """A shop without redemptions has a day of nothing."""
    street.shop()
    street.clock.advance(days=1)
    till = _till(street)
    assert (till.count, till.total_minor, till.pending, till.recent) == (0, 0, (), ())
    assert till.day == (START + timedelta(days=1)).date()
