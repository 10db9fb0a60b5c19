"""Logs as static tiles, in a directory and served over HTTP, for the verifier to read."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ledger.proof.merkle import leaf_hash, root_of
from ledger.proof.tiles import entries_path, tile_path
from ledger.proving import encode_bundle
from tests.proof.logs import VKEY, Log, signed


def long_log(entries: int) -> Log:
    """Return a log of so many entries: a grant, a budget, and rewards of which every third is spent."""
    log = Log()
    log.add("grant", ("issuance", "treasury", 10_000_000))
    log.add("fund", ("treasury", "budget:museum", 9_000_000))
    while len(log.leaves) < entries:
        name = f"learner:{len(log.leaves) % 7}"
        if len(log.leaves) % 3:
            log.add("reward", ("budget:museum", name, 500))
        else:
            log.add("redeem", (name, "shop:cafe", 100))
    return log


def publish(folder: Path, lines: Sequence[bytes], note: str | None = None) -> Path:
    """Write the tiles of `lines` under `note`; what is there already stays, as on a mirror."""
    levels = [[leaf_hash(line) for line in lines]]
    while len(levels[-1]) >= 256:
        below = levels[-1]
        levels.append([root_of(below[at : at + 256]) for at in range(0, len(below) - 255, 256)])
    files: dict[str, bytes] = {}
    for at in range(0, len(lines), 256):
        bundle = lines[at : at + 256]
        files[entries_path(at // 256, len(bundle))] = encode_bundle(bundle)
    for level, hashes in enumerate(levels):
        for at in range(0, len(hashes), 256):
            files[tile_path(level, at // 256, len(hashes[at : at + 256]))] = b"".join(hashes[at : at + 256])
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "checkpoint").write_text(note or signed(lines), "utf-8")
    (folder / "vkey").write_text(VKEY + "\n", "utf-8")
    return folder


@dataclass
class Site:
    """A folder served over HTTP: what was asked for, and what to answer in the place of files."""

    url: str
    asked: list[str] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    """Statuses to answer first, by path."""
    gzipped: bool = False
    endless: bool = False
    cut: list[str] = field(default_factory=list)
    """Paths whose next answer breaks off before its end, once each."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, site: Site, **named: Any) -> None:
        self._site = site
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        path, site = self.path.lstrip("/"), self._site
        site.asked.append(path)
        if site.failures.get(path):
            self.send_error(site.failures[path].pop(0))
            return
        file = Path(self.translate_path(self.path))
        cut = path in site.cut
        if not file.is_file() or not (site.gzipped or site.endless or cut):
            super().do_GET()
            return
        data = file.read_bytes() if not site.endless else b"x" * 20_000_000
        body = gzip.compress(data) if site.gzipped else data
        self.send_response(200)
        if site.gzipped:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut:
            site.cut.remove(path)
            body = body[:-9]
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name of the overridden method's
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Serve a folder on a free port of this machine."""
    site = Site("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder), site=site))
    site.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
