"""`kgo chain suspense` and `resolve`: what nobody could be credited with, and how it comes to its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import cli
from ledger.chain import deposits
from ledger.chain.deposits import Arrival
from tests.chain.crossing import CHAIN, SUSPENSE, Crossing, wallet
from tests.factories import CITY, install, reopen


def test_a_deposit_in_suspense_is_shown_and_resolved(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what speaks for whom; once, by an entry of the operator, and never what was credited."""
    city = install(sqlite_url, tmp_path)
    crossing = Crossing(city)
    crossing.withdraw("ann", 5_000)
    ann = crossing.learners["ann"]
    ticket = crossing.ticket("ann")
    arrivals = [
        Arrival(0, wallet("ann"), ticket, 100, "0x" + "0" * 64, 10),
        Arrival(1, wallet("bo"), ticket, 200, "0x" + "1" * 64, 11),
        Arrival(2, wallet("bo"), "0x" + "9" * 64, 300, "0x" + "2" * 64, 12),
    ]
    city.run(lambda unit: deposits.credit(unit, CHAIN, arrivals))
    city.close()
    monkeypatch.setenv("KGO_DATABASE_URL", sqlite_url)
    place = ["--data", str(tmp_path), "--city", CITY]

    assert cli.main(["chain", "suspense", *place]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in told] == [["1", "200"], ["2", "300"]]
    assert f"drawn by {ann}" in told[0]
    assert "drawn by nobody" in told[1]
    assert cli.main(["chain", "resolve", *place, "--deposit", "1", "--learner", ann]) == 0
    for number in ("1", "0", "7"):
        assert cli.main(["chain", "resolve", *place, "--deposit", number, "--learner", ann]) != 0
    capsys.readouterr()
    assert cli.main(["chain", "resolve", *place, "--deposit", "2", "--learner", "nobody"]) != 0
    assert capsys.readouterr().err == "kgo: not_found kind=learner, id=nobody\n"
    assert cli.main(["chain", "key", "--data", str(tmp_path), "--city", "nowhere", "--role", "admin"]) != 0
    assert capsys.readouterr().err == "kgo: not_found kind=city, id=nowhere\n"
    for seconds in ("0", "-3"):
        assert cli.main(["chain", "watch", *place, "--every", seconds]) != 0
        assert capsys.readouterr().err == "kgo: --every: give seconds, more than 0\n"
    assert cli.main(["chain", "suspense", *place]) == 0
    assert capsys.readouterr().out.split()[:2] == ["2", "300"]

    reopened = crossing.city = reopen(sqlite_url, tmp_path)
    assert (crossing.held("ann"), reopened.balance(SUSPENSE).posted_minor) == (5_300, 300)
    assert [leaf["actor"] for leaf in reopened.leaves()][-1] == "operator"
    assert reopened.audit().ok
    reopened.close()
