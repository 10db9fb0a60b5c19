"""The verifier against honest exports and against every kind of damage, each named with the right code."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof import checkpoint
from ledger.proof.report import CODES, KEPT_PER_CODE, Report
from ledger.signing import sign
from ledger.verifier.cli import main
from ledger.verifier.run import verify_export
from tests.counts import scale
from tests.proof.logs import KEY, ORIGIN, VKEY, day, edited, signed, write, zipped

LINES = day().lines()
LAST = len(LINES) - 1
STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)


def found(report: Report) -> set[tuple[str, int | None]]:
    """Return what a report found, as (code, seq)."""
    return {(finding.code, finding.seq) for finding in report.findings}


def verify_lines(folder: Path, lines: list[bytes], note: str | None = None, *, seen: str | None = None) -> Report:
    """Verify an export of `lines` under a checkpoint of the true day, or under `note`."""
    return verify_export(write(folder, lines, note or signed(LINES)), seen=seen)


def test_an_honest_export_holds(tmp_path: Path) -> None:
    """As a directory and as a zip, with what was and what could not be checked."""
    folder = write(tmp_path / "export", LINES)
    for path in (folder, zipped(folder)):
        report = verify_export(path)
        assert report.ok, report.text()
        assert (report.origin, report.city, report.size) == (ORIGIN, "khon-kaen", len(LINES))
        assert report.root == checkpoint.parse(signed(LINES)).root
        assert (report.totals["issued"], report.totals["redeemed"]) == (100_000, 250)
        assert (report.activities, report.shops) == ({"museum": 1_000}, {"cafe": 250})
        assert len(report.checked) == 3
        assert len(report.unchecked) == 3
    given = verify_export(folder, vkey=VKEY, seen=signed(LINES, 5))
    assert given.ok
    assert len(given.unchecked) == 1


def test_openings_are_checked_where_there_are_some(tmp_path: Path) -> None:
    """All of them, or without the rows of a learner whose entries net to nothing; not with one row missing."""
    log = day()
    assert verify_export(write(tmp_path / "all", LINES, openings=log.opening_lines())).ok
    assert verify_export(write(tmp_path / "cha", LINES, openings=log.opening_lines(without=["learner:cha"]))).ok
    without_ann = write(tmp_path / "ann", LINES, openings=log.opening_lines(without=["learner:ann"]))
    assert found(verify_export(without_ann)) == {("BALANCE_MISMATCH", None)}
    one_less = write(tmp_path / "less", LINES, openings=log.opening_lines()[1:])
    assert "OVERDRAFT" in verify_export(one_less).counts


def test_an_empty_log_holds(tmp_path: Path) -> None:
    """A signed checkpoint of size 0 over no entries; with an entry it no longer holds."""
    assert verify_lines(tmp_path / "empty", [], signed([])).ok
    report = verify_lines(tmp_path / "more", LINES[:1], signed([]))
    assert found(report) == {("VERIFICATION_INCOMPLETE", 0)}
    cut = verify_lines(tmp_path / "cut", [])
    assert found(cut) == {("SEQUENCE_GAP", 0)}


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """In any file of the export; a bit that only the root betrays is still a mismatch."""
    chance = random.Random(1)  # noqa: S311
    folder = write(tmp_path / "export", LINES, openings=day().opening_lines())
    for name, codes in (
        ("entries.ndjson", {"HASH_MISMATCH", "SEQUENCE_GAP"}),
        ("checkpoint", {"BAD_SIGNATURE"}),
        ("vkey", {"BAD_SIGNATURE", "VERIFICATION_INCOMPLETE"}),
        ("openings.ndjson", {"HASH_MISMATCH", "SEQUENCE_GAP"}),
    ):
        data = (folder / name).read_bytes()
        for _ in range(scale(150, 3000)):
            at, bit = chance.randrange(len(data)), chance.randrange(8)
            (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            report = verify_export(folder)
            assert codes & set(report.counts), (name, at, bit, report.text())
        (folder / name).write_bytes(data)
    assert verify_export(folder).ok


@pytest.mark.parametrize("seq", range(len(LINES)))
def test_one_damaged_line_is_named(tmp_path: Path, seq: int) -> None:
    """Bytes that are no entry any more are pointed at; a smooth change is left to the root."""
    for damage in (LINES[seq][:-1], LINES[seq].replace(b",", b", ", 1), b"", LINES[seq] + b" ", b"[" * 60_000):
        report = verify_lines(tmp_path, [*LINES[:seq], damage, *LINES[seq + 1 :]])
        assert found(report) == {("HASH_MISMATCH", seq), ("HASH_MISMATCH", None)}
        assert any("from entry" in item for item in report.unchecked)
    smooth = edited(LINES[seq], key="ab" * 32)
    assert found(verify_lines(tmp_path, [*LINES[:seq], smooth, *LINES[seq + 1 :]])) == {("HASH_MISMATCH", None)}


@pytest.mark.parametrize("seq", range(len(LINES)))
def test_a_deleted_line_is_named(tmp_path: Path, seq: int) -> None:
    """Wherever it stood; nothing else is blamed."""
    report = verify_lines(tmp_path, LINES[:seq] + LINES[seq + 1 :])
    assert found(report) == {("SEQUENCE_GAP", seq)}


@pytest.mark.parametrize("seq", range(LAST))
def test_two_swapped_lines_are_named(tmp_path: Path, seq: int) -> None:
    """At the place where the order breaks."""
    report = verify_lines(tmp_path, [*LINES[:seq], LINES[seq + 1], LINES[seq], *LINES[seq + 2 :]])
    assert {("SEQUENCE_GAP", seq), ("HASH_MISMATCH", None)} <= found(report)
    assert min(finding.seq for finding in report.findings if finding.seq is not None) == seq


@pytest.mark.parametrize("kept", range(len(LINES)))
def test_a_truncated_tail_is_named(tmp_path: Path, kept: int) -> None:
    """At the first entry that is missing, also when the cut goes through a line."""
    assert found(verify_lines(tmp_path, LINES[:kept])) == {("SEQUENCE_GAP", kept)}
    entries = tmp_path / "entries.ndjson"
    entries.write_bytes(b"".join(line + b"\n" for line in LINES)[: -len(LINES[LAST]) // 2])
    assert {finding.code for finding in verify_export(tmp_path).findings} == {"HASH_MISMATCH"}


def test_a_doubled_line_and_lines_after_the_end_are_named(tmp_path: Path) -> None:
    """What stands twice breaks the order; what stands beyond the signed size is covered by nothing."""
    doubled = verify_lines(tmp_path, [*LINES[:4], LINES[3], *LINES[4:]])
    assert ("SEQUENCE_GAP", 4) in found(doubled)
    beyond = verify_lines(tmp_path, LINES, signed(LINES, LAST))
    assert found(beyond) == {("VERIFICATION_INCOMPLETE", LAST)}


def test_a_hidden_tail_is_found_with_a_later_checkpoint(tmp_path: Path) -> None:
    """A shorter log with its own old checkpoint holds by itself, and not against one seen elsewhere."""
    assert verify_lines(tmp_path, LINES[:9], signed(LINES, 9)).ok
    report = verify_lines(tmp_path, LINES[:9], signed(LINES, 9), seen=signed(LINES))
    assert found(report) == {("BEHIND_ANCHOR", 9)}


@pytest.mark.parametrize("size", [4, len(LINES)])
def test_another_history_is_found_with_a_checkpoint_of_it(tmp_path: Path, size: int) -> None:
    """The same size or a smaller one with another root, both rightly signed: the log split its view."""
    other = [edited(LINES[0], key="ab" * 32), *LINES[1:]]
    report = verify_lines(tmp_path, LINES, seen=signed(other, size))
    assert found(report) == {("SPLIT_VIEW", None)}
    forged = verify_lines(tmp_path, LINES, seen=signed(LINES, size, STRANGER))
    assert found(forged) == {("BAD_SIGNATURE", None)}


def test_a_log_that_signs_what_its_rules_forbid_is_found(tmp_path: Path) -> None:
    """The signature and root are right, and yet: a moved amount, a second refund, an unknown kind, wrong totals."""
    postings = json.loads(LINES[3])["postings"]
    cases: list[tuple[int, bytes, str]] = [
        (1, edited(LINES[1], postings=[{"from": "treasury", "to": "budget:museum", "amount": 100_001}]), "OVERDRAFT"),
        (3, edited(LINES[3], postings=[postings[0] | {"from": "treasury"}]), "CASE_VIOLATION"),
        (4, edited(LINES[4], kind="gift"), "CASE_VIOLATION"),
        (8, edited(LINES[8], ref={"origin": 5}), "CASE_VIOLATION"),
        (LAST, edited(LINES[LAST], ref={"totals": {"issued": 1}}), "TOTALS_MISMATCH"),
        (6, edited(LINES[6], at="2026-11-22T13:00:00.000Z"), "SEQUENCE_GAP"),
        (7, edited(LINES[7], city="nakhon-sawan"), "SEQUENCE_GAP"),
    ]
    for seq, line, code in cases:
        lines = [*LINES[:seq], line, *LINES[seq + 1 :]]
        report = verify_lines(tmp_path, lines, signed(lines))
        assert (code, seq) in found(report), report.text()
        assert "HASH_MISMATCH" not in report.counts


def test_keys_and_signatures_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Another key given, another key in the export, a checkpoint of a stranger or of another log."""
    folder = write(tmp_path / "export", LINES)
    stranger = checkpoint.vkey(ORIGIN, STRANGER.public_key())
    assert verify_export(folder, vkey=VKEY).ok
    assert set(verify_export(folder, vkey=stranger).counts) == {"BAD_SIGNATURE"}
    assert set(verify_export(folder, vkey="rubbish").counts) == {"BAD_SIGNATURE"}
    foreign = checkpoint.Checkpoint("another.example/log", len(LINES), checkpoint.parse(signed(LINES)).root)
    for note in (signed(LINES, key=STRANGER), sign(foreign, foreign.origin, KEY), "rubbish"):
        assert set(verify_lines(tmp_path / "other", LINES, note).counts) == {"BAD_SIGNATURE"}
    (folder / "vkey").write_text(stranger, "utf-8")
    (folder / "checkpoint").write_text(signed(LINES, key=STRANGER), "utf-8")
    assert verify_export(folder).ok  # an export vouches for itself; hence the report's note on the key
    assert set(verify_export(folder, vkey=VKEY).counts) == {"BAD_SIGNATURE"}


@pytest.mark.parametrize("name", ["entries.ndjson", "checkpoint", "vkey"])
def test_a_missing_file_leaves_the_verification_incomplete(tmp_path: Path, name: str) -> None:
    """Each is needed; a directory in its place is no file."""
    folder = write(tmp_path / "export", LINES)
    (folder / name).unlink()
    assert set(verify_export(folder).counts) == {"VERIFICATION_INCOMPLETE"}
    assert set(verify_export(zipped(folder)).counts) == {"VERIFICATION_INCOMPLETE"}
    (folder / name).mkdir()
    assert set(verify_export(folder).counts) == {"VERIFICATION_INCOMPLETE"}


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _binary(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(100_000))  # noqa: S311


def _endless_line(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000)


@pytest.mark.parametrize("make", [_empty, _binary, _endless_line])
@pytest.mark.parametrize("name", ["entries.ndjson", "checkpoint", "vkey", "openings.ndjson"])
def test_rubbish_is_reported(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    """Empty, binary and endless files end in findings, never in a traceback."""
    folder = write(tmp_path / "export", LINES)
    make(folder / name)
    report = verify_export(folder)
    assert not report.ok
    assert set(report.counts) <= set(CODES)


def test_what_is_no_export_is_reported(tmp_path: Path) -> None:
    """A path with nothing, a text file, a zip cut in half."""
    folder = write(tmp_path / "export", LINES)
    half = zipped(folder)
    half.write_bytes(half.read_bytes()[:500])
    for path in (tmp_path / "nothing", folder / "vkey", half):
        assert found(verify_export(path)) == {("VERIFICATION_INCOMPLETE", None)}


def test_damaged_archives_never_crash_and_never_pass_changed(tmp_path: Path) -> None:
    """Flipped bytes anywhere in a zip: a finding, or the same entries (some bytes only date the archive)."""
    chance = random.Random(2)  # noqa: S311
    path = zipped(write(tmp_path / "export", LINES))
    data, root = path.read_bytes(), verify_export(path).root
    caught = 0
    for _ in range(scale(400, 10_000)):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(changed)
        report = verify_export(path)
        caught += not report.ok
        assert not report.ok or report.root == root
    assert caught > 100


def test_findings_are_counted_and_not_all_kept(tmp_path: Path) -> None:
    """A log of rubbish gives a short report that still says how much there was."""
    lines = [b"rubbish"] * 500
    report = verify_lines(tmp_path, lines, signed(lines))
    assert report.counts["HASH_MISMATCH"] == 500
    assert len(report.findings) == KEPT_PER_CODE
    assert "HASH_MISMATCH: 500 in all" in report.text()


def test_progress_is_told(tmp_path: Path) -> None:
    """The callback ends at the whole."""
    told: list[tuple[int, int | None]] = []
    verify_export(write(tmp_path, LINES), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(LINES), len(LINES))


def test_the_command_says_by_its_status_whether_all_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 if all holds, 1 with findings, 2 if called wrongly; figures for people, JSON for machines."""
    folder = write(tmp_path / "export", LINES)
    assert main(["--no-state", str(folder), "--vkey", VKEY]) == 0
    text = capsys.readouterr().out
    assert "OK" in text
    assert "1,000.00" in text
    assert "museum" in text
    assert "cafe" in text
    write(tmp_path / "export", LINES[:5], signed(LINES))
    assert main(["--no-state", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [(item["code"], item["seq"]) for item in told["findings"]] == [("SEQUENCE_GAP", 5)]
    assert told["counts"] == {"SEQUENCE_GAP": 1}
    later = tmp_path / "later"
    later.write_text(signed(LINES), "utf-8")
    write(tmp_path / "export", LINES[:5], signed(LINES, 5))
    assert main(["--no-state", str(folder)]) == 0
    assert main(["--no-state", str(folder), "--seen", str(later)]) == 1
    assert "BEHIND_ANCHOR" in capsys.readouterr().out
    assert main([]) == 2
    assert main([str(tmp_path / "nothing")]) == 2
    assert main(["--no-state", str(folder), "--seen", str(tmp_path / "nothing")]) == 2


def test_the_verifier_needs_nothing_but_cryptography(tmp_path: Path) -> None:
    """Copied out alone, with every other package of the project and of the site hidden, it verifies."""
    source = Path(checkpoint.__file__).parents[1]
    (tmp_path / "alone" / "ledger").mkdir(parents=True)
    (tmp_path / "alone" / "ledger" / "__init__.py").touch()
    for package in ("proof", "verifier"):
        shutil.copytree(source / package, tmp_path / "alone" / "ledger" / package)
    folder = write(tmp_path / "export", LINES)
    allowed = "cryptography,_cffi_backend,cffi,ledger,_rust"
    program = f"""
import sys, runpy
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in {allowed!r}.split(","):
            return None
        raise ImportError(name)
sys.meta_path.insert(0, Only())
sys.path.insert(0, {str(tmp_path / "alone")!r})
sys.argv = ["verify", {str(folder)!r}]
runpy.run_module("ledger.verifier", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "OK" in done.stdout
