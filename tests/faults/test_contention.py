"""Several processes on one database want the same thing: one gets it, the others are told clearly, the sums hold."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ledger.verifier.run import verify_export
from tests.commerce.street import Street
from tests.counts import scale
from tests.factories import Installation
from tests.faults.worker import Worker

PROCESSES = scale(2, 6)


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Worker]]:
    """Processes that wait for tasks."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Worker())) for _ in range(PROCESSES)]


@pytest.fixture
def rivals(installation: Installation, tmp_path: Path, processes: list[Worker]) -> Any:
    """Runs tasks in several processes that begin together; what each told."""

    def run(*tasks: tuple[str, ...]) -> list[list[dict[str, Any]]]:
        for worker, task in zip(processes, tasks, strict=True):
            worker.prepare(installation.database.url, tmp_path, *task)
        for worker in processes:
            worker.go()
        return [worker.finish() for worker in processes]

    return run


def _sound(installation: Installation, tmp_path: Path) -> None:
    """Audit and verifier find nothing."""
    assert installation.audit().findings == []
    assert verify_export(installation.export(tmp_path / "export", openings=True)).findings == []


def test_a_balance_is_spent_once(installation: Installation, rivals: Any, tmp_path: Path) -> None:
    """Of twenty units exactly twenty are spent, whoever is faster; everybody else hears `insufficient_funds`."""
    installation.grant()
    installation.open("shop:a")
    installation.give("shop:a", 20)
    told = [answer for answers in rivals(*[("spend", "shop:a", "20")] * PROCESSES) for answer in answers]
    assert Counter("seq" if "seq" in answer else answer["refused"] for answer in told) == {
        "seq": 20,
        "insufficient_funds": 20 * (PROCESSES - 1),
    }
    assert len({answer["seq"] for answer in told if "seq" in answer}) == 20
    assert installation.balance("shop:a").posted_minor == 0
    _sound(installation, tmp_path)


def test_the_last_unit_has_one_winner(installation: Installation, rivals: Any, tmp_path: Path) -> None:
    """Account by account, one process gets the last unit and each other one the clear refusal."""
    rounds = 15
    installation.grant()
    installation.open(*(f"shop:{number}" for number in range(rounds)))
    for number in range(rounds):
        installation.give(f"shop:{number}", 1)
    answers = rivals(*[("rush", str(rounds))] * PROCESSES)
    for number in range(rounds):
        told = sorted(answer.get("refused", "won") for process in answers for answer in process[number : number + 1])
        assert told == ["insufficient_funds"] * (PROCESSES - 1) + ["won"]
    _sound(installation, tmp_path)


def test_the_last_unit_of_stock_has_one_winner(installation: Installation, rivals: Any, tmp_path: Path) -> None:
    """Promotion by promotion, one learner reserves the last one and each other one hears `out_of_stock`."""
    street = Street(installation)
    street.shop("noodles")
    wanted = [street.promotion("noodles", stock=1).id for _ in range(5)]
    learners = [street.learner().subject or "" for _ in range(PROCESSES)]
    answers = rivals(*[("reserve", ",".join(wanted), learner) for learner in learners])
    for number in range(len(wanted)):
        told = sorted(process[number].get("refused", "won") for process in answers)
        assert told == ["out_of_stock"] * (PROCESSES - 1) + ["won"]
    _sound(installation, tmp_path)


def test_one_key_in_many_processes_is_one_entry(installation: Installation, rivals: Any, tmp_path: Path) -> None:
    """Who retries against another process gets the first answer: each key makes one entry."""
    keys = 15
    installation.grant()
    installation.open("shop:a")
    answers = rivals(*[("ask_again", str(keys))] * PROCESSES)
    for number in range(keys):
        told = [process[number] for process in answers]
        assert sum("seq" in answer for answer in told) == 1
        assert len({answer.get("seq", answer.get("replayed")) for answer in told}) == 1
    assert installation.balance("shop:a").posted_minor == keys
    _sound(installation, tmp_path)


def test_many_processes_on_few_accounts_reconcile(installation: Installation, rivals: Any, tmp_path: Path) -> None:
    """A hammer of random acts: every acknowledged entry is in the log, seq is gapless, and all sums hold."""
    installation.grant(2_000)
    installation.open("shop:a", "shop:b")
    people = ",".join(installation.learner(200) for _ in range(3))
    before = len(installation.leaves())
    told = rivals(*[("hammer", str(number), str(scale(25, 500)), people) for number in range(PROCESSES)])
    acknowledged = {answer["seq"]: answer["id"] for process in told for answer in process if "seq" in answer}
    refusals = {answer["refused"] for process in told for answer in process if "refused" in answer}
    leaves = installation.leaves()
    assert [leaf["seq"] for leaf in leaves] == list(range(len(leaves)))
    assert all(leaves[seq]["id"] == entry_id for seq, entry_id in acknowledged.items())
    ends = {"capture", "release"}
    holds = sum(leaf["kind"] in ends for leaf in leaves)
    assert len(acknowledged) == len(leaves) - before - holds
    assert refusals <= {"insufficient_funds", "not_reversible", "case_closed", "not_found", "validation_failed"}
    assert sum(installation.balance(path).posted_minor for path in people.split(",")) >= 0
    _sound(installation, tmp_path)
