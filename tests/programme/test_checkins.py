"""Check-ins: the reward, and every reason why there is none."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ledger.errors import Forbidden, NotFound, Refused, Unauthenticated
from ledger.people import learners
from ledger.people.roles import Principal
from ledger.programme import attendance, checkins, policy
from ledger.programme.attendance import Evidence
from ledger.programme.codes import ALPHABET
from ledger.programme.policy import Policy
from tests.factories import CITY, START, add_city
from tests.programme.town import STEWARD, Town


def _why(refusal: Refused) -> tuple[str, str | None]:
    return refusal.code, refusal.reason


def _stored(town: Town) -> list[dict[str, object]]:
    with town.installation.read() as session:
        return [dict(row) for row in session.execute(text("SELECT * FROM check_ins ORDER BY entry")).mappings()]


def test_a_check_in_rewards(town: Town) -> None:
    """The learner has the points, the budget has them no more, and the answer says so."""
    town.activity(max_per_day=1)
    who = town.learner()
    recorded = town.check_in(who, town.code().url)
    assert (recorded.amount_minor, recorded.balance.available_minor) == (500, 500)
    assert (recorded.activity, recorded.session, recorded.at) == ("library", "2026-03-02", START)
    assert town.installation.balance(f"learner:{who.subject}").posted_minor == 500
    assert town.view().budget_minor == 99_500
    assert recorded.entry == len(town.installation.leaves()) - 1


def test_the_leaf_says_what_for_and_nothing_of_whom(town: Town) -> None:
    """Activity, session, place, policy and assurance stand in the log; the learner's id does not."""
    town.activity(max_per_day=1)
    who = town.learner()
    town.check_in(who, town.code().text)
    leaf = town.installation.leaves()[-1]
    assert (leaf["kind"], leaf["actor"]) == ("reward", "learner")
    assert leaf["ref"] == {"activity": "library", "session": "2026-03-02", "place": "art-house"}
    assert leaf["rule"] == policy.rule_hash(Policy(500, max_per_day=1))
    assert leaf["postings"][0]["from"] == "budget:library"
    assert leaf["evidence"]["assurance"] == "poster"
    assert str(who.subject) not in json.dumps(leaf)


def test_the_evidence_opens_the_commitment(town: Town) -> None:
    """What is kept of the check-in hashes to what the log committed to; changed, it does not."""
    town.activity(mode="kiosk")
    who = town.learner()
    town.check_in(who, town.code().text)
    (row,) = _stored(town)
    with town.installation.read() as session:
        kept = session.get_one(Evidence, (CITY, row["entry"]))
    evidence, salt = json.loads(kept.evidence), kept.salt
    assert evidence["learner"] == who.subject
    published = town.installation.leaves()[-1]["evidence"]
    assert published == {"assurance": "kiosk", "commitment": checkins.commitment(salt, evidence)}
    assert checkins.commitment(salt, {**evidence, "learner": "somebody else"}) != published["commitment"]


def test_a_second_try_names_the_first(town: Town) -> None:
    """Again in the same session: already checked in, with entry, amount and time; tomorrow it is another session."""
    town.activity()
    who = town.learner()
    first = town.check_in(who, town.code().text)
    town.clock.advance(hours=1)
    refusal = town.refusal(who, town.code().text)
    assert _why(refusal) == ("already_checked_in", None)
    assert refusal.params == {"activity": "library", "entry": first.entry, "amount_minor": 500, "at": START}
    town.clock.advance(days=1)
    assert town.check_in(who, town.code().text).session == "2026-03-03"
    assert town.check_in(town.learner(), town.code().text).amount_minor == 500


def test_a_rescan_after_expiry_is_answered_kindly(town: Town) -> None:
    """Whoever has checked in and scans the old code again learns that; whoever has not, that it has expired."""
    town.activity(mode="kiosk")
    code, who = town.code().text, town.learner()
    town.check_in(who, code)
    town.clock.advance(minutes=10)
    assert _why(town.refusal(who, code)) == ("already_checked_in", None)
    assert _why(town.refusal(town.learner(), code)) == ("code_expired", None)


def test_codes_that_are_none(town: Town) -> None:
    """Unreadable, of another city, of no city, of no activity, forged: each has its own answer."""
    town.activity()
    add_city(town.installation.database, town.installation.keys, "yala", code_prefix="yl")
    who, code = town.learner(), town.code().text
    last = ALPHABET[(ALPHABET.index(code[-1]) + 1) % 32]
    tag = "aaaa" if code[2:6] != "aaaa" else "bbbb"
    for wrong, reason in (
        ("hello", "unknown"),
        ("yl" + code[2:], "wrong_city"),
        ("zz" + code[2:], "unknown"),
        (code[:2] + tag + code[6:], "unknown"),
        (code[:-1] + last, "forged"),
    ):
        assert _why(town.refusal(who, wrong)) == ("code_invalid", reason)
    town.check_in(who, code)


def test_drafts_and_closed_activities_take_nobody(town: Town) -> None:
    """A draft is not open yet, a closed one is over; published again it rewards."""
    town.activity(state="draft")
    who, code = town.learner(), town.code().text
    for state, reason in (("draft", "draft"), ("closed", "over")):
        town.change("library", state=state)
        assert _why(town.refusal(who, code)) == ("activity_closed", reason)
    town.change("library", state="published")
    town.check_in(who, code)


def test_daily_hours_bound_the_check_ins(town: Town) -> None:
    """Before and after the hours the answer says when it opens again; within them it rewards."""
    town.activity(daily_from="11:00", daily_until="12:00")
    who, code = town.learner(), town.code().text
    refusal = town.refusal(who, code)
    assert _why(refusal) == ("activity_closed", "outside_window")
    assert refusal.params["opens_at"] == START + timedelta(hours=1)
    town.clock.advance(hours=1)
    town.check_in(who, code)
    town.clock.advance(hours=1)
    refusal = town.refusal(town.learner(), code)
    assert refusal.params == {"opens_at": START + timedelta(days=1, hours=1), "closed_at": START + timedelta(hours=2)}


def test_sessions_bound_the_check_ins(town: Town) -> None:
    """Not open before the first, outside between two, over after the last; each session rewards once."""
    town.activity(daily_from=None, daily_until=None)
    who, code = town.learner(), town.code().text
    assert _why(town.refusal(who, code)) == ("activity_closed", "not_open_yet")
    first, second = town.meet("library", 1), town.meet("library", 3)
    assert town.refusal(who, code).params == {"opens_at": START + timedelta(hours=1)}
    town.clock.advance(hours=1)
    assert town.check_in(who, code).session == first
    town.clock.advance(hours=1)
    assert _why(town.refusal(who, code)) == ("activity_closed", "outside_window")
    town.clock.advance(hours=1)
    assert town.check_in(who, code).session == second
    town.clock.advance(hours=1)
    refusal = town.refusal(who, code)
    assert _why(refusal) == ("activity_closed", "over")
    assert refusal.params == {"closed_at": START + timedelta(hours=4)}


def test_a_turn_keeps_the_code_and_the_session(town: Town) -> None:
    """Whoever opened the code in time is rewarded minutes later, though code and session are over; once."""
    town.activity(mode="kiosk", daily_from=None, daily_until=None)
    session_id = town.meet("library", 0, 1 / 60)
    who, code = town.learner(), town.code().text
    town.clock.advance(seconds=40)
    turn = town.look(code).turn
    town.clock.advance(minutes=4)
    assert _why(town.refusal(who, code)) == ("code_expired", None)
    assert town.check_in(who, code, turn).session == session_id
    assert _why(town.refusal(who, code, turn)) == ("already_checked_in", None)
    assert _why(town.refusal(town.learner(), code, turn)) == ("code_used", None)


def test_a_turn_ends(town: Town) -> None:
    """After five minutes it is nothing any more, as is one that was tampered with."""
    town.activity(mode="kiosk")
    code = town.code().text
    turn = town.look(code).turn
    assert turn is not None
    town.clock.advance(minutes=2)
    assert _why(town.refusal(town.learner(), code, turn[:-1] + ("a" if turn[-1] != "a" else "b"))) == (
        "code_expired",
        None,
    )
    town.clock.advance(minutes=3, seconds=1)
    assert _why(town.refusal(town.learner(), code, turn)) == ("code_expired", None)


def test_a_code_that_serves_once(town: Town) -> None:
    """With code_once the first learner takes the code; the next needs the next one. Without, one code serves many."""
    town.activity("once", mode="kiosk", code_once=True)
    town.activity("many", mode="kiosk")
    once, many = town.code("once").text, town.code("many").text
    turn = town.look(once).turn
    first, second = town.learner(), town.learner()
    for who in (first, second):
        town.check_in(who, many)
    town.check_in(first, once)
    assert _why(town.refusal(second, once)) == ("code_used", None)
    assert _why(town.refusal(second, once, turn)) == ("code_used", None)
    town.clock.advance(seconds=1)
    town.check_in(second, town.code("once").text)


def test_seats_run_out(town: Town) -> None:
    """The last seat is taken once; the next session has seats again."""
    town.activity(daily_from=None, daily_until=None)
    town.meet("library", 0, 1, seats=2)
    town.meet("library", 1, 1, seats=2)
    code = town.code().text
    for left in (2, 1):
        assert (town.view().seats_left, town.view().is_full) == (left, False)
        town.check_in(town.learner(), code)
    assert (town.view().seats_left, town.view().is_full) == (0, True)
    late = town.learner()
    refusal = town.refusal(late, code)
    assert (*_why(refusal), refusal.params) == ("cap_reached", "seats", {"limit": 2})
    town.clock.advance(hours=1)
    town.check_in(late, code)


def test_caps_per_person_and_per_day(town: Town) -> None:
    """Twice a day and three times in all, by the city's day; another learner is not concerned."""
    town.activity(daily_from=None, daily_until=None, max_per_day=2, max_per_person=3)
    for hours in (0, 1, 2, 24, 25):
        town.meet("library", hours)
    who, code = town.learner(), town.code().text
    for _ in range(2):
        town.check_in(who, code)
        town.clock.advance(hours=1)
    assert _why(town.refusal(who, code)) == ("cap_reached", "day")
    town.clock.advance(hours=22)
    town.check_in(who, code)
    town.clock.advance(hours=1)
    assert _why(town.refusal(who, code)) == ("cap_reached", "person")
    town.check_in(town.learner(), code)


def test_the_day_of_a_cap_is_the_city_s(town: Town) -> None:
    """Midnight in Bangkok, not in Greenwich, begins the day that caps count by."""
    town.activity(daily_from=None, daily_until=None, max_per_day=1)
    town.meet("library", 13.5, 0.5)
    town.meet("library", 14, 0.5)
    who, code = town.learner(), town.code().text
    town.clock.advance(hours=13.9)
    town.check_in(who, code)
    town.clock.advance(hours=0.1)
    town.check_in(who, code)
    assert [row["day"] for row in _stored(town)] == ["2026-03-02", "2026-03-03"]


def test_the_city_limits_rewards_per_day(town: Town) -> None:
    """After twenty rewards anywhere the day is done; the next day begins anew."""
    names = [f"walk-{number}" for number in range(21)]
    for name in names:
        town.activity(name, amount_minor=100, budget_minor=1_000)
    who = town.learner()
    for name in names[:20]:
        town.check_in(who, town.code(name).text)
    refusal = town.refusal(who, town.code(names[20]).text)
    assert (*_why(refusal), refusal.params) == ("cap_reached", "city", {"limit": 20})
    town.check_in(town.learner(), town.code(names[20]).text)
    town.clock.advance(days=1)
    town.check_in(who, town.code(names[20]).text)


def test_an_unsecured_learner_earns_up_to_a_cap(town: Town) -> None:
    """100 KGO and not one minor unit more, over all activities; with the recovery code kept it goes on."""
    town.activity("big", mode="kiosk", amount_minor=4_800)
    town.activity("small", amount_minor=500)
    town.activity("tiny", amount_minor=400)
    who = town.learner(secured=False)
    for _ in range(2):
        town.check_in(who, town.code("big").text)
        town.clock.advance(days=1)
    refusal = town.refusal(who, town.code("small").text)
    assert (*_why(refusal), refusal.params) == ("cap_reached", "unsecured", {"limit_minor": 10_000})
    town.check_in(who, town.code("tiny").text)
    town.run(lambda unit: learners.secure(unit, who.subject or ""))
    town.check_in(who, town.code("small").text)


def test_an_empty_budget_rewards_nobody(town: Town) -> None:
    """The last reward empties the budget; the next is refused and leaves no check-in, and funding mends it."""
    town.activity(budget_minor=900)
    code, late = town.code().text, town.learner()
    town.check_in(town.learner(), code)
    assert _why(town.refusal(late, code)) == ("budget_exhausted", None)
    assert len(_stored(town)) == 1
    town.fund("library", 100)
    assert town.check_in(late, code).balance.posted_minor == 500
    assert town.view().budget_minor == 0


def test_a_changed_policy_prices_from_then_on(town: Town) -> None:
    """The entry names the policy that priced it."""
    town.activity()
    code = town.code().text
    town.change("library", policy=Policy(250))
    assert town.check_in(town.learner(), code).amount_minor == 250
    assert town.installation.leaves()[-1]["rule"] == policy.rule_hash(Policy(250))


def test_only_learners_check_in(town: Town) -> None:
    """Stewards and the anonymous do not; a learner whom the city does not know is not found."""
    town.activity()
    code = town.code().text
    with pytest.raises(Forbidden):
        town.check_in(STEWARD, code)
    with pytest.raises(Unauthenticated):
        town.check_in(Principal.anonymous(CITY), code)
    with pytest.raises(NotFound):
        town.check_in(Principal(CITY, frozenset({"learner"}), "a" * 26), code)
    town.check_in(town.learner(), code)


def test_counts_and_audit(town: Town) -> None:
    """The stewards' figures count what stands, and the books agree with the log."""
    town.activity()
    town.activity("museum")
    for name, count in (("library", 3), ("museum", 1)):
        for _ in range(count):
            town.check_in(town.learner(), town.code(name).text)
    with town.installation.read() as session:
        assert attendance.counts(session, CITY) == {"library": 3, "museum": 1}
    assert town.installation.audit().findings == []


@pytest.mark.parametrize("clash", ["session", "turn", "single_code", "entry", "amount_minor"])
def test_the_database_keeps_the_invariants_too(town: Town, clash: str) -> None:
    """A second row for a session, a turn, a single code or an entry, or one without an amount, cannot be stored."""
    town.activity(mode="kiosk", code_once=True)
    code = town.code().text
    town.check_in(town.learner(), code, town.look(code).turn)
    (stored,) = _stored(town)
    fresh = {"session": "another", "turn": "another", "single_code": 1, "entry": 10_000, "amount_minor": 1}
    clashing = {**fresh, clash: 0 if clash == "amount_minor" else stored[clash]}

    def insert(row: dict[str, object]) -> None:
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        with town.installation.database.write() as session:
            session.execute(text(f"INSERT INTO check_ins ({columns}) VALUES ({values})"), row)  # noqa: S608

    with pytest.raises(IntegrityError):
        insert({**stored, **clashing})
    insert({**stored, **fresh})


def test_the_last_arrivals_are_times_and_no_more(town: Town) -> None:
    """Newest first, so many as were asked for, of this activity and session alone."""
    town.activity()
    town.activity("museum")
    for _ in range(4):
        town.check_in(town.learner(), town.code().text)
        town.clock.advance(minutes=1)
    town.check_in(town.learner(), town.code("museum").text)
    with town.installation.read() as session:
        latest = attendance.latest_in_session(session, CITY, "library", "2026-03-02", 3)
        yesterday = attendance.latest_in_session(session, CITY, "library", "2026-03-01", 3)
    assert latest == [START + timedelta(minutes=minutes) for minutes in (3, 2, 1)]
    assert yesterday == []
