"""The weeks before the tour: people learn and spend, so that the charts of the day have something to show.

Everything goes through the domain functions, with a clock of its own, as in `kgo simulate`; but here with the spaces,
activities and shops of Khon Kaen's city file, so that the pages bear the names that a visitor would see. One seed, one
story; identifiers and handles are fresh every time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from ledger.book import cities, transfers
from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.commerce import redemptions, shops
from ledger.commerce.shops import NewShop
from ledger.errors import LedgerError
from ledger.people import learners
from ledger.people.roles import LEARNER, SHOP, Principal
from ledger.programme import activities, checkins, codes, posters
from ledger.programme.activities import CODE, NewActivity
from ledger.programme.checkins import CheckIn
from ledger.programme.policy import Policy
from ledger.programme.views import budget_of
from tests.browser.site import CITY
from tests.tour.town import DAY, ZONE, Town, at

SYSTEM = Principal.system(CITY)
MUSEUM, WEAVING, PHOTOGRAPHS = "living-museum", "mudmee-weaving", "city-in-photographs"
WALK, CIRCLE, ONLINE, DIALOGUE, FESTIVAL = (
    "sample-street-walk",
    "sample-sharing-circle",
    "local-study",
    "dialogue",
    "isan-creative-festival",
)
BUDGET_MINOR = 2_000_000
HOURS = (9, 11, 13, 15, 17, 19)
SPEND_SHARE = 0.45
CONFIRM_SHARE = 0.94
SEED = 2569

MEETINGS = {MUSEUM: (5, 9, 16), DIALOGUE: (2, 17, 20)}
"""Activities that meet every week: the weekday, from and until which hour."""

OFFERS = {
    "sample-sticky-rice": ("sample-som-tam", 300, 6),
    "sample-coffee-discount": ("sample-book-coffee", 500, 7),
    "sample-vegetable-bunch": ("sample-garden-vegetables", 500, 2),
    "sample-sausage-discount": ("sample-ban-phai-sausage", 800, 2),
    "sample-chicken-discount": ("sample-grilled-chicken", 1_000, 3),
    "sample-silk-keyring": ("sample-mudmee-silk", 2_000, 1),
}
"""Promotions of the city file: the shop, the price in minor units, and how often somebody chooses them."""


@dataclass
class Story:
    """What the play knows: who there is, what they have, and the dice."""

    town: Town
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311 - a story, not a secret
    purses: dict[str, int] = field(default_factory=dict)

    def run(self, commands: Sequence[Command[Any]], now: datetime) -> list[Any]:
        """The values of one batch at a time of its own; None for each command that was refused."""
        outcomes = self.town.installation.writer.execute(CITY, list(commands), now=now.astimezone(UTC))
        return [None if isinstance(one, LedgerError) else one.value for one in outcomes]

    def hour(self, now: datetime, acts: int) -> None:
        """Some learn and some reserve; a few minutes later the shops answer."""
        commands: list[Command[Any]] = []
        made: list[tuple[str, str]] = []
        for _ in range(acts):
            learner = self.dice.choice(list(self.purses))
            offer = self.dice.choices(list(OFFERS), [weight for _, _, weight in OFFERS.values()])[0]
            shop, price, _ = OFFERS[offer]
            if self.dice.random() < SPEND_SHARE and self.purses[learner] >= price:
                self.purses[learner] -= price
                commands.append(_reservation(learner, offer))
                made.append((learner, shop))
            else:
                commands.append(_check_in(self, learner, _somewhere(self, now), now))
                made.append((learner, ""))
        answers: list[Command[Any]] = []
        for (learner, shop), value in zip(made, self.run(commands, now), strict=True):
            if value is None:
                continue
            if not shop:
                self.purses[learner] = value.balance.available_minor
            elif self.dice.random() < CONFIRM_SHARE:
                answers.append(_confirmation(shop, value.id))
        self.run(answers, now + timedelta(minutes=4))


def play(town: Town, weeks: int, people: int) -> Story:
    """Let so many weeks pass before the day of the tour, with so many learners; the story can go on from there."""
    story, first = Story(town), DAY - timedelta(weeks=weeks)
    story.run([Command(lambda unit: _prepare(unit, weeks))], datetime.combine(first, time(7), ZONE))
    days = weeks * 7
    for number in range(days):
        joined = round(people * (0.3 + 0.7 * (number + 1) / days))
        day = first + timedelta(days=number)
        _join(story, joined, datetime.combine(day, time(8), ZONE))
        busy = (0.5 + 0.5 * number / days) * (1.6 if day.weekday() >= 5 else 1.0)
        for hour in HOURS:
            story.hour(datetime.combine(day, time(hour, 5), ZONE), round(people / 45 * busy))
    return story


def arrive(town: Town, activity: str, people: int, when: datetime) -> None:
    """Some newcomers check in at an activity, two minutes apart."""
    story = Story(town)
    _join(story, people, when)
    for number, learner in enumerate(story.purses):
        moment = when + timedelta(minutes=2 * number)
        story.run([_check_in(story, learner, activity, moment)], moment)


def apply(town: Town) -> None:
    """A shop asks to be admitted."""
    new = NewShop(
        id="khanom-chin-pa-kaeo",
        name_th="ขนมจีนป้าแก้ว",
        name_en="Aunt Kaeo's rice noodles",
        about_th="ขนมจีนน้ำยา ใกล้ศาลเจ้าพ่อหลักเมือง",
        about_en="Rice noodles with fish curry, near the city pillar shrine",
        district="mueang-khon-kaen",
        category="food",
    )
    town.run(lambda unit: shops.apply(unit, SYSTEM, new))


def _prepare(unit: Unit, weeks: int) -> None:
    """Budgets and meetings of the activities; the weaving that hands out slips."""
    weaving = NewActivity(
        id=WEAVING,
        place="hug-mall",
        name_th="ทอผ้าไหมมัดหมี่",
        name_en="Weaving mudmee silk",
        about_th="ลงมือมัดย้อมและทอกับครูช่างจากชนบท",
        about_en="Tie, dye and weave with a master weaver from Chonnabot",
        mode=CODE,
        policy=Policy(amount_minor=1_500, max_per_day=1),
    )
    activities.create(unit, SYSTEM, weaving)
    for activity in (MUSEUM, DIALOGUE, ONLINE, WEAVING):
        budget = budget_of(activity)
        transfers.post(unit, "fund", "treasury", budget, BUDGET_MINOR, actor="treasurer", ref={"activity": activity})
    for week in range(-weeks, 2):
        for activity, (weekday, begin, end) in MEETINGS.items():
            days = 7 * week + weekday - DAY.weekday()
            _meet(unit, activity, at(f"{begin:02d}:00", days), at(f"{end:02d}:00", days), 60)
    _meet(unit, ONLINE, at("00:00", -7 * weeks), at("00:00", 40))
    _meet(unit, WEAVING, at("13:00"), at("16:00"), 24)
    _meet(unit, FESTIVAL, at("10:00", 7), at("20:00", 8))


def _meet(unit: Unit, activity: str, begin: datetime, end: datetime, seats: int | None = None) -> None:
    activities.add_session(unit, SYSTEM, activity, begin.astimezone(UTC), end.astimezone(UTC), seats)


def _join(story: Story, wanted: int, now: datetime) -> None:
    """Newcomers until there are so many people; they keep their recovery codes."""

    def join(unit: Unit) -> str:
        learner = learners.join(unit).learner
        unit.session.flush()
        learners.secure(unit, learner)
        return learner

    for learner in story.run([Command(join)] * (wanted - len(story.purses)), now):
        story.purses[learner] = 0


def _somewhere(story: Story, now: datetime) -> str:
    """What somebody goes to at this hour: a meeting if there is one, else what is open every day."""
    for activity, (weekday, begin, end) in MEETINGS.items():
        if now.weekday() == weekday and begin <= now.hour < end and story.dice.random() < 0.5:
            return activity
    return story.dice.choices([WALK, CIRCLE, ONLINE], [5, 3, 2])[0]


def _check_in(story: Story, learner: str, activity: str, now: datetime) -> Command[Any]:
    installation = story.town.installation
    with installation.database.read() as session:
        city, row = cities.get(session, CITY), activities.row(session, CITY, activity)
        rotating = now if row.mode == activities.KIOSK else None
        code = codes.issue(posters.issuer_of(city, installation.keys.get(city), row), "", rotating)
    return checkins.command(Principal(CITY, frozenset({LEARNER}), learner), CheckIn(code.text))


def _reservation(learner: str, offer: str) -> Command[Any]:
    principal = Principal(CITY, frozenset({LEARNER}), learner)
    return Command(lambda unit: redemptions.reserve(unit, principal, offer))


def _confirmation(shop: str, redemption: str) -> Command[Any]:
    principal = Principal(CITY, frozenset({SHOP}), shop)
    return Command(lambda unit: redemptions.confirm(unit, principal, redemption))
