"""Moving money: the allow-list, many at once, and reversals."""

import pytest

from ledger.book import holds, transfers
from ledger.book.moves import Transfer
from ledger.book.unit import Unit
from ledger.errors import NotFound, Refused, ValidationFailed
from ledger.proof.rules import ALLOWED, FOLLOWING, KINDS, STILL
from ledger.values import AMOUNT_LIMIT
from tests.factories import CITY, Installation

NAMES = {"budget": "budget:a", "shop": "shop:a", "sponsor": "sponsor:a", "bridge": "bridge:1", "suspense": "suspense:1"}
DIRECT = sorted(move for move in ALLOWED if move[0] not in FOLLOWING | STILL)
"""What `post` moves: neither the later entries of a case nor reservations."""


def _post(installation: Installation, kind: str, source: str, target: str, amount: int = 1) -> int:
    return installation.run(lambda unit: transfers.post(unit, kind, source, target, amount, actor="treasurer").seq)


def _furnished(installation: Installation) -> dict[str, str]:
    """An account of every type with something in it, by type."""
    learner = installation.learner()
    other = installation.learner()
    installation.open(*NAMES.values(), "shop:b", "budget:b")
    installation.grant(100_000)
    for path in ("budget:a", "shop:a", "sponsor:a", learner, other):
        installation.give(path, 1_000)
    _post(installation, "bridge_out", learner, "bridge:1", 500)
    _post(installation, "bridge_in", "bridge:1", "suspense:1", 200)
    return (
        NAMES
        | {"learner": learner, "issuance": "issuance", "treasury": "treasury"}
        | {name: name for name in ("expired", "settled")}
    )


def test_every_movement_of_the_allow_list_moves(installation: Installation) -> None:
    """Each triple of kind, giver and taker that the format allows takes from one and gives to the other."""
    accounts = _furnished(installation)
    for kind, giver, taker in DIRECT:
        source = accounts[giver]
        target = f"{taker}:b" if giver == taker else accounts[taker]
        before = installation.balance(source).posted_minor, installation.balance(target).posted_minor
        _post(installation, kind, source, target, 3)
        after = installation.balance(source).posted_minor, installation.balance(target).posted_minor
        assert (after[0] - before[0], after[1] - before[1]) == (-3, 3), (kind, giver, taker)
    assert installation.audit().findings == []


def test_no_other_movement_is_possible(installation: Installation) -> None:
    """Every kind between every pair of account types outside the list is refused, and nothing is written."""
    accounts = _furnished(installation)
    size = len(installation.leaves())
    tried = 0

    def work(unit: Unit) -> None:
        nonlocal tried
        for kind in KINDS - FOLLOWING - STILL:
            for giver, source in accounts.items():
                for taker, target in accounts.items():
                    if (kind, giver, taker) not in ALLOWED or giver == taker:
                        with pytest.raises(Refused, match="not_allowed"):
                            transfers.post(unit, kind, source, target, 1, actor="steward")
                        tried += 1

    installation.run(work)
    assert tried > 1_000
    assert len(installation.leaves()) == size


@pytest.mark.parametrize("kind", sorted(FOLLOWING | STILL))
def test_steps_of_a_case_cannot_be_posted_alone(installation: Installation, kind: str) -> None:
    """Captures, refunds, reversals and reservations have verbs of their own; `post` makes none of them."""
    accounts = _furnished(installation)
    _, giver, taker = next(move for move in ALLOWED if move[0] == kind and move[1] != move[2])
    size = len(installation.leaves())
    ref = {"origin": 0} if kind in FOLLOWING else {"expires_at": "2027-01-01T00:00:00.000Z"}
    with pytest.raises(Refused, match="not_allowed"):
        installation.run(
            lambda unit: transfers.post(unit, kind, accounts[giver], accounts[taker], 1, actor="treasurer", ref=ref)
        )
    assert len(installation.leaves()) == size


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_LIMIT, True, 1.5, "1", None])
def test_an_amount_is_a_positive_whole_number(installation: Installation, amount: object) -> None:
    """Zero, negative, fractional and oversized amounts are malformed."""
    with pytest.raises(ValidationFailed) as refusal:
        _post(installation, "grant", "issuance", "treasury", amount)  # type: ignore[arg-type]
    assert list(refusal.value.fields) == ["amount_minor"]
    assert installation.leaves() == []


def test_an_account_cannot_pay_itself(installation: Installation) -> None:
    """A movement from an account to itself is refused; the same between two accounts of the type is not."""
    _furnished(installation)
    with pytest.raises(Refused, match="not_allowed"):
        _post(installation, "transfer", "shop:a", "shop:a")
    _post(installation, "transfer", "shop:a", "shop:b")


def test_many_are_posted_all_or_none(installation: Installation) -> None:
    """The first refusal undoes those before it and says which one it was."""
    installation.open("shop:a", "shop:b")
    installation.grant(100)

    def many(*amounts: int) -> None:
        pairs = [Transfer("transfer", "treasury", f"shop:{'ab'[index % 2]}", n) for index, n in enumerate(amounts)]
        installation.run(lambda unit: transfers.post_many(unit, pairs, actor="treasurer"))

    with pytest.raises(Refused) as refusal:
        many(60, 40, 1)
    assert refusal.value.params["index"] == 2
    assert installation.balance("treasury").posted_minor == 100
    many(60, 30, 10)
    assert installation.balance("treasury").posted_minor == 0
    assert [leaf["seq"] for leaf in installation.leaves()] == [0, 1, 2, 3]


def test_a_malformed_one_of_many_is_named_too(installation: Installation) -> None:
    """An amount that is none and an account that is none say which of the list they were."""
    installation.grant(100)
    for bad in (Transfer("transfer", "treasury", "shop:a", 0), Transfer("transfer", "treasury", "shop:none", 1)):
        good = Transfer("grant", "issuance", "treasury", 1)
        with pytest.raises((ValidationFailed, NotFound)) as refusal:
            installation.run(lambda unit, bad=bad: transfers.post_many(unit, [good, bad], actor="treasurer"))  # type: ignore[misc]
        assert refusal.value.params["index"] == 1


def _reverse(installation: Installation, seq: int, reason: str | None = None) -> int:
    return installation.run(lambda unit: transfers.reverse(unit, seq, actor="treasurer", reason=reason).seq)


def test_a_reversal_moves_everything_back_once(installation: Installation) -> None:
    """The mirror of the entry, naming it and the reason; a second time is refused and says by what."""
    installation.open("shop:a")
    installation.grant(100)
    installation.give("shop:a", 40)
    seq = _reverse(installation, 1, "wrong_shop")
    assert installation.balance("shop:a").posted_minor == 0
    assert installation.balance("treasury").posted_minor == 100
    leaf = installation.leaves()[seq]
    assert leaf["ref"] == {"origin": 1, "reason": "wrong_shop"}
    assert leaf["postings"] == [{"amount": 40, "from": "shop:a", "to": "treasury"}]
    with pytest.raises(Refused) as refusal:
        _reverse(installation, 1)
    assert (refusal.value.code, refusal.value.reason, refusal.value.params["by"]) == ("not_reversible", "reversed", 2)


def test_a_person_s_entry_is_reversed_under_the_handle_of_its_case(installation: Installation) -> None:
    """The reversal finds the person behind the handle, and shows the public no more than the entry did."""
    installation.grant(100)
    learner, bystander = installation.learner(), installation.learner()
    installation.open("budget:a")
    _post(installation, "fund", "treasury", "budget:a", 50)
    for path in (learner, bystander):
        _post(installation, "reward", "budget:a", path, 20)
    _reverse(installation, 2)
    leaves = installation.leaves()
    assert installation.balance(learner).posted_minor == 0
    assert installation.balance(bystander).posted_minor == 20
    assert leaves[4]["postings"][0]["from"] == leaves[2]["postings"][0]["to"]
    assert installation.audit().findings == []


def test_a_reversal_that_would_break_a_floor_is_refused(installation: Installation) -> None:
    """What was spent since cannot be taken back; what is still there can."""
    installation.open("shop:a", "shop:b")
    installation.grant(100)
    installation.give("shop:a", 40)
    _post(installation, "transfer", "shop:a", "shop:b", 1)
    with pytest.raises(Refused, match="insufficient_funds"):
        _reverse(installation, 1)
    _reverse(installation, 2)
    _reverse(installation, 1)
    assert installation.balance("treasury").posted_minor == 100


def test_what_is_held_cannot_be_reversed_away(installation: Installation) -> None:
    """A reversal respects reservations: money promised to a shop stays until the hold ends."""
    installation.grant(100)
    installation.open("shop:a")
    learner = installation.learner(40)
    hold = installation.hold(learner, "shop:a", 30)
    with pytest.raises(Refused, match="insufficient_funds"):
        _reverse(installation, 1)
    installation.run(lambda unit: holds.release(unit, hold.seq, actor="learner"))
    _reverse(installation, 1)
    assert installation.balance(learner).posted_minor == 0


def test_reversals_and_the_hold_family_are_never_reversed(installation: Installation) -> None:
    """Holds, captures, releases, refunds and reversals have ends of their own."""
    installation.grant(1_000)
    installation.open("shop:a")
    learner = installation.learner(100)
    hold = installation.hold(learner, "shop:a", 30)

    def steps(unit: Unit) -> list[int]:
        capture = holds.capture(unit, hold.seq, actor="shop:a").seq
        return [hold.seq, capture, holds.refund(unit, hold.seq, 10, actor="shop:a").seq]

    seqs = installation.run(steps)
    installation.give("shop:a", 5)
    seqs.append(_reverse(installation, installation.balance("shop:a").as_of_seq))
    for seq in seqs:
        with pytest.raises(Refused) as refusal:
            _reverse(installation, seq)
        assert (refusal.value.code, refusal.value.reason) == ("not_reversible", "kind")


def test_a_redemption_is_refunded_or_reversed_but_not_both(installation: Installation) -> None:
    """After a refund there is no reversal, and after a reversal no refund."""
    installation.grant(1_000)
    installation.open("shop:a")
    learner = installation.learner(100)
    first = _post(installation, "redeem", learner, "shop:a", 30)
    second = _post(installation, "redeem", learner, "shop:a", 30)

    def refund(seq: int) -> None:
        installation.run(lambda unit: holds.refund(unit, seq, 5, actor="shop:a"))

    refund(first)
    with pytest.raises(Refused) as refusal:
        _reverse(installation, first)
    assert refusal.value.reason == "refunded"
    _reverse(installation, second)
    with pytest.raises(Refused, match="case_closed"):
        refund(second)
    refund(first)
    assert installation.balance(learner).posted_minor == 80
    assert installation.audit().findings == []


def test_an_entry_that_does_not_exist_cannot_be_reversed(installation: Installation) -> None:
    """Beyond the end of the log there is nothing to reverse."""
    installation.grant()
    with pytest.raises(NotFound):
        _reverse(installation, 1)
    assert _reverse(installation, 0) == 1
    assert installation.city().id == CITY
