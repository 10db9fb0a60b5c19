"""What is remembered between runs: later checkpoints must extend earlier ones, and interrupted walks go on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import checkpoint
from ledger.proof.merkle import leaf_hash, root_of
from ledger.proof.report import Report
from ledger.signing import sign
from ledger.verifier import run
from ledger.verifier.memory import Memory, MemoryFault
from ledger.verifier.run import Wishes, verify
from tests.proof.logs import KEY, ORIGIN, VKEY, edited, signed, write
from tests.verifier.mirrors import Site, long_log, publish, served

LOG = long_log(900).lines()
FORK = [*LOG[:100], edited(LOG[100], key="ab" * 32), *LOG[101:]]
STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """A memory of nothing yet."""
    return Memory(tmp_path / "state")


def codes(report: Report) -> set[str]:
    """Return the codes of what was found."""
    return set(report.counts)


def bundles(site: Site) -> set[str]:
    """Return the entry bundles that were asked for, and forget them."""
    asked = {path for path in site.asked if path.startswith("tile/entries")}
    site.asked.clear()
    return asked


def test_a_log_that_grows_is_followed(tmp_path: Path, memory: Memory) -> None:
    """At a URL the next run asks for what is new alone; `fresh` asks for all of it."""
    with served(publish(tmp_path / "log", LOG[:600])) as site:
        assert verify(site.url, Wishes(memory=memory)).ok
        assert len(bundles(site)) == 3
        publish(tmp_path / "log", LOG)
        report = verify(site.url, Wishes(memory=memory))
        assert report.ok, report.text()
        assert any("entries 0 to 511, in an earlier run" in item for item in report.checked)
        assert any("extends the checkpoint remembered" in item for item in report.checked)
        assert (report.totals, report.shops) == (verify(tmp_path / "log", Wishes()).totals, report.shops)
        assert bundles(site) == {"tile/entries/002", "tile/entries/003.p/132"}
        assert verify(site.url, Wishes(memory=memory, fresh=True)).ok
        assert len(bundles(site)) == 4
    seen = memory.recall(ORIGIN)
    assert seen is not None
    assert (seen.note, seen.vkey) == (signed(LOG), VKEY)


@pytest.mark.parametrize("size", [700, 900])
@pytest.mark.parametrize("where", ["tiles", "url", "export"])
def test_a_rewritten_history_is_a_split_view(tmp_path: Path, memory: Memory, where: str, size: int) -> None:
    """Rightly signed, right in itself, and not what was seen before: both checkpoints are the evidence."""
    folder = (write if where == "export" else publish)(tmp_path / "log", LOG[:700])
    with served(folder) as site:
        place = site.url if where == "url" else folder
        assert verify(place, Wishes(memory=memory)).ok
        (write if where == "export" else publish)(tmp_path / "log", FORK[:size])
        for _ in range(2):  # and what was remembered stays
            report = verify(place, Wishes(memory=memory))
            assert codes(report) == {"SPLIT_VIEW"}, report.text()
            assert [finding.evidence for finding in report.findings] == [(signed(LOG, 700), signed(FORK, size))]
    told = report.as_json()["findings"][0]["evidence"]
    assert [checkpoint.verify(note, VKEY).size for note in told] == [700, size]
    assert verify(folder, Wishes()).ok  # nobody who comes for the first time can know


@pytest.mark.parametrize("lines", [LOG, FORK])
def test_a_log_that_was_set_back_is_found(tmp_path: Path, memory: Memory, lines: list[bytes]) -> None:
    """A shorter log than the one remembered lacks a tail; the later checkpoint says so."""
    assert verify(publish(tmp_path / "log", LOG), Wishes(memory=memory)).ok
    report = verify(publish(tmp_path / "older", lines[:600]), Wishes(memory=memory))
    assert codes(report) == {"BEHIND_ANCHOR"}
    assert report.findings[0].evidence == (signed(LOG), signed(lines, 600))
    assert verify(tmp_path / "log", Wishes(memory=memory)).ok


def test_the_key_first_seen_is_pinned(tmp_path: Path, memory: Memory) -> None:
    """Another key for the same log, or another log at the same address, is not accepted in silence."""
    with served(publish(tmp_path / "log", LOG)) as site:
        first = verify(site.url, Wishes(memory=memory))
        assert any("came with the log" in item for item in first.unchecked)
        (tmp_path / "log" / "checkpoint").write_text(signed(LOG, key=STRANGER), "utf-8")
        (tmp_path / "log" / "vkey").write_text(checkpoint.vkey(ORIGIN, STRANGER.public_key()), "utf-8")
        assert verify(site.url, Wishes()).ok
        assert codes(verify(site.url, Wishes(memory=memory))) == {"BAD_SIGNATURE"}
        assert codes(verify(site.url, Wishes())) == set()
        other = checkpoint.Checkpoint("other.example/log", len(LOG), root_of(map(leaf_hash, LOG)))
        (tmp_path / "log" / "checkpoint").write_text(sign(other, other.origin, KEY), "utf-8")
        (tmp_path / "log" / "vkey").write_text(checkpoint.vkey(other.origin, KEY.public_key()), "utf-8")
        moved = verify(site.url, Wishes(memory=memory))
        assert codes(moved) == {"BAD_SIGNATURE"}
        assert "showed the log" in moved.findings[0].message
        assert moved.findings[0].evidence[0] == signed(LOG)
        wanted = Wishes(vkey=checkpoint.vkey(other.origin, KEY.public_key()), memory=memory)
        assert verify(site.url, wanted).ok  # asked for by its key, it is the user's choice


def test_another_key_under_the_old_name_is_explained_with_the_remedy(tmp_path: Path, memory: Memory) -> None:
    """Both keys stand there, what it may be, and what to remove; having removed it, the new log is the one followed."""
    assert verify(publish(tmp_path / "log", LOG), Wishes(memory=memory)).ok
    fresh = write(tmp_path / "fresh", LOG[:5])
    stranger = checkpoint.vkey(ORIGIN, STRANGER.public_key())
    (fresh / "checkpoint").write_text(signed(LOG, 5, key=STRANGER), "utf-8")
    (fresh / "vkey").write_text(stranger, "utf-8")
    report = verify(fresh, Wishes(memory=memory))
    assert "BAD_SIGNATURE" in codes(report)
    told = report.findings[-1].message
    old, new = (key.split("+")[1] for key in (VKEY, stranger))
    home = memory.walk_path(ORIGIN).parent
    for word in (old, new, "made anew", "a new installation", str(home), "--no-state"):
        assert word in told
    given = verify(fresh, Wishes(vkey=VKEY, memory=memory)).findings[-1].message
    assert (old in given, str(home) in given) == (True, False)
    shutil.rmtree(home)
    assert verify(fresh, Wishes(memory=memory)).ok


def test_an_interrupted_walk_goes_on_where_it_was_kept(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is fetched, the verdict is that of a whole walk, and what was kept half is not gone by."""
    monkeypatch.setattr(run, "SAVE_EVERY", 256)

    def interrupt(done: int, total: int | None) -> None:
        if done >= 512:
            raise KeyboardInterrupt

    with served(publish(tmp_path / "log", LOG)) as site:
        with pytest.raises(KeyboardInterrupt):
            verify(site.url, Wishes(memory=memory), progress=interrupt)
        bundles(site)
        report = verify(site.url, Wishes(memory=memory))
        assert report.ok, report.text()
        assert bundles(site) == {"tile/entries/002", "tile/entries/003.p/132"}
    whole = verify(tmp_path / "log", Wishes())
    assert (report.totals, report.activities, report.shops, report.root) == (
        whole.totals,
        whole.activities,
        whole.shops,
        whole.root,
    )


def test_what_is_handed_over_is_read_from_its_beginning(tmp_path: Path, memory: Memory) -> None:
    """A directory that was verified before and then changed is not passed because of what is remembered."""
    folder = write(tmp_path / "export", LOG)
    assert verify(folder, Wishes(memory=memory)).ok
    assert verify(folder, Wishes(memory=memory)).ok
    write(folder, FORK, signed(LOG))
    assert codes(verify(folder, Wishes(memory=memory))) == {"HASH_MISMATCH"}


@pytest.mark.parametrize("statement", [
    "UPDATE walk SET state = replace(state, '\"size\":', '\"size\": ')",
    "UPDATE walk SET state = '{}'",
    "UPDATE walk SET hash = 'x'",
    "UPDATE blocks SET data = zeroblob(length(data))",
    "UPDATE blocks SET number = number + 1",
    "DELETE FROM blocks",
    "DROP TABLE walk",
])  # fmt: skip
def test_a_kept_walk_that_does_not_fit_is_refused(tmp_path: Path, memory: Memory, statement: str) -> None:
    """Changed, cut or lost: the walk begins anew, and the verdict is what it should be."""
    with served(publish(tmp_path / "log", LOG)) as site:
        assert verify(site.url, Wishes(memory=memory)).ok
        with closing(sqlite3.connect(memory.walk_path(ORIGIN))) as file:
            file.execute(statement)
            file.commit()
        bundles(site)
        assert verify(site.url, Wishes(memory=memory)).ok
        assert len(bundles(site)) == 4
        memory.walk_path(ORIGIN).write_bytes(b"no database" * 1_000)
        assert verify(site.url, Wishes(memory=memory)).ok


def test_a_walk_of_another_log_is_refused(tmp_path: Path, memory: Memory) -> None:
    """The state is bound to origin and key: copied into another log's place it is not gone by."""
    other = Memory(tmp_path / "other")
    with served(publish(tmp_path / "log", LOG)) as site:
        assert verify(site.url, Wishes(memory=memory)).ok
        foreign = signed(LOG, key=STRANGER)
        (tmp_path / "log" / "checkpoint").write_text(foreign, "utf-8")
        (tmp_path / "log" / "vkey").write_text(checkpoint.vkey(ORIGIN, STRANGER.public_key()), "utf-8")
        other.walk_path(ORIGIN).parent.mkdir(parents=True)
        other.walk_path(ORIGIN).write_bytes(memory.walk_path(ORIGIN).read_bytes())
        bundles(site)
        assert verify(site.url, Wishes(memory=other)).ok
        assert len(bundles(site)) == 4


def test_a_damaged_memory_is_told_and_not_passed_over(tmp_path: Path, memory: Memory) -> None:
    """Neither relied on nor forgotten: somebody may have wanted it to be."""
    folder = write(tmp_path / "export", LOG)
    assert verify(folder, Wishes(memory=memory)).ok
    home = memory.walk_path(ORIGIN).parent
    for name in ("checkpoint", "vkey"):
        kept = (home / name).read_text("utf-8")
        (home / name).write_text(kept.replace("a", "b"), "utf-8")
        with pytest.raises(MemoryFault):
            verify(folder, Wishes(memory=memory))
        (home / name).unlink()
        with pytest.raises(MemoryFault):
            verify(folder, Wishes(memory=memory))
        (home / name).write_text(kept, "utf-8")
    (memory.directory / "addresses.json").write_text("[]")
    with served(publish(tmp_path / "log", LOG)) as site, pytest.raises(MemoryFault):
        verify(site.url, Wishes(memory=memory))


def test_a_memory_that_cannot_be_written_leaves_the_verdict(tmp_path: Path) -> None:
    """It is said that nothing was remembered; all else holds."""
    (tmp_path / "file").write_text("")
    report = verify(write(tmp_path / "export", LOG), Wishes(memory=Memory(tmp_path / "file" / "state")))
    assert report.ok
    assert any("nothing could be remembered" in item for item in report.unchecked)
    assert json.dumps(report.as_json())
