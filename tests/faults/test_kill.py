"""A process that is killed in the middle of its work loses nothing that it acknowledged, and half-does nothing."""

from pathlib import Path

from ledger.book import entries, seal
from ledger.proof.checkpoint import verify
from ledger.verifier.run import verify_export
from tests.counts import scale
from tests.factories import CITY, Installation, install, reopen
from tests.faults.worker import Worker

ROUNDS = scale(2, 12)
ACKNOWLEDGED = scale(60, 1_000)
"""How many acknowledged commands a round waits for before it kills."""


def _check(installation: Installation, acknowledged: list[dict[str, object]]) -> None:
    """Everything acknowledged stands, captures stand beside their holds, and all of it is sealed and in order."""
    leaves = installation.leaves()
    for told in acknowledged:
        seq = told["seq"]
        assert isinstance(seq, int)
        assert leaves[seq]["id"] == told["id"]
    kinds = [leaf["kind"] for leaf in leaves]
    assert kinds.count("hold") == kinds.count("capture")
    with installation.read() as session:
        head = verify(seal.latest(session, CITY).note, installation.city_keys().vkey)
        assert head.size == entries.size(session, CITY) == len(leaves)
    assert installation.audit().findings == []


def test_kill_9_loses_nothing_that_was_acknowledged(database_url: str, tmp_path: Path) -> None:
    """Killed again and again under load: acknowledged entries are there, sealed, and the log goes on."""
    made = install(database_url, tmp_path)
    made.open("shop:a", "shop:b")
    made.grant()
    learner = made.learner(1_000_000)
    made.close()
    acknowledged: list[dict[str, object]] = []
    for _ in range(ROUNDS):
        worker = Worker()
        worker.prepare(database_url, tmp_path, "load", learner)
        worker.go()
        told = [worker.read() for _ in range(ACKNOWLEDGED)]
        told += worker.kill()
        worker.close()
        acknowledged += told
        after = reopen(database_url, tmp_path)
        _check(after, acknowledged)
        after.give("shop:a", 1)
        after.close()
    assert len(acknowledged) >= ROUNDS * ACKNOWLEDGED
    final = reopen(database_url, tmp_path)
    shown = (tmp_path / "published" / CITY).read_text()
    report = verify_export(final.export(tmp_path / "export", openings=True), vkey=final.city_keys().vkey, seen=shown)
    assert report.findings == []
    final.close()
