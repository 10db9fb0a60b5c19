"""What happens without anybody asking: an airdrop that nobody drives is paid, checkpoints are cosigned."""

from __future__ import annotations

import logging
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import jobs
from ledger.config import Settings
from ledger.errors import Overloaded
from ledger.installation import assemble
from ledger.log.public import PublicLog
from ledger.people import learners
from ledger.programme import airdrop_reports, airdrops
from ledger.programme.airdrops import NewAirdrop
from ledger.proof import cosignature
from tests.factories import CITY, Installation
from tests.log.witnesses import Friend
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


def test_the_totals_are_attested_once_a_day_of_the_city(installation: Installation) -> None:
    """The day begins at midnight in Khon Kaen, 17:00 UTC; nothing is attested where nothing happened."""

    def grown(amount: int) -> int:
        if amount:
            installation.grant(amount)
        return jobs.run_once(installation.writer)[CITY]

    assert (grown(0), grown(5), grown(0), grown(5)) == (0, 1, 0, 0)
    installation.clock.now = datetime(2026, 3, 2, 16, 59, 59, 999_000, tzinfo=UTC)
    assert (grown(0), grown(5)) == (0, 0)
    installation.clock.advance(milliseconds=1)
    assert (grown(0), grown(5), grown(5)) == (1, 0, 0)
    installation.clock.advance(days=3)
    assert (grown(0), grown(7), grown(7)) == (1, 0, 0)
    kinds = [leaf["kind"] for leaf in installation.leaves()]
    assert kinds.count("attest") == 3


def test_checkpoints_are_cosigned_without_anybody_asking(
    installation: Installation, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the policy's witnesses, the installation's own among them; one that cannot be reached stands in the log."""
    opened = assemble(Settings(tmp_path, database_url, "http://localhost"), installation.clock)
    public = PublicLog(opened)
    jobs.collect_cosignatures(public)  # there is no policy
    own = public.witness.create("own.example/w").vkey
    far = Friend(installation, "far").vkey
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lines = f"witness own {own}\nwitness far {far} http://127.0.0.1:{port}\nwitness bad {_vkey()} ftp://x\nquorum own\n"
    (tmp_path / "policy").write_text(lines)
    installation.grant()
    with caplog.at_level(logging.WARNING):
        jobs.collect_cosignatures(public)
    assert f"{CITY} was not cosigned by the witness far" in caplog.text
    assert "the policy's witness bad" in caplog.text
    rule = public.policy.load()
    assert rule is not None
    with installation.read() as session:
        note = public.checkpoint(session, CITY, installation.city_keys().vkey)
        standings = {one.name: one for one in public.standings(session, CITY, installation.city_keys().vkey)}
    assert set(rule.policy.cosigners(note)) == {"own"}
    assert (standings["own"].size, standings["own"].problem) == (1, None)
    assert standings["far"].problem == "ConnectionRefusedError"
    opened.close()


def test_a_job_that_fails_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises is logged, and the next turn comes."""
    stop, runs = threading.Event(), []

    def job() -> None:
        runs.append(1)
        if len(runs) == 3:
            stop.set()
        raise Overloaded() if len(runs) == 1 else ValueError("a fault")

    jobs.run_for_ever(job, stop, timedelta(milliseconds=1))
    assert len(runs) == 3
    assert "a job was refused" in caplog.text
    assert "a job failed" in caplog.text


def _vkey() -> str:
    return cosignature.vkey("bad.example/w", Ed25519PrivateKey.generate().public_key())
