"""Airdrops: the preview moves nothing, what was confirmed is paid once, and any end on the way loses nothing."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from ledger.book import accounts, transfers
from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.db import Database
from ledger.errors import Forbidden, NotFound, Refused, ValidationFailed
from ledger.people import learners
from ledger.people.learners import Learner
from ledger.people.roles import Principal
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrop_verdicts import AirdropView, Row
from ledger.programme.airdrops import Airdrop, AirdropRow, NewAirdrop
from ledger.programme.checkins import commitment
from ledger.values import random_id
from tests.factories import CITY
from tests.programme.town import STEWARD, Town

ACTIVITY = "library"
NOBODY = "a" * 26


def pupils(town: Town, count: int) -> list[str]:
    """The ids of some learners, made at once: `learners.join` would also sign each of them in."""
    ids = [random_id() for _ in range(count)]

    def join(unit: Unit) -> None:
        unit.session.add_all(Learner(city=CITY, id=one, created_at=unit.now, recovery_hash=one) for one in ids)
        for one in ids:
            accounts.open_account(unit, learners.account_of(one))

    town.run(join)
    return ids


def listed(rows: Sequence[tuple[str, str]]) -> bytes:
    """A list with these learners and amounts."""
    return "\n".join(["learner,amount", *(",".join(row) for row in rows)]).encode()


def create(town: Town, content: bytes) -> AirdropView:
    """Bring a list."""
    return town.run(lambda unit: airdrops.create(unit, STEWARD, NewAirdrop(ACTIVITY, content, "list.csv")))


def confirm(town: Town, drop: AirdropView, sum_minor: int | None = None) -> AirdropView:
    """Confirm the sum of the preview, or another."""
    named = drop.sum_minor if sum_minor is None else sum_minor
    return town.run(lambda unit: airdrops.confirm(unit, STEWARD, drop.id, named))


def proceed(town: Town, drop: AirdropView) -> AirdropView:
    """Pay the next chunk."""
    return town.run(lambda unit: airdrops.proceed(unit, STEWARD, drop.id))


def finish(town: Town, drop: AirdropView) -> AirdropView:
    """Pay chunks until it is done."""
    while drop.state == "running":
        drop = proceed(town, drop)
    return drop


def cancel(town: Town, drop: AirdropView) -> AirdropView:
    """Stop it."""
    return town.run(lambda unit: airdrops.cancel(unit, STEWARD, drop.id))


def rows_of(town: Town, drop: AirdropView) -> list[Row]:
    """All rows."""
    with town.installation.read() as session:
        return airdrop_reports.rows(session, CITY, drop.id, limit=airdrops.CHUNK * 200).items


def balances(town: Town, who: Sequence[str]) -> list[int]:
    """What each holds."""
    with town.installation.read() as session:
        found = accounts.with_prefix(session, CITY, "learner:")
    held = {balance.account: balance.posted_minor for balance in found}
    return [held[learners.account_of(one)] for one in who]


def budget(town: Town) -> int:
    """What is left in the budget."""
    return town.installation.balance(f"budget:{ACTIVITY}").posted_minor


def rewards(town: Town) -> int:
    """How many rewards the log has."""
    return sum(leaf["kind"] == "reward" for leaf in town.installation.leaves())


def refused(work: Callable[[], object]) -> tuple[str, str | None]:
    """Code and reason of a refusal."""
    with pytest.raises(Refused) as refusal:
        work()
    return refusal.value.code, refusal.value.reason


def test_five_thousand_pupils_are_paid_exactly_once(town: Town) -> None:
    """Every pupil has the amount of their row, the budget what is left, each row its entry; the book audits clean."""
    town.activity(ACTIVITY, budget_minor=5_000_000)
    who = pupils(town, 5_000)
    amounts = [100 + place % 7 for place in range(len(who))]
    drop = create(town, listed([(one, f"{amount / 100:.2f}") for one, amount in zip(who, amounts, strict=True)]))
    assert (drop.accepted, drop.sum_minor, drop.budget_after_minor) == (5_000, sum(amounts), 5_000_000 - sum(amounts))
    done = finish(town, confirm(town, drop))
    assert (done.state, done.paid, done.refused, done.left_minor) == ("done", 5_000, 0, 0)
    assert done.paid_minor == sum(amounts)
    assert budget(town) == 5_000_000 - sum(amounts) == done.budget_minor
    assert balances(town, who) == amounts
    entries = [row.entry for row in rows_of(town, done)]
    assert len(set(entries)) == 5_000
    assert None not in entries
    assert town.installation.audit().findings == []


def test_the_preview_moves_nothing_and_judges_every_row(town: Town) -> None:
    """Each verdict, in the order of the judgement; a refused row takes nothing of the budget from those after it."""
    town.activity(ACTIVITY, budget_minor=11_000)
    one, two, three, four, five = pupils(town, 5)
    size = len(town.installation.leaves())
    drop = create(
        town,
        f"learner;amount;note\n{one};5;a\n{two};five;b\n{NOBODY};5;c\nSomchai;5;d\n{one};5;e\n{two};5;f\n"
        f"{three};100.01;g\n{three};5;h\n{four};100;i\n{five};99.99;j\n{five};5;k;l\n".encode(),
    )
    assert [(row.line, row.verdict) for row in rows_of(town, drop)] == [
        (2, "ok"),
        (3, "bad_amount"),
        (4, "unknown_learner"),
        (5, "unknown_learner"),
        (6, "duplicate"),
        (7, "duplicate"),  # its first row was no better, but which of the two is meant?
        (8, "over_cap"),
        (9, "duplicate"),
        (10, "ok"),
        (11, "over_budget"),
        (12, "bad_row"),
    ]
    assert (drop.rows, drop.accepted, drop.refused) == (11, 2, 9)
    assert (drop.sum_minor, drop.budget_after_minor) == (10_500, 500)
    assert len(town.installation.leaves()) == size
    assert balances(town, [one, four]) == [0, 0]


def test_the_log_says_who_attests_it_and_commits_to_the_list(town: Town) -> None:
    """A reward by the steward, assured by staff, without a policy; the commitment opens with the row and its salt."""
    view = town.activity(ACTIVITY)
    (pupil,) = pupils(town, 1)
    content = listed([(pupil, "7.50")])
    drop = finish(town, confirm(town, create(town, content)))
    leaf = town.installation.leaves()[-1]
    assert (leaf["kind"], leaf["actor"], leaf["rule"]) == ("reward", "steward", None)
    assert leaf["ref"] == {"activity": ACTIVITY, "place": view.place.id, "reason": "airdrop"}
    with town.installation.read() as session:
        salt = session.scalars(select(Airdrop.salt)).one()
    told = {"airdrop": drop.id, "file": hashlib.sha256(content).hexdigest(), "line": 2, "learner": pupil}
    opened = commitment(hmac.digest(salt, b"2", "sha256"), {**told, "activity": ACTIVITY})
    assert leaf["evidence"] == {"assurance": "staff", "commitment": opened}
    assert pupil not in str(leaf)


def test_an_end_between_two_chunks_loses_nothing_and_pays_nothing_twice(town: Town) -> None:
    """Whoever comes next, a new process here, goes on from the first unpaid row."""
    town.activity(ACTIVITY)
    who = pupils(town, airdrops.CHUNK * 2 + 50)
    drop = proceed(town, confirm(town, create(town, listed([(one, "1") for one in who]))))
    assert (drop.state, drop.paid, drop.waiting) == ("running", airdrops.CHUNK, airdrops.CHUNK + 50)
    again = Database(town.installation.database.url)
    with again.read() as session:
        assert airdrop_reports.running(session, CITY) == [drop.id]
        assert airdrop_reports.get(session, CITY, drop.id).paid == airdrops.CHUNK
    again.close()
    done = finish(town, drop)
    assert (done.state, done.paid, budget(town)) == ("done", len(who), 100_000 - 100 * len(who))
    assert set(balances(town, who)) == {100}
    with town.installation.read() as session:
        assert airdrop_reports.running(session, CITY) == []


def test_a_chunk_that_breaks_off_leaves_nothing_behind(town: Town) -> None:
    """The payments of a chunk and the marks on its rows stand together or not at all."""
    town.activity(ACTIVITY)
    who = pupils(town, 3)
    drop = confirm(town, create(town, listed([(one, "1") for one in who])))

    def break_off(unit: Unit) -> None:
        airdrops.proceed(unit, STEWARD, drop.id)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        town.run(break_off)
    assert balances(town, who) == [0, 0, 0]
    assert {row.verdict for row in rows_of(town, drop)} == {"ok"}
    assert finish(town, drop).paid == 3
    assert balances(town, who) == [100, 100, 100]


def test_two_who_drive_at_once_never_pay_twice(town: Town) -> None:
    """Eight callers at once, in the same batches and in different ones: one entry a row."""
    town.activity(ACTIVITY)
    who = pupils(town, 900)
    drop = confirm(town, create(town, listed([(one, "1") for one in who])))

    def drive(_: int) -> str:
        while True:
            outcome = town.installation.writer.submit(
                CITY, Command(lambda unit: airdrops.proceed(unit, STEWARD, drop.id))
            )
            assert outcome.value is not None
            if outcome.value.state != "running":
                return outcome.value.state

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(drive, range(8))) == {"done"}
    assert rewards(town) == 900
    assert set(balances(town, who)) == {100}
    assert budget(town) == 100_000 - 90_000


def test_confirming_names_the_sum_that_was_seen(town: Town) -> None:
    """Another sum is refused, the same again is harmless, and nothing is paid by confirming."""
    town.activity(ACTIVITY)
    drop = create(town, listed([(pupils(town, 1)[0], "5")]))
    assert refused(lambda: confirm(town, drop, 499)) == ("airdrop_conflict", "sum")
    assert refused(lambda: proceed(town, drop)) == ("airdrop_conflict", "draft")
    assert confirm(town, drop).state == confirm(town, drop).state == "running"
    assert rewards(town) == 0
    done = proceed(town, drop)
    assert (done.state, confirm(town, done).state, proceed(town, done).paid) == ("done", "done", 1)
    assert refused(lambda: confirm(town, drop, 501)) == ("airdrop_conflict", "sum")
    assert rewards(town) == 1


def test_a_budget_that_shrank_after_the_preview_is_refused_before_anything_is_paid(town: Town) -> None:
    """Funding it again is enough; the preview stays good."""
    town.activity(ACTIVITY, budget_minor=1_000)
    drop = create(town, listed([(pupils(town, 1)[0], "10")]))
    _take(town, 1)
    assert refused(lambda: confirm(town, drop)) == ("budget_exhausted", "airdrop")
    town.fund(ACTIVITY, 1)
    assert finish(town, confirm(town, drop)).paid == 1


def _take(town: Town, minor: int) -> None:
    town.run(lambda unit: transfers.post(unit, "transfer", f"budget:{ACTIVITY}", "treasury", minor, actor="treasurer"))


def test_what_changed_while_it_ran_refuses_the_row_and_not_the_rest(town: Town) -> None:
    """A learner who is gone and a row that the budget no longer covers get their verdicts; the others are paid."""
    town.activity(ACTIVITY, budget_minor=1_000)
    gone, paid, poor, small = pupils(town, 4)
    rows = [(gone, "1"), (paid, "4"), (poor, "3"), (small, "2")]
    drop = confirm(town, create(town, listed(rows)))
    _take(town, 400)
    town.run(lambda unit: unit.session.execute(update(Learner).where(Learner.id == gone).values(id="b" * 26)))
    done = proceed(town, drop)
    assert [row.verdict for row in rows_of(town, done)] == ["unknown_learner", "paid", "over_budget", "paid"]
    assert (done.state, done.paid, done.refused, done.paid_minor, done.budget_minor) == ("done", 2, 2, 600, 0)
    assert town.installation.audit().findings == []


def test_cancelling_stops_what_is_not_paid_yet(town: Town) -> None:
    """A draft ends without a trace in the book, a running one keeps what it paid, a finished one stays."""
    town.activity(ACTIVITY)
    who = pupils(town, airdrops.CHUNK + 1)
    content = listed([(one, "1") for one in who])
    draft = cancel(town, create(town, content))
    assert (draft.state, rewards(town)) == ("cancelled", 0)
    assert refused(lambda: confirm(town, draft)) == ("airdrop_conflict", "cancelled")
    drop = proceed(town, confirm(town, create(town, content)))
    ended = cancel(town, drop)
    assert Counter(row.verdict for row in rows_of(town, ended)) == {"paid": airdrops.CHUNK, "cancelled": 1}
    assert ended.counts == {"paid": airdrops.CHUNK, "cancelled": 1}
    assert (cancel(town, ended).state, proceed(town, ended).paid) == ("cancelled", airdrops.CHUNK)
    done = finish(town, confirm(town, create(town, listed([(who[0], "1")]))))
    assert refused(lambda: cancel(town, done)) == ("airdrop_conflict", "done")


def test_the_same_file_again_says_which_airdrop_was_the_first(town: Town) -> None:
    """A preview alone is no reason to warn; a confirmed one is."""
    town.activity(ACTIVITY)
    content = listed([(pupils(town, 1)[0], "1")])
    first = create(town, content)
    assert create(town, content).earlier is None
    finish(town, confirm(town, first))
    assert create(town, content).earlier == first.id
    assert create(town, content + b"\n").earlier is None


def test_what_cannot_be_an_airdrop_is_refused(town: Town) -> None:
    """No activity, an unpublished one, a file that cannot be read, nothing to pay, nobody's id, not a steward."""
    town.activity(ACTIVITY)
    town.activity("plan", state="draft")
    good = listed([(pupils(town, 1)[0], "1")])

    def bring(content: bytes, activity: str = ACTIVITY, who: Principal = STEWARD) -> AirdropView:
        return town.run(lambda unit: airdrops.create(unit, who, NewAirdrop(activity, content)))

    with pytest.raises(NotFound):
        bring(good, "nowhere")
    assert refused(lambda: bring(good, "plan")) == ("activity_closed", "draft")
    with pytest.raises(ValidationFailed) as unreadable:
        bring(b"learner\n" + NOBODY.encode())
    assert list(unreadable.value.fields) == ["csv"]
    assert refused(lambda: confirm(town, bring(listed([(NOBODY, "1")])))) == ("airdrop_conflict", "empty")
    with pytest.raises(NotFound):
        town.run(lambda unit: airdrops.proceed(unit, STEWARD, "nobodys"))
    for role in ("learner", "treasurer", "auditor"):
        with pytest.raises(Forbidden):
            bring(good, who=Principal(CITY, frozenset({role}), None, "token"))


def test_a_city_that_pays_nothing_on_its_staff_s_word_refuses_every_row(town: Town) -> None:
    """Without a cap for `staff` there is no airdrop; the cap itself may be given."""
    town.activity(ACTIVITY, budget_minor=50_000)
    one, two = pupils(town, 2)
    drop = create(town, listed([(one, "100"), (two, "100.01")]))
    assert [row.verdict for row in rows_of(town, drop)] == ["ok", "over_cap"]


def test_the_database_itself_refuses_a_row_paid_twice(town: Town) -> None:
    """An entry pays one row, and a row is paid exactly where it has an entry."""
    town.activity(ACTIVITY)
    who = pupils(town, 2)
    drop = finish(town, confirm(town, create(town, listed([(one, "1") for one in who]))))
    entry = rows_of(town, drop)[0].entry
    for change in ({"entry": entry}, {"verdict": "ok"}, {"entry": None}):
        with pytest.raises(Exception, match="airdrop_rows"):
            town.run(lambda unit: unit.session.execute(update(AirdropRow).where(AirdropRow.line == 3).values(**change)))
