"""Activities: creating, changing, closing; sessions; what people see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.errors import Forbidden, NotFound, ValidationFailed
from ledger.people.roles import Principal
from ledger.programme import activities, policy
from ledger.programme.activities import ActivityChange
from ledger.programme.policy import Policy
from ledger.programme.views import ActivityView
from tests.factories import CITY, START
from tests.programme.town import STEWARD, Town


def _listed(town: Town, *, everything: bool = False) -> list[ActivityView]:
    with town.installation.read() as session:
        return activities.list_(session, CITY, town.clock.now, everything=everything)


def test_creating_publishes_the_policy(town: Town) -> None:
    """The log gets the policy and the hash that rewards will name; the budget account stands, empty."""
    town.activity(budget_minor=0, max_per_day=1)
    leaf = town.installation.leaves()[-1]
    expected = Policy(500, max_per_day=1)
    assert (leaf["kind"], leaf["actor"], leaf["postings"]) == ("policy", "steward", [])
    assert leaf["ref"] == {"activity": "library", "policy": expected.to_json()}
    assert leaf["rule"] == policy.rule_hash(expected)
    assert town.installation.balance("budget:library").posted_minor == 0


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name_th": ""}, "name_th"),
        ({"id": "A"}, "id"),
        ({"id": "taken"}, "id"),
        ({"place": "nowhere"}, "place"),
        ({"mode": "drone"}, "mode"),
        ({"state": "open"}, "state"),
        ({"amount_minor": 1_001}, "amount_minor"),
        ({"about_th": "x" * 2_001}, "about_th"),
        ({"daily_from": "9"}, "daily_from"),
        ({"daily_until": None}, "daily_until"),
        ({"code_once": True}, "code_once"),
    ],
)
def test_an_activity_that_cannot_be(town: Town, fields: dict[str, Any], wrong: str) -> None:
    """Each fault names its field, and leaves neither activity nor entry behind."""
    town.activity("taken")
    size = len(town.installation.leaves())
    with pytest.raises(ValidationFailed) as refusal:
        town.activity("new", **fields)
    assert set(refusal.value.fields) == {wrong}
    assert len(town.installation.leaves()) == size
    assert [view.id for view in _listed(town, everything=True)] == ["taken"]


def test_changing_keeps_what_is_not_named(town: Town) -> None:
    """A change of words appends nothing; a change of the policy appends one entry, and only if it differs."""
    town.activity()
    size = len(town.installation.leaves())
    view = town.change("library", name_en=" Reading room ", about_en="Books")
    assert (view.name_en, view.about_en, view.name_th) == ("Reading room", "Books", "กิจกรรม library")
    town.change("library", policy=Policy(500))
    assert len(town.installation.leaves()) == size
    view = town.change("library", policy=Policy(700, max_per_person=3))
    assert (view.amount_minor, view.policy.max_per_person) == (700, 3)
    assert len(town.installation.leaves()) == size + 1
    assert town.installation.leaves()[-1]["rule"] == policy.rule_hash(Policy(700, max_per_person=3))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name_en": " "}, "name_en"),
        ({"place": "nowhere"}, "place"),
        ({"policy": Policy(5_000)}, "amount_minor"),
        ({"daily_from": "25:00"}, "daily_from"),
        ({"daily_from": ""}, "daily_from"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(town: Town, fields: dict[str, Any], wrong: str) -> None:
    """What was there stays, in this batch and after it."""
    before = town.activity(budget_minor=0)
    with pytest.raises(ValidationFailed) as refusal:
        town.change("library", about_en="changed too", **fields)
    assert set(refusal.value.fields) == {wrong}
    assert town.view() == before


def test_a_refused_change_never_reaches_its_neighbours(town: Town) -> None:
    """In one batch, the command after a refused change sees the activity as it was."""
    town.activity()

    def bad(unit: Unit) -> ActivityView:
        return activities.change(unit, STEWARD, "library", ActivityChange(about_en="bad", policy=Policy(5_000)))

    def good(unit: Unit) -> ActivityView:
        return activities.change(unit, STEWARD, "library", ActivityChange(about_th="ดี"))

    refused, changed = town.installation.writer.execute(CITY, [Command(bad), Command(good)])
    assert isinstance(refused, ValidationFailed)
    assert not isinstance(changed, Exception)
    view = town.view()
    assert (view.about_en, view.about_th, view.amount_minor) == ("", "ดี", 500)


def test_a_poster_turns_to_a_kiosk_within_the_cap(town: Town) -> None:
    """A kiosk may pay more than a poster, and can only turn back when its policy fits the poster's cap."""
    town.activity(mode="kiosk", amount_minor=5_000)
    with pytest.raises(ValidationFailed):
        town.change("library", mode="poster")
    assert town.change("library", mode="poster", policy=Policy(1_000)).mode == "poster"


def test_closing_and_what_is_listed(town: Town) -> None:
    """Drafts and closed activities are seen by stewards alone, and are not open."""
    town.activity("draft", state="draft")
    town.activity("over")
    town.activity("on")
    closed = town.run(lambda unit: activities.close(unit, STEWARD, "over"))
    assert (closed.state, closed.is_open) == ("closed", False)
    assert [view.id for view in _listed(town)] == ["on"]
    assert {view.id: view.is_open for view in _listed(town, everything=True)} == {
        "on": True,
        "draft": False,
        "over": False,
    }


def test_open_and_funded_ones_come_first(town: Town) -> None:
    """Then open ones without a budget, then those that open soonest, then those without a time."""
    town.activity("later", daily_from="15:00", daily_until="16:00")
    town.activity("sooner", daily_from="12:00", daily_until="16:00")
    town.activity("some-day", daily_from=None, daily_until=None)
    town.activity("poor", budget_minor=0)
    town.activity("open")
    views = _listed(town)
    assert [view.id for view in views] == ["open", "poor", "sooner", "later", "some-day"]
    assert [view.is_open for view in views] == [True, True, False, False, False]
    assert [view.is_funded for view in views[:2]] == [True, False]
    assert views[0].budget_minor == 100_000
    assert views[2].next_opens_at == START + timedelta(hours=2)
    assert views[4].next_opens_at is None


def test_a_view_shows_place_session_and_reward(town: Town) -> None:
    """The open session has its end; the reward is what the city's cap leaves of it."""
    view = town.activity(mode="kiosk", amount_minor=900, daily_from="09:00", daily_until="17:00")
    assert (view.place.name_en, view.amount_minor) == ("Art house", 900)
    assert view.window is not None
    assert (view.window.session, view.window.ends_at) == ("2026-03-02", START + timedelta(hours=7))
    town.clock.advance(hours=7)
    view = town.view()
    assert view.window is None
    assert view.next_opens_at == START + timedelta(hours=23)


def test_listing_costs_the_same_for_many(town: Town) -> None:
    """However many activities there are, the list takes the same number of queries."""

    def queries() -> int:
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        engine = town.installation.database.engine
        event.listen(engine, "before_cursor_execute", note)
        _listed(town)
        event.remove(engine, "before_cursor_execute", note)
        return sum(statement.lstrip().startswith("SELECT") for statement in statements)

    town.activity("first")
    few = queries()
    for number in range(5):
        town.activity(f"more-{number}", budget_minor=0)
    assert queries() == few <= 6


def test_sessions_make_it_open(town: Town) -> None:
    """An activity without hours is open in its sessions; those to come are listed, those over are not."""
    town.activity(daily_from=None, daily_until=None)
    assert not town.view().is_open
    now, later = town.meet("library", 0, 1, seats=5), town.meet("library", 1)
    view = town.view()
    assert view.window is not None
    assert (view.window.session, view.window.seats) == (now, 5)
    assert [window.session for window in view.sessions] == [now, later]
    assert view.next_opens_at == START + timedelta(hours=1)
    town.clock.advance(hours=1)
    assert [window.session for window in town.view().sessions] == [later]


def test_a_session_that_cannot_be(town: Town) -> None:
    """Times in order, none that overlap, seats to sit on, and no daily hours beside them."""
    town.activity(daily_from=None, daily_until=None)
    town.activity("daily")
    town.meet("library", 1, 2)
    for starts, length, seats, field in ((5, 0, None, "ends_at"), (2, 3, None, "starts_at"), (9, 1, 0, "seats")):
        with pytest.raises(ValidationFailed) as refusal:
            town.meet("library", starts, length, seats)
        assert set(refusal.value.fields) == {field}
    with pytest.raises(ValidationFailed):
        town.meet("daily", 1)
    with pytest.raises(ValidationFailed):
        town.change("library", daily_from="09:00", daily_until="17:00")
    with pytest.raises(NotFound):
        town.meet("nothing", 1)
    town.meet("library", 3, 1)
    town.clock.advance(hours=4)
    assert town.change("library", daily_from="09:00", daily_until="17:00").is_open


def test_hours_can_be_taken_away(town: Town) -> None:
    """Empty hours leave an activity that waits for a time, and may have sessions."""
    town.activity()
    assert not town.change("library", daily_from="", daily_until="").is_open
    town.meet("library", 0)
    assert town.view().is_open


def test_ending_a_session(town: Town) -> None:
    """A coming one goes, a running one ends now, one that is over is refused."""
    town.activity(daily_from=None, daily_until=None)
    running, coming = town.meet("library", 0), town.meet("library", 2)
    town.clock.advance(minutes=10)
    for session_id in (running, coming):
        town.end("library", session_id)
    view = town.view()
    assert (view.is_open, view.sessions) == (False, ())
    with pytest.raises(ValidationFailed):
        town.end("library", running)
    with pytest.raises(NotFound):
        town.end("library", coming)


def test_only_stewards_write(town: Town) -> None:
    """A treasurer funds activities and does not change them."""
    town.activity()
    treasurer = Principal(CITY, frozenset({"treasurer"}))
    with pytest.raises(Forbidden):
        town.run(lambda unit: activities.close(unit, treasurer, "library"))
    with pytest.raises(Forbidden):
        town.run(lambda unit: activities.renew_code(unit, treasurer, "library"))
    with pytest.raises(NotFound):
        town.change("nothing", name_en="x")


def test_a_draft_is_there_for_stewards_alone(town: Town) -> None:
    """Nobody else learns that it exists, although they know its id; once published it is there for all."""
    town.activity("plan", state="draft")

    def shown(who: Principal) -> str:
        with town.installation.read() as session:
            return activities.shown(session, CITY, "plan", town.clock.now, who).id

    assert shown(STEWARD) == "plan"
    for who in (town.learner(), Principal.anonymous(CITY)):
        with pytest.raises(NotFound):
            shown(who)
    town.change("plan", state="published")
    assert shown(Principal.anonymous(CITY)) == "plan"
