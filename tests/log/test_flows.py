"""The flows agree with the verifier, which counts them entry by entry, and tell nothing of persons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger.book import accounts, entries, holds, journal, transfers
from ledger.book.journal import moving
from ledger.book.moves import Transfer
from ledger.book.unit import Unit
from ledger.log import flows
from ledger.log.flows import Flows
from ledger.proof.report import Report
from ledger.verifier.run import verify_export
from tests.factories import CITY, Installation, add_city, install, live_through, rewrite
from tests.statements import asked


def _flows(installation: Installation) -> Flows:
    with installation.read() as session:
        return flows.flows(session, CITY)


def _verified(installation: Installation, directory: Path) -> Report:
    report = verify_export(installation.export(directory))
    assert report.ok
    return report


def _busy(installation: Installation) -> None:
    """Every way between institutions, and between them and persons, some of it taken back."""
    (person, _) = live_through(installation)
    installation.open("budget:b", "sponsor:s", "settled", "expired")

    def act(unit: Unit) -> tuple[int, int]:
        for kind, source, target, amount in (
            ("fund", "treasury", "budget:b", 900),
            ("fund", "treasury", "sponsor:s", 500),
            ("fund", "sponsor:s", "budget:a", 300),
            ("transfer", "budget:a", "budget:b", 40),
            ("transfer", "budget:b", "treasury", 60),
            ("reward", "budget:a", person, 70),
            ("reward", "budget:b", person, 11),
            ("redeem", person, "shop:b", 33),
            ("transfer", "shop:a", "shop:b", 5),
            ("transfer", "shop:b", "treasury", 6),
            ("settle", "shop:a", "settled", 50),
            ("expire", person, "expired", 9),
        ):
            transfers.post(unit, kind, source, target, amount, actor="system")
        wrong = transfers.post(unit, "reward", "budget:b", person, 100, actor="system")
        return wrong.seq, transfers.post(unit, "redeem", person, "shop:b", 20, actor="shop:b").seq

    wrong, sale = installation.run(act)
    installation.run(lambda unit: transfers.reverse(unit, wrong, actor="system"))
    installation.run(lambda unit: holds.refund(unit, sale, 8, actor="shop:b"))


def test_nothing_moved_in_an_empty_city(installation: Installation) -> None:
    """All zero, and no division by what is not there."""
    found = _flows(installation)
    assert (found.funded, found.received, found.spent, found.with_learners) == (0, 0, 0, 0)


def test_activities_and_shops_are_those_of_the_verifier(installation: Installation, tmp_path: Path) -> None:
    """Earned by activity and taken by shop, to the last unit, with transfers, reversals and refunds between."""
    _busy(installation)
    found, report = _flows(installation), _verified(installation, tmp_path / "export")
    assert found.earned == {name: amount for name, amount in report.activities.items() if amount}
    assert found.taken == {name: amount for name, amount in report.shops.items() if amount}
    assert (found.earned, found.expired, found.settled) == ({"a": 70, "b": 11}, 9, 50)
    assert found.given == 10_000


def test_what_learners_hold_is_what_remains(installation: Installation) -> None:
    """Received less spent, expired and bridged is the sum of the personal accounts, of which none was read."""
    _busy(installation)
    with asked(installation.database) as statements:
        found = _flows(installation)
    assert not any("openings" in statement for statement in statements)
    with installation.read() as session:
        held = session.connection().exec_driver_sql(
            "SELECT SUM(posted) FROM accounts WHERE path > 'learner:' AND path < 'learner;'"
        )
        assert found.with_learners == held.scalar_one()


def test_what_activities_were_given(installation: Installation) -> None:
    """By treasury and sponsors, less what came back; not what they passed among each other."""
    _busy(installation)
    assert _flows(installation).funded == 256 * 3 + 900 + 300 - 60


def test_the_largest_are_institutions(installation: Installation) -> None:
    """In order, with ties by name, without issuance and without anybody's own account."""
    _busy(installation)
    with installation.read() as session:
        found = flows.largest(session, CITY, 4)
    assert found[0].account == "treasury"
    assert [one.posted_minor for one in found] == sorted((one.posted_minor for one in found), reverse=True)
    assert len(found) == 4
    assert not any(one.account.startswith(("learner", "issuance")) for one in found)


def test_check_ins_and_purchases_are_not_gone_through(installation: Installation) -> None:
    """The plan goes by the index of the few entries between institutions, and by no legs at all."""
    person = installation.learner()
    installation.open("budget:a")
    installation.grant(3_000)
    rewards = [Transfer("reward", "budget:a", person, 1)] * 1_000
    for wanted in ([Transfer("fund", "treasury", "budget:a", 3_000)], rewards, rewards, rewards):
        installation.run(lambda unit, wanted=wanted: transfers.post_many(unit, wanted, actor="treasurer"))  # type: ignore[misc]
    with installation.read() as session:
        if installation.database.engine.dialect.name == "sqlite":
            explain = "EXPLAIN QUERY PLAN"
        else:
            with installation.database.write() as writing:
                writing.execute(text("ANALYZE entries"))
                writing.commit()
            explain = "EXPLAIN"
        plan = session.execute(text(f"{explain} {flows.LEAVES.text}"), {"city": CITY, "start": 0}).all()
    steps = " ".join(str(row[-1]) for row in plan)
    assert "entries_between_institutions" in steps
    assert "SCAN entries" not in steps
    assert "Seq Scan" not in steps
    assert "legs" not in steps


def test_what_moves_to_persons_and_what_is_taken_back_of_it_is_not_between_institutions(
    installation: Installation,
) -> None:
    """A gift and its reversal name a handle on one side; a grant and its reversal name none."""
    person = installation.learner()
    installation.grant(1_000)
    installation.give(person, 300)
    installation.run(lambda unit: transfers.reverse(unit, 1, actor="treasurer"))
    assert _flows(installation).between == {("issuance", "treasury"): 1_000}
    installation.run(lambda unit: transfers.reverse(unit, 0, actor="treasurer"))
    assert _flows(installation).between == {("issuance", "treasury"): 1_000, ("treasury", "issuance"): 1_000}


@pytest.mark.parametrize(
    "leaf", [b"\xff{", b"[]", b"{}", b'{"postings":[{}]}', b'{"postings":[{"from":1,"to":2,"amount":"x"}]}']
)
def test_a_leaf_that_was_made_unreadable_is_left_to_the_audit(installation: Installation, leaf: bytes) -> None:
    """The page with the flows is where an auditor goes first: it must not fail there."""
    installation.grant(1_000)
    installation.grant(500)
    rewrite(installation, "UPDATE entries SET leaf = :leaf WHERE seq = 0", leaf=leaf)
    assert _flows(installation).between == {("issuance", "treasury"): 500}
    assert installation.audit().findings


def test_an_entry_of_several_postings_counts_with_each(installation: Installation) -> None:
    """Two budgets are funded by one entry."""
    installation.open("budget:a", "budget:b")
    installation.grant(1_000)
    postings = [moving("treasury", "budget:a", 30), moving("treasury", "budget:b", 12)]
    installation.run(lambda unit: journal.append(unit, "fund", postings, actor="treasurer"))
    assert _flows(installation).between[("treasury", "budget")] == 42


def test_what_was_read_is_not_read_again_and_the_audit_finds_what_was_changed_in_it(installation: Installation) -> None:
    """A log only grows: the entries since the last look are read, and no leaf before them; the audit reads them all."""
    installation.grant(1_000)
    assert _flows(installation).between == {("issuance", "treasury"): 1_000}
    rewrite(installation, "UPDATE entries SET leaf = :leaf WHERE seq = 0", leaf=b"{}")
    installation.grant(500)
    for _ in range(2):
        assert _flows(installation).between == {("issuance", "treasury"): 1_500}
    assert installation.audit().findings


def test_what_is_remembered_comes_to_what_is_read_anew(installation: Installation) -> None:
    """After every kind of movement, one batch at a time."""
    found = []
    for act in (_busy, lambda city: city.grant(7), lambda city: city.run(_give_back)):
        act(installation)
        found.append(_flows(installation))
    flows._READ.clear()
    assert (_flows(installation), len(set(map(repr, found)))) == (found[-1], 3)


def _give_back(unit: Unit) -> None:
    transfers.post(unit, "transfer", "budget:a", "treasury", 1, actor="system")


def test_another_log_of_the_same_city_is_read_from_its_beginning(
    installation: Installation, new_sqlite_url: Callable[[], str], tmp_path: Path
) -> None:
    """A process that meets two histories, or a longer one before a shorter one: each tells of itself alone."""
    other = install(new_sqlite_url(), tmp_path / "other")
    installation.grant(1_000)
    other.grant(20)
    with installation.read() as earlier:
        for _ in range(2):
            assert flows.flows(earlier, CITY).between == {("issuance", "treasury"): 1_000}
            assert _flows(other).between == {("issuance", "treasury"): 20}
        installation.grant(500)
        assert _flows(installation).between == {("issuance", "treasury"): 1_500}
        assert flows.flows(earlier, CITY).between == {("issuance", "treasury"): 1_000}
    other.close()


def test_a_log_that_lost_its_tail_is_read_from_its_beginning(installation: Installation) -> None:
    """Although its checkpoints are there: the figures are those of the leaves, before and after they are put back."""
    installation.grant(1_000)
    installation.grant(500)
    assert _flows(installation).between == {("issuance", "treasury"): 1_500}
    rewrite(installation, "UPDATE entries SET seq = -1 WHERE seq = 1")
    assert _flows(installation).between == {("issuance", "treasury"): 1_000}
    rewrite(installation, "UPDATE entries SET seq = 1 WHERE seq = -1")
    assert _flows(installation).between == {("issuance", "treasury"): 1_500}


def test_it_is_remembered_of_few_cities(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that came first goes first."""
    monkeypatch.setattr(flows, "MOST_CITIES", 1)
    add_city(installation.database, installation.keys, "phayao", code_prefix="py")
    installation.run(lambda unit: accounts.open_account(unit, "issuance"), "phayao")
    installation.run(lambda unit: accounts.open_account(unit, "treasury"), "phayao")
    installation.run(lambda unit: transfers.post(unit, "grant", "issuance", "treasury", 7, actor="treasurer"), "phayao")
    installation.grant(1_000)
    for _ in range(2):
        assert _flows(installation).between == {("issuance", "treasury"): 1_000}
        with installation.read() as session:
            assert flows.flows(session, "phayao").between == {("issuance", "treasury"): 7}
        assert list(flows._READ) == ["phayao"]


def test_a_leaf_that_is_mended_counts_again(installation: Installation) -> None:
    """What could not be read is not taken for read."""
    installation.grant(1_000)
    with installation.read() as session:
        leaf = entries.leaf(session, CITY, 0)
    rewrite(installation, "UPDATE entries SET leaf = :leaf WHERE seq = 0", leaf=b"{}")
    assert _flows(installation).between == {}
    rewrite(installation, "UPDATE entries SET leaf = :leaf WHERE seq = 0", leaf=leaf)
    assert _flows(installation).between == {("issuance", "treasury"): 1_000}
