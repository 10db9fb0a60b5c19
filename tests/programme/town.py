"""A town to learn in: one place, activities with budgets, learners and their codes, on a real writer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ledger.book import transfers
from ledger.book.commands import Command
from ledger.errors import Refused
from ledger.people import learners
from ledger.people.roles import Principal
from ledger.programme import activities, checkins, places, posters
from ledger.programme.activities import ActivityChange, NewActivity
from ledger.programme.checkins import CheckIn, Recorded
from ledger.programme.codes import Code
from ledger.programme.places import NewPlace
from ledger.programme.policy import Policy
from ledger.programme.posters import Look
from ledger.programme.views import ActivityView
from tests.factories import CITY, Installation

STEWARD = Principal(CITY, frozenset({"steward"}), None, "steward's token")
PUBLIC_URL = "https://learn.example"


class Town:
    """The verbs of the programme on one installation, each in a batch of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.clock = installation.clock
        installation.grant()
        self.run = installation.run
        self.run(lambda unit: places.create(unit, STEWARD, NewPlace("หอศิลป์", "Art house", id="art-house")))

    def activity(
        self, name: str = "library", amount_minor: int = 500, budget_minor: int = 100_000, **fields: Any
    ) -> ActivityView:
        """A funded activity, open all day unless it is told otherwise; limits of its policy among the fields."""
        limits = {key: fields.pop(key) for key in ("max_per_person", "max_per_day", "code_once") if key in fields}
        named = {"id": name, "place": "art-house", "name_th": f"กิจกรรม {name}", "name_en": name}
        hours = {"daily_from": "00:00", "daily_until": "24:00"}
        new = NewActivity(**{**named, **hours, "policy": Policy(amount_minor, **limits), **fields})
        view = self.run(lambda unit: activities.create(unit, STEWARD, new))
        if budget_minor:
            self.fund(name, budget_minor)
        return view

    def fund(self, name: str, amount_minor: int) -> None:
        """Move tokens of the treasury into an activity's budget."""
        self.run(
            lambda unit: transfers.post(unit, "fund", "treasury", f"budget:{name}", amount_minor, actor="treasurer")
        )

    def meet(self, name: str, starts_hours: float, length_hours: float = 1, seats: int | None = None) -> str:
        """Add a session, so many hours from now; its id."""
        starts_at = self.clock.now + timedelta(hours=starts_hours)
        ends_at = starts_at + timedelta(hours=length_hours)
        return self.run(lambda unit: activities.add_session(unit, STEWARD, name, starts_at, ends_at, seats)).session

    def change(self, name: str, **fields: Any) -> ActivityView:
        """Change an activity."""
        return self.run(lambda unit: activities.change(unit, STEWARD, name, ActivityChange(**fields)))

    def end(self, name: str, session: str) -> None:
        """End a session or take it away."""
        self.run(lambda unit: activities.end_session(unit, STEWARD, name, session))

    def learner(self, *, secured: bool = True) -> Principal:
        """Somebody who has joined, and kept the recovery code unless said otherwise."""
        joined = self.run(learners.join)
        if secured:
            self.run(lambda unit: learners.secure(unit, joined.learner))
        return Principal(CITY, frozenset({"learner"}), joined.learner, "token")

    def code(self, name: str = "library") -> Code:
        """The code that an activity's poster or kiosk shows now."""
        with self.installation.read() as session:
            city, keys = self.installation.city(), self.installation.city_keys()
            return posters.code(session, city, keys, STEWARD, name, PUBLIC_URL, self.clock.now)

    def look(self, code: str) -> Look:
        """Open a code's page."""
        with self.installation.read() as session:
            city, keys = self.installation.city(), self.installation.city_keys()
            return posters.look(session, city, keys, code, self.clock.now)

    def view(self, name: str = "library") -> ActivityView:
        """An activity as people see it now."""
        with self.installation.read() as session:
            return activities.get(session, CITY, name, self.clock.now)

    def check_in(self, who: Principal, code: str, turn: str | None = None) -> Recorded:
        """Check somebody in."""
        return self.run(lambda unit: checkins.record(unit, who, CheckIn(code, turn)))

    def command(self, who: Principal, code: str) -> Command[Recorded]:
        """The check-in as a command of the writer, for batches."""
        return checkins.command(who, CheckIn(code))

    def refusal(self, who: Principal, code: str, turn: str | None = None) -> Refused:
        """Why somebody is not checked in."""
        size = len(self.installation.leaves())
        with pytest.raises(Refused) as refusal:
            self.check_in(who, code, turn)
        assert len(self.installation.leaves()) == size
        return refusal.value
