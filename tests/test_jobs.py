"""What happens without anybody asking: an airdrop that nobody drives is paid to its end."""

from __future__ import annotations

from ledger import jobs
from ledger.people import learners
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrops import NewAirdrop
from tests.factories import CITY, Installation
from tests.programme.town import STEWARD, Town


def test_an_airdrop_that_nobody_drives_is_paid_to_its_end(installation: Installation) -> None:
    """What was confirmed and left after a chunk goes on, once; a preview that nobody confirmed stays one."""
    town = Town(installation)
    town.activity("library")
    who = [one.learner for one in town.run(lambda unit: [learners.join(unit) for _ in range(airdrops.CHUNK * 2 + 1)])]
    content = "learner,amount\n" + "".join(f"{one},0.10\n" for one in who)

    def bring() -> str:
        new = NewAirdrop("library", content.encode())
        return town.run(lambda unit: airdrops.create(unit, STEWARD, new)).id

    left, preview = bring(), bring()
    town.run(lambda unit: airdrops.confirm(unit, STEWARD, left, 10 * len(who)))
    town.run(lambda unit: airdrops.proceed(unit, STEWARD, left))
    grown = jobs.run_once(installation.writer)
    assert grown[CITY] >= len(who) - airdrops.CHUNK
    jobs.run_once(installation.writer)
    with installation.read() as session:
        assert airdrop_reports.get(session, CITY, left).paid == len(who)
        assert airdrop_reports.get(session, CITY, preview).state == "draft"
    assert {installation.balance(learners.account_of(one)).posted_minor for one in who} == {10}
    paid = [leaf for leaf in installation.leaves() if leaf["kind"] == "reward"]
    assert (len(paid), {leaf["actor"] for leaf in paid}) == (len(who), {"steward"})
