"""The line in front of the writer: order, the bound of a batch, patience, and the end."""

import threading
import time
from collections.abc import Sequence

import pytest

from ledger.book.line import Blocked, Line, Waiting

Waiter = Blocked[int, int]


def _line(waiting: Sequence[int]) -> Line[int, int]:
    line: Line[int, int] = Line()
    for number in waiting:
        line.put(Blocked(number))
    return line


def _asked(taken: Sequence[Waiting[int, int]]) -> list[int]:
    return [waiting.asked for waiting in taken]


def test_first_come_first_served_and_at_most_so_many() -> None:
    """A batch takes the first ones in order; the others stay."""
    line = _line(range(5))
    taken, ended = line.take(3, 0)
    assert (_asked(taken), ended, len(line)) == ([0, 1, 2], False, 2)
    taken, ended = line.take(3, 0)
    assert (_asked(taken), ended, len(line)) == ([3, 4], False, 0)


def test_the_end_lets_those_before_it_be_served() -> None:
    """Whoever stood before the end is in the last batch; an end alone is an empty one."""
    line = _line([1, 2])
    line.put(None)
    taken, ended = line.take(9, 0)
    assert (_asked(taken), ended) == ([1, 2], True)
    line.put(None)
    assert line.take(9, 0) == ([], True)


def test_a_full_batch_leaves_the_end_for_the_next() -> None:
    """The end behind a full batch is not lost."""
    line = _line([1, 2])
    line.put(None)
    assert line.take(2, 0)[1] is False
    assert line.take(2, 0) == ([], True)


def test_patience_is_for_crowds() -> None:
    """After a batch of one nobody waits for company; after a batch of several, whoever comes soon is taken along."""
    line = _line([1])
    began = time.monotonic()
    assert len(line.take(9, 3_600)[0]) == 1
    assert time.monotonic() - began < 1_800

    line = _line([1, 2])
    line.take(9, 0)
    line.put(Blocked(3))
    threading.Timer(0.05, line.put, [Blocked(4)]).start()
    taken, _ = line.take(9, 3)
    assert _asked(taken) == [3, 4]


def test_who_waits_gets_the_answer_or_what_went_wrong() -> None:
    """An answer is returned, an exception is raised, in the thread that waits."""
    good, bad = Waiter(1), Waiter(2)
    answers: list[int | str] = []

    def wait() -> None:
        answers.append(good.wait())
        with pytest.raises(ZeroDivisionError):
            bad.wait()
        answers.append("raised")

    waiter = threading.Thread(target=wait)
    waiter.start()
    bad.give(ZeroDivisionError())
    good.give(7)
    waiter.join(30)
    assert answers == [7, "raised"]
