"""Answers on their way from writers' threads to an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from unittest import mock

import pytest

from api.awaiting import Answers, Awaited
from ledger.errors import Overloaded

MANY = 200


def in_a_thread(work: Sequence[tuple[Awaited[str, int], int | Exception]]) -> threading.Thread:
    """A thread that gives every answer."""

    def give() -> None:
        for waiting, answer in work:
            waiting.give(answer)

    return threading.Thread(target=give)


def test_everybody_gets_their_own_answer() -> None:
    """From several threads at once; an exception is raised where it is awaited."""

    async def run() -> list[int | BaseException]:
        answers = Answers(asyncio.get_running_loop())
        waiting: list[Awaited[str, int]] = [Awaited("asked", answers) for _ in range(MANY)]
        given = [Overloaded() if number % 7 == 0 else number for number in range(MANY)]
        work = list(zip(waiting, given, strict=True))
        threads = [in_a_thread(work[part::4]) for part in range(4)]
        for thread in threads:
            thread.start()
        found = await asyncio.gather(*(one.future for one in waiting), return_exceptions=True)
        for thread in threads:
            thread.join()
        return found

    found = asyncio.run(run())
    for number, answer in enumerate(found):
        assert isinstance(answer, Overloaded) if number % 7 == 0 else answer == number


def test_a_batch_of_answers_wakes_the_loop_once() -> None:
    """However many are given before it looks; whatever comes afterwards wakes it again."""

    async def run() -> int:
        loop = asyncio.get_running_loop()
        answers = Answers(loop)
        with mock.patch.object(loop, "call_soon_threadsafe", wraps=loop.call_soon_threadsafe) as wake:
            for _ in range(2):
                waiting: list[Awaited[str, int]] = [Awaited("asked", answers) for _ in range(MANY)]
                for number, one in enumerate(waiting):
                    one.give(number)
                assert await asyncio.gather(*(one.future for one in waiting)) == list(range(MANY))
        return wake.call_count

    assert asyncio.run(run()) == 2


def test_whoever_has_gone_does_not_keep_the_others_from_their_answers() -> None:
    """A request that was cancelled is passed over."""

    async def run() -> int:
        answers = Answers(asyncio.get_running_loop())
        gone, there = Awaited[str, int]("asked", answers), Awaited[str, int]("asked", answers)
        gone.future.cancel()
        thread = in_a_thread([(gone, 1), (there, 2)])
        thread.start()
        found = await there.future
        thread.join()
        with pytest.raises(asyncio.CancelledError):
            await gone.future
        return found

    assert asyncio.run(run()) == 2


def test_an_answer_for_a_loop_that_has_ended_harms_nobody() -> None:
    """The writer goes on; there is nobody to be told."""

    async def run() -> Awaited[str, int]:
        return Awaited("asked", Answers(asyncio.get_running_loop()))

    waiting = asyncio.run(run())
    waiting.give(1)
    assert not waiting.future.done()
