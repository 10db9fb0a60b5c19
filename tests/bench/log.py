"""`scripts/bench log`: how fast a log is verified, and whether its proofs and tiles are as quick in a large one.

    verify_per_s        entries a second and core, `kgo verify` on an export: hashed, parsed, judged, replayed
    parse_hash_per_s    the same lines, each only parsed (json.loads) and hashed, in the same process, in turns
    ratio_verify        the one by the other
    verify_mb           the memory that the verification of the largest log ever held, in a process of its own
    proof_ms_10k, _2m   an inclusion proof of a random entry out of the database, in a log of 10 thousand and of
                        2 million entries (`--entries`), read in turns; `ratio_proof` is the larger by the smaller
    old_proof_ms_…      the same in trees of any size that was ever signed, and `ratio_old_proof`
    tiles_per_s         full hash tiles and entry bundles, in turns, that one server answers over HTTP to one client

Logs of a size are grown by transfers of the book itself, and sealed as the book seals; what is verified is such an
export. A verification that finds anything ends the run with an error.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import select

from ledger.book import tree
from ledger.book.seal import SignedCheckpoint
from ledger.city import export
from ledger.verifier.run import verify_export
from tests.bench.rig import peak, product, report
from tests.bench.rig.databases import KINDS, SQLITE, databases
from tests.bench.rig.processes import end_in_order
from tests.bench.rig.product import CITY, Product
from tests.bench.rig.traffic import say

FILL = 1_000
ROUNDS = 5
PROOFS = 400
TILES_S = 4.0
SEED = 17


def _grown(stack: ExitStack, directory: Path, url: str, size: int) -> Product:
    """An installation whose log has at least so many entries."""
    directory.mkdir()
    made = product.prepare(directory, url, 1)
    stack.callback(made.close)
    say(f"filling up to {size} entries")
    while (missing := size - made.size()) > 0:
        made.post_many(min(FILL, missing))
    return made


def _verify(log: Product, directory: Path, rounds: int) -> dict[str, list[float]]:
    """Entries a second of the verifier, and of the loop that parses and hashes, in turns."""
    export.write_directory(log.installation.database, log.installation.keys, CITY, directory)
    lines = (directory / "entries.ndjson").read_bytes().splitlines()
    taken: dict[str, list[float]] = {"verify_per_s": [], "parse_hash_per_s": []}
    for _ in range(rounds):
        started = time.process_time()
        found = verify_export(directory).findings
        taken["verify_per_s"].append(len(lines) / (time.process_time() - started))
        if found:
            raise SystemExit(f"the export does not verify: {found[0]}")
        started = time.process_time()
        for line in lines:
            json.loads(line)
            sha256(b"\x00" + line).digest()
        taken["parse_hash_per_s"].append(len(lines) / (time.process_time() - started))
    return taken


def _proofs(logs: list[tuple[str, Product]], count: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of an inclusion proof in each of the logs, proof by proof in turns. The first round warms up."""
    chance = random.Random(SEED)  # noqa: S311 - places to read at, no secrets
    taken: dict[str, list[float]] = {}
    kinds = [(f"{kind}_ms_{name}", log, kind) for name, log in logs for kind in ("proof", "old_proof")]
    signed = {name: _signed(log) if kind == "old_proof" else [log.size()] for name, log, kind in kinds}
    for turn in range(rounds + 1):
        spent: dict[str, list[float]] = {name: [] for name in signed}
        for _ in range(count):
            for name, log, _ in kinds:
                size = chance.choice(signed[name])
                spent[name].append(1e3 * _proof_s(log, chance.randrange(size), size))
        if turn:
            for name, values in spent.items():
                taken.setdefault(name, []).append(median(values))
    return taken


def _proof_s(log: Product, seq: int, size: int) -> float:
    """Seconds of one proof, on a snapshot of its own."""
    started = time.perf_counter()
    with log.installation.database.read() as session:
        tree.inclusion(session, CITY, seq, size)
    return time.perf_counter() - started


def _signed(log: Product) -> list[int]:
    """The sizes of the trees that were signed."""
    with log.installation.database.read() as session:
        sizes = select(SignedCheckpoint.size).where(SignedCheckpoint.city == CITY, SignedCheckpoint.size > 0)
        return list(session.scalars(sizes))


def _tiles(log: Product, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Tiles and bundles a second over one connection to one server."""
    port, full = log.serve(1), log.size() // tree.WIDTH
    chance = random.Random(SEED)  # noqa: S311
    taken: list[float] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/log/{CITY}/tile/", timeout=30) as client:
        for turn in range(rounds + 1):
            done, started = 0, time.perf_counter()
            while time.perf_counter() - started < seconds / rounds:
                index = chance.randrange(min(full, 1_000))
                for level in ("0", "entries"):
                    answer = client.get(f"{level}/{index:03}")
                    answer.raise_for_status()
                    done += 1
            if turn:
                taken.append(done / (time.perf_counter() - started))
    return {"tiles_per_s": taken}


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The whole run; the JSON object."""
    small, large = options.entries
    with ExitStack() as stack:
        homes = stack.enter_context(databases(options.database, memory_only=options.memory))
        names = [report_name(small), report_name(large)]
        logs = [
            (name, _grown(stack, homes.directory / name, url, size))
            for name, url, size in zip(names, (homes.other, homes.product), (small, large), strict=True)
        ]
        rounds: dict[str, list[float]] = {}
        rounds |= _proofs(logs, options.proofs, options.rounds)
        rounds |= _tiles(logs[0][1], TILES_S, options.rounds)
        rounds |= _verify(logs[0][1], homes.directory / "export", options.rounds)
        figures = {name: round(median(values), 4) for name, values in rounds.items()}
        whole = homes.directory / "large"
        export.write_directory(logs[1][1].installation.database, logs[1][1].installation.keys, CITY, whole)
        say(f"verification of {large} entries")
        taken = peak.of(["verify", "--no-state", str(whole)], logs[1][1].deployment.environment)
    wanted = {
        "ratio_verify": ("verify_per_s", "parse_hash_per_s"),
        "ratio_proof": (f"proof_ms_{names[1]}", f"proof_ms_{names[0]}"),
        "ratio_old_proof": (f"old_proof_ms_{names[1]}", f"old_proof_ms_{names[0]}"),
    }
    return {
        **figures,
        **report.ratios(wanted, figures),
        "verify_mb": round(taken.megabytes, 1),
        "verify_s": round(taken.seconds, 1),
        "entries": options.entries,
        "database": options.database,
        "rounds": {name: [round(value, 4) for value in values] for name, values in rounds.items()},
    }


def report_name(size: int) -> str:
    """A size as the names of figures have it: 10k, 2m."""
    for unit, letter in ((10**6, "m"), (10**3, "k")):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def _sizes(given: str) -> list[int]:
    sizes = sorted({int(one) for one in given.split(",")})
    if len(sizes) != 2 or sizes[0] < FILL:
        raise argparse.ArgumentTypeError(f"name two sizes, from {FILL} entries")
    return sizes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench log", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--database", choices=KINDS, default=SQLITE)
    default = "10000,2000000"
    parser.add_argument("--entries", type=_sizes, default=default, metavar="N,N", help=f"sizes of the logs; {default}")
    parser.add_argument("--proofs", type=int, default=PROOFS, help="in each log, each round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", action="store_true", help="databases in memory: the work of the processors alone")
    options = parser.parse_args()
    end_in_order()
    result = measure(options)
    report.tell(options.database, result, as_json=options.json)


if __name__ == "__main__":
    main()
