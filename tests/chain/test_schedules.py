"""Anchors through random schedules of faults: nothing is lost or done twice, and all of the log is anchored."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.anvil import Anvil
from tests.chain.gateway import Gateway
from tests.chain.harbour import CHAIN, Harbour
from tests.chain.schedules import Schedule, faults
from tests.counts import scale, seed
from tests.factories import install

log = logging.getLogger(__name__)

STEPS = 30
SEEDED = range(3)
"""Schedules that are tried in every run; the others are new each time."""


@pytest.fixture
def nodes() -> Iterator[Callable[[], Anvil]]:
    """Starts a node at each call: one that has lived through many schedules and snapshots forgets old states."""
    started: list[Anvil] = []

    def start() -> Anvil:
        started.append(Anvil(chain_id=CHAIN))
        return started[-1]

    yield start
    for node in started:
        if node.process.returncode is None:
            node.stop()


@pytest.mark.parametrize("part", range(scale(1, 10)))
def test_all_is_anchored_once_through_any_schedule(
    part: int, nodes: Callable[[], Anvil], new_sqlite_url: Callable[[], str], tmp_path: Path
) -> None:
    """Cut lines, killed processes, reorganisations, stuck transactions, lagging nodes, an operator in between."""
    first, harmed = seed() + 1_000 * part, 0
    numbers = [*(SEEDED if part == 0 else ()), *range(first, first + scale(2, 50))]
    for number in numbers:
        anvil = nodes()
        gateway = Gateway(anvil.url)
        city = install(new_sqlite_url(), tmp_path / str(number))
        chance = random.Random(number)  # noqa: S311 - a schedule, to be had again
        schedule = Schedule(Harbour.build(anvil, city, gateway.url), gateway, chance)
        anvil.finalize()  # the contract is not among what is taken back
        try:
            schedule.live(STEPS)
            schedule.settle()
            schedule.check()
            harmed += faults(schedule.log)
        except Exception as fault:
            fault.add_note(f"schedule {number}: {schedule.log}")
            raise
        finally:
            gateway.close()
            city.close()
            anvil.stop()
    log.info("%s schedules from --seed %s on, with %s faults", len(numbers), first, harmed)
