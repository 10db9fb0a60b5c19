"""The command line of `kgo verify` and `kgo verify receipt`.

The exit status is 0 if all holds, 1 if anything is wrong, 3 if nothing wrong was found but not all could be checked,
2 if the command was called wrongly, and 130 if it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ledger.proof.policy import PolicyError
from ledger.proof.policy import parse as parse_policy
from ledger.proof.report import Report
from ledger.verifier import receipts, run, summary
from ledger.verifier.chain import Contract
from ledger.verifier.memory import Memory, MemoryFault, default_directory
from ledger.verifier.run import Wishes
from ledger.verifier.source import SMALL_FILE_BYTES, is_url

HOLDS, FAILED, MISUSED, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130
MAX_RECEIPT_BYTES = 1 << 22


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = os.environ if environment is None else environment
    try:
        if arguments[:1] == ["receipt"] and len(arguments) > 1:
            return _receipt(arguments[1:], known)
        return _log(arguments, known)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else MISUSED
    except (OSError, MemoryFault, PolicyError) as error:
        sys.stderr.write(f"kgo verify: {error}\n")
        return MISUSED
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nkgo verify: interrupted; the same command goes on from what it last kept, if all was well\n"
        )
        return INTERRUPTED


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--vkey", help="the log's verifier key, from a source that you trust")
    parser.add_argument("--policy", type=Path, help="file with a C2SP tlog-policy: logs, witnesses, quorum")
    parser.add_argument("--state", type=Path, help="directory to remember in (default: ~/.local/state/kgo)")
    parser.add_argument("--no-state", action="store_true", help="remember nothing, and recall nothing")
    parser.add_argument("--decimals", type=int, default=summary.DECIMALS, help="of the token (default: 2)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _log(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    parser = _parser("kgo verify", "Verify a city's log: an export, tiles, or a URL of tiles.")
    parser.add_argument("where", help="an export (directory or zip), a directory of tiles, or the URL of a log")
    parser.add_argument("--seen", type=Path, help="file with a checkpoint of this log that you saw elsewhere")
    parser.add_argument("--rpc", metavar="URL", help="compare with the anchors on a chain, asked of this node")
    parser.add_argument("--contract", metavar="0x…", help="with --rpc: the city's token, from a source that you trust")
    parser.add_argument("--first-block", type=int, default=0, metavar="N", help="with --rpc: where to begin to look")
    parser.add_argument("--fresh", action="store_true", help="go over all entries, also those verified before")
    options = parser.parse_args(arguments)
    if not is_url(options.where) and not Path(options.where).exists():
        parser.error(f"{options.where} does not exist")
    if bool(options.rpc) != bool(options.contract):
        parser.error("--rpc and --contract go together")
    try:
        chain = Contract(options.rpc, options.contract, options.first_block) if options.rpc else None
    except ValueError as error:
        parser.error(str(error))
    wishes = replace(_wishes(options, environment), chain=chain)
    bar = summary.Bar() if sys.stderr.isatty() else None
    report = run.verify(options.where, wishes, progress=bar)
    shown = json.dumps(report.as_json(), indent=2) if options.json else summary.text(report, decimals=options.decimals)
    sys.stdout.write(shown + "\n")
    return _status(report)


def _receipt(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    parser = _parser("kgo verify receipt", "Verify one receipt, offline.")
    parser.add_argument("file", help="the receipt (.tlog-proof, or the text of its QR code), or - for standard input")
    parser.add_argument("--entry", type=Path, help="file with the entry, if the receipt does not carry it")
    options = parser.parse_args(arguments)
    wishes = _wishes(options, environment)
    data = sys.stdin.buffer.read(MAX_RECEIPT_BYTES) if options.file == "-" else _small(Path(options.file))
    entry = _small(options.entry).removesuffix(b"\n") if options.entry else None
    outcome = receipts.check(data.decode(errors="replace"), wishes, entry)
    shown = json.dumps(outcome.as_json(), indent=2) if options.json else outcome.text(decimals=options.decimals)
    sys.stdout.write(shown + "\n")
    return _status(outcome.report)


def _wishes(options: argparse.Namespace, environment: Mapping[str, str]) -> Wishes:
    memory = None if options.no_state else Memory(options.state or default_directory(environment))
    seen = getattr(options, "seen", None)
    return Wishes(
        vkey=options.vkey,
        seen=_small(seen).decode(errors="replace") if seen else None,
        policy=parse_policy(_small(options.policy)) if options.policy else None,
        memory=memory,
        fresh=getattr(options, "fresh", False),
    )


def _small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SMALL_FILE_BYTES)


def _status(report: Report) -> int:
    if report.ok:
        return HOLDS
    return INCOMPLETE if summary.incomplete(report) else FAILED
