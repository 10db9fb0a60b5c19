"""The desk: orders of other processes in, replies out, to whom they belong, whatever the processes do meanwhile."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import desk as desk_module
from api.desk import FEW, REPLIES, Desk, Pace
from api.frames import framed
from api.operations import SignedWrite
from api.orders import Order
from ledger.book.commands import Outcome
from ledger.errors import Overloaded, Refused, Unauthenticated
from tests.api.ordering import ALL, HALF, Process, answer, asked, done, numbered, open_desk, write

MOST = 256
LONG = 60
"""Seconds that are never waited for where all is well."""
TURNS = 10_000
"""More than anything here takes."""


def test_orders_are_taken_in_order_and_replies_go_to_whom_they_belong() -> None:
    """Two processes that use the same numbers; and what was answered is not answered again."""
    with open_desk() as desk:
        one, other = Process(desk), Process(desk)
        one.order((7, "a"), (3, "b"))
        other.order((3, "c"))
        first, ended = desk.take(MOST, 0)
        assert (asked(first), ended) == (["a", "b", "c"], False)
        other.order((7, "d"))
        one.order((1, "e"))
        rest, _ = desk.take(MOST, 0)
        assert sorted(asked(rest)) == ["d", "e"]
        answer([*first, *rest])
        assert one.read() == [done(7, "a"), done(3, "b"), done(1, "e")]
        assert other.read() == [done(3, "c"), done(7, "d")]
        one.order((9, "f"))
        answer(desk.take(MOST, 0)[0])
        assert one.read()[3:] == [done(9, "f")]
        assert len(other.read()) == 2


def test_replies_leave_while_others_are_made() -> None:
    """So many at a time, and the last ones with the last of the batch, though they are fewer."""
    with open_desk() as desk:
        one, other = Process(desk), Process(desk)
        one.order(*numbered(REPLIES + 2))
        other.order((0, "other"))
        told = []
        for waiting in desk.take(MOST, 0)[0]:
            answer([waiting])
            told.append((len(one.read()), len(other.read())))
        assert told == [*[(0, 0)] * (REPLIES - 1), *[(REPLIES, 0)] * 3, (REPLIES + 2, 1)]


def test_an_outcome_is_told_as_what_it_is() -> None:
    """A replay, a refusal with its facts, and a fault without its words."""
    outcomes: list[Outcome[Any] | Exception] = [
        Outcome(b"a", b"earlier"),
        Refused("insufficient_funds", wanted_minor=5),
        KeyError("secret"),
        Outcome(b"b"),
    ]
    with open_desk() as desk:
        process = Process(desk)
        process.order(*numbered(len(outcomes)))
        for waiting, outcome in zip(desk.take(MOST, 0)[0], outcomes, strict=True):
            waiting.give(outcome)
        (_, replayed), (_, refusal), (_, fault), (_, written) = process.read()
        assert (replayed, written) == ((b"a", True), (b"b", False))
        assert (refusal.code, refusal.params) == ("insufficient_funds", {"wanted_minor": 5})
        assert (type(fault), fault.args) == (RuntimeError, ("KeyError",))


def test_what_cannot_be_taken_is_answered_at_once() -> None:
    """None for what is not right, its error for a bad sign-in; a fault, however it comes, without its words."""
    with open_desk() as desk:
        process = Process(desk)
        process.order((0, "not right"), (1, "of nobody"), (2, "a fault"), (3, "right"))
        process.connection.sendall(framed([(4, ("too", "short"))]))
        taken, _ = desk.take(MOST, 0)
        assert asked(taken) == ["right"]
        (_, nothing), (_, refusal), (_, fault), (last, short) = process.read()
        assert nothing is None
        assert (type(refusal), refusal.reason) == (Unauthenticated, "unknown_token")
        assert (type(fault), fault.args) == (RuntimeError, ("ZeroDivisionError",))
        assert (last, type(short), short.args) == (4, RuntimeError, ("TypeError",))
        answer(taken)
        assert process.read()[4:] == [done(3, "right")]


def test_a_full_desk_turns_away() -> None:
    """At once, and the observer is told of each; who waits is served, and then there is room again."""
    turned_away: list[int] = []
    desk = Desk(write, lambda: turned_away.append(len(desk)), 3, ALL)
    process = Process(desk)
    process.order(*numbered(5))
    taken, _ = desk.take(MOST, 0)
    assert asked(taken) == ["0", "1", "2"]
    assert [(number, type(reply), reply.params) for number, reply in process.read()] == [
        (number, Overloaded, {"retry_after_seconds": 1}) for number in (3, 4)
    ]
    assert turned_away == [3, 3]
    process.order(*numbered(3, 5))
    assert desk.rest(0) == []
    assert (len(desk), len(turned_away)) == (3, 2)
    answer(taken)
    answer(desk.take(MOST, 0)[0])
    assert process.read()[2:] == [done(number, text) for number, text in [*numbered(3), *numbered(3, 5)]]
    desk.close()


class Trickle:
    """Processes' orders one after the other: each is sent when the desk has read the one before."""

    def __init__(self) -> None:
        self.left: list[tuple[int, str]] = []
        self.process: Process | None = None

    def __call__(self, order: Order) -> SignedWrite | None:
        """Read an order."""
        if self.left and self.process is not None:
            self.process.order(self.left.pop(0))
        return write(order)


def _crowd(desk: Desk, process: Process, count: int) -> None:
    """Have so many answered in the last batch."""
    process.order(*numbered(count))
    taken, _ = desk.take(count, 0)
    answer([*taken, *desk.rest(MOST)])


@pytest.mark.parametrize(
    ("least", "last", "waited_for"),
    [(0.5, 15, 8), (0.25, 15, 4), (0.9, 15, 14), (0.0, 15, 1), (0.99, 1, 1), (0.7, 1, 1), (0.7, 0, 1)],
)
def test_a_batch_waits_for_its_share_of_the_crowd(least: float, last: int, waited_for: int) -> None:
    """Of those who were answered and those who are here; whoever comes alone never waits."""
    trickle = Trickle()
    with open_desk(Pace(least, 1.0), asks=trickle) as desk:
        process = trickle.process = Process(desk)
        if last:
            _crowd(desk, process, last)
        first, *trickle.left = numbered(30)
        process.order(first)
        assert len(desk.take(MOST, LONG)[0]) == waited_for


def test_patience_has_an_end() -> None:
    """Whoever is here is taken when the others do not come; and the next does not wait for them once more."""
    with open_desk(Pace(0.5, 1.0)) as desk:
        process = Process(desk)
        _crowd(desk, process, 15)
        process.order(*numbered(2))
        taken, _ = desk.take(MOST, 0.001)
        assert asked(taken) == ["0", "1"]
        answer(taken)
        process.order(*numbered(2, 2))
        assert asked(desk.take(MOST, LONG)[0]) == ["2", "3"]


def test_a_batch_takes_at_most_its_share() -> None:
    """The others are next; but a few always go together, and a batch has a bound of its own."""
    with open_desk(HALF) as desk:
        process = Process(desk)
        process.order(*numbered(100 + FEW))
        sizes = [len(desk.take(most, 0)[0]) for most in (7, MOST, MOST)]
        assert sizes == [7, 58, 51]
    with open_desk(HALF) as desk:
        process = Process(desk)
        process.order(*numbered(FEW + 1))
        assert [len(desk.take(MOST, 0)[0]) for _ in range(2)] == [FEW, 1]


def test_the_rest_is_taken_as_far_as_there_is_room() -> None:
    """Whoever comes while a batch waits for the head goes with it, up to its share; the others are next."""
    with open_desk(HALF) as desk:
        process = Process(desk)
        process.order(*numbered(60))
        assert len(desk.take(MOST, 0)[0]) == 30
        assert desk.rest(MOST) == []  # it is full
        assert len(desk.take(20, 0)[0]) == 20
        assert desk.rest(MOST) == []
        process.order(*numbered(60, 60))
        assert len(desk.take(MOST, 0)[0]) == 45  # of 20 and 70
        assert len(desk) == 25
    with open_desk() as desk:
        process = Process(desk)
        process.order(*numbered(2))
        assert len(desk.take(MOST, 0)[0]) == 2
        process.order(*numbered(FEW, 2))
        assert asked(desk.rest(5)) == ["2", "3", "4", "5", "6"]
        assert len(desk.rest(MOST)) == FEW - 7
        assert desk.rest(MOST) == []
        assert asked(desk.take(MOST, 0)[0]) == ["16", "17"]


def test_a_process_that_does_not_read_keeps_nobody_waiting() -> None:
    """The others have their replies; it gets all of its own, once each and in order, when it reads."""
    with open_desk() as desk:
        silent, other = Process(desk, 4_096), Process(desk)
        for turn in range(3):
            silent.order(*numbered(20, turn * 20))
            other.order((turn, "other"))
            taken, _ = desk.take(MOST, 0)
            assert len(taken) == 21
            answer(taken, 50_000)
            assert other.read() == [done(number, "other", 50_000) for number in range(turn + 1)]
        for _ in range(TURNS):
            if len(silent.read()) == 60:
                break
            assert desk.rest(0) == []
        assert silent.told == [done(number, text, 50_000) for number, text in numbered(60)]
        assert desk.rest(0) == []
        assert desk._watched.select(0) == []  # nothing is left to do, so that nobody spins


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("size", [0, 100_000], ids=["sent", "unsent"])
def test_a_process_that_goes_away_takes_nobody_along(*, known: bool, size: int) -> None:
    """Whether or not the desk knows of it when it has answers for it, and has some for it that are not sent yet."""
    with open_desk() as desk:
        gone, other = Process(desk, 4_096), Process(desk)
        gone.order((0, "a"))
        answer(desk.take(MOST, 0)[0], size)
        gone.order(*numbered(REPLIES + 3))
        other.order((0, "a"))
        taken, _ = desk.take(MOST, 0)
        gone.connection.close()
        if known:
            assert desk.rest(0) == []
        answer(taken)
        assert other.read() == [done(0, "a")]
        other.order((1, "b"))
        last, _ = desk.take(MOST, 0)
        assert asked(last) == ["b"]
        answer(last)
        assert other.read() == [done(0, "a"), done(1, "b")]


def test_what_a_process_ordered_before_it_went_is_carried_out() -> None:
    """Nobody knows what it was told of that; an order that it did not finish is none."""
    with open_desk() as desk:
        gone, other = Process(desk), Process(desk)
        gone.order(*numbered(2))
        gone.connection.send(framed([(2, tuple(Order("", "", b"2", "", None)))])[:-1])
        gone.connection.close()
        other.order((0, "a"))
        taken, _ = desk.take(MOST, 0)
        assert sorted(asked(taken)) == ["0", "1", "a"]
        assert desk.rest(MOST) == []
        answer(taken)
        assert other.read() == [done(0, "a")]


def test_the_end_lets_those_who_are_here_be_served() -> None:
    """Also those whom nobody has looked at yet; then the line is empty, and ended."""
    with open_desk(HALF) as desk:
        process = Process(desk)
        process.order(*numbered(FEW + 1))
        desk.end()
        (first, ended), (second, ended_then) = desk.take(MOST, LONG), desk.take(MOST, LONG)
        assert (len(first), ended, len(second), ended_then) == (FEW, False, 1, True)
        answer([*first, *second])
        assert len(process.read()) == FEW + 1
        assert desk.take(MOST, LONG) == ([], True)


def test_the_end_wakes_who_waits_for_somebody() -> None:
    """From another thread; nobody is here, and nobody comes any more."""
    with open_desk() as desk:
        ended: list[bool] = []

        def serve() -> None:
            while not ended or not ended[-1]:
                taken, end = desk.take(MOST, LONG)
                assert not taken
                ended.append(end)

        serving = threading.Thread(target=serve)
        serving.start()
        desk.end()
        serving.join(LONG)
        assert not serving.is_alive()


def test_closing_sends_what_is_unsent() -> None:
    """To whoever reads; and then the connection ends."""
    with open_desk() as desk:
        process = Process(desk, 4_096)
        process.order((0, "x" * 200_000))
        answer(desk.take(MOST, 0)[0])
        assert process.read() == []
        process.connection.settimeout(LONG)
        reading = threading.Thread(target=process.read)
        reading.start()
    reading.join(LONG)
    assert process.ended
    assert process.told == [done(0, "x" * 200_000)]


def test_closing_does_not_wait_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what fits, and the one after it everything; who has gone meanwhile does no harm."""
    monkeypatch.setattr(desk_module, "LAST_SECONDS", 0.01)
    with open_desk() as desk:
        silent, gone, other = (Process(desk, 4_096) for _ in range(3))
        for process in (silent, gone):
            process.order((0, "x" * 200_000))
        other.order((0, "a"))
        answer(desk.take(MOST, 0)[0])
        gone.connection.close()
    assert (other.read(), other.ended) == ([done(0, "a")], True)
    assert (silent.read(), silent.ended) == ([], True)


class Life:
    """Several processes and a desk, and what becomes of each order."""

    def __init__(self, desk: Desk, stack: ExitStack) -> None:
        self.desk = desk
        self.stack = stack
        self.here: list[Process] = []
        self.ordered: list[Process] = []
        self.carried_out: list[str] = []

    def act(self, what: str, number: int) -> None:
        """Let something happen."""
        if what == "serve":
            self.serve(number * 500)
        elif what == "join" or not self.here:
            self.here.append(Process(self.desk, 4_096))
            self.stack.callback(self.here[-1].connection.close)
        elif what == "order":
            process = self.here[number % len(self.here)]
            for _ in range(number):
                process.order((len(self.ordered), str(len(self.ordered))))
                self.ordered.append(process)
        elif what == "read":
            self.here[number % len(self.here)].read()
        else:
            self.desk.rest(0)
            self.here.pop(number % len(self.here)).connection.close()

    def serve(self, size: int) -> None:
        """Carry out a batch, if anybody waits."""
        if len(self.carried_out) < len(self.ordered):
            taken, _ = self.desk.take(MOST, 0)
            taken += self.desk.rest(3)
            self.carried_out += asked(taken)
            answer(taken, size)

    def end(self) -> None:
        """Carry everything out, and have everybody read all replies."""
        for _ in self.ordered:
            self.serve(0)
        for process in self.here:
            for _ in range(TURNS):
                if len(process.read()) >= self.ordered.count(process):
                    break
                self.desk.rest(0)


STEPS = st.lists(st.tuples(st.sampled_from(["order", "read", "leave", "serve", "join"]), st.integers(0, 40)))


@given(STEPS)
def test_each_order_is_carried_out_once_and_answered_once(steps: list[tuple[str, int]]) -> None:
    """Whatever several processes do in whatever order: nothing is lost, doubled or told to another."""
    with open_desk(HALF) as desk, ExitStack() as stack:
        life = Life(desk, stack)
        for step in steps:
            life.act(*step)
        life.end()
        assert sorted(map(int, life.carried_out)) == list(range(len(life.ordered)))
        for process in life.here:
            mine = [number for number, owner in enumerate(life.ordered) if owner is process]
            told = [(number, (reply[0].rstrip(), reply[1])) for number, reply in process.read()]
            assert told == [done(number, str(number)) for number in mine]
