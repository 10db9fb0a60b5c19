"""A process that is killed while it pays an airdrop loses nothing and pays nothing twice; the next one goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ledger.book import accounts
from ledger.people import learners
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrops import NewAirdrop
from tests.counts import scale
from tests.factories import CITY, install, reopen
from tests.programme.town import STEWARD, Town

ROOT = Path(__file__).parents[2]
ROUNDS = scale(2, 15)

DRIVER = """
import sys
from pathlib import Path
from ledger.programme import airdrops
from tests.factories import reopen
from tests.programme.town import STEWARD

installation = reopen(sys.argv[1], Path(sys.argv[2]))
while True:
    view = installation.run(lambda unit: airdrops.proceed(unit, STEWARD, sys.argv[3]))
    print(view.paid, flush=True)
"""
"""Pays chunk after chunk and says after each how many rows are paid."""


def test_kill_9_pays_no_row_twice_and_forgets_none(database_url: str, tmp_path: Path) -> None:
    """Killed in the midst of chunks, again and again: what was told stands, and in the end everybody has it once."""
    made = install(database_url, tmp_path)
    town = Town(made)
    town.activity("library", budget_minor=1_000_000)
    count = airdrops.CHUNK * (ROUNDS + 2)
    who = [one.learner for one in town.run(lambda unit: [learners.join(unit) for _ in range(count)])]
    content = "learner,amount\n" + "".join(f"{one},0.10\n" for one in who)
    drop = town.run(lambda unit: airdrops.create(unit, STEWARD, NewAirdrop("library", content.encode())))
    town.run(lambda unit: airdrops.confirm(unit, STEWARD, drop.id, drop.sum_minor))
    made.close()
    told = 0
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", DRIVER, database_url, str(tmp_path), drop.id]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as driver:
            assert driver.stdout is not None
            told = int(driver.stdout.readline())
            driver.kill()
        after = reopen(database_url, tmp_path)
        with after.read() as session:
            found = airdrop_reports.get(session, CITY, drop.id)
        assert found.paid >= told
        assert sum(leaf["kind"] == "reward" for leaf in after.leaves()) == found.paid
        after.close()
    final = reopen(database_url, tmp_path)
    while final.run(lambda unit: airdrops.proceed(unit, STEWARD, drop.id)).state == "running":
        pass
    assert told >= airdrops.CHUNK
    with final.read() as session:
        held = {one.account: one.posted_minor for one in accounts.with_prefix(session, CITY, "learner:")}
    assert held == dict.fromkeys(map(learners.account_of, who), 10)
    assert final.balance("budget:library").posted_minor == 1_000_000 - 10 * count
    assert final.audit().findings == []
    final.close()
