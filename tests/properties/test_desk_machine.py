"""Random days at the desks, batch by batch, against a model.

Shops pay each other and ask to settle, the treasurer settles, declines and takes back, slips are used and sheets
withdrawn, learners withdraw to a chain and call it off.

The commands of a batch meet in one transaction, as requests that come at once do. Every answer and every balance must
be the model's; at the end audit and verifier must find nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ledger.book import transfers
from ledger.book.commands import Command, Outcome
from ledger.book.unit import Unit
from ledger.chain import bridges, withdrawals
from ledger.chain.bridges import Contract
from ledger.commerce import shops, trading
from ledger.commerce.shops import NewShop
from ledger.errors import LedgerError
from ledger.people.roles import Principal
from ledger.programme import checkins, sheets
from ledger.programme.checkins import CheckIn
from ledger.values import short_id
from ledger.verifier.run import verify_export
from tests.chain.crossing import own
from tests.counts import scale
from tests.factories import CITY, Installation
from tests.programme.town import PUBLIC_URL, STEWARD, Town

TREASURER = Principal(CITY, frozenset({"treasurer"}), None, "treasurer's token")
CHAIN, WALLET = 31_337, "0x" + "ab" * 20
FUNDS, REWARD, CAP, SLIPS = 400, 50, 250, 4
REVERSIBLE = {"grant", "fund", "reward", "transfer", "settle"}
Op = tuple[str, int, int, int]


class Refusal(Exception):
    """The desks must refuse with this code."""


@dataclass
class Model:
    """Balances and what stands open. Accounts by short names: T, B (budget), S0, S1, L0, L1, L2, settled, bridge."""

    posted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    entries: list[tuple[str, str, str, int]] = field(default_factory=list)
    reversed: set[int] = field(default_factory=set)
    asked: list[tuple[int, int, str]] = field(default_factory=list)  # shop, amount, state
    paid_out: dict[int, int] = field(default_factory=dict)  # entry, request
    used: set[int] = field(default_factory=set)
    came: set[int] = field(default_factory=set)
    withdrawn: set[int] = field(default_factory=set)
    sent: list[tuple[int, int, bool]] = field(default_factory=list)  # learner, amount, called off

    def move(self, kind: str, source: str, target: str, amount: int) -> None:
        """One entry, if the floor allows it."""
        if self.posted[source] < amount and source != "issuance":
            raise Refusal("budget_exhausted" if source == "B" else "insufficient_funds")
        self.posted[source] -= amount
        self.posted[target] += amount
        self.entries.append((kind, source, target, amount))

    def pay(self, giver: int, taker: int, amount: int) -> None:
        """A shop pays the other."""
        if giver == taker:
            raise Refusal("validation_failed")
        self.move("transfer", f"S{giver}", f"S{taker}", amount)

    def ask(self, shop: int, amount: int) -> None:
        """A shop asks to settle."""
        if any(one[0] == shop and one[2] == "asked" for one in self.asked):
            raise Refusal("limit_reached")
        if self.posted[f"S{shop}"] < amount:
            raise Refusal("insufficient_funds")
        self.asked.append((shop, amount, "asked"))

    def answer(self, which: int, state: str) -> None:
        """Somebody ends a request."""
        shop, amount, now = self.asked[which]
        if now != "asked":
            raise Refusal("case_closed")
        if state == "settled":
            self.move("settle", f"S{shop}", "settled", amount)
            self.paid_out[len(self.entries) - 1] = which
        self.asked[which] = shop, amount, state

    def undo(self, seq: int) -> None:
        """The treasurer takes an entry back."""
        kind, source, target, amount = self.entries[seq]
        if kind not in REVERSIBLE or seq in self.reversed:
            raise Refusal("not_reversible")
        self.move("reverse", target, source, amount)
        self.reversed.add(seq)
        if seq in self.paid_out:
            shop, amount, _ = self.asked[self.paid_out[seq]]
            self.asked[self.paid_out[seq]] = shop, amount, "taken_back"

    def slip(self, learner: int, serial: int) -> None:
        """A learner uses a slip."""
        if learner in self.came:
            raise Refusal("already_checked_in")
        if (serial - 1) // (SLIPS // 2) in self.withdrawn:
            raise Refusal("code_invalid")
        if serial in self.used:
            raise Refusal("code_used")
        self.move("reward", "B", f"L{learner}", REWARD)
        self.used.add(serial)
        self.came.add(learner)

    def send(self, learner: int, amount: int) -> None:
        """A learner withdraws to the chain."""
        if amount > CAP - self.posted["bridge"]:
            raise Refusal("bridge_limit")
        self.move("bridge_out", f"L{learner}", "bridge", amount)
        self.sent.append((learner, amount, False))

    def call_off(self, learner: int, which: int) -> None:
        """A learner calls a withdrawal off."""
        whose, amount, over = self.sent[which]
        if whose != learner:
            raise Refusal("not_found")
        if over:
            raise Refusal("case_closed")
        self.move("bridge_cancel", "bridge", f"L{learner}", amount)
        self.sent[which] = whose, amount, True


class Desks:
    """One random day in an activity, two shops and three learners of its own."""

    def __init__(self, town: Town) -> None:
        self.town, self.name, self.model = town, short_id(), Model()
        self.seqs: list[int] = []
        self.requests: list[str] = []
        self.outs: list[int] = []
        town.activity(self.name, REWARD, budget_minor=0, mode="code")
        for _ in range(2):
            town.run(lambda unit: sheets.make(unit, STEWARD, self.name, SLIPS // 2))
        self.learners = [town.learner() for _ in range(3)]
        for learner in self.learners:
            town.run(partial(own, learner=learner.subject or "", address=WALLET))
        self.shops = [self._shop(f"{self.name}-{number}") for number in range(2)]
        self.paths = {"B": f"budget:{self.name}"}
        self.paths |= {f"S{number}": f"shop:{who.subject}" for number, who in enumerate(self.shops)}
        self.paths |= {f"L{number}": f"learner:{who.subject}" for number, who in enumerate(self.learners)}
        contract = Contract(self._chain(), "0x" + "cd" * 20, 0, CAP, CAP)
        town.run(lambda unit: bridges.open_bridge(unit, contract))
        self.paths["bridge"] = f"bridge:{contract.chain_id}"
        with town.installation.read() as session:
            city, keys = town.installation.city(), town.installation.city_keys()
            printed = [sheets.printed(session, city, keys, STEWARD, self.name, sheet, PUBLIC_URL) for sheet in (1, 2)]
        self.slips = [one.code.text for sheet in printed for one in sheet]
        for kind, path, amount in (("fund", "B", REWARD * 3), *(("transfer", shop, FUNDS) for shop in ("S0", "S1"))):
            self.model.posted["T"] += amount
            self._batch([("give", path, kind, amount)])

    def _chain(self) -> int:
        """A chain of its own, so that every day begins with an empty bridge."""
        return CHAIN + len(self.town.installation.leaves())

    def _shop(self, name: str) -> Principal:
        self.town.run(lambda unit: shops.apply(unit, STEWARD, NewShop(name, id=name)))
        self.town.run(lambda unit: shops.approve(unit, STEWARD, name))
        return Principal(CITY, frozenset({"shop"}), name, f"token of {name}")

    def act(self, batch: list[Op]) -> None:
        """Carry a batch out here and there."""
        self._batch([op for op in batch if self._makes_sense(op)])

    def _makes_sense(self, op: Op) -> bool:
        needed = {"settle": self.requests, "decline": self.requests, "withdraw": self.requests, "call_off": self.outs}
        return bool(needed.get(op[0], True))

    def _batch(self, batch: list[tuple[Any, ...]]) -> None:
        before = self.town.installation
        prepared = [self._resolve(op) for op in batch]
        real = before.writer.execute(CITY, [command for command, _, _ in prepared]) if prepared else []
        for op, (_, expect, keep), outcome in zip(batch, prepared, real, strict=True):
            said = outcome.code if isinstance(outcome, LedgerError) else "done"
            try:
                expect()
                wanted = "done"
            except Refusal as refusal:
                wanted = str(refusal)
            note(f"{op}: {wanted}")
            assert said == wanted, op
            if isinstance(outcome, Outcome):
                keep(outcome.value)
        self._compare()

    def _resolve(self, op: tuple[Any, ...]) -> tuple[Command[Any], Callable[[], None], Callable[[Any], None]]:
        """The command, what the model makes of it, and what is to be remembered of the answer."""
        verb, first, second, amount = op
        model, unchanged = self.model, lambda _value: None
        if verb == "give":
            run = partial(transfers.post, kind=second, source="treasury", target=self.paths[first], amount=amount)
            return (
                self._moving(lambda unit: run(unit, actor="treasurer").seq),
                lambda: model.move(second, "T", first, amount),
                self.seqs.append,
            )
        if verb == "pay":
            giver, taker = self.shops[first % 2], self.shops[second % 2].subject or ""
            command = self._moving(lambda unit: trading.spend(unit, giver, taker, amount).seq)
            return command, lambda: model.pay(first % 2, second % 2, amount), self.seqs.append
        if verb == "ask":
            who = self.shops[first % 2]
            asking = Command(lambda unit: trading.ask(unit, who, amount).id)
            return asking, lambda: model.ask(first % 2, amount), self.requests.append
        if verb in ("settle", "decline", "withdraw"):
            return self._answer(verb, first % len(self.requests))
        if verb == "undo":
            which = first % len(self.seqs)
            seq = self.seqs[which]
            command = self._moving(lambda unit: transfers.reverse(unit, seq, actor="treasurer").seq)
            return command, lambda: model.undo(which), self.seqs.append
        if verb == "slip":
            who, serial = self.learners[first % 3], second % SLIPS + 1
            check_in = checkins.command(who, CheckIn(self.slips[serial - 1]))
            return check_in, lambda: model.slip(first % 3, serial), lambda done: self.seqs.append(done.entry)
        if verb == "void":
            sheet = first % 2
            voiding = Command(lambda unit: sheets.withdraw(unit, STEWARD, self.name, sheet + 1))
            return voiding, lambda: model.withdrawn.add(sheet), unchanged
        return self._bridge(verb, first, second, amount)

    def _answer(self, verb: str, which: int) -> tuple[Command[Any], Callable[[], None], Callable[[Any], None]]:
        identifier = self.requests[which]
        shop = next(who for who in self.shops if who.subject == self._shop_of(identifier))
        run = {"settle": trading.settle, "decline": trading.decline, "withdraw": trading.withdraw}[verb]
        state = {"settle": "settled", "decline": "declined", "withdraw": "withdrawn"}[verb]
        who = shop if verb == "withdraw" else TREASURER
        keep: Callable[[Any], None] = lambda view: self.seqs.append(view.entry) if verb == "settle" else None  # noqa: E731
        return (
            Command(lambda unit: run(unit, who, identifier)),
            lambda: self.model.answer(which, state),
            keep,
        )

    def _shop_of(self, identifier: str) -> str:
        with self.town.installation.read() as session:
            return trading.get(session, CITY, identifier).shop

    def _bridge(
        self, verb: str, first: int, second: int, amount: int
    ) -> tuple[Command[Any], Callable[[], None], Callable[[Any], None]]:
        learner = self.learners[first % 3].subject or ""
        chain = int(self.paths["bridge"].partition(":")[2])
        if verb == "send":

            def keep(seq: int) -> None:
                self.outs.append(seq)
                self.seqs.append(seq)

            sending = Command(lambda unit: withdrawals.request(unit, chain, learner, amount))
            return sending, lambda: self.model.send(first % 3, amount), keep
        which = second % len(self.outs)
        seq = self.outs[which]
        calling = Command(lambda unit: withdrawals.cancel(unit, chain, learner, seq).seq)
        return calling, lambda: self.model.call_off(first % 3, which), self.seqs.append

    def _moving(self, run: Callable[[Unit], int]) -> Command[int]:
        return Command(run)

    def _compare(self) -> None:
        installation = self.town.installation
        for name, path in self.paths.items():
            assert installation.balance(path).posted_minor == self.model.posted[name], name
        with installation.read() as session:
            states = [trading.get(session, CITY, one).state for one in self.requests]
            assert states == [state for _, _, state in self.model.asked]
            used = sum(sheet.used for sheet in sheets.list_(session, CITY, self.name))
        assert used == len(self.model.used)


OPS = st.tuples(
    st.sampled_from(
        ["pay"] * 3 + ["ask"] * 2 + ["settle"] * 3 + ["undo"] * 4 + ["slip"] * 4 + ["send"] * 2
        + ["call_off"] * 2 + ["decline", "withdraw", "void"]
    ),
    st.integers(0, 11),
    st.integers(0, 11),
    st.sampled_from([10, 25, 50, 200, 400, 401]),
)  # fmt: skip


def test_the_desks_do_what_the_model_says(installation: Installation, tmp_path: Path) -> None:
    """Whatever comes at once and in whatever order, nothing is spent, settled, used or taken back twice."""
    town = Town(installation)

    @settings(max_examples=scale(10, 400), suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.lists(st.lists(OPS, min_size=1, max_size=5), min_size=4, max_size=14))
    def any_day(batches: list[list[Op]]) -> None:
        desks = Desks(town)
        for batch in batches:
            desks.act(batch)

    any_day()
    assert installation.audit().findings == []
    report = verify_export(installation.export(tmp_path / "out", openings=True), vkey=installation.city_keys().vkey)
    assert report.findings == []
