"""Redeeming: confirming, cancelling, expiring, refunding, and who may see it."""

from __future__ import annotations

from ledger.book import entries
from ledger.commerce import redemptions
from tests.commerce.street import ANONYMOUS, STEWARD, Street, refused
from tests.factories import CITY, START


def _kinds(street: Street, *seqs: int) -> list[str]:
    with street.installation.read() as session:
        return [entries.parsed(session, CITY, seq)["kind"] for seq in seqs]


def test_the_shop_confirms_and_the_tokens_move(street: Street) -> None:
    """After the confirmation the price is the shop's, and the receipt names the entries."""
    noodles, learner = street.shop(), street.learner(1_000)
    made = street.reserve(learner, street.promotion())
    street.clock.advance(minutes=2)
    done = street.confirm(noodles, made.id)
    assert (done.state, done.moved_minor, done.confirmed_at) == ("confirmed", 500, street.clock.now)
    assert done.ended_entry is not None
    assert _kinds(street, done.entry, done.ended_entry) == ["hold", "capture"]
    assert (street.balance(learner), street.balance(noodles)) == ((500, 0), (500, 0))
    assert street.get(learner, made.id) == street.get(noodles, made.id) == done


def test_the_shop_may_take_a_part(street: Street) -> None:
    """The rest of what was held is free again; more than was held, or nothing, is refused with the field."""
    noodles, learner = street.shop(), street.learner(1_000)
    made = street.reserve(learner, street.promotion())
    for amount in (501, 0, -1):
        wrong = refused("validation_failed", street.confirm, noodles, made.id, amount)
        assert set(wrong["fields"]) == {"amount_minor"}
    done = street.confirm(noodles, made.id, 200)
    assert (done.state, done.amount_minor, done.moved_minor) == ("confirmed", 500, 200)
    assert (street.balance(learner), street.balance(noodles)) == ((800, 0), (200, 0))


def test_a_second_confirmation_names_the_first(street: Street) -> None:
    """Confirming twice moves nothing and says when it was done and by which entry."""
    noodles, learner = street.shop(), street.learner()
    made = street.reserve(learner, street.promotion())
    done = street.confirm(noodles, made.id)
    street.clock.advance(minutes=30)
    again = refused("redemption_ended[confirmed]", street.confirm, noodles, made.id)
    assert (again["at"], again["entry"], again["id"]) == (START, done.ended_entry, made.id)
    assert street.balance(noodles) == (500, 0)
    refused("redemption_ended[confirmed]", street.cancel, learner, made.id)


def test_only_its_own_shop_confirms(street: Street) -> None:
    """Another shop, the learner, a steward or somebody unknown does not; an unknown redemption is not found."""
    noodles, other = street.shop("noodles"), street.shop("tea")
    learner = street.learner()
    made = street.reserve(learner, street.promotion())
    for who in (other, learner, STEWARD):
        refused("forbidden", street.confirm, who, made.id)
    refused("unauthenticated", street.confirm, ANONYMOUS, made.id)
    refused("not_found", street.confirm, noodles, "none")
    assert street.confirm(noodles, made.id).state == "confirmed"


def test_a_suspended_shop_confirms_nothing_and_can_refund(street: Street) -> None:
    """What was reserved before a suspension cannot be taken; what was taken can go back."""
    noodles, learner = street.shop(), street.learner()
    promotion = street.promotion()
    before, pending = street.reserve(learner, promotion), street.reserve(learner, promotion)
    street.confirm(noodles, before.id)
    street.suspend("noodles")
    refused("shop_not_open[suspended]", street.confirm, noodles, pending.id)
    assert street.refund(noodles, before.id).state == "refunded"
    assert street.cancel(learner, pending.id).state == "cancelled"
    assert street.balance(learner) == (10_000, 0)


def test_learner_or_shop_cancels(street: Street) -> None:
    """Either of the two ends it and frees the amount; another learner, another shop, a steward does not."""
    noodles, other = street.shop("noodles"), street.shop("tea")
    learner, stranger = street.learner(1_000), street.learner()
    promotion = street.promotion()
    first, second = street.reserve(learner, promotion), street.reserve(learner, promotion)
    for who in (stranger, other, STEWARD):
        refused("forbidden", street.cancel, who, first.id)
    done = street.cancel(learner, first.id)
    assert (done.state, done.ended_at, done.confirmed_at) == ("cancelled", START, None)
    assert street.cancel(noodles, second.id).state == "cancelled"
    assert street.balance(learner) == (1_000, 0)
    for act in (street.cancel, street.confirm):
        assert refused("redemption_ended[cancelled]", act, noodles, first.id)["at"] == START


def test_time_ends_a_reservation(street: Street) -> None:
    """A millisecond before the end the shop confirms; at the end it is expired and the amount free."""
    noodles, learner = street.shop(), street.learner(1_000)
    promotion = street.promotion()
    made, late = street.reserve(learner, promotion), street.reserve(learner, promotion)
    street.clock.advance(minutes=10, milliseconds=-1)
    assert street.confirm(noodles, made.id).state == "confirmed"
    street.clock.advance(milliseconds=1)
    assert street.get(learner, late.id).state == "expired", "the clock alone says so, before anything is written"
    for who, act in ((noodles, street.confirm), (learner, street.cancel), (noodles, street.refund)):
        assert refused("redemption_expired", act, who, late.id)["at"] == late.expires_at
    street.reserve(learner, promotion)
    seen = street.get(learner, late.id)
    assert (seen.state, seen.ended_at) == ("expired", late.expires_at)
    assert seen.ended_entry is not None
    assert _kinds(street, seen.ended_entry) == ["hold_expire"]
    assert street.balance(learner) == (500, 500)


def test_refunds_go_back_in_parts_up_to_what_moved(street: Street) -> None:
    """Each part is an entry; the whole makes it refunded; more than is left is refused under its field."""
    noodles, learner = street.shop(), street.learner(1_000)
    made = street.reserve(learner, street.promotion())
    street.confirm(noodles, made.id, 400)
    part = street.refund(noodles, made.id, 150)
    assert (part.state, part.refunded_minor, len(part.refund_entries)) == ("confirmed", 150, 1)
    for amount in (251, 0):
        wrong = refused("validation_failed", street.refund, noodles, made.id, amount)
        assert set(wrong["fields"]) == {"amount_minor"}
    street.clock.advance(minutes=1)
    whole = street.refund(STEWARD, made.id)
    assert (whole.state, whole.refunded_minor, whole.moved_minor) == ("refunded", 400, 400)
    assert _kinds(street, *whole.refund_entries) == ["refund", "refund"]
    assert street.get(learner, made.id) == whole
    assert (street.balance(learner), street.balance(noodles)) == ((1_000, 0), (0, 0))
    again = refused("redemption_ended[refunded]", street.refund, noodles, made.id)
    assert (again["at"], again["entry"]) == (street.clock.now, whole.refund_entries[1])


def test_only_what_was_confirmed_is_refunded(street: Street) -> None:
    """A pending one is to be cancelled instead, a cancelled one has nothing to give back."""
    noodles, learner = street.shop(), street.learner()
    made = street.reserve(learner, street.promotion())
    refused("not_reversible[pending]", street.refund, noodles, made.id)
    street.cancel(learner, made.id)
    refused("redemption_ended[cancelled]", street.refund, noodles, made.id)


def test_only_shop_and_steward_refund(street: Street) -> None:
    """The learner cannot, nor another shop."""
    noodles, other, learner = street.shop("noodles"), street.shop("tea"), street.learner()
    made = street.reserve(learner, street.promotion())
    street.confirm(noodles, made.id)
    for who in (learner, other):
        refused("forbidden", street.refund, who, made.id)
    assert street.refund(noodles, made.id).state == "refunded"


def test_a_shop_without_funds_cannot_refund(street: Street) -> None:
    """What the shop has passed on is not there to give back; what is left is."""
    noodles, learner = street.shop(), street.learner()
    made = street.reserve(learner, street.promotion())
    street.confirm(noodles, made.id)
    street.take_from(noodles, 300)
    refused("insufficient_funds", street.refund, noodles, made.id)
    assert street.refund(noodles, made.id, 200).refunded_minor == 200


def test_learner_shop_and_stewards_see_it_and_nobody_else(street: Street) -> None:
    """By id and by the secret of the QR alike, in capital letters too; a wrong secret is not found."""
    noodles, other = street.shop("noodles"), street.shop("tea")
    learner, stranger = street.learner(), street.learner()
    made = street.reserve(learner, street.promotion())
    with street.installation.read() as session:
        for who in (learner, noodles, STEWARD):
            seen = redemptions.find_by_secret(session, who, made.secret.upper(), street.clock.now)
            assert seen == redemptions.get(session, who, made.id, street.clock.now) == made
        for who, code in ((stranger, "forbidden"), (other, "forbidden"), (ANONYMOUS, "unauthenticated")):
            refused(code, redemptions.find_by_secret, session, who, made.secret, START)
            refused(code, redemptions.get, session, who, made.id, START)
        refused("not_found", redemptions.find_by_secret, session, noodles, "kk" + "a" * 26, START)
        refused("not_found", redemptions.get, session, STEWARD, "none", START)


def test_a_receipt_keeps_the_words_and_the_price_of_its_day(street: Street) -> None:
    """A change of the promotion concerns later redemptions only."""
    noodles, learner = street.shop(), street.learner()
    promotion = street.promotion(title_th="ชามใหญ่", benefit_th="ฟรี")
    made = street.reserve(learner, promotion)
    street.change(promotion, title_th="ชามเล็ก", title_en="Small", benefit_th="ลด", price_minor=900)
    done = street.confirm(noodles, made.id)
    assert (done.title_th, done.benefit_th, done.moved_minor) == ("ชามใหญ่", "ฟรี", 500)
    later = street.reserve(learner, promotion)
    assert (later.title_en, later.benefit_th, later.amount_minor) == ("Small", "ลด", 900)
