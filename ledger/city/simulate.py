"""A year in the life of a city, played through the same domain functions as the real one.

Seeded and repeatable: one seed, one story (who comes to what and when, what is earned, spent, cancelled, refunded).
Identifiers, handles and signatures are fresh every time, since no privacy may hang on a seed.

The clock of the story runs from `FIRST_DAY` on. Every other open hour makes two batches: people scan and reserve, and
a few minutes later the shops confirm. Now and then a reservation is called off or forgotten, a sale refunded, a
reward taken back. Only an empty log is played into.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ledger.book import entries, transfers
from ledger.book.commands import Command
from ledger.book.unit import Unit
from ledger.book.writer import Writer
from ledger.city.load import load
from ledger.city.specs import CityFile
from ledger.commerce import promotions, redemptions, shops
from ledger.commerce.promotions import NewPromotion
from ledger.commerce.shops import NewShop
from ledger.errors import LedgerError, Refused
from ledger.people import learners
from ledger.people.roles import LEARNER, SHOP, Principal
from ledger.programme import activities, checkins, codes, places, posters
from ledger.programme.activities import NewActivity
from ledger.programme.checkins import CheckIn
from ledger.programme.policy import Policy
from ledger.programme.views import budget_of

FIRST_DAY = date(2025, 1, 1)
BEGIN = datetime(2024, 12, 31, 17, tzinfo=UTC)
"""The first instant of the first day in Thailand."""

DAYS = 365
OPEN_HOURS = range(9, 21, 2)
GRANT_MINOR = 100_000_000
ACTIVITIES = 48
CONFIRM_AFTER = timedelta(minutes=4)
CHECK_IN_SHARE = 0.6
"""How much of what happens is check-ins; the rest are redemptions, of two or three entries each."""

CONFIRM_SHARE, CANCEL_SHARE = 0.92, 0.04
"""What becomes of a reservation; what is left over is forgotten and expires."""

REFUND_SHARE = 0.01
MONTHLY_TRADES = 20
SET_UP_BATCH = 100
TRIES = 8
SECURED_SHARE = 0.85

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scale:
    """How large a city, and at least how many entries its year leaves."""

    learners: int
    shops: int
    entries: int
    seed: int


@dataclass(frozen=True)
class Offer:
    """A promotion that can be reserved."""

    promotion: str
    shop: str
    price_minor: int


@dataclass
class _Story:
    """What the play knows while it runs. `purses` are balances in minor units, as the answers told them."""

    writer: Writer
    city: str
    scale: Scale
    dice: random.Random
    zone: ZoneInfo
    learners: list[str] = field(default_factory=list)
    purses: dict[str, int] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    done_today: set[tuple[str, str]] = field(default_factory=set)
    refunds: list[Command[Any]] = field(default_factory=list)
    last_reward: int | None = None
    refused: int = 0

    @property
    def size(self) -> int:
        """How many entries the log has by now."""
        with self.writer.database.read() as session:
            return entries.size(session, self.city)


def simulate(writer: Writer, file: CityFile, scale: Scale, *, progress: Progress | None = None) -> str:
    """Load a city and play its year; a line that says what came of it. The writer's clock must stand at `BEGIN`.

    Raises:
        Refused: `not_empty`: the city's log holds entries.
    """
    city = file.id
    _check_empty(writer, city)
    load(writer, file, samples=False)
    dice = random.Random(scale.seed)  # noqa: S311 - a story, not a secret
    story = _Story(writer, city, scale, dice, ZoneInfo(file.zone))
    _set_up(story)
    size = 0
    for number in range(DAYS):
        size = _play_day(story, number, scale.entries * (number + 1) // DAYS)
        if progress:
            progress(min(size, scale.entries), scale.entries)
    return f"{city}: {size:,} entries of {len(story.learners):,} learners and {scale.shops:,} shops"


def _check_empty(writer: Writer, city: str) -> None:
    with writer.database.read() as session:
        size = entries.size(session, city)
    if size:
        raise Refused("not_empty", city=city, entries=size, remedy="choose a new --data directory")


def _run(story: _Story, commands: list[Command[Any]], now: datetime) -> list[Any]:
    """The values of the commands of one batch; None for each that was refused."""
    if not commands:
        return []
    values: list[Any] = []
    for outcome in story.writer.execute(story.city, commands, now=now):
        if isinstance(outcome, LedgerError):
            story.refused += 1
            values.append(None)
        else:
            values.append(outcome.value)
    return values


def _set_up(story: _Story) -> None:
    """The grant, the activities with their budgets, the shops with their promotions."""
    dice, system = story.dice, Principal.system(story.city)
    now = _instant(story, FIRST_DAY, 7)
    grant = Command(lambda unit: transfers.post(unit, "grant", "issuance", "treasury", GRANT_MINOR, actor="treasurer"))
    _run(story, [grant], now)
    rewards = [dice.randrange(300, 1_000, 50) for _ in range(ACTIVITIES)]
    openings = [_activity_opening(system, number, reward) for number, reward in enumerate(rewards)]
    story.codes = [code for code in _run(story, openings, now) if code]
    names = [f"sim-shop-{number:03d}" for number in range(story.scale.shops)]
    for start in range(0, len(names), SET_UP_BATCH):
        shop_openings = []
        for name in names[start : start + SET_UP_BATCH]:
            prices = [dice.randrange(200, 3_000, 50) for _ in range(dice.choice((1, 1, 2, 3)))]
            shop_openings.append(_shop_opening(system, name, prices))
        for offers in _run(story, shop_openings, now):
            story.offers += offers or []


def _activity_opening(system: Principal, number: int, reward: int) -> Command[str]:
    """A daily poster activity at one of the city's places, funded; its code."""

    def open_(unit: Unit) -> str:
        spaces = places.list_(unit.session, unit.city.id)
        new = NewActivity(
            id=f"sim-activity-{number:02d}",
            place=spaces[number % len(spaces)].id,
            name_th=f"กิจกรรมจำลอง {number + 1}",
            name_en=f"Simulated activity {number + 1}",
            policy=Policy(amount_minor=reward, max_per_day=1),
            daily_from="08:00",
            daily_until="22:00",
        )
        activities.create(unit, system, new)
        budget = budget_of(f"sim-activity-{number:02d}")
        transfers.post(unit, "fund", "treasury", budget, GRANT_MINOR // (ACTIVITIES + 2), actor="treasurer")
        row = activities.row(unit.session, unit.city.id, f"sim-activity-{number:02d}")
        return codes.issue(posters.issuer_of(unit.city, unit.keys, row), "", None).text

    return Command(open_)


def _shop_opening(system: Principal, name: str, prices: list[int]) -> Command[list[Offer]]:
    """A shop that applies, is approved, and offers one promotion for each price."""

    def open_(unit: Unit) -> list[Offer]:
        shops.apply(unit, system, NewShop(id=name, name_th=f"ร้านจำลอง {name[-3:]}", name_en=f"Simulated {name}"))
        shops.approve(unit, system, name)
        offers = []
        for price in prices:
            words = f"ส่วนลด {price // 100} บาท"
            view = promotions.create(unit, system, NewPromotion(shop=name, title_th=words, price_minor=price))
            offers.append(Offer(view.id, name, price))
        return offers

    return Command(open_)


def _instant(story: _Story, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), story.zone).astimezone(UTC)


def _join_newcomers(story: _Story, number: int, now: datetime) -> None:
    """A third of the learners are there from the beginning; the rest come by and by."""
    share = min(1.0, 0.34 + 0.66 * (number + 1) / DAYS)
    wanted = round(story.scale.learners * share) - len(story.learners)
    secured = [story.dice.random() < SECURED_SHARE for _ in range(wanted)]
    for learner in _run(story, [_joining(one) for one in secured], now):
        story.learners.append(learner)
        story.purses[learner] = 0


def _joining(secured: bool) -> Command[str]:
    def join(unit: Unit) -> str:
        learner = learners.join(unit).learner
        if secured:
            unit.session.flush()
            learners.secure(unit, learner)
        return learner

    return Command(join)


def _play_day(story: _Story, number: int, goal: int) -> int:
    """One day, in which the log grows to about `goal` entries; its size afterwards."""
    day = FIRST_DAY + timedelta(days=number)
    story.done_today.clear()
    _join_newcomers(story, number, _instant(story, day, 8))
    size = story.size
    for turn, hour in enumerate(OPEN_HOURS):
        share = (goal - size) // (len(OPEN_HOURS) - turn)
        if share > 0 or story.refunds:
            _play_hour(story, _instant(story, day, hour), share)
            size = story.size
    if day.day == 1:
        _settle_month(story, _instant(story, day, OPEN_HOURS.stop))
    return story.size


def _play_hour(story: _Story, now: datetime, wanted: int) -> None:
    """Scans and reservations, and a few minutes later the shops' answers; about `wanted` entries."""
    dice = story.dice
    commands: list[Command[Any]] = []
    makers: list[tuple[str, Offer | None]] = []
    entries_left = wanted
    while entries_left > 0:
        learner = dice.choice(story.learners)
        offer = None if dice.random() < CHECK_IN_SHARE else _affordable(story, learner)
        if offer is None:
            code = dice.choice(story.codes)
            if (learner, code) in story.done_today:
                entries_left -= 1
                continue
            story.done_today.add((learner, code))
        commands.append(_check_in(story, learner, code) if offer is None else _reservation(story, learner, offer))
        makers.append((learner, offer))
        entries_left -= 1 if offer is None else 2
    answers: list[Command[Any]] = list(story.refunds)
    story.refunds.clear()
    for (learner, offer), value in zip(makers, _run(story, commands, now), strict=True):
        if value is None:
            continue
        if offer is None:
            story.purses[learner] = value.balance.available_minor
            story.last_reward = value.entry
        else:
            answers += _answer(story, offer, value.id)
    _run(story, answers, now + CONFIRM_AFTER)


def _affordable(story: _Story, learner: str) -> Offer | None:
    """A promotion that the learner can pay, paid for in the purse; None after a few that were too dear."""
    for _ in range(TRIES):
        offer = story.dice.choice(story.offers)
        if story.purses[learner] >= offer.price_minor:
            story.purses[learner] -= offer.price_minor
            return offer
    return None


def _check_in(story: _Story, learner: str, code: str) -> Command[Any]:
    principal = Principal(story.city, frozenset({LEARNER}), learner)
    return checkins.command(principal, CheckIn(code))


def _reservation(story: _Story, learner: str, offer: Offer) -> Command[Any]:
    principal = Principal(story.city, frozenset({LEARNER}), learner)
    return Command(lambda unit: redemptions.reserve(unit, principal, offer.promotion))


def _answer(story: _Story, offer: Offer, redemption: str) -> list[Command[Any]]:
    """What the shop does about a reservation; a refund follows an hour later."""
    shop = Principal(story.city, frozenset({SHOP}), offer.shop)
    throw = story.dice.random()
    if throw < CONFIRM_SHARE:
        if story.dice.random() < REFUND_SHARE:
            story.refunds.append(Command(lambda unit: redemptions.refund(unit, shop, redemption)))
        return [Command(lambda unit: redemptions.confirm(unit, shop, redemption))]
    if throw < CONFIRM_SHARE + CANCEL_SHARE:
        return [Command(lambda unit: redemptions.cancel(unit, shop, redemption))]
    return []


def _settle_month(story: _Story, now: datetime) -> None:
    """Shops buy from each other, and the treasurer takes the last reward back."""
    dice, commands = story.dice, []
    for _ in range(MONTHLY_TRADES):
        giver, taker = dice.sample([f"shop:{offer.shop}" for offer in story.offers], 2)
        if giver != taker:
            amount = dice.randrange(100, 1_000, 50)
            commands.append(_trade(giver, taker, amount))
    if story.last_reward is not None:
        last = story.last_reward
        commands.append(Command(lambda unit: transfers.reverse(unit, last, actor="treasurer", reason="duplicate")))
    _run(story, commands, now)


def _trade(giver: str, taker: str, amount: int) -> Command[Any]:
    return Command(lambda unit: transfers.post(unit, "transfer", giver, taker, amount, actor=giver))
