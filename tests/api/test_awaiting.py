"""Answers on their way from writers' threads to an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from unittest import mock

import pytest

from api.awaiting import Answers, Awaited, settle
from ledger.errors import Overloaded

MANY = 200


class Asked:
    """Somebody who waits in a loop, and the future of their answer."""

    def __init__(self, answers: Answers) -> None:
        self.future: asyncio.Future[int] = answers.loop.create_future()
        self.waiting: Awaited[str, int] = Awaited("asked", partial(settle, self.future), answers)


def in_a_thread(work: Sequence[tuple[Asked, int | Exception]]) -> threading.Thread:
    """A thread that gives every answer."""

    def give() -> None:
        for asked, answer in work:
            asked.waiting.give(answer)

    return threading.Thread(target=give)


def test_everybody_gets_their_own_answer() -> None:
    """From several threads at once; an exception is raised where it is awaited."""

    async def run() -> list[int | BaseException]:
        answers = Answers(asyncio.get_running_loop())
        asked = [Asked(answers) for _ in range(MANY)]
        given = [Overloaded() if number % 7 == 0 else number for number in range(MANY)]
        work = list(zip(asked, given, strict=True))
        threads = [in_a_thread(work[part::4]) for part in range(4)]
        for thread in threads:
            thread.start()
        found = await asyncio.gather(*(one.future for one in asked), return_exceptions=True)
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
                asked = [Asked(answers) for _ in range(MANY)]
                for number, one in enumerate(asked):
                    one.waiting.give(number)
                assert await asyncio.gather(*(one.future for one in asked)) == list(range(MANY))
        return wake.call_count

    assert asyncio.run(run()) == 2


def test_whoever_has_gone_does_not_keep_the_others_from_their_answers() -> None:
    """A request that was cancelled is passed over, and so is one that cannot take its answer."""

    async def run() -> int:
        answers = Answers(asyncio.get_running_loop())
        gone, there = Asked(answers), Asked(answers)
        gone.future.cancel()
        broken: Awaited[str, int] = Awaited("asked", partial(divmod, 1), answers)
        broken.give(0)
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

    async def run() -> Asked:
        return Asked(Answers(asyncio.get_running_loop()))

    asked = asyncio.run(run())
    asked.waiting.give(1)
    assert not asked.future.done()
