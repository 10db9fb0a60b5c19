"""Logs as tiles, in a directory and at a URL: read, checked against the entries, and every damage named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.writer import TilesWriter

from ledger.proof import checkpoint
from ledger.proof.merkle import leaf_hash
from ledger.proof.tiles import entries_path, tile_path
from ledger.proving import encode_bundle
from ledger.verifier.run import verify_export
from ledger.verifier.source import SourceError
from ledger.verifier.web import Website
from tests.proof.logs import ORIGIN, VKEY, edited, signed
from tests.verifier.mirrors import long_log, publish, served

LOG = long_log(700).lines()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_tiles_verify_in_a_directory_and_at_a_url(tmp_path: Path, size: int) -> None:
    """With full and partial tiles, plain and compressed."""
    folder = publish(tmp_path / "log", LOG[:size])
    with served(folder) as site:
        for where in (folder, site.url, f"{site.url}checkpoint"):
            report = verify_export(where, vkey=VKEY)
            assert report.ok, report.text()
            assert (report.origin, report.size) == (ORIGIN, size)
            assert any("hash tiles" in item for item in report.checked)
        site.gzipped = True
        assert verify_export(site.url, vkey=VKEY).ok


def test_a_full_tile_stands_for_a_partial_one_that_is_gone(tmp_path: Path) -> None:
    """As the specification lets a log delete it: the beginning of the full file is taken."""
    folder = publish(tmp_path, LOG[:300])
    publish(folder, LOG[:512], signed(LOG, 300))
    for name in (entries_path(1, 44), tile_path(0, 1, 44)):
        (folder / name).unlink()
    assert verify_export(folder).ok
    (folder / entries_path(1)).unlink()
    assert set(verify_export(folder).counts) == {"VERIFICATION_INCOMPLETE"}


def test_an_independent_reader_and_writer_agree(tmp_path: Path) -> None:
    """Its proofs out of our tiles verify, and the verifier accepts the tiles that it wrote."""
    folder = publish(tmp_path / "ours", LOG)
    reader = TilesReader(LocalBackend(folder))
    head = reader.get_checkpoint()
    assert reader.calculate_root_hash() == head.root_hash
    for seq in (0, 255, 256, 699):
        assert reader.get_entry(seq) == LOG[seq]
        reader.get_inclusion_proof(seq, 700).check(leaf_hash(LOG[seq]), head.root_hash)
    writer = TilesWriter.create(tmp_path / "theirs", ORIGIN)
    for line in LOG[:600]:
        writer.add_leaf(line)
    theirs = Path(writer.root)
    writer._append_tile(0, [leaf_hash(line) for line in LOG[:600]])
    assert (theirs / tile_path(0, 1)).read_bytes() == (folder / tile_path(0, 1)).read_bytes()


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "seq"),
    [
        (tile_path(0, 0), 0),
        (tile_path(0, 1), 256),
        (tile_path(0, 2, 188), 512),
        (tile_path(1, 0, 2), 0),
    ],
)
def test_a_tile_that_is_not_of_the_entries_is_named(tmp_path: Path, name: str, seq: int) -> None:
    """Wrong, cut, longer than it may be, or gone."""
    file = publish(tmp_path, LOG) / name
    data = file.read_bytes()
    for change in (_flip(data), data[:-1], data + b"x"):
        file.write_bytes(change)
        report = verify_export(tmp_path)
        assert [(finding.code, finding.seq) for finding in report.findings] == [("HASH_MISMATCH", seq)]
    file.unlink()
    assert set(verify_export(tmp_path).counts) == {"VERIFICATION_INCOMPLETE"}


def test_a_bundle_that_is_damaged_or_gone_is_named(tmp_path: Path) -> None:
    """One that does not come out even, of too few or too many entries, with a changed entry, or none at all."""
    file = publish(tmp_path, LOG) / entries_path(1)
    data = file.read_bytes()
    for change in (data[:-1], data + b"x", encode_bundle(LOG[256:511]), b"", b"\xff" * 20_000_000):
        file.write_bytes(change)
        report = verify_export(tmp_path)
        assert [(finding.code, finding.seq) for finding in report.findings] == [("HASH_MISMATCH", 256)], report.text()
        assert any("from entry 256 on" in item for item in report.unchecked)
    changed = [*LOG[256:300], edited(LOG[300], key="ab" * 32), *LOG[301:512]]
    file.write_bytes(encode_bundle(changed))
    report = verify_export(tmp_path)
    assert {(finding.code, finding.seq) for finding in report.findings} >= {
        ("HASH_MISMATCH", None),
        ("HASH_MISMATCH", 256),
    }
    file.unlink()
    assert set(verify_export(tmp_path).counts) == {"VERIFICATION_INCOMPLETE"}
    last = tmp_path / entries_path(2, 188)
    file.write_bytes(data)
    last.write_bytes(encode_bundle([*LOG[512:], LOG[0]]))
    assert set(verify_export(tmp_path).counts) == {"HASH_MISMATCH"}


def test_without_a_checkpoint_nothing_is_asked_for(tmp_path: Path) -> None:
    """Missing or malformed, there is no saying what should be there."""
    folder = publish(tmp_path, LOG)
    (folder / "checkpoint").write_text("rubbish")
    assert set(verify_export(folder).counts) == {"BAD_SIGNATURE", "VERIFICATION_INCOMPLETE"}
    (folder / "checkpoint").unlink()
    assert set(verify_export(folder).counts) == {"VERIFICATION_INCOMPLETE"}


def test_passing_failures_are_tried_again_and_lasting_ones_told(tmp_path: Path) -> None:
    """Overload and broken gateways pass; a refusal does not; no answer is larger than it may be."""
    with served(publish(tmp_path, LOG)) as site:
        web = Website(site.url, first_pause_s=0.001)
        site.failures = {"checkpoint": [503, 429, 502, 500]}
        assert checkpoint.verify((web.fetch("checkpoint", 1_000) or b"").decode(), VKEY).size == 700
        assert site.asked.count("checkpoint") == 5
        assert web.fetch("nothing", 10) is None
        for statuses in ([403], [500] * 5):
            site.failures = {"checkpoint": list(statuses)}
            with pytest.raises(SourceError, match=f"status {statuses[0]}"):
                web.fetch("checkpoint", 1_000)
        for gzipped in (False, True):
            site.endless, site.gzipped = True, gzipped
            with pytest.raises(SourceError, match="more than 1000 bytes"):
                web.fetch("checkpoint", 1_000)
        port = site.url
    with pytest.raises(SourceError):
        Website(port, first_pause_s=0.001).fetch("checkpoint", 10)


def test_an_answer_that_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    """A connection that ends in the middle of a file says nothing against the log, packed or not."""
    with served(publish(tmp_path, LOG)) as site:
        for gzipped in (False, True):
            site.gzipped, site.cut = gzipped, [entries_path(1), tile_path(0, 1), "checkpoint"]
            assert verify_export(site.url).counts == {}
            assert site.cut == []
        web = Website(site.url, first_pause_s=0.001)
        site.gzipped, site.cut = False, [entries_path(1)] * 5
        with pytest.raises(SourceError, match="IncompleteRead"):
            web.fetch(entries_path(1), 1_000_000)
