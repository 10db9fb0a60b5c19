"""Random histories of one city, batch by batch, against the model: outcomes, balances, history, proofs, export.

Each example is a city of its own in one database. A batch mixes commands that succeed, commands that are refused,
commands that fail half-way, and requests that are sent again. After each batch the balances and cases are the
model's; at the end of an example everything that can be read or exported is compared, and the audit and the
verifier, with and without openings, must find nothing.
"""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select

from ledger.book import accounts, audit, entries, holds, seal, statements, transfers, tree
from ledger.book.accounts import Account
from ledger.book.cases import Case as CaseRow
from ledger.book.commands import Command, Outcome
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.city import export
from ledger.errors import LedgerError, Refused
from ledger.proof import checkpoint, merkle
from ledger.proof.encoding import timestamp
from ledger.values import random_id
from ledger.verifier.run import verify_export
from tests.counts import is_long, scale
from tests.factories import START, Installation, add_city, install
from tests.properties.model import Model, Refusal

Op = tuple[Any, ...]
FIXED = ("issuance", "treasury", "expired", "settled", "budget:a", "budget:b", "shop:a", "shop:b", "sponsor:a")
MOVES = (
    ("fund", "treasury", "budget:a"),
    ("fund", "treasury", "budget:b"),
    ("fund", "treasury", "sponsor:a"),
    ("reward", "budget:a", "L0"),
    ("reward", "budget:a", "L1"),
    ("reward", "budget:b", "L2"),
    ("transfer", "treasury", "L0"),
    ("transfer", "budget:a", "budget:b"),
    ("transfer", "shop:a", "shop:b"),
    ("transfer", "sponsor:a", "treasury"),
    ("redeem", "L0", "shop:a"),
    ("redeem", "L1", "shop:b"),
    ("settle", "shop:a", "settled"),
    ("expire", "L2", "expired"),
)
amounts = st.integers(1, 60)
parts = st.none() | st.integers(1, 60)
picks = st.integers(0, 8)
simple = st.one_of(
    st.tuples(st.just("move"), st.sampled_from(MOVES), amounts),
    st.tuples(
        st.just("hold"),
        st.sampled_from(["L0", "L1"]),
        st.sampled_from(["shop:a", "shop:b"]),
        amounts,
        st.integers(1, 9),
    ),
    st.tuples(st.just("capture"), picks, parts),
    st.tuples(st.just("release"), picks),
    st.tuples(st.just("refund"), picks, parts),
    st.tuples(st.just("reverse"), picks),
)
commands = st.one_of(
    simple,
    simple,
    st.tuples(st.just("give_up"), simple),
    st.tuples(st.just("keyed"), st.sampled_from(["k1", "k2", "k3", "k4"]), simple),
    st.tuples(st.just("again"), picks),
)


class BookMachine(RuleBasedStateMachine):
    """One city. `installation` and `numbers` are set by the test."""

    installation: Installation
    numbers: count[int]

    def __init__(self) -> None:
        super().__init__()
        self.sound = False

    @initialize()
    def found_a_city(self) -> None:
        """A city with its accounts and a first grant."""
        self.city = f"city-{next(self.numbers)}"
        inst = self.installation
        inst.clock.now = START
        add_city(inst.database, inst.keys, self.city, code_prefix=self.city)
        self.names = {f"L{number}": f"learner:{random_id()}" for number in range(3)} | {path: path for path in FIXED}

        def open_all(unit: Unit) -> None:
            for path in self.names.values():
                accounts.open_account(unit, path)

        inst.run(open_all, self.city)
        self.model = Model(START)
        self._batch([("move", ("grant", "issuance", "treasury"), 2_000), ("move", MOVES[0], 150)])
        self._batch([("move", ("transfer", "treasury", person), 150) for person in ("L0", "L1")])
        self._batch([("hold", "L0", "shop:a", 40, 2), ("hold", "L1", "shop:b", 40, 9), ("capture", 0, 30)])

    @rule(
        batch=st.lists(commands, min_size=1, max_size=5),
        staged=st.integers(0, 31),
        seconds=st.sampled_from([-30, 0, 1, 60, 200]),
    )
    def act(self, batch: list[Op], staged: int, seconds: int) -> None:
        """Time passes (or the clock is set back), and a batch of commands arrives, some of them staged only."""
        self.installation.clock.advance(seconds=seconds)
        self._batch(batch, staged)

    def teardown(self) -> None:
        """Compare all that can be read, unless a step failed already."""
        if self.sound:
            self._compare_history()
            self._check_log()

    def _batch(self, batch: list[Op], staged: int = 0) -> None:
        self.sound = False
        self.model.begin(self.installation.clock.now)
        prepared = [self._prepare(op) for op in batch]
        for number, op in enumerate(batch):
            if staged >> number & 1 and "reverse" not in repr(op):  # a reversal asks the database
                prepared[number] = prepared[number][0]._replace(staged_only=True), prepared[number][1]
        real = self.installation.writer.execute(self.city, [command for command, _ in prepared])
        for op, (_, expected), outcome in zip(batch, prepared, real, strict=True):
            assert _told(outcome) == expected, op
        self._compare_balances()
        self.sound = True

    def _prepare(self, op: Op) -> tuple[Command[int], tuple[str, object]]:
        """The command for the book, and what the model makes of it (which happens now)."""
        if op[0] == "again":
            known = sorted(self.model.answers)
            op = ("keyed", known[op[1] % len(known)], None) if known else ("release", 0)
        if op[0] == "keyed":
            return self._keyed(op[1], op[2])
        if op[0] == "give_up":
            run, _ = self._resolve(op[1])

            def give_up(unit: Unit) -> int:
                run(unit)
                raise Refused("given_up")

            try:
                self._dry_run(op[1])
            except Refusal as refusal:
                return Command(give_up), ("refused", refusal.code)
            return Command(give_up), ("refused", "given_up")
        run, expect = self._resolve(op)
        try:
            return Command(run), ("done", expect())
        except Refusal as refusal:
            return Command(run), ("refused", refusal.code)

    def _keyed(self, key: str, inner: Op | None) -> tuple[Command[int], tuple[str, object]]:
        body = repr(inner) if inner else self.model.answers[key][0]
        run, expect = self._resolve(inner or ("release", 0))
        scope = Scope("treasurer", "POST /test", key, sha256(body.encode()).digest())
        command = Command(run, scope, lambda seq: str(seq).encode())
        try:
            replayed, answer = self.model.once(key, body, expect)
        except Refusal as refusal:
            return command, ("refused", refusal.code)
        return command, ("replayed", answer) if replayed else ("done", int(answer))

    def _dry_run(self, op: Op) -> None:
        """Ask the model whether it would refuse, and change nothing."""
        kept = copy.deepcopy(self.model)
        try:
            self._resolve(op)[1]()
        finally:
            self.model = kept

    def _resolve(self, op: Op) -> tuple[Callable[[Unit], int], Callable[[], int]]:
        """An operation as the book's verb and as the model's."""
        kind, model, name = op[0], self.model, self.names
        if kind == "move":
            (entry, source, target), amount = op[1:]
            return (
                lambda unit: transfers.post(unit, entry, name[source], name[target], amount, actor="treasurer").seq,
                lambda: model.move(entry, source, target, amount),
            )
        if kind == "hold":
            source, target, amount, minutes = op[1:]
            until = model.now + timedelta(minutes=minutes)
            return (
                lambda unit: holds.place(unit, name[source], target, amount, expires_at=until, actor="learner").seq,
                lambda: model.hold(source, target, amount, until),
            )
        if kind == "reverse":
            origin = len(model.entries) - op[1] % (len(model.entries) + 1)
            return (
                lambda unit: transfers.reverse(unit, origin, actor="treasurer").seq,
                lambda: model.reverse(origin),
            )
        cases = sorted(model.cases)
        origin = cases[-1 - op[1] % len(cases)] if cases else 0
        if kind == "capture":
            return lambda unit: holds.capture(unit, origin, op[2], actor="shop:a").seq, lambda: model.capture(
                origin, op[2]
            )
        if kind == "refund":
            return lambda unit: holds.refund(unit, origin, op[2], actor="shop:a").seq, lambda: model.refund(
                origin, op[2]
            )
        return lambda unit: holds.release(unit, origin, actor="learner").seq, lambda: model.release(origin)

    def _compare_balances(self) -> None:
        """Sums, floors, balances and cases, as the projections have them."""
        with self.installation.read() as session:
            rows = session.scalars(select(Account).where(Account.city == self.city)).all()
            cases = session.scalars(select(CaseRow).where(CaseRow.city == self.city)).all()
        real = {row.path: (row.posted, row.held) for row in rows}
        model = self.model
        assert real == {path: (model.posted[name], model.held[name]) for name, path in self.names.items()}
        assert sum(posted for posted, _ in real.values()) == 0
        assert all(posted >= held >= 0 for path, (posted, held) in real.items() if path != "issuance")
        assert {
            row.seq: (row.state, row.moved_minor, row.refunded_minor, row.reversed_by is not None) for row in cases
        } == {seq: (case.state, case.moved, case.refunded, case.reversed) for seq, case in model.cases.items()}

    def _compare_history(self) -> None:
        """The log's order and times, balances at past instants, statements page by page."""
        model = self.model
        leaves = self.installation.leaves(self.city)
        assert [leaf["seq"] for leaf in leaves] == list(range(len(model.entries)))
        assert [(leaf["kind"], leaf["at"]) for leaf in leaves] == [(e.kind, timestamp(e.at)) for e in model.entries]
        chance = random.Random(len(leaves))  # noqa: S311 - a sample, the same for the same history
        times = sorted({entry.at for entry in model.entries})
        instants = [
            at + timedelta(milliseconds=by) for at in chance.sample(times, min(3, len(times))) for by in (-1, 0, 1)
        ]
        with self.installation.read() as session:
            for name, path in self.names.items():
                for at in instants:
                    balance = accounts.balance(session, self.city, path, at)
                    assert (balance.posted_minor, balance.held_minor) == model.balance_at(name, at)
                    assert balance.as_of_seq == model.size_at(at) - 1
                told: list[statements.StatementLine] = []
                cursor = None
                limit = chance.randint(1, 7)
                while len(told) <= len(model.entries):
                    page = statements.statement(session, self.city, path, cursor=cursor, limit=limit)
                    told += page.items
                    if (cursor := page.next) is None:
                        break
                assert [(t.entry, t.amount_minor, t.held_change_minor, t.posted_minor, t.held_minor) for t in told] == [
                    (m.seq, m.posted_change, m.held_change, m.posted, m.held) for m in reversed(model.lines[name])
                ]

    def _check_log(self) -> None:
        """Every proof to the newest checkpoint holds; audit and verifier find nothing and agree on the sums."""
        inst, size = self.installation, len(self.model.entries)
        with inst.read() as session:
            keys = inst.keys.get(inst.city(self.city))
            head = checkpoint.verify(seal.latest(session, self.city).note, keys.vkey)
            assert head.size == size
            for index, leaf in enumerate(entries.leaves(session, self.city, 0, size)):
                proof = tree.inclusion(session, self.city, index, size)
                merkle.verify_inclusion(merkle.leaf_hash(leaf), index, size, proof, head.root)
            for note in session.scalars(
                select(seal.SignedCheckpoint.note).where(seal.SignedCheckpoint.city == self.city)
            ):
                old = checkpoint.verify(note, keys.vkey)
                proof = tree.consistency(session, self.city, old.size, size)
                merkle.verify_consistency(old.size, size, old.root, head.root, proof)
            found = audit.audit(session, self.city, keys)
        assert found.findings == []
        folder = Path(tempfile.mkdtemp(prefix="kgo-export-"))
        try:
            for openings in (False, True):
                path = folder / str(openings)
                export.write_directory(inst.database, inst.keys, self.city, path, openings=openings)
                report = verify_export(path, vkey=keys.vkey, seen=seal_note(inst, self.city))
                assert report.findings == []
                assert report.totals == found.totals
                assert report.totals["issued"] == -self.model.posted["issuance"]
        finally:
            shutil.rmtree(folder)


def seal_note(installation: Installation, city: str) -> str:
    """The newest checkpoint, as somebody who watches the log would have it."""
    with installation.read() as session:
        return seal.latest(session, city).note


def _told(outcome: Outcome[int] | LedgerError) -> tuple[str, object]:
    if isinstance(outcome, LedgerError):
        return "refused", outcome.code
    if outcome.replayed is not None:
        return "replayed", outcome.replayed.decode()
    return "done", outcome.value


def test_any_history_agrees_with_the_model(database_url: str, tmp_path: Path) -> None:
    """Whatever happens in whatever order, the book does what the model does, and everybody can check it."""
    made = install(database_url, tmp_path)

    class Machine(BookMachine):
        installation = made
        numbers = count()

    phases = tuple(Phase) if is_long() else (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes minutes
    steps = settings(max_examples=scale(15, 500), stateful_step_count=scale(20, 40), deadline=None, phases=phases)
    run_state_machine_as_test(Machine, settings=steps)
    made.close()
