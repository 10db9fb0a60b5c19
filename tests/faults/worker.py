"""A process of its own that writes to a city, for the tests that let processes fight or kill them.

It reads tasks from its input, one JSON line each: [database URL, directory, task, argument …]. For each it opens the
installation and says `ready`, waits for a line, does the task while it tells in JSON lines what became of each
command (each written after the writer acknowledged it), and says `null`.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from ledger.book import holds, transfers
from ledger.book.commands import Command
from ledger.book.idempotency import Scope
from ledger.book.unit import Unit
from ledger.commerce import redemptions
from ledger.errors import LedgerError
from ledger.people.roles import Principal
from tests.factories import CITY, Installation, reopen

ROOT = Path(__file__).parent.parent.parent


class Worker:
    """A worker as the test sees it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.worker"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout

    def prepare(self, database_url: str, directory: Path, *task: str) -> None:
        """Give it a task; returns when it is ready to begin."""
        self._write(json.dumps([database_url, str(directory), *task]))
        assert self._output.readline() == "ready\n", "the worker did not start"

    def go(self) -> None:
        """Let it begin."""
        self._write("go")

    def read(self) -> dict[str, Any]:
        """The next thing that it tells."""
        told: dict[str, Any] = json.loads(self._output.readline())
        return told

    def kill(self) -> list[dict[str, Any]]:
        """`kill -9`, now; what it had told before, complete lines only."""
        self._process.kill()
        told = [json.loads(line) for line in self._output if line.endswith("\n")]
        self._process.wait(60)
        return told

    def finish(self) -> list[dict[str, Any]]:
        """All that it tells until the task is done."""
        told = []
        while (line := self._output.readline()) != "null\n":
            assert line, "the worker died"
            told.append(json.loads(line))
        return told

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait(60)
        self._input.close()
        self._output.close()

    def _write(self, line: str) -> None:
        self._input.write(line + "\n")
        self._input.flush()


def _tell(lock: threading.Lock, **facts: object) -> None:
    with lock:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def _submit(installation: Installation, run: Callable[[Unit], Any], scope: Scope | None = None) -> dict[str, Any]:
    """Run a command through the queue; what became of it."""
    command = Command(run, scope, (lambda posted: str(posted.seq).encode()) if scope else None)
    try:
        outcome = installation.writer.submit(CITY, command)
    except LedgerError as refusal:
        return {"refused": refusal.code}
    if outcome.replayed is not None:
        return {"replayed": int(outcome.replayed)}
    made: Any = outcome.value
    return {"seq": made.seq, "id": made.id} if hasattr(made, "seq") else {"done": True}


def load(installation: Installation, lock: threading.Lock, learner: str) -> None:
    """Write entries of several kinds from eight threads, until somebody ends the process."""
    numbers = count()

    def hold_and_capture(unit: Unit) -> Any:
        until = unit.now.replace(year=unit.now.year + 1)
        hold = holds.place(unit, learner, "shop:a", 2, expires_at=until, actor="learner")
        return holds.capture(unit, hold.seq, 1, actor="shop:a")

    def one(_: int) -> None:
        while True:
            if next(numbers) % 3:
                _tell(lock, **_submit(installation, lambda unit: _pay(unit, "treasury", "shop:b")))
            else:
                _tell(lock, **_submit(installation, hold_and_capture))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))


def spend(installation: Installation, lock: threading.Lock, source: str, times: str) -> None:
    """Try to move one unit out of an account, several times."""
    for _ in range(int(times)):
        _tell(lock, **_submit(installation, lambda unit: _pay(unit, source, "treasury")))


def rush(installation: Installation, lock: threading.Lock, sources: str) -> None:
    """Try to move one unit out of each of several accounts, in the same order as everybody else."""
    for number in range(int(sources)):
        told = _submit(installation, lambda unit, n=number: _pay(unit, f"shop:{n}", "treasury"))  # type: ignore[misc]
        _tell(lock, account=number, **told)


def ask_again(installation: Installation, lock: threading.Lock, keys: str) -> None:
    """Send the requests that everybody sends, under the same idempotency keys."""
    for number in range(int(keys)):
        scope = Scope("treasurer", "POST /entries", f"key-{number}", sha256(b"body").digest())
        _tell(lock, key=number, **_submit(installation, lambda unit: _pay(unit, "treasury", "shop:a"), scope))


def reserve(installation: Installation, lock: threading.Lock, promotions: str, learner: str) -> None:
    """Try to reserve each of some promotions, whose last unit everybody wants."""
    who = Principal(CITY, frozenset({"learner"}), learner, "token")
    for promotion in promotions.split(","):
        told = _submit(installation, lambda unit, p=promotion: redemptions.reserve(unit, who, p))  # type: ignore[misc]
        _tell(lock, promotion=promotion, **told)


def hammer(installation: Installation, lock: threading.Lock, seed: str, times: str, learners: str) -> None:
    """Move, hold, capture, release and reverse between few accounts, at random, from four threads."""
    people = learners.split(",")

    def one(thread: int) -> None:
        chance = random.Random(f"{seed}/{thread}")  # noqa: S311 - repeatable, not secret
        for _ in range(int(times)):
            _tell(lock, **_submit(installation, _random_act(chance, people)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))


def _random_act(chance: random.Random, people: list[str]) -> Callable[[Unit], Any]:
    amount, person, shop = chance.randint(1, 40), chance.choice(people), f"shop:{chance.choice('ab')}"
    recent = chance.randint(1, 12)

    def act(unit: Unit) -> Any:
        kind = chance.randint(0, 5)
        if kind == 0:
            return transfers.post(unit, "transfer", "treasury", person, amount, actor="treasurer")
        if kind == 1:
            return transfers.post(unit, "redeem", person, shop, amount, actor=shop)
        if kind == 2:
            return transfers.post(unit, "transfer", shop, "treasury", amount, actor=shop)
        if kind == 3:
            until = unit.now.replace(year=unit.now.year + 1)
            hold = holds.place(unit, person, shop, amount, expires_at=until, actor="learner")
            return chance.choice([holds.capture, holds.release])(unit, hold.seq, actor=shop)
        if kind == 4:
            return holds.refund(unit, unit.next_seq - recent, actor=shop)
        return transfers.reverse(unit, unit.next_seq - recent, actor="treasurer")

    return act


def _pay(unit: Unit, source: str, target: str) -> Any:
    return transfers.post(unit, "transfer", source, target, 1, actor="treasurer")


TASKS: dict[str, Callable[..., None]] = {
    task.__name__: task for task in (load, spend, rush, ask_again, reserve, hammer)
}


def main() -> None:
    """Do one task after the other, until the input ends."""
    for line in sys.stdin:
        url, directory, task, *arguments = json.loads(line)
        installation, lock = reopen(url, Path(directory)), threading.Lock()
        installation.city()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        TASKS[task](installation, lock, *arguments)
        installation.close()
        sys.stdout.write("null\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
