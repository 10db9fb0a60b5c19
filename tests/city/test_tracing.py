"""Where purchases came from, and the groups that they are told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ledger.city.tracing import UNTRACED, WAIT, Event, Group, Spent, Way, groups, told, trace
from ledger.city.withholding import FEWEST

AT = datetime(2026, 3, 2, tzinfo=UTC)

EVENTS = st.lists(st.tuples(st.integers(1, 500), st.sampled_from(["a", "b", "c", None])), max_size=12)


@given(EVENTS)
def test_every_token_spent_came_from_somewhere(story: list[tuple[int, str | None]]) -> None:
    """The parts of a purchase add up to it, none is more than was earned, and what is untraced is what was lacking."""
    events = [
        Event("me", AT + timedelta(hours=hour), minor, activity, None if activity else "cafe")
        for hour, (minor, activity) in enumerate(story)
    ]
    parts = list(trace(events))
    for event in events:
        if event.shop:
            assert sum(part.minor for part in parts if part.purchase is event) == event.minor
    for name in "abc":
        earned = sum(event.minor for event in events if event.activity == name)
        assert sum(part.minor for part in parts if part.activity == name) <= earned
    held = lacking = 0
    for event in events:
        held += -event.minor if event.shop else event.minor
        if held < 0:
            lacking, held = lacking - held, 0
    assert sum(part.minor for part in parts if part.activity == UNTRACED) == lacking


def test_what_was_earned_first_is_spent_first() -> None:
    """A purchase takes the older reward whole before it touches the newer one."""
    story = [
        Event("me", AT, 200, "old", None),
        Event("me", AT, 500, "new", None),
        Event("me", AT, 300, None, "cafe"),
    ]
    assert [(part.activity, part.minor) for part in trace(story)] == [("old", 200), ("new", 100)]


SHOPS = {"cafe": "mueang", "stall": "mueang", "mill": "phon"}
ACTIVITIES = {"walk": "mueang", "loom": "mueang", "circle": "phon"}
COARSER = (
    lambda way: (way[0], SHOPS[way[1]]),
    lambda way: (ACTIVITIES[way[0]], way[1]),
)
STORIES = st.lists(
    st.tuples(
        st.sampled_from(list(ACTIVITIES)),
        st.sampled_from(list(SHOPS)),
        st.builds(
            lambda hour, person, minor: Spent(AT + timedelta(hours=hour), person, minor),
            st.integers(0, 1500),
            st.integers(1, 9),
            st.integers(1, 500),
        ),
    ),
    max_size=60,
    unique_by=lambda one: one[2],
)


def _told(story: list[tuple[str, str, Spent]], now: datetime) -> list[dict[Way, list[Group]]]:
    ways: dict[Way, list[Spent]] = {}
    for activity, shop, part in story:
        if part.at <= now:
            ways.setdefault((activity, shop), []).append(part)
    return told(ways, COARSER, now)


@given(STORIES, st.integers(0, 3000), st.integers(0, 3000))
def test_whatever_is_told_differs_by_whole_groups(
    story: list[tuple[str, str, Spent]], earlier: int, later: int
) -> None:
    """What one knew earlier is the beginning of what one knows now; each part is in one group, each group of enough."""
    then, now = (_told(story, AT + timedelta(hours=hour)) for hour in sorted((earlier, later)))
    for before, after in zip(then, now, strict=True):
        for way, known in before.items():
            assert after[way][: len(known)] == known
    all_groups = [group for step in now for found in step.values() for group in found]
    for group in all_groups:
        assert len({part.person for part in group.parts}) >= FEWEST
        assert group.at >= max(part.at for part in group.parts)
    parts = [part for group in all_groups for part in group.parts]
    assert len(parts) == len(set(parts))
    assert set(parts) <= {part for _, _, part in story}


@given(STORIES)
def test_only_few_people_of_two_districts_wait_for_ever(story: list[tuple[str, str, Spent]]) -> None:
    """Long afterwards, what is in no group is less than a group between any two districts."""
    now = AT + timedelta(days=1000)
    in_groups = {
        part for step in _told(story, now) for found in step.values() for group in found for part in group.parts
    }
    for source in set(ACTIVITIES.values()):
        for target in set(SHOPS.values()):
            left = {
                part.person
                for activity, shop, part in story
                if (ACTIVITIES[activity], SHOPS[shop]) == (source, target) and part not in in_groups
            }
            assert len(left) < FEWEST


def test_parts_wait_for_others_and_are_passed_on_together() -> None:
    """Four who wait in vain go on together; the fifth who comes then begins anew, one in time completes."""
    four = [Group(AT + timedelta(days=day), (Spent(AT + timedelta(days=day), day, 100),)) for day in range(4)]
    since = [part for group in four for part in group.parts]
    late = Spent(AT + WAIT, 9, 100)
    assert groups([*four, Group(late.at, (late,))], WAIT, AT + WAIT) == ([], [Group(AT + WAIT, tuple(since))])
    timely = Spent(AT + WAIT - timedelta(seconds=1), 9, 100)
    whole = Group(timely.at, (*since, timely))
    assert groups([*four, Group(timely.at, (timely,))], WAIT, AT + WAIT) == ([whole], [])
    assert groups(four, WAIT, AT + WAIT - timedelta(seconds=1)) == ([], [])
    assert groups([*four, Group(late.at, (late,))], None, AT + WAIT)[0] == [Group(late.at, (*since, late))]
