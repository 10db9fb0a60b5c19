"""`kgo verify`: judges an exported log with neither server nor database.

In one pass over the lines: each is one canonical entry in its place, the leaves make the signed root, the
recounted size is the signed size, and money obeys the rules at every prefix (`replay`). What breaks the
order of the lines ends the replay, since everything after it would be judged by wrong balances; hashing
and counting go on. Nothing in an export raises: it is reported, and what could not be checked is said.
"""

import argparse
import json
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ledger.proof import checkpoint as notes
from ledger.proof.checkpoint import Checkpoint, CheckpointError
from ledger.proof.encoding import MAX_INT, EncodingError, canonical, parse
from ledger.proof.export import Export, ExportError, Openings, lines
from ledger.proof.merkle import EMPTY_ROOT, Frontier, leaf_hash
from ledger.proof.replay import Replay
from ledger.proof.report import Report
from ledger.proof.rules import check_entry_shape, read_plain

Progress = Callable[[int, int | None], None]
_BATCH = 4096


def verify_export(
    path: str | Path, *, vkey: str | None = None, seen: str | None = None, progress: Progress | None = None
) -> Report:
    """Verify the export at `path`.

    `vkey` is the log's key from a source you trust (otherwise the export's own is used, and the report says
    so); `seen` a checkpoint of the same log from elsewhere; `progress(done, total)` is called now and then.
    """
    report = Report()
    try:
        with Export(Path(path)) as export:
            head, other = _heads(export, vkey, seen, report)
            stream = export.open("entries.ndjson")
            if stream is None:
                report.add("VERIFICATION_INCOMPLETE", None, "entries.ndjson is missing")
                return report
            openings = export.open("openings.ndjson")
            walk = _Walk(report, head, other, Openings(openings, report.add) if openings else None)
            try:
                walk.run(stream, progress)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                report.add("HASH_MISMATCH", walk.expected, f"the archive is damaged: {error}")
            walk.conclude()
    except (ExportError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        report.add("VERIFICATION_INCOMPLETE", None, f"the export cannot be read: {error}")
    return report


def _heads(export: Export, vkey: str | None, seen: str | None, report: Report) -> list[Checkpoint | None]:
    """Return the export's checkpoint and the one seen elsewhere, as far as they can be used."""
    own_key, text = (export.text("vkey") or "").removesuffix("\n"), export.text("checkpoint")
    if vkey is None:
        report.unchecked.append("that the key, which came with the export, is the one the log publishes")
    elif own_key and own_key != vkey:
        report.add("BAD_SIGNATURE", None, "the export carries another key than the one given")
    if seen is None:
        report.unchecked.append("whether a later checkpoint exists: none was given to compare with")
    if text is None:
        report.add("VERIFICATION_INCOMPLETE", None, "the checkpoint is missing")
    if not (key := vkey or own_key):
        report.add("VERIFICATION_INCOMPLETE", None, "there is no key to check signatures with")
    heads: list[Checkpoint | None] = []
    for what, note in (("the checkpoint", text), ("the checkpoint seen elsewhere", seen)):
        head = None
        try:
            # An unsigned head still says which root to expect, so that more damage can be named.
            head = notes.parse(note) if note is not None else None
            if note is not None and key:
                notes.verify(note, key)
                report.checked.append(f"the signature of {what}")
        except CheckpointError as error:
            report.add("BAD_SIGNATURE", None, f"{what}: {error}")
        heads.append(head)
    return heads


def _read_entry(line: bytes) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
    """Return the entry in `line`, if there is one, and the code and message of what is wrong with it."""
    if leaf := read_plain(line):
        return leaf, None
    try:
        leaf = parse(line)
        if type(leaf) is not dict or type(leaf.get("seq")) is not int or not 0 <= leaf["seq"] <= MAX_INT:
            return None, ("HASH_MISMATCH", "the line is not an entry")
        if canonical(leaf) != line:
            return leaf, ("HASH_MISMATCH", "the line is not in canonical form")
        problem = check_entry_shape(leaf)
    except EncodingError as error:
        return None, ("HASH_MISMATCH", f"the line is damaged: {error}")
    return leaf, ("CASE_VIOLATION", problem) if problem else None


class _Walk:
    """One pass over the entries: what was expected, hashed and replayed so far."""

    def __init__(
        self, report: Report, head: Checkpoint | None, seen: Checkpoint | None, openings: Openings | None
    ) -> None:
        self._report, self._head, self._seen, self._openings = report, head, seen, openings
        self._replay = Replay(report.add, opened=openings is not None)
        self._broken_at: int | None = None
        self._tree, self._hashes = Frontier(), list[bytes]()
        self._roots = {0: EMPTY_ROOT}  # by size, where a checkpoint wants to know
        self._lines = 0
        self.expected = 0

    def run(self, stream: BinaryIO, progress: Progress | None) -> None:
        """Read the lines up to the signed size."""
        total = self._head.size if self._head else None
        marks = {head.size for head in (self._head, self._seen) if head}
        for line, problem in lines(stream):
            if self._lines == total:
                self._report.add("VERIFICATION_INCOMPLETE", total, "there are lines that the checkpoint does not cover")
                break
            self._hashes.append(leaf_hash(line))
            self._lines += 1
            self._judge(line, problem)
            if self._lines in marks or len(self._hashes) == _BATCH:
                self._flush()
                if progress:
                    progress(self._lines, total)

    def _flush(self) -> None:
        self._tree, self._hashes = self._tree.append(self._hashes), []
        self._roots[self._lines] = self._tree.root()

    def _judge(self, line: bytes, problem: str | None) -> None:
        leaf, damage = (None, ("HASH_MISMATCH", problem)) if problem else _read_entry(line)
        seq = leaf["seq"] if leaf else self.expected
        if seq != self.expected:
            damage = ("SEQUENCE_GAP", f"entry {seq} stands in its place")
        if damage:
            self._report.add(damage[0], self.expected, damage[1])
            self._broken_at = self.expected if self._broken_at is None else self._broken_at
        elif self._broken_at is None and leaf:
            self._replay.apply(leaf, self._openings.accounts(leaf) if self._openings else None)
        self.expected = seq + 1

    def conclude(self) -> None:
        """Compare the roots with the checkpoints and fill in the report."""
        self._flush()
        report, replay = self._report, self._replay
        report.city, report.size, report.root = replay.city, self._lines, self._tree.root()
        report.totals, report.activities, report.shops = (
            replay.totals(),
            dict(replay.rewards),
            dict(replay.sales),
        )
        whose = "each learner's balance" if self._openings else "the sum of learners' balances"
        books = f"every institution's balance, {whose}, cases and totals"
        if self._broken_at is None:
            report.checked.append(f"{books} at each of {self._lines} entries")
            if self._openings:
                self._openings.accounts(None)
            replay.finish()
        else:
            report.unchecked.append(f"{books} from entry {self._broken_at} on")
        if not self._openings:
            report.unchecked.append("each learner's balance: the export holds no openings")
        self._compare_roots()

    def _compare_roots(self) -> None:
        head, seen, report = self._head, self._seen, self._report
        if head:
            report.origin = head.origin
            if self._lines < head.size and self.expected < head.size:
                message = f"the entries from here to {head.size - 1}, which the checkpoint covers, are missing"
                report.add("SEQUENCE_GAP", self.expected, message)
            elif self._lines < head.size:
                report.unchecked.append("the root: lines are missing")
            elif self._roots[head.size] != head.root:
                report.add("HASH_MISMATCH", None, f"the first {head.size} entries do not make the signed root")
            else:
                report.checked.append(f"the root over {head.size} entries")
        if seen:
            if seen.size > (head.size if head else self._lines):
                report.add("BEHIND_ANCHOR", self._lines, f"a checkpoint of {seen.size} entries exists elsewhere")
            elif self._roots.get(seen.size, seen.root) != seen.root:
                report.add("SPLIT_VIEW", None, f"elsewhere the first {seen.size} entries have another root")


def _bar(done: int, total: int | None) -> None:
    sys.stderr.write(f"\r{done:,} of {'?' if total is None else f'{total:,}'} entries" + "\n" * (done == total))
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if all holds, 1 with findings, 2 if it was called wrongly."""
    parser = argparse.ArgumentParser(prog="kgo verify", description="Verify an exported log, offline.")
    parser.add_argument("path", type=Path, help="directory or zip with entries.ndjson, checkpoint and vkey")
    parser.add_argument("--vkey", help="the log's verifier key, from a source that you trust")
    parser.add_argument("--seen", type=Path, help="file with a checkpoint of this log that you saw elsewhere")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    try:
        options = parser.parse_args(argv)
        if not options.path.exists():
            parser.error(f"{options.path} does not exist")
        seen = options.seen.read_text("utf-8", "replace") if options.seen else None
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except OSError as error:
        sys.stderr.write(f"kgo verify: {error}\n")
        return 2
    report = verify_export(options.path, vkey=options.vkey, seen=seen, progress=_bar if sys.stderr.isatty() else None)
    sys.stdout.write((json.dumps(report.as_json(), indent=2) if options.json else report.text()) + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
